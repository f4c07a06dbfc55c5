"""The gateway on a board under test, as its package installs it: configured for a broker, started, watched."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from gateway.client import Received, subscribe
from gateway.model import Batch, Gap
from tests.support.waiting import wait_until
from tests.vm.image.broker import CERTIFICATES, DEVICE, Broker
from tests.vm.image.login import Shell, show

UNIT = "headwater-gateway.service"
CONFIG = "/etc/headwater/device.toml"
STREAM = f"{DEVICE}/ecg"
RATE = 50
PINS = ("P9_39", "P9_40")
START_S = 600.0
"""Python takes a while under emulation: some 20 s on idle cores."""
COLD_START_S = 1200.0
"""From the power on."""

CONFIGURATION = """\
[device]
name = "{device}"
board = "beaglebone"
health = "2s"
{mqtt}
[[stream]]
name = "ecg"
rate = {rate}
batch = "200ms"
"""

CHANNEL = '[[stream.channel]]\nname = "c{number}"\ninput = "{pin}"\nunit = "count"\n'


def configure(shell: Shell, broker: Broker, host: str, port: int) -> None:
    """Give the board its certificate, and a configuration that samples two pins of the ADC for that broker."""
    files = broker.device_files
    shell.run(f"install -d -m 755 {CERTIFICATES}")
    for name in ("ca.pem", "cert.pem", "key.pem"):
        shell.put(files / name, f"{CERTIFICATES}/{name}")
    owner = show(shell, UNIT, "User")["User"] or "root"
    shell.run(f"chown {owner} {CERTIFICATES}/key.pem; chmod 600 {CERTIFICATES}/key.pem")
    table = (files / "mqtt.toml").read_text()
    url = next(line for line in table.splitlines() if line.startswith("url"))
    mqtt = table.replace(url, f'url = "mqtts://{host}:{port}"')
    channels = "".join(CHANNEL.format(number=number, pin=pin) for number, pin in enumerate(PINS))
    text = CONFIGURATION.format(device=DEVICE, mqtt=mqtt, rate=RATE) + channels
    shell.run(f"cat >{CONFIG} <<'END'\n{text}END")


@dataclass(frozen=True, slots=True)
class Cost:
    """What the gateway takes, as systemd and the kernel on the board say."""

    start_s: float
    rss_mib: float
    cpu_percent: float

    def __str__(self) -> str:
        return f"start {self.start_s:.1f} s, RSS {self.rss_mib:.0f} MiB, CPU {self.cpu_percent:.0f} % of one core"


def cost(shell: Shell, over_s: float = 10.0) -> Cost:
    """Measure it, for so many seconds of the board."""
    times = show(shell, UNIT, "ExecMainStartTimestampMonotonic", "ActiveEnterTimestampMonotonic", "MainPID")
    start = int(times["ActiveEnterTimestampMonotonic"]) - int(times["ExecMainStartTimestampMonotonic"])
    pid = times["MainPID"]
    took = shell.run(
        f"a=$(cut -d' ' -f14,15 /proc/{pid}/stat); read -r u _ </proc/uptime; sleep {over_s}; "
        f"b=$(cut -d' ' -f14,15 /proc/{pid}/stat); read -r v _ </proc/uptime; echo $a $b $u $v"
    ).split()
    ticks = sum(map(int, took[2:4])) - sum(map(int, took[:2]))
    hertz = int(shell.run("getconf CLK_TCK"))
    cpu = 100 * ticks / hertz / (float(took[5]) - float(took[4]))
    rss = int(shell.run(f"awk '/VmRSS/ {{ print $2 }}' /proc/{pid}/status")) / 1024
    return Cost(start / 1e6, rss, cpu)


class Listener:
    """A subscriber on this computer, with a certificate of its own, through TLS."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.gaps: list[Gap] = []
        self._stopping = threading.Event()

    @property
    def newest(self) -> tuple[float, ...] | None:
        """The values of the newest frame."""
        return tuple(float(value) for value in self.batches[-1].data[-1]) if self.batches else None

    @property
    def epochs(self) -> list[int]:
        """The epochs in the order in which they came first."""
        return list(dict.fromkeys(batch.epoch for batch in self.batches))

    def frames(self) -> int:
        """How many frames have come."""
        return sum(len(batch.data) for batch in self.batches)

    def wait_for(self, values: tuple[float, ...], timeout: float = 60.0) -> float:
        """Wait until the newest frame has these values; how long that took."""
        began = time.monotonic()
        wait_until(lambda: self.newest == values, f"the values {values}; got {self.newest}", timeout)
        return time.monotonic() - began

    def wait_for_more(self, frames: int = RATE, timeout: float = START_S) -> None:
        """Wait until so many more frames have come."""
        goal = self.frames() + frames
        wait_until(lambda: self.frames() >= goal, f"{frames} more frames", timeout)

    def follow(self, broker: Broker) -> None:
        """Take what comes, until `stop()`."""
        for received in subscribe(broker.reader_settings(), STREAM):
            if self._stopping.is_set():
                return
            if received is not None:
                self._take(received)

    def stop(self) -> None:
        """No more."""
        self._stopping.set()

    def _take(self, received: Received) -> None:
        if isinstance(received.message, Batch):
            self.batches.append(received.message)
        elif isinstance(received.message, Gap):
            self.gaps.append(received.message)


@contextmanager
def listening(broker: Broker) -> Iterator[Listener]:
    """Subscribe for as long as the block lasts."""
    listener = Listener()
    thread = threading.Thread(target=listener.follow, args=(broker,), daemon=True)
    thread.start()
    try:
        wait_until(lambda: "Sending SUBACK" in broker.log, "the subscription")
        yield listener
    finally:
        listener.stop()
        thread.join(10)
