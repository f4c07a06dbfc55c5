"""When a service counts as healthy."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from deploy.board.headwater_update.health import STEADY_S, Look, Watch, parse_look

RUNNING = {"ActiveState": "active", "SubState": "running", "Result": "success", "InvocationID": "a"}


def look(at_s: float, **changes: str) -> Look:
    """A service that feeds its watchdog at this moment."""
    fed = {"WatchdogUSec": "20s", "WatchdogTimestampMonotonic": str(round(at_s * 1e6))}
    return parse_look(
        {**RUNNING, "StatusText": f"{round(at_s * 100)} frames, 0 messages unsent", **fed, **changes}
    )


def healthy_after(watch: Watch, looks: Sequence[tuple[float, Look]]) -> float | None:
    for at_s, seen in looks:
        assert watch.see(seen, at_s) is None
        if watch.healthy:
            return at_s
    return None


def seconds(end: int, **changes: str) -> list[tuple[float, Look]]:
    return [(float(second), look(second, **changes)) for second in range(end)]


def test_a_service_that_runs_feeds_its_watchdog_and_samples_is_healthy_in_the_end() -> None:
    assert healthy_after(Watch("u", frames=True), seconds(60)) == STEADY_S


def test_what_is_not_ready_is_not_healthy() -> None:
    watch = Watch("u", frames=False)
    assert healthy_after(watch, seconds(60, ActiveState="activating", SubState="start")) is None
    assert watch.lacking() == "u is activating (start): it has not said that it is ready"


def test_what_does_not_sample_is_healthy_only_where_that_is_not_expected() -> None:
    still = seconds(60, StatusText="500 frames, 0 messages unsent")
    watch = Watch("u", frames=True)
    assert healthy_after(watch, still) is None
    assert watch.lacking() == "u acquires no frames; it says: 500 frames, 0 messages unsent"
    assert healthy_after(Watch("u", frames=False), still) == STEADY_S
    assert healthy_after(Watch("u", frames=True), seconds(60, StatusText="")) is None


def test_a_watchdog_that_is_not_fed_any_more_is_noticed_before_systemd_acts() -> None:
    watch = Watch("u", frames=False)
    assert healthy_after(watch, seconds(60, WatchdogTimestampMonotonic="1000000")) is None
    assert "has not fed its watchdog for 58 s" in watch.lacking()


def test_a_service_without_a_watchdog_does_without() -> None:
    watch = Watch("u", frames=False)
    assert healthy_after(watch, seconds(60, WatchdogUSec="0", WatchdogTimestampMonotonic="0")) == STEADY_S


def test_a_restart_begins_the_time_anew_and_frames_from_before_do_not_count() -> None:
    looks = [*seconds(10), *((at_s, look(at_s, InvocationID="b")) for at_s in map(float, range(10, 60)))]
    assert healthy_after(Watch("u", frames=True), looks) == 10 + STEADY_S


def test_a_service_that_starts_again_and_again_is_hopeless() -> None:
    watch = Watch("u", frames=False)
    said = [watch.see(look(second, InvocationID=str(second // 4)), second) for second in range(20)]
    assert said[11] is None
    assert said[12] == "u does not stay; it was started 4 times"


def test_how_it_ended_before_is_said() -> None:
    watch = Watch("u", frames=False)
    watch.see(look(1), 1)
    watch.see(look(2, ActiveState="activating", SubState="auto-restart", Result="watchdog"), 2)
    watch.see(look(3, InvocationID="b"), 3)
    assert watch.lacking() == "u has run for 0 s only; it was started 2 times (watchdog)"


def test_a_service_that_systemd_has_given_up_is_hopeless() -> None:
    failed = look(1, ActiveState="failed", SubState="failed", Result="exit-code")
    assert Watch("u", frames=False).see(failed, 1) == "u has failed (exit-code)"


def test_the_run_before_the_change_does_not_count() -> None:
    watch = Watch("u", frames=False, earlier=["a"])
    assert healthy_after(watch, seconds(60)) is None
    assert watch.lacking() == "u still is to be restarted"
    assert healthy_after(watch, [(at_s, look(at_s, InvocationID="b")) for at_s in map(float, range(60, 90))]) == 75


@pytest.mark.parametrize(
    ("text", "expected"), [("20s", 20), ("1min 30s", 90), ("500ms", 0.5), ("0", 0), ("infinity", 0), ("", 0)]
)
def test_systemds_times_are_read(text: str, expected: float) -> None:
    assert parse_look({"WatchdogUSec": text}).watchdog_s == expected
