#!/usr/bin/python3
"""Takes Headwater's configuration and certificates from the card's first partition, when they are new.

take_headwater.py CARD [ETC [STATE]]: `CARD/device.toml` becomes `ETC/device.toml`. The folder `CARD/certificates`,
as `headwater provision device` makes it, goes to `ETC/device`, its table [mqtt] into the configuration, and off
the card: a key does not stay on a partition that every computer can read. The configuration is changed only if
Headwater accepts it; what is wrong with it is said in `CARD/headwater-error.txt`.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from files import ETC, Wrong, writable, write

OWNER = "headwater"
FIRST_NAME = "headwater"
"""What the package calls a device until somebody names it."""
NEEDED = ("ca.pem", "cert.pem", "key.pem", "mqtt.toml")
CHECK = ("headwater", "run", "--check")
CHECK_S = 120


def take(card: Path, etc: Path, taken: Path) -> bool:
    """Take what is new on the card; whether something was. `taken` is what came from there last. Raises Wrong."""
    config = etc / "device.toml"
    offered = (card / "device.toml").read_bytes() if (card / "device.toml").is_file() else b""
    certificates = card / "certificates"
    fresh = offered != (taken.read_bytes() if taken.is_file() else b"") and offered != b""
    if not fresh and not certificates.is_dir():
        return False
    text = (offered if fresh else config.read_bytes()).decode().replace("\r\n", "\n")
    if certificates.is_dir():
        text = with_certificates(text, certificates, etc / "device")
    check(text, config)
    write(config, text.encode())
    if fresh:
        write(taken, offered)
    if certificates.is_dir():
        with writable(card):
            shutil.rmtree(certificates)
    return True


def with_certificates(config: str, certificates: Path, folder: Path) -> str:
    """Copy the certificates to the folder; the configuration that uses them. Raises Wrong."""
    missing = [name for name in NEEDED if not (certificates / name).is_file()]
    if missing:
        raise Wrong(
            f"certificates: no {', '.join(missing)}: copy the whole folder that `headwater provision` made"
        )
    table = (certificates / "mqtt.toml").read_text().replace("\r\n", "\n")
    config = with_name(with_mqtt(config, table), subject_of(certificates / "cert.pem"))
    for name in NEEDED:
        write(folder / name, (certificates / name).read_bytes(), 0o640 if name == "key.pem" else 0o644)
    with contextlib.suppress(LookupError):  # the group comes with the package
        shutil.chown(folder / "key.pem", group=OWNER)
    return config


def with_mqtt(config: str, table: str) -> str:
    """The configuration with that table [mqtt] in place of its own. Raises Wrong."""
    try:
        given = tomllib.loads(table)
    except tomllib.TOMLDecodeError as error:
        raise Wrong(f"certificates/mqtt.toml: {error}") from None
    if set(given) != {"mqtt"}:
        raise Wrong("certificates/mqtt.toml: must hold the table [mqtt] and nothing else")
    own = re.search(r"^\[mqtt\][^\n]*\n(?:(?!\[).*\n?)*", config, re.MULTILINE)
    if own is None:
        return f"{config.rstrip()}\n\n{table}"
    return f"{config[: own.start()]}{table.rstrip()}\n\n{config[own.end() :]}"


def with_name(config: str, name: str) -> str:
    """The configuration with the device called so."""
    return re.sub(
        r'^(\[device\].*\n(?:(?!\[).*\n)*?name *= *)"[^"\n]*"', rf'\g<1>"{name}"', config, flags=re.MULTILINE
    )


def subject_of(certificate: Path) -> str:
    """Whom the certificate is for. Raises Wrong."""
    command = ["openssl", "x509", "-noout", "-subject", "-nameopt", "multiline", "-in", str(certificate)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    name = re.search(r"commonName\s*= ([\w.-]+)$", done.stdout, re.MULTILINE)
    if name is None:
        raise Wrong("certificates/cert.pem: no certificate for a device")
    return name[1]


def name_after_board(config: Path) -> None:
    """Call a device that nobody has named as the board calls itself: two of one name would be one."""
    text = config.read_text()
    if tomllib.loads(text).get("device", {}).get("name") == FIRST_NAME:
        write(config, with_name(text, os.uname().nodename).encode())


def check(text: str, config: Path) -> None:
    """Ask Headwater whether it accepts a configuration. Raises Wrong with its answer."""
    tried = config.with_name("device-from-card.toml")
    write(tried, text.encode())
    try:
        done = subprocess.run([*CHECK, str(tried)], capture_output=True, text=True, timeout=CHECK_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Wrong(f"device.toml: cannot be checked: {error}") from None
    finally:
        tried.unlink()
    if done.returncode:
        said = done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}"
        raise Wrong(said.replace(str(tried), "device.toml"))


def tell(card: Path, problem: str) -> None:
    """Leave what is wrong where whoever put it there will look; nothing if all is well."""
    note = card / "headwater-error.txt"
    text = f"{problem}\r\n" if problem else ""
    if (note.read_bytes().decode() if note.is_file() else "") == text:
        return
    with writable(card):
        if text:
            note.write_bytes(text.encode())
        else:
            note.unlink()


def main(card: str, etc: str = str(ETC), state: str = "/var/lib/headwater-image") -> int:
    """Take what there is; the exit code."""
    problem = ""
    try:
        if take(Path(card), Path(etc), Path(state) / "device.toml"):
            print("took what was new on the card")
    except (Wrong, OSError, UnicodeDecodeError) as error:
        problem = str(error)
        print(problem, file=sys.stderr)
    tell(Path(card), problem)
    config = Path(etc) / "device.toml"
    if config.is_file():
        name_after_board(config)
    return 1 if problem else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
