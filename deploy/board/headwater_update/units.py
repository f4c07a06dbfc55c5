"""systemd: the services, and what it says of them."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from .commands import attempt, fields, last_words, run
from .health import PROPERTIES, Look, Watch, parse_look

GATEWAY = "headwater-gateway.service"
RELAY = "headwater-relay.service"
UNITS = (GATEWAY, RELAY)
LOOK_S = 0.5
RELOAD_PAUSES_S = (1.0, 4.0)
GROWTH_S = 4.0
"""How long it is looked whether frames come."""

RESUME = Path("/etc/systemd/system/headwater-update-work.service")
RESUME_LINK = RESUME.parent / "multi-user.target.wants" / RESUME.name
RESUME_UNIT = """\
# Written by headwater-update for as long as an update is under way, also over a power cut; it removes it then.
[Unit]
Description=Update of Headwater: install, wait for health, keep or roll back
Before={before}
StartLimitIntervalSec=10min
StartLimitBurst=5

[Service]
Type=exec
# Each start counts as an attempt: a mistake in the work ends with the version before, too.
Restart=on-failure
RestartSec=2s
ExecStartPre=/usr/bin/python3 -I {program} count
ExecStart=/usr/bin/python3 -I {program} work
"""


def look(unit: str) -> Look:
    """What systemd says of the service now."""
    return parse_look(fields(run("systemctl", "show", unit, "--property", ",".join(PROPERTIES)), "="))


def exists(unit: str) -> bool:
    """Whether systemd knows the service."""
    return run("systemctl", "show", unit, "--property", "LoadState").strip() == "LoadState=loaded"


def enabled(unit: str) -> bool:
    """Whether it is started at boot."""
    return attempt("systemctl", "is-enabled", "--quiet", unit)[0] == 0


def running(unit: str) -> bool:
    """Whether it runs, or is about to."""
    return look(unit).state in ("active", "activating", "reloading")


def enable(units: Sequence[str]) -> None:
    """Have them started at boot; raises UpdateError."""
    run("systemctl", "enable", "--quiet", *units)


def reload() -> None:
    """Have systemd read its units again; raises UpdateError.

    It drops its connections when it reloads, whoever asked for that: the one who comes second hears "Connection
    reset by peer". That is no reason to give an update up.
    """
    for pause_s in RELOAD_PAUSES_S:
        if attempt("systemctl", "daemon-reload")[0] == 0:
            return
        time.sleep(pause_s)
    run("systemctl", "daemon-reload")


def restart(units: Sequence[str]) -> None:
    """Have them start again, without waiting until they have."""
    reload()
    attempt("systemctl", "reset-failed", *units)
    run("systemctl", "restart", "--no-block", *units)


def stop(units: Sequence[str]) -> None:
    """Stop them, now and at boot."""
    attempt("systemctl", "disable", "--quiet", "--now", *units)
    attempt("systemctl", "reset-failed", *units)


def invocations(units: Iterable[str]) -> tuple[str, ...]:
    """The runs of the services."""
    return tuple(filter(None, (look(unit).invocation for unit in units)))


def growing(units: Iterable[str]) -> tuple[str, ...]:
    """Those which acquire frames."""
    before = {unit: look(unit).frames for unit in units}
    if all(frames is None for frames in before.values()):
        return ()
    time.sleep(GROWTH_S)
    return tuple(unit for unit, frames in before.items() if (look(unit).frames or 0) > (frames or 0))


def wait_until_healthy(
    units: Sequence[str], timeout_s: float, *, frames: Sequence[str] = (), earlier: Collection[str] = ()
) -> str | None:
    """None when all are healthy; else why one is not. Runs from `earlier` do not count."""
    watches = {unit: Watch(unit, frames=unit in frames, earlier=earlier) for unit in units}
    deadline = time.monotonic() + timeout_s
    while True:
        for unit, watch in watches.items():
            hopeless = watch.see(look(unit), time.monotonic())
            if hopeless:
                return f"{hopeless}{last_lines(unit)}"
        ill = [unit for unit, watch in watches.items() if not watch.healthy]
        if not ill:
            return None
        if time.monotonic() > deadline:
            return f"after {timeout_s:g} s {watches[ill[0]].lacking()}{last_lines(ill[0])}"
        time.sleep(LOOK_S)


def last_lines(unit: str) -> str:
    """The end of what the service said, without what systemd says of it."""
    code, out, _ = attempt("journalctl", f"_SYSTEMD_UNIT={unit}", "--lines=3", "--output=cat", "--no-pager")
    lines = "\n".join(dict.fromkeys(out.splitlines()))  # what it says each time it ends is told once
    return f"; its log ends: {last_words(lines)}" if code == 0 and lines else ""


def resume_at_boot(program: Path) -> None:
    """Have the work begin when it is told to, and go on after a power cut."""
    RESUME.write_text(RESUME_UNIT.format(program=program, before=" ".join(UNITS)))
    RESUME_LINK.parent.mkdir(exist_ok=True)
    RESUME_LINK.unlink(missing_ok=True)
    RESUME_LINK.symlink_to(RESUME)
    attempt("sync")
    reload()


def begin_work() -> None:
    """Start the work; it goes on whatever becomes of this process."""
    run("systemctl", "start", "--no-block", RESUME.name)


def nothing_to_resume() -> None:
    """The work is done."""
    RESUME_LINK.unlink(missing_ok=True)
    RESUME.unlink(missing_ok=True)
    attempt("systemctl", "daemon-reload")
