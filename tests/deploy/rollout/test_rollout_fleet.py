"""Many boards: their file, several at a time, the table."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from deploy.rollout.deployment import Outcome, Wish
from deploy.rollout.errors import DeployError
from deploy.rollout.fleet import deploy_all, parse_hosts, summary


def test_each_line_names_a_board_its_configuration_and_its_bundle() -> None:
    text = "# ours\ndebian@bbb1\n\ndebian@bbb2 two.toml  # in the cellar\nbbb3 - pki/devices/bbb3\n"
    assert parse_hosts(text, Path("fleet"), "gateway", Path("all.toml"), "hosts") == [
        Wish("debian@bbb1", "gateway", Path("all.toml"), None),
        Wish("debian@bbb2", "gateway", Path("fleet/two.toml"), None),
        Wish("bbb3", "gateway", Path("all.toml"), Path("fleet/pki/devices/bbb3")),
    ]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("bbb1\nbbb1 x.toml\n", "hosts:2: bbb1 is there twice"),
        ("bbb1 a b c\n", "hosts:1: expected"),
        ("# none\n", "hosts: names no host"),
    ],
)
def test_a_file_with_a_mistake_says_in_which_line(text: str, why: str) -> None:
    with pytest.raises(DeployError, match=why):
        parse_hosts(text, Path(), "gateway", None, "hosts")


def test_so_many_are_done_at_a_time_and_no_more() -> None:
    together, most, lock, full = 0, 0, threading.Lock(), threading.Barrier(3)

    def one(wish: Wish) -> Outcome:
        nonlocal together, most
        with lock:
            together += 1
            most = max(most, together)
        full.wait(20)
        with lock:
            together -= 1
        return Outcome(wish.host, "updated")

    wishes = [Wish(f"bbb{number}", "gateway") for number in range(6)]
    outcomes = deploy_all(wishes, one, jobs=3)
    assert [outcome.host for outcome in outcomes] == [wish.host for wish in wishes]
    assert most == 3


@pytest.mark.parametrize("result", ["updated", "unchanged", "rolled back", "unreachable"])
def test_with_first_the_others_wait_for_it_and_are_left_alone_if_it_fails(result: str) -> None:
    done: list[str] = []

    def one(wish: Wish) -> Outcome:
        done.append(wish.host)
        return Outcome(wish.host, result)

    outcomes = deploy_all([Wish(name, "gateway") for name in "abc"], one, jobs=2, first=True)
    well = result in ("updated", "unchanged")
    assert len(done) == (3 if well else 1)
    assert [outcome.well for outcome in outcomes] == [well] * 3


def test_the_table_says_what_became_of_each_and_why() -> None:
    outcomes = [
        Outcome("debian@bbb1", "updated", "0.1.0", "0.2.0", seconds=41.2),
        Outcome("bbb2", "rolled back", "0.1.0", "0.1.0", "it never said that it is ready", 75),
    ]
    assert summary(outcomes) == [
        "board        before  after  result       seconds",
        "debian@bbb1  0.1.0   0.2.0  updated      41",
        "bbb2         0.1.0   0.1.0  rolled back  75",
        "1 of 2 boards are as wanted",
        "  bbb2: it never said that it is ready",
    ]
