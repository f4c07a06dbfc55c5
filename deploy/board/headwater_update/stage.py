"""Takes a change in, checks that it is for this board and from somebody it trusts, and has the work begin.

Until the work begins nothing is changed, and whatever was taken in can be dropped.
"""

from __future__ import annotations

import os
import secrets
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import IO

from . import configuration, packages, units
from .archive import read_update
from .depends import missing
from .errors import Refused, UpdateError
from .manifest import PACKAGE, Manifest
from .signature import KEYS, parse_keys, verify
from .store import Store, sha256_of, sync, write_whole
from .transaction import Package, Transaction

ROOM_KIB = 16 << 10
"""What has to stay free."""
IF_MEANT = ": if that is meant, say so (--allow-downgrade)"
OS_RELEASE = Path("/etc/os-release")


def begin(store: Store, wanted: tuple[str, ...]) -> Transaction:
    """A new transaction for the services that are to run, and for those that do; raises Refused."""
    under_way = store.transaction()
    if under_way and under_way.phase != "staging":
        raise Refused(f"an update is under way on this board ({under_way.phase}): headwater-update status")
    store.forget()
    store.prune()
    store.staged_files.mkdir(parents=True)
    write_whole(store.program, _own_program().read_bytes(), 0o700)
    concerned = tuple(unit for unit in units.UNITS if unit in wanted or units.look(unit).running)
    transaction = Transaction(id=secrets.token_hex(6), units=concerned)
    store.save(transaction)
    return transaction


def receive_update(store: Store, staging: Transaction, source: IO[bytes], *, downgrade: bool) -> Transaction:
    """Take a signed update in; raises Refused."""

    def admit(manifest: Manifest) -> None:
        _admit(manifest, store, downgrade=downgrade)

    manifest = read_update(source, _verify, admit, store.staged)
    needed = _check_packages(store.staged, manifest)
    package = packaged(manifest.version, manifest.package.sha256)
    if store.current() == package and packages.installed_version() == package.version:
        return staging
    (store.staged / manifest.package.name).rename(store.staged / package.name)
    changed = replace(staging, new=package, dependencies=needed, serial=manifest.serial)
    store.save(changed)
    return changed


def receive_files(store: Store, staging: Transaction, source: IO[bytes]) -> Transaction:
    """Take configuration in; raises Refused."""
    count = configuration.receive(source, store.staged_files)
    changed = replace(staging, files=count > 0)
    store.save(changed)
    return changed


def apply(
    store: Store, staging: Transaction, *, health_s: float, frames: bool | None, fallback: bool
) -> Transaction | None:
    """Begin the work; None if there is nothing to do. Raises Refused.

    `frames` says whether the gateway has to acquire frames to be healthy; None leaves it to how it was before.
    """
    files = staging.files and not configuration.in_place(store.staged_files)
    running = tuple(unit for unit in staging.units if units.running(unit))
    enabled = tuple(unit for unit in staging.units if units.enabled(unit))
    installed = packages.installed_version()
    if not staging.new and not installed:
        raise Refused(f"{PACKAGE} is not installed, and the update brings no package")
    if not (staging.new or files or set(running) != set(staging.units) or set(enabled) != set(staging.units)):
        store.forget()
        return None
    if undone := packages.unfinished():
        raise Refused(f"dpkg is not done with something: {undone.splitlines()[0]}; run: dpkg --configure -a")
    first = installed is None or _never_worked(store, installed)
    transaction = replace(
        staging,
        phase="installing",
        files=files,
        first=first,
        previous=None if first or not staging.new else _previous(store, installed, fallback=fallback),
        enabled=enabled,
        active=running,
        invocations=units.invocations(staging.units),
        frames=_frames(running, staging.units, frames),
        health_s=health_s,
    )
    _put_to_work(store, transaction)
    return transaction


def keep(store: Store, package: Path) -> Package:
    """Keep the package of the version that is installed, to fall back to it later; raises Refused."""
    about, installed = packages.control(package), packages.installed_version()
    if about.get("Package") != PACKAGE or about.get("Version") != installed:
        found = f"{about.get('Package')} {about.get('Version')}"
        raise Refused(f"{package.name} is {found}; installed is {PACKAGE} {installed}: give its package")
    kept = packaged(about["Version"], sha256_of(package))
    shutil.copyfile(package, store.packages / kept.name)
    sync(store.packages / kept.name)
    store.confirm(kept, 0)
    return kept


def stage_earlier(store: Store, staging: Transaction, *, files: bool) -> Transaction:
    """The version before, and if wanted the configuration before the last change; raises Refused."""
    earlier = store.earlier()
    if earlier is None:
        raise Refused("no earlier version is kept on this board")
    os.link(store.packages / earlier.name, store.staged / earlier.name)
    if files and store.before.is_dir():
        shutil.copytree(store.before, store.staged_files, dirs_exist_ok=True)
    changed = replace(staging, new=earlier, files=files, serial=store.serial())
    store.save(changed)
    return changed


def packaged(version: str, sha256: str) -> Package:
    """The package under the name that it is kept by: two builds of one version do not collide."""
    return Package(version, f"{PACKAGE}_{version}_{sha256[:12]}.deb", sha256)


def enrol(keys: str, *, replaced: bool) -> bool:
    """Trust the keys, lines of `.pub` files; whether they were not trusted before. Raises Refused."""
    new = parse_keys(keys)
    known = parse_keys(KEYS.read_text()) if KEYS.is_file() else []
    if not new:
        raise Refused("there is no public key in it: a line such as 'ssh-ed25519 AAAA… comment' is expected")
    if set(new) <= set(known):
        return False
    if known and not replaced:
        raise Refused(f"{KEYS} trusts another key; to replace it, say so")
    KEYS.parent.mkdir(exist_ok=True)
    write_whole(KEYS, "".join(f"{key}\n" for key in new).encode(), 0o644)
    return True


def release() -> tuple[str, str]:
    """The release of Debian, and the system's own name: `("12", "Debian GNU/Linux 12 (bookworm)")`."""
    lines = OS_RELEASE.read_text(encoding="utf-8").splitlines()
    about = {name: value.strip("'\"") for name, _, value in (line.partition("=") for line in lines)}
    debian = about.get("ID") in ("debian", "raspbian")
    return about.get("VERSION_ID", "") if debian else "", about.get("PRETTY_NAME", "a system without a name")


def _verify(data: bytes, signature: bytes) -> None:
    keys = KEYS.read_text(encoding="utf-8") if KEYS.is_file() else ""
    verify(data, signature, keys, str(KEYS))


def _admit(manifest: Manifest, store: Store, *, downgrade: bool) -> None:
    """Whether the update is one for this board, and a newer one."""
    if manifest.architecture != packages.architecture():
        raise Refused(f"the update is for {manifest.architecture}; this board is {packages.architecture()}")
    here, name = release()
    if manifest.release != here:
        raise Refused(f"the update is for Debian {manifest.release}; this board has {name}")
    installed = packages.installed_version()
    if installed and packages.newer(installed, manifest.version) and not downgrade:
        raise Refused(f"{manifest.version} is older than {installed}, which is installed{IF_MEANT}")
    if manifest.serial < store.serial() and not downgrade:
        raise Refused(f"a later update than this one was installed here already{IF_MEANT}")
    free_kib = min(_free_kib(store.root), _free_kib(Path("/usr")))
    if free_kib < manifest.room_kib + ROOM_KIB:
        needed_mib, free_mib = (manifest.room_kib + ROOM_KIB) // 1024 + 1, free_kib // 1024
        raise Refused(f"the update needs {needed_mib} MiB of free space; there are {free_mib} MiB: make room")


def _check_packages(folder: Path, manifest: Manifest) -> tuple[str, ...]:
    """The packages are what the manifest says; those dependencies that this board lacks."""
    about = packages.control(folder / manifest.package.name)
    said = (PACKAGE, manifest.version, manifest.architecture)
    if (about.get("Package"), about.get("Version"), about.get("Architecture")) != said:
        raise Refused(f"{manifest.package.name} is not {' '.join(said)}, as the manifest says")
    installed = dict(packages.installed_packages())
    needed = []
    for file in manifest.dependencies:
        brought = packages.control(folder / file.name)
        name, version = brought["Package"], brought["Version"]
        if not any(have and not packages.newer(version, have) for have in installed.get(name, ())):
            installed[name] = (version,)
            needed.append(file.name)
    depends = ", ".join(filter(None, (about.get("Depends"), about.get("Pre-Depends"))))
    lacking = missing(depends, installed, packages.compare)
    if lacking:
        raise Refused(
            f"this board lacks {', '.join(lacking)}: install that with apt-get, or bring the packages along"
        )
    return tuple(needed)


def _never_worked(store: Store, installed: str) -> bool:
    """Whether what is installed is left of a first installation that failed."""
    last = store.result()
    return bool(last.get("first")) and last.get("outcome") == "rolled back" and last.get("version") == installed


def _previous(store: Store, installed: str | None, *, fallback: bool) -> Package | None:
    current = store.current()
    if current and current.version == installed:
        return current
    if not fallback:
        return None
    raise Refused(
        f"the package of {installed}, which is installed, is not kept here: there is nothing to fall back to; "
        "give it with headwater-update keep FILE, or do without (--without-fallback)"
    )


def _frames(running: tuple[str, ...], concerned: tuple[str, ...], wanted: bool | None) -> tuple[str, ...]:
    """Which services have to acquire frames: a gateway that did, and one that did not run before."""
    if wanted is None:
        wanted = units.GATEWAY not in running or units.GATEWAY in units.growing(running)
    return (units.GATEWAY,) if wanted and units.GATEWAY in concerned else ()


def _put_to_work(store: Store, transaction: Transaction) -> None:
    if transaction.new:
        (store.staged / transaction.new.name).replace(store.packages / transaction.new.name)
        sync(store.packages / transaction.new.name)
        sync(store.packages)
    configuration.back_up(configuration.ETC, store.before)
    units.resume_at_boot(store.program)
    store.save(transaction)
    try:
        units.begin_work()
    except UpdateError:
        store.forget()
        store.prune()
        units.nothing_to_resume()
        raise


def _free_kib(path: Path) -> int:
    place = os.statvfs(path)
    return place.f_bavail * place.f_frsize // 1024


def _own_program() -> Path:
    return Path(sys.argv[0]).resolve()
