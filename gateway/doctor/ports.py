"""Serial ports: there, with a UART behind them, open to this user, and used by nobody else."""

from __future__ import annotations

import grp
import os
import pwd
import re
from collections.abc import Iterator
from pathlib import Path

from boards.errors import SourceLost
from boards.serial.port import find_port
from gateway.config import DeviceConfig
from gateway.doctor.finding import Finding
from gateway.doctor.machine import Machine

PORT_UNKNOWN = "0"
"""What `/sys/class/tty/<port>/type` holds where the kernel found no UART (linux/serial_core.h)."""


def ports_of(config: DeviceConfig) -> list[str]:
    """The serial ports that a configuration names, each once."""
    content = config.model_dump()
    tables = [content["board"], *(stream.get("serial") or {} for stream in content["stream"])]
    return list(dict.fromkeys(table["port"] for table in tables if table.get("port")))


def check_ports(config: DeviceConfig, machine: Machine) -> Iterator[Finding]:
    """Each port of a configuration."""
    for port in ports_of(config):
        yield port_finding(port, machine)


def port_finding(port: str, machine: Machine) -> Finding:
    """Whether a port can be opened. Nothing is sent, and it is not opened: that would reset an Arduino."""
    if "://" in port:
        return Finding("port", f"{port} is a URL, which only `headwater run` tries")
    try:
        name = find_port(port)
    except SourceLost as error:
        return Finding("port", f"{port} is not plugged in", str(error))
    path = machine.at(name)
    if not path.exists():
        return Finding("port", f"there is no {name}", _plug_in(name, machine))
    device = "/" + os.path.relpath(path.resolve(), machine.root.resolve())
    finding = _no_uart(device, machine) or _no_right(name, path) or _console(device, machine)
    return finding or _taken(name, device, machine)


def _plug_in(name: str, machine: Machine) -> str:
    folder = machine.at(name).parent
    family = re.sub(r"\d+$", "", Path(name).name)
    there = sorted(path.name for path in folder.glob(f"{family}*")) if folder.is_dir() else []
    return f"plug it in; there are {', '.join(there)}" if there else "plug it in, or correct `port`"


def _no_uart(device: str, machine: Machine) -> Finding | None:
    """A `/dev/ttyS*` may stand for no hardware at all."""
    if machine.text(f"/sys/class/tty/{Path(device).name}/type") != PORT_UNKNOWN:
        return None
    todo = "choose another; on a BeagleBone load the UART's overlay (see docs/boards.md)"
    return Finding("port", f"{device} has no UART behind it", todo)


def _no_right(name: str, path: Path) -> Finding | None:
    if os.access(path, os.R_OK | os.W_OK, effective_ids=True):
        return None
    group, user = _group(path.stat().st_gid), _user(os.geteuid())
    todo = f"sudo usermod -aG {group} {user}, and log in again"
    return Finding("port", f"{name} may not be opened by this user, but by the group {group}", todo)


def _group(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _console(device: str, machine: Machine) -> Finding | None:
    """The kernel writes its messages to its consoles, in between the instrument's bytes."""
    name = Path(device).name
    if name not in (machine.text("/sys/class/tty/console/active") or "").split():
        return None
    todo = f"take console={name},… out of the kernel's command line (/boot/uEnv.txt or /boot/extlinux), and reboot"
    return Finding("port", f"{device} is the kernel's console", todo)


def _taken(name: str, device: str, machine: Machine) -> Finding:
    tty = Path(device).name
    getty = next((p for p in machine.processes() if "getty" in p.command and tty in p.command.split()), None)
    if getty is not None:
        todo = f"sudo systemctl disable --now serial-getty@{tty}.service"
        return Finding("port", f"{name} is where {getty} lets people log in", todo)
    holder = machine.holder(lambda file: file == device)
    if holder is None:
        return Finding("port", f"{name} is there and free")
    if holder.is_headwater:
        return Finding("port", f"{name} is held by Headwater itself: {holder}")
    return Finding("port", f"{name} is held by {holder}", "end that: two readers get half of the bytes each")
