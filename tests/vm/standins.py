"""Packages called `headwater` with the names of the real one, and a service that behaves as its version should."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

SERVICE = '''\
#!/usr/bin/python3
"""Samples nothing, and tells systemd what the gateway, or the relay, would."""
import os, socket, sys, time, tomllib

BEHAVIOUR = "{behaviour}"
configuration = tomllib.load(open(sys.argv[1], "rb"))
if configuration.get("broken"):
    sys.exit("device.toml:1: broken: there is no such key")

def tell(message):
    address = os.environ["NOTIFY_SOCKET"].replace("@", "\\0")
    socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(message.encode(), address)

print("{version} of", configuration["name"], flush=True)
if BEHAVIOUR == "crashes":
    time.sleep(0.5)
    sys.exit("out of cheese")
if BEHAVIOUR != "never ready":
    tell("READY=1")
for frames in range(1, 10**9):
    if BEHAVIOUR not in ("hangs", "never ready"):
        tell("WATCHDOG=1")
        tell("STATUS=%d frames, 0 messages unsent" % (0 if BEHAVIOUR == "samples nothing" else frames))
    time.sleep(0.2)
'''
UNIT = """\
[Unit]
Description=A stand-in for the gateway

[Service]
Type=notify
ExecStart=/usr/lib/headwater/service /etc/headwater/{configuration}
Restart=on-failure
RestartSec=1
WatchdogSec=10
[Install]
WantedBy=multi-user.target
"""
POSTINST = """\
#!/bin/sh
set -e
id headwater >/dev/null 2>&1 || useradd --system headwater
{extra}
if [ -d /run/systemd/system ]; then
    systemctl --system daemon-reload
    [ -n "$HEADWATER_UPDATE" ] || [ -z "$2" ] ||
        deb-systemd-invoke try-restart headwater-gateway.service headwater-relay.service
fi
"""
COMMAND = """\
#!/bin/sh
# headwater doctor --json FILE
[ "$(id -un)" = headwater ] && [ -r "$3" ] || exit 3
echo '[{"check": "software", "ok": true, "found": "all", "todo": null},'
echo ' {"check": "clock", "ok": false, "found": "nobody sets it", "todo": "install chrony"}]'
exit 1
"""
BROKEN_SCRIPT = "#!/bin/sh\necho 'this script is broken' >&2\nexit 1\n"


def build_package(
    folder: Path,
    version: str,
    behaviour: str = "healthy",
    *,
    architecture: str = "amd64",
    depends: str = "python3 (>= 3.11)",
    padding_mib: int = 0,
    broken_scripts: tuple[str, ...] = (),
    slow_s: int = 0,
) -> Path:
    """Build `headwater_VERSION_ARCH.deb`; its service is healthy, never ready, crashes, hangs, samples nothing.

    `slow_s` is how long its installation takes; `broken_scripts` names maintainer scripts that fail.
    """
    tree = folder / f"tree-{version}-{architecture}"
    shutil.rmtree(tree, ignore_errors=True)
    _write(tree / "usr/lib/headwater/service", SERVICE.format(behaviour=behaviour, version=version), 0o755)
    _write(tree / "usr/bin/headwater", COMMAND, 0o755)
    for name, configuration in (("gateway", "device.toml"), ("relay", "relay.toml")):
        _write(tree / f"lib/systemd/system/headwater-{name}.service", UNIT.format(configuration=configuration))
    if padding_mib:
        (tree / "usr/lib/headwater/padding").write_bytes(bytes(padding_mib << 20))
    _write(
        tree / "DEBIAN/control",
        f"Package: headwater\nVersion: {version}\nArchitecture: {architecture}\n"
        "Maintainer: Nobody <n@example.org>\n"
        f"Installed-Size: {padding_mib * 1024 + 16}\nDepends: {depends}\nDescription: A stand-in\n",
    )
    _write(tree / "DEBIAN/postinst", POSTINST.format(extra=f"sleep {slow_s}" if slow_s else ""), 0o755)
    for name in broken_scripts:
        _write(tree / "DEBIAN" / name, BROKEN_SCRIPT, 0o755)
    package = folder / f"headwater_{version}_{architecture}.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "-Znone", "--build", tree, package], check=True, stdout=-3)
    return package


def _write(path: Path, content: str, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    path.chmod(mode)
