"""The checker finds what each part's word is worth."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np

from gateway.model import Batch, Gap
from tests.faults.history import Claim, Finding, History, What


def device(what: What, start: int, end: int) -> Claim:
    return Claim("device", what, "ecg", 5, start, end)


def got(start: int, end: int) -> Claim:
    return Claim("observer", "delivered", "ecg", 5, start, end)


def told(start: int, end: int) -> Claim:
    return Claim("observer", "declared", "ecg", 5, start, end, "overrun")


def check(*claims: Claim) -> list[Finding]:
    return History(claims).check("observer")


def test_a_kept_promise_has_no_findings() -> None:
    assert (
        check(device("acquired", 0, 30), device("acknowledged", 0, 30), got(0, 10), told(10, 20), got(20, 30))
        == []
    )


def test_duplicates_and_disorder_are_no_fault() -> None:
    assert check(device("acquired", 0, 30), got(20, 30), got(0, 20), got(10, 30)) == []


def test_a_hole_is_found() -> None:
    assert check(got(0, 10), got(15, 30)) == [Finding("undeclared", "ecg", 5, 5, ((10, 15),))]


def test_a_missing_end_is_found_by_whoever_vouched_for_it() -> None:
    assert check(device("acknowledged", 0, 30), got(0, 20)) == [
        Finding("unfulfilled", "ecg", 5, 10, ((20, 30),), "device acknowledged")
    ]


def test_an_epoch_that_never_arrived_is_found() -> None:
    assert check(device("acquired", 0, 7)) == [Finding("unfulfilled", "ecg", 5, 7, ((0, 7),), "device acquired")]


def test_frames_that_nobody_acquired_are_found() -> None:
    assert check(device("acquired", 0, 10), got(0, 12)) == [Finding("invented", "ecg", 5, 2, ((10, 12),))]


def test_lost_and_delivered_is_a_contradiction() -> None:
    assert check(told(0, 10), got(5, 10)) == [Finding("contradicted", "ecg", 5, 5)]


def test_epochs_and_streams_do_not_mix() -> None:
    claims = [Claim("observer", "delivered", "ecg", 6, 0, 10), Claim("observer", "delivered", "spo2", 5, 0, 10)]
    (finding,) = check(device("acquired", 0, 10), *claims)
    assert (finding.what, finding.stream, finding.epoch) == ("unfulfilled", "ecg", 5)


def test_messages_become_claims() -> None:
    history = History([device("acquired", 0, 30)])
    history.saw("observer", "ecg", Batch(5, 0, 0, 0, np.zeros((10, 1)), Fraction(1)))
    history.saw("observer", "ecg", Gap(5, 10, 20, "late"))
    assert history.check("observer") == []
    assert history.account("observer")["ecg", 5].lost["late"].count == 20


def test_claims_outlive_the_process_that_made_them(tmp_path: Path) -> None:
    file = tmp_path / "device.jsonl"
    history = History(file=file)
    history.add(device("acquired", 0, 10))
    history.add(device("acquired", 10, 20))
    history.close()
    with file.open("a", encoding="utf-8") as torn:
        torn.write('{"part": "device", "what": "acq')
    observer = tmp_path / "observer.jsonl"
    other = History(file=observer)
    other.add(got(0, 20))
    other.close()
    assert History.load(file, observer).check("observer") == []
    assert [finding.frames for finding in History.load(file).check("observer")] == [20]
