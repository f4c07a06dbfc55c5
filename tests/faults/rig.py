"""A device, a broker and an audit, with faults between them: what every fault test and the soak stand on."""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.faults.proxy import FaultProxy, Faults
from tests.support.mosquitto import Mosquitto
from tests.support.processes import HeadwaterProcess
from tests.support.waiting import wait_until

PINS = ("P9_39", "P9_40", "P9_37", "P9_38", "P9_33", "P9_36", "P9_35", "AIN7")


class Rig:
    """8 channels at 1 kHz from the simulated board through mosquitto to `headwater audit`.

    Device and audit reach the broker through a fault proxy each.
    """

    def __init__(self, directory: Path, *, seed: int = 0, outbox: Mapping[str, str] | None = None) -> None:
        self._directory = directory
        self._outbox = dict(outbox or {})
        self._stack = ExitStack()
        self.random = random.Random(seed)
        self.broker = Mosquitto(directory)
        self.made: list[str] = []
        """The faults so far."""

    def __enter__(self) -> Self:
        self._stack.enter_context(self.broker)
        self.uplink = self._stack.enter_context(FaultProxy(self.broker.port, seed=self.random.randrange(1 << 30)))
        self.downlink = self._stack.enter_context(
            FaultProxy(self.broker.port, seed=self.random.randrange(1 << 30))
        )
        url = _url(self.downlink)
        self.audit = self._headwater("audit", "bbb1/load", "--url", url, "--json", "--settle", "60")
        wait_until(lambda: self.broker.log.count("Sending SUBACK to headwater-audit") == 3, "the subscriptions")
        self.config = self._directory / "device.toml"
        self.config.write_text(self._device(), encoding="utf-8")
        self.start_device()
        # what an audit says begins with the first frame that it gets: before that there is nothing to lose
        wait_until(self._heard, "the audit's first frame")
        return self

    def _heard(self) -> bool:
        log = self.broker.log
        sent = re.search(r"Sending PUBLISH to headwater-audit\S* \(d\d, q1, r0, m(\d+), '\S+/batch'", log)
        return (
            sent is not None and re.search(rf"PUBACK from headwater-audit\S* \(Mid: {sent[1]}\b", log) is not None
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.device.kill()
        self._stack.close()

    def start_device(self) -> None:
        """Start the device, and wait until it samples."""
        self.device = self._headwater("-v", "run", str(self.config))
        self.device.wait_for("sampling")

    def finish(self, patience_s: float = 90) -> dict[str, Any]:
        """Heal everything, and return what the audit finds: nothing undeclared, or it fails."""
        self.uplink.heal()
        self.downlink.heal()
        code = self.audit.terminate(patience_s)
        assert code in (0, 1), self.audit
        report: dict[str, Any] = json.loads(self.audit.out)
        assert code == 0, f"{report}\nafter {', '.join(self.made)}\n{self.audit}\n{self.device}"
        assert self.device.terminate(30) == 0, self.device
        return report

    def make(self, name: str) -> None:
        """Make one fault, whole: what was broken is there again in the end."""
        self.made.append(name)
        FAULTS[name](self)

    def pause(self, longest_s: float) -> None:
        """Let things run for a random time."""
        time.sleep(self.random.uniform(0, longest_s))

    def _headwater(self, *arguments: str) -> HeadwaterProcess:
        return self._stack.enter_context(HeadwaterProcess(*arguments, state=self._directory))

    def _device(self) -> str:
        outbox = "".join(f"{key} = {value}\n" for key, value in self._outbox.items())
        channels = "".join(
            f'[[stream.channel]]\nname = "c{number}"\ninput = "{pin}"\n' for number, pin in enumerate(PINS)
        )
        return (
            f'[device]\nname = "bbb1"\nhealth = "1s"\n[mqtt]\nurl = "{_url(self.uplink)}"\n[outbox]\n{outbox}'
            f'[[stream]]\nname = "load"\nrate = 1000\n{channels}'
        )


def kill_broker(rig: Rig) -> None:
    """As a power cut: what it held for its subscribers is lost."""
    rig.broker.kill()
    rig.pause(0.4)
    rig.broker.start()


def restart_broker(rig: Rig) -> None:
    """As an upgrade."""
    rig.broker.restart()


def cut_device(rig: Rig) -> None:
    """The device's connection ends."""
    rig.uplink.cut()


def reset_device(rig: Rig) -> None:
    """The device's connection is reset."""
    rig.uplink.reset()


def cut_audit(rig: Rig) -> None:
    """The subscriber's connection ends."""
    rig.downlink.cut()


def stall_device(rig: Rig) -> None:
    """Nothing passes between device and broker for a while, and nobody says so."""
    rig.uplink.faults = Faults(stall_up=True, stall_down=True)
    rig.pause(1.0)
    rig.uplink.heal()


def slice_device(rig: Rig) -> None:
    """Everything comes in tiny pieces, late."""
    rig.uplink.faults = Faults(slice_bytes=7, latency_s=0.002)
    rig.pause(0.5)
    rig.uplink.heal()


def kill_device(rig: Rig) -> None:
    """As a power cut of the device's process: what was only in memory is lost, and declared."""
    rig.device.kill()
    rig.start_device()


FAULTS: dict[str, Callable[[Rig], None]] = {
    "broker killed": kill_broker,
    "broker restarted": restart_broker,
    "device cut off": cut_device,
    "device reset": reset_device,
    "audit cut off": cut_audit,
    "device stalled": stall_device,
    "device's bytes sliced": slice_device,
    "device killed": kill_device,
}
NETWORK_FAULTS = tuple(name for name in FAULTS if name != "device killed")


def _url(proxy: FaultProxy) -> str:
    return f"mqtt://127.0.0.1:{proxy.port}"
