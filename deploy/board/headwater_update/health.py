"""When a service counts as healthy. Pure: it is told what systemd says, again and again."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

STEADY_S = 15.0
"""How long a service has to run without a restart."""
MOST_STARTS = 3
"""Starts after which it is not waited any longer."""
PROPERTIES = (
    "LoadState", "ActiveState", "SubState", "Result", "InvocationID", "StatusText", "WatchdogUSec",
    "WatchdogTimestampMonotonic",
)  # fmt: skip
FRAMES = re.compile(r"([0-9]+) frames\b")
"""What the device's status begins with."""


@dataclass(frozen=True, slots=True)
class Look:
    """What systemd says of a service at one moment."""

    state: str
    """active, activating, deactivating, failed, inactive"""
    sub_state: str
    result: str
    invocation: str
    """Another one after each start."""
    status: str
    """The service's own words: STATUS= of sd_notify(3)."""
    watchdog_s: float
    """How long the watchdog waits; 0 if there is none."""
    fed_s: float
    """When the watchdog was fed last, on CLOCK_MONOTONIC; 0 if never."""

    @property
    def running(self) -> bool:
        """Whether it has said that it is ready."""
        return self.state == "active" and self.sub_state == "running"

    @property
    def frames(self) -> int | None:
        """How many frames it has acquired; None if it does not say so."""
        match = FRAMES.match(self.status)
        return int(match[1]) if match else None


def parse_look(properties: Mapping[str, str]) -> Look:
    """Read what `systemctl show` says of PROPERTIES."""
    return Look(
        state=properties.get("ActiveState", ""),
        sub_state=properties.get("SubState", ""),
        result=properties.get("Result", ""),
        invocation=properties.get("InvocationID", ""),
        status=properties.get("StatusText", ""),
        watchdog_s=_seconds(properties.get("WatchdogUSec", "")),
        fed_s=int(properties.get("WatchdogTimestampMonotonic") or 0) / 1e6,
    )


class Watch:
    """Waits for one service.

    Healthy is: it has said that it is ready, has run for STEADY_S without a restart, feeds its watchdog, and,
    where that is expected, has acquired frames in the second half of that time.
    """

    def __init__(self, unit: str, *, frames: bool, earlier: Collection[str] = ()) -> None:
        """`frames` says whether it has to acquire some; `earlier` are runs that do not count."""
        self._unit = unit
        self._frames_expected = frames
        self._earlier = earlier
        self._invocations: list[str] = []
        self._since_s: float | None = None
        self._newest: int | None = None
        self._grown_s = float("-inf")
        self._result = ""
        self._lacking = "was not looked at"
        self.healthy = False

    def see(self, look: Look, now_s: float) -> str | None:
        """Take in what systemd says now; why it is hopeless, or None."""
        if look.invocation in self._earlier and look.state != "failed":
            self._lacking = "still is to be restarted"
            return None
        if look.state == "failed":
            return f"{self._unit} has failed ({look.result})"
        self._count_start(look, now_s)
        if look.result != "success":
            self._result = look.result
        if len(self._invocations) > MOST_STARTS:
            return f"{self._unit} does not stay{self._ended()}"
        self._lacking = self._look_for_fault(look, now_s)
        self.healthy = not self._lacking
        return None

    def lacking(self) -> str:
        """What it lacked last."""
        return f"{self._unit} {self._lacking}{self._ended()}"

    def _ended(self) -> str:
        """How often it was started, and how it ended."""
        if len(self._invocations) < 2:
            return ""
        return f"; it was started {len(self._invocations)} times{f' ({self._result})' if self._result else ''}"

    def _count_start(self, look: Look, now_s: float) -> None:
        if look.invocation and look.invocation not in self._invocations:
            self._invocations.append(look.invocation)
            self._since_s, self._newest, self._grown_s = None, None, float("-inf")

    def _look_for_fault(self, look: Look, now_s: float) -> str:
        if not look.running:
            self._since_s = None
            return f"is {look.state} ({look.sub_state}): it has not said that it is ready"
        if look.watchdog_s and now_s - look.fed_s > look.watchdog_s / 2 + 1:
            self._since_s = None
            return f"has not fed its watchdog for {now_s - look.fed_s:.0f} s"
        if self._since_s is None:
            self._since_s = now_s
        if look.frames is not None and look.frames > (self._newest if self._newest is not None else 0):
            self._newest, self._grown_s = look.frames, now_s
        if now_s - self._since_s < STEADY_S:
            return f"has run for {now_s - self._since_s:.0f} s only"
        if self._frames_expected and now_s - self._grown_s > STEADY_S / 2:
            return f"acquires no frames; it says: {look.status or 'nothing'}"
        return ""


def _seconds(text: str) -> float:
    """systemd's `1min 30s`, `500ms`, `infinity` or `0`."""
    units = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
    parts = re.findall(r"([0-9.]+)(us|ms|s|min|h|d)\b", text)
    return sum(float(number) * units[unit] for number, unit in parts)
