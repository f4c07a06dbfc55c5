"""The ADC that stands in for the AM335x's on a board under test: its files in sysfs, on a tmpfs of the board.

The real Adafruit_BBIO reads them. A service of the board's own makes them at each start, before the gateway.
"""

from __future__ import annotations

import struct
from pathlib import Path
from tempfile import NamedTemporaryFile

from tests.vm.image.card import Card, tool
from tests.vm.image.login import Shell

AIN_OF = {"P9_39": 0, "P9_40": 1, "P9_37": 2, "P9_38": 3}
DEVICE = "/sys/bus/iio/devices/iio:device0"

SCRIPT = """\
#!/bin/bash
# Makes the stand-in, once a start.
set -eu
if modprobe industrialio 2>/dev/null; then
    mount -t tmpfs -o mode=755 stand-in /sys/bus/iio/devices
else
    # a container has the kernel of its host, which has no IIO
    mount -t tmpfs -o mode=755 stand-in /sys/bus
    mkdir -p /sys/bus/iio/devices
fi
mkdir -p {device}/of_node
cd {device}
echo TI-am335x-adc.0.auto >name
echo 0.439453125 >in_voltage_scale
for line in 0 1 2 3 4 5 6 7; do printf '%4d\\n' $((100 * line + 11)) >in_voltage${{line}}_raw; done
{cells}
if ! grep -q uboot_capemgr_enabled=1 /proc/cmdline; then
    echo "$(cat /proc/cmdline) bone_capemgr.uboot_capemgr_enabled=1" >/run/cmdline
    mount --bind /run/cmdline /proc/cmdline
fi
"""

UNIT = """\
[Unit]
Description=An ADC for tests
DefaultDependencies=no
After=local-fs.target
Before=sysinit.target headwater-image-setup.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/local/sbin/stand-in-adc

[Install]
WantedBy=sysinit.target
"""

CELLS = {
    "ti,adc-channels": list(range(8)),
    "ti,chan-step-avg": [1] * 8,
    "ti,chan-step-opendelay": [0] * 8,
    "ti,chan-step-sampledelay": [0] * 8,
}


def files() -> dict[str, str]:
    """The files of the stand-in on the board."""
    lines = []
    for name, values in CELLS.items():
        octal = "".join(f"\\{byte:03o}" for byte in struct.pack(">8I", *values))
        lines.append(f"printf '{octal}' >'of_node/{name}'")
    return {
        "/usr/local/sbin/stand-in-adc": SCRIPT.format(device=DEVICE, cells="\n".join(lines)),
        "/etc/systemd/system/stand-in-adc.service": UNIT,
    }


def install(shell: Shell) -> None:
    """Give the board its ADC, for this start and those to come."""
    for path, text in files().items():
        shell.run(f"cat >{path} <<'END'\n{text}END\nchmod 755 {path}")
    shell.run("systemctl daemon-reload; systemctl enable --now --quiet stand-in-adc.service")


def install_on_card(card: Card) -> None:
    """The same for a card that was never started, where what is changed later will be."""
    requests = []
    for path, text in files().items():
        folders = [str(parent) for parent in reversed(Path(f"/changes{path}").parents)][1:]
        requests += [f"mkdir {folder}" for folder in folders]
        with NamedTemporaryFile("w", delete=False) as content:
            content.write(text)
        requests += [f"write {content.name} /changes{path}", f"sif /changes{path} mode 0100755"]
    unit = "/etc/systemd/system/stand-in-adc.service"
    wants = "/changes/etc/systemd/system/sysinit.target.wants"
    requests += [f"mkdir {wants}", f"symlink {wants}/stand-in-adc.service {unit}"]
    with NamedTemporaryFile("w") as script:
        script.write("\n".join(requests) + "\n")
        script.flush()
        tool("debugfs", "-w", "-f", script.name, card.at(card.state))


def set_value(shell: Shell, pin: str, raw: int) -> None:
    """Put a raw value on a pin, as the kernel would: no reader sees half of it."""
    path = f"{DEVICE}/in_voltage{AIN_OF[pin]}_raw"
    shell.run(f"printf '%4d' {raw} | dd of={path} conv=notrunc status=none")


def hang(shell: Shell) -> None:
    """Have the first pin's file never answer: a FIFO that somebody holds open, and writes nothing to."""
    path = f"{DEVICE}/in_voltage0_raw"
    shell.run(
        f"mkfifo -m 644 {path}.fifo; mv {path} {path}.kept; mv {path}.fifo {path}; "
        f"(exec 9<>{path}; exec sleep infinity) >/dev/null 2>&1 </dev/null & echo $! >/run/hang.pid"
    )


def let_go(shell: Shell) -> None:
    """Undo `hang()`, if it was done."""
    path = f"{DEVICE}/in_voltage0_raw"
    shell.run(f"[ ! -e {path}.kept ] || {{ mv {path}.kept {path}; kill $(cat /run/hang.pid); }}")
