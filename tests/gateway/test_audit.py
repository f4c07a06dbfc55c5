"""The audit of a stream, by hand-made statuses and messages."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from gateway.account import Range
from gateway.audit import Audit
from gateway.model import Gap
from tests.support.messages import batch

RATE = 500


def status(epoch: int, *previous: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {"online": True, "epoch": epoch, "acquired": {"ecg": 0}, "previous": list(previous), **changes}


def told(epoch: int, reached: int, *backlog: Range) -> dict[str, Any]:
    return {"stream": "ecg", "epoch": epoch, "reached": reached, "backlog": [list(part) for part in backlog]}


def stopped(epoch: int, acquired: int, *previous: dict[str, Any]) -> dict[str, Any]:
    return status(epoch, *previous, online=False, reason="stopped", acquired={"ecg": acquired})


def audit_of(*events: Mapping[str, Any] | tuple[int, int, int]) -> Audit:
    """Statuses, and batches as (epoch, start, end)."""
    audit = Audit("bbb1", "ecg")
    for event in events:
        if isinstance(event, tuple):
            epoch, start, end = event
            audit.take(batch(start, end - start, epoch=epoch))
        else:
            audit.take_status(event)
    return audit


def holes(audit: Audit, epoch: int) -> list[Range]:
    return audit.holes().get(epoch, [])


def lost(audit: Audit, epoch: int) -> dict[str, int]:
    return {reason: ranges.count for reason, ranges in audit.epochs[epoch].account.lost.items()}


BEFORE = status(1)
"""The retained status of an earlier run: whoever heard it was there when epoch 2 began."""


def test_a_stream_without_holes_has_nothing_undeclared() -> None:
    audit = audit_of(BEFORE, status(2), (2, 0, 10), (2, 10, 20))
    audit.take(Gap(2, 20, 5, "late"))
    assert audit.undeclared() == 0
    report = audit.report()
    assert report["stream"] == "bbb1/ecg"
    assert report["epochs"]["2"]["delivered"] == 20
    assert report["epochs"]["2"]["lost"] == {"late": 5}
    json.dumps(report)


def test_a_hole_is_undeclared_until_it_is_filled_or_declared() -> None:
    audit = audit_of(BEFORE, status(2), (2, 0, 10), (2, 15, 20))
    assert holes(audit, 2) == [(10, 15)]
    assert audit.undeclared() == 5
    assert audit.report()["epochs"]["2"]["holes"] == [[10, 15]]
    audit.take(batch(10, 3, epoch=2))
    audit.take(Gap(2, 13, 2, "outbox_full"))
    assert audit.undeclared() == 0
    assert audit.report()["epochs"]["2"]["out_of_order"] == 2


def test_duplicates_are_counted_and_harm_nothing() -> None:
    audit = audit_of(BEFORE, status(2), (2, 0, 10), (2, 5, 15), (2, 0, 10))
    assert audit.undeclared() == 0
    assert audit.report()["epochs"]["2"]["duplicates"] == 15


def test_of_an_epoch_that_was_under_way_only_what_follows_is_ours_to_miss() -> None:
    audit = audit_of(status(2), (2, 1000, 1010), (2, 1020, 1030), (2, 500, 510))
    assert holes(audit, 2) == [(1010, 1020)]
    assert audit.report()["epochs"]["2"]["delivered"] == 30


def test_of_an_epoch_that_began_since_everything_is_ours_to_miss() -> None:
    audit = audit_of(status(2), (2, 1000, 1010), status(3), (3, 7, 10))
    assert holes(audit, 3) == [(0, 7)]


def test_the_end_of_an_epoch_declares_what_the_device_has_not_got() -> None:
    audit = audit_of(BEFORE, status(2), (2, 0, 10), (2, 20, 30), status(3, told(2, 50, (35, 45))))
    assert lost(audit, 2) == {"crash": 20}
    assert holes(audit, 2) == [(35, 45)], "it is to come"
    audit.take(batch(40, 5, epoch=2))
    assert holes(audit, 2) == [(35, 40)]
    audit.take(batch(35, 5, epoch=2))
    assert audit.undeclared() == 0
    assert audit.report()["epochs"]["2"]["contradicted"] == 0


def test_frames_beyond_what_the_device_remembers_are_believed() -> None:
    """In `spill`, how far an epoch got is noted now and then; a subscriber may have seen more."""
    audit = audit_of(BEFORE, status(2), (2, 0, 10), (2, 90, 100), status(3, told(2, 50)))
    assert lost(audit, 2) == {"crash": 80}
    assert audit.undeclared() == 0


def test_an_epoch_that_we_saw_nothing_of_is_accounted_for_all_the_same() -> None:
    audit = audit_of(BEFORE, status(4, told(2, 30, (10, 30)), told(3, 7)))
    assert lost(audit, 2) == {"crash": 10}
    assert lost(audit, 3) == {"crash": 7}
    assert holes(audit, 2) == [(10, 30)]
    audit.take(batch(10, 5, epoch=2))
    audit.take(batch(20, 10, epoch=2))
    assert holes(audit, 2) == [(15, 20)]


def test_while_the_device_does_not_know_its_earlier_epochs_none_is_ended() -> None:
    audit = audit_of(BEFORE, status(2), (2, 0, 10), (2, 20, 30), status(3, previous=None))
    assert holes(audit, 2) == [(10, 20)]
    audit.take_status(status(3, told(2, 30, (10, 20))))
    assert holes(audit, 2) == [(10, 20)]
    audit.take(batch(10, 10, epoch=2))
    assert audit.undeclared() == 0
    assert lost(audit, 2) == {}


class TestLateComers:
    """Who comes while a device sends the backlog of an epoch that was over before."""

    BIRTH = status(5, told(4, 8000, (2000, 5000), (7900, 8000)))

    def test_the_backlog_is_theirs_to_miss_and_nothing_else(self) -> None:
        audit = audit_of(self.BIRTH, (5, 300, 310), (4, 2000, 2010), (4, 2020, 5000))
        assert holes(audit, 4) == [(2010, 2020), (7900, 8000)]
        audit.take(batch(7900, 100, epoch=4))
        assert lost(audit, 4) == {}
        assert audit.report()["epochs"]["4"]["undeclared"] == 10
        assert audit.report()["epochs"]["4"]["holes"] == [[2010, 2020]]

    def test_it_makes_no_difference_whether_live_data_comes_first(self) -> None:
        audit = audit_of(self.BIRTH, (4, 2500, 5000), (5, 300, 310), (4, 7900, 8000))
        assert audit.undeclared() == 0

    def test_what_of_it_is_gone_after_another_crash_is_declared(self) -> None:
        audit = audit_of(self.BIRTH, (4, 2000, 2010), (4, 2020, 5000), status(6, told(4, 8000, (7900, 8000))))
        assert lost(audit, 4) == {"crash": 10}
        assert holes(audit, 4) == [(7900, 8000)], "it is to come"

    def test_an_epoch_that_nothing_is_told_of_is_not_theirs(self) -> None:
        audit = audit_of(self.BIRTH, (3, 100, 110), (3, 200, 210))
        assert audit.undeclared() == 0


class TestGoodbye:
    def test_it_says_how_far_the_stream_goes(self) -> None:
        audit = audit_of(BEFORE, status(2), (2, 0, 10), stopped(2, 30))
        assert audit.stopped
        assert holes(audit, 2) == [(10, 30)]

    def test_a_death_says_nothing_of_that(self) -> None:
        audit = audit_of(BEFORE, status(2), (2, 0, 10), {**stopped(2, 30), "reason": "connection lost"})
        assert not audit.stopped
        assert audit.undeclared() == 0

    def test_the_next_birth_ends_it_and_says_what_became_of_the_rest(self) -> None:
        audit = audit_of(BEFORE, status(2), (2, 0, 10), stopped(2, 30), status(3, told(2, 20, (10, 20))))
        assert not audit.stopped
        assert lost(audit, 2) == {"crash": 10}
        audit.take(batch(10, 10, epoch=2))
        assert audit.undeclared() == 0

    def test_it_counts_though_nothing_of_the_epoch_came(self) -> None:
        audit = audit_of(BEFORE, stopped(2, 30))
        assert audit.undeclared() == 30


def test_a_status_that_is_none_changes_nothing() -> None:
    audit = audit_of(BEFORE, status(2), (2, 0, 10), {"epoch": "x"}, {}, {"epoch": 9, "previous": [5]})
    assert audit.undeclared() == 0
    assert set(audit.epochs) == {2}


def test_time_follows_the_indices_or_it_has_jumped() -> None:
    audit = audit_of(BEFORE, status(2), (2, 0, 10), (2, 10, 20), (2, 100, 110), (2, 20, 30))
    continuity = audit.epochs[2].continuity
    assert (continuity.jumps, continuity.worst_ns) == (0, 0)
    late = batch(110, 10, epoch=2)
    audit.take(replace(late, utc_ns=late.utc_ns + 5_000_000_000))
    assert continuity.jumps == 1
    assert audit.report()["epochs"]["2"]["worst_time_error_ms"] == 5000


def test_drift_within_reason_is_no_jump() -> None:
    audit = audit_of(BEFORE, status(2), (2, 0, 10))
    far = batch(RATE * 3600, 10, epoch=2)
    audit.take(replace(far, utc_ns=far.utc_ns + 1_000_000_000))
    assert audit.epochs[2].continuity.jumps == 0


def test_rows_with_times_of_their_own_are_not_held_against_a_rate() -> None:
    audit = audit_of(BEFORE, status(2))
    audit.take(replace(batch(0, 1, epoch=2), rate=None, utc_ns=0))
    audit.take(replace(batch(1, 1, epoch=2), rate=None, utc_ns=10**18))
    assert audit.epochs[2].continuity.jumps == 0
