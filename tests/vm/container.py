"""A machine of its own without hardware: Debian, booted by systemd in a container, without a network."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.processes import ROOT, RunningProcess
from tests.support.waiting import wait_until

CACHE = ROOT / "build" / "vm"
PACKAGES = (
    *("systemd", "systemd-sysv", "udev", "dbus", "procps", "ca-certificates", "python3", "python3-numpy"),
    *("mosquitto", "mosquitto-clients", "curl"),
)
BOOT_S = 120.0
COMMAND_S = 300.0
HIERARCHIES = ("/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified", "/sys/fs/cgroup")
IN_OWN_GROUP = f"""
for hierarchy in {" ".join(HIERARCHIES)}; do
    [ ! -e $hierarchy/cgroup.procs ] || {{ mkdir $hierarchy/$0 && echo $$ > $hierarchy/$0/cgroup.procs; }}
done
exec systemd-nspawn "$@"
"""
"""Containers beside each other must not share the control groups that systemd makes in them."""


def debian_root(suite: str = "bookworm") -> Path:
    """A folder with Debian in it, from where this machine has its packages; made once, which takes two minutes."""
    key = hashlib.sha256(" ".join((suite, *PACKAGES)).encode()).hexdigest()[:12]
    root = CACHE / f"{suite}-{key}"
    if root.is_dir():
        return root
    CACHE.mkdir(parents=True, exist_ok=True)
    making = root.with_suffix(".making")
    shutil.rmtree(making, ignore_errors=True)
    script = ". deploy/debian/chroot.sh && mirrors"
    mirrors = subprocess.run(
        ["bash", "-c", f'{script} "$0"', suite], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.splitlines()
    options = ("--mode=root", "--variant=minbase", "--dpkgopt=force-unsafe-io", f"--include={','.join(PACKAGES)}")
    subprocess.run(["mmdebstrap", "--quiet", *options, suite, str(making), *mirrors], check=True)
    making.rename(root)
    return root


class Container:
    """Runs for as long as the `with` block lasts; what it has on disk ends with it."""

    boot_s = BOOT_S

    def __init__(self, folder: Path, *options: str) -> None:
        """`options` are further ones of systemd-nspawn(1)."""
        self.root = folder / "root"
        self._folder = folder
        self._options = options
        self._process: RunningProcess | None = None

    def __enter__(self) -> Self:
        upper, work = self._folder / "upper", self._folder / "work"
        for path in (upper, work, self.root):
            path.mkdir(parents=True)
        layers = f"lowerdir={self.base()},upperdir={upper},workdir={work}"
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", layers, str(self.root)], check=True)
        try:
            self._boot()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            with self._process as process:
                if self._leader:
                    os.kill(self._leader, signal.SIGKILL)  # its init, and with it everything in it
                    process.wait(self.boot_s)
        for folder in (Path(hierarchy, self._name) for hierarchy in HIERARCHIES):
            if folder.is_dir():
                subprocess.run(
                    ["find", str(folder), "-depth", "-type", "d", "-exec", "rmdir", "{}", ";"], check=True
                )
        subprocess.run(["umount", str(self.root)], check=True)

    def base(self) -> Path:
        """The tree that it has changes of its own to."""
        return debian_root()

    def run(self, command: str) -> str:
        """The output of a shell command in it, which has to succeed."""
        code, out = self.try_run(command)
        assert code == 0, f"{command}: {code}\n{out}"
        return out

    def try_run(self, command: str) -> tuple[int, str]:
        """Exit code and all output of a shell command in it."""
        enter = ["nsenter", "--target", str(self._leader), "--mount", "--uts", "--ipc", "--net", "--pid"]
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "HOME": "/root"}
        done = subprocess.run(
            [*enter, "--", "sh", "-c", command],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=COMMAND_S,
        )
        return done.returncode, done.stdout

    def put(self, source: Path, name: str) -> None:
        """Copy a file into it."""
        shutil.copy(source, self.path(name))

    def path(self, name: str) -> Path:
        """A file of it, as it is on disk; what is in /run and /tmp is not on disk."""
        return self.root / name.lstrip("/")

    @property
    def _name(self) -> str:
        return f"headwater-{hashlib.sha256(str(self._folder).encode()).hexdigest()[:8]}"

    @property
    def leader(self) -> int:
        """The process id of its init."""
        assert self._leader
        return self._leader

    @property
    def _leader(self) -> int | None:
        """The container's init, as it is called outside."""
        if self._process is None or not self._process.running:
            return None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        return int(children[0]) if children else None

    def _boot(self) -> None:
        flags = ("--register=no", "--keep-unit", "--boot", "--console=pipe", "--quiet", "--link-journal=no")
        machine = ("-D", str(self.root), f"--machine={self._name}", "--private-network")
        process = RunningProcess(["sh", "-c", IN_OWN_GROUP, self._name, *machine, *flags, *self._options])
        self._process = process
        wait_until(lambda: self._leader or not process.running, "the container's init", self.boot_s)
        assert process.running, process
        up = "systemctl is-system-running | grep -Eq 'running|degraded'"
        wait_until(lambda: self.try_run(up)[0] == 0 or not process.running, "the container to boot", self.boot_s)
        assert process.running, process
