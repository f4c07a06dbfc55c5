"""The work of a transaction with the power cut at every moment, on a machine that can be looked at."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from deploy.board.headwater_update.driver import Driver
from deploy.board.headwater_update.errors import UpdateError
from deploy.board.headwater_update.store import Store
from deploy.board.headwater_update.transaction import (
    MOST_ATTEMPTS,
    Package,
    Transaction,
    parse_transaction,
)

OLD, NEW = Package("1.0", "old.deb", "0" * 64), Package("1.1", "new.deb", "1" * 64)
UNIT = "headwater-gateway.service"


class PowerCut(BaseException):
    """Nothing is done any more; what is on disk stays."""


@dataclass
class FakeMachine:
    """A board whose disk is its attributes; each method may be cut off before or after its effect."""

    installed: str | None = "1.0"
    files: str = "old"
    running: str | None = "1.0"
    enabled: bool = True
    resumes: bool = True
    broken: bool = False
    """Whether the new version cannot be installed."""
    healthy: bool = True
    cut_at: int | None = None
    cut_on: str = ""
    moments: int = 0
    calls: list[str] = field(default_factory=list)

    def _moment(self, call: str) -> None:
        self.calls.append(call)
        if self.cut_at == self.moments or self.cut_on == call:
            self.cut_at, self.cut_on = None, ""
            self.running = None
            raise PowerCut
        self.moments += 1

    def settle(self) -> None:
        self._moment("settle")

    def put_files(self, transaction: Transaction) -> None:
        self._moment("put")
        if transaction.files:
            self.files = "new"
        self._moment("put done")

    def install(self, transaction: Transaction) -> None:
        assert transaction.new
        self.installed = "half"
        self._moment("install")
        if self.broken:
            raise UpdateError("dpkg could not install it")
        self.installed = transaction.new.version
        self._moment("install done")

    def advise(self, transaction: Transaction) -> tuple[str, ...]:
        self._moment("advise")
        return ("clock: nobody sets it",)

    def start(self, transaction: Transaction) -> None:
        self._moment("start")
        self.running, self.enabled = self.installed, True
        self._moment("start done")

    def wait(self, transaction: Transaction) -> str | None:
        self._moment("wait")
        return None if self.healthy else "it is not healthy"

    def restore_files(self, transaction: Transaction) -> None:
        self._moment("restore")
        if transaction.files:
            self.files = "old"
        self._moment("restore done")

    def reinstall(self, transaction: Transaction) -> None:
        assert transaction.previous
        self.installed = "half"
        self._moment("reinstall")
        self.installed = transaction.previous.version
        self._moment("reinstall done")

    def restart(self, transaction: Transaction) -> str:
        self._moment("restart")
        self.running = self.installed
        return "it runs again"

    def give_up(self, transaction: Transaction) -> str:
        self._moment("give up")
        self.running, self.enabled = None, False
        if self.installed == "half":
            self.installed = None
        return "it is stopped"

    def cleaned(self) -> None:
        self._moment("clean")
        self.resumes = False


UPGRADE = Transaction(
    "id", "installing", new=NEW, previous=OLD, serial=5, files=True, units=(UNIT,), active=(UNIT,)
)
FIRST = replace(UPGRADE, previous=None, first=True, active=())
KINDS = {"healthy": {}, "not healthy": {"healthy": False}, "broken": {"broken": True}}


def store_with(folder: Path, transaction: Transaction) -> Store:
    store = Store(folder / "state")
    store.make()
    for package in (OLD, NEW):
        (store.packages / package.name).write_text(package.version)
    if not transaction.first:
        store.confirm(OLD, 1)
    (store.packages / NEW.name).write_text("new")
    store.save(transaction)
    return store


def boot(store: Store, machine: FakeMachine) -> bool:
    """What systemd does at boot, and at the beginning; whether it came to an end."""
    try:
        transaction = store.transaction()
        if transaction:
            store.save(transaction.began())
        transaction = store.transaction()
        resumed = transaction is not None and (transaction.attempts > 1 or transaction.phase != "installing")
        Driver(store, machine, lambda _: None).run(resumed)
    except PowerCut:
        return False
    return True


def moments(kind: str, transaction: Transaction, folder: Path) -> int:
    """How many moments there are at which the power can be cut."""
    machine = FakeMachine(**KINDS[kind])  # type: ignore[arg-type]
    assert boot(store_with(folder, transaction), machine)
    return machine.moments


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("first", [False, True])
def test_wherever_the_power_is_cut_it_ends_as_it_would_have(kind: str, first: bool, tmp_path: Path) -> None:
    transaction = FIRST if first else UPGRADE
    count = moments(kind, transaction, tmp_path / "uncut")
    assert count >= 3
    for cut_at in range(count):
        machine = FakeMachine(**KINDS[kind], cut_at=cut_at)  # type: ignore[arg-type]
        if first:
            machine.installed, machine.running, machine.enabled = None, None, False
        store = store_with(tmp_path / str(cut_at), transaction)
        assert not boot(store, machine)
        machine.running = machine.installed if machine.enabled and machine.installed != "half" else None
        assert boot(store, machine)
        assert store.transaction() is None
        assert not machine.resumes, "nothing is resumed at the next boot"
        result, kept = store.result(), {path.name for path in store.packages.iterdir()}
        if kind == "healthy":
            assert (machine.installed, machine.running, machine.files) == ("1.1", "1.1", "new")
            assert result["outcome"] == "confirmed"
            assert kept == ({NEW.name} if first else {NEW.name, OLD.name})
            assert store.serial() == 5
        elif first:
            assert machine.running is None
            assert machine.installed in (None, "1.1")
            assert result["outcome"] == "rolled back"
        else:
            assert (machine.installed, machine.running, machine.files) == ("1.0", "1.0", "old")
            assert result["outcome"] == "rolled back"
            assert kept == {OLD.name}
            assert store.serial() == 1


def test_a_version_with_which_the_board_goes_down_each_time_is_rolled_back(tmp_path: Path) -> None:
    store, machine = store_with(tmp_path, UPGRADE), FakeMachine()
    for _ in range(MOST_ATTEMPTS):
        machine.cut_on = "wait"
        assert not boot(store, machine)
    assert boot(store, machine)
    assert machine.installed == "1.0"
    assert "the board went down 2 times" in store.result()["reason"]


def test_what_was_only_received_is_dropped(tmp_path: Path) -> None:
    store, machine = store_with(tmp_path, replace(UPGRADE, phase="staging")), FakeMachine()
    assert boot(store, machine)
    assert store.transaction() is None
    assert machine.calls == ["clean"]
    assert (store.packages / OLD.name).exists()


def test_without_a_package_to_fall_back_to_the_new_one_stays_and_that_is_said(tmp_path: Path) -> None:
    store, machine = store_with(tmp_path, replace(UPGRADE, previous=None)), FakeMachine(healthy=False)
    assert boot(store, machine)
    assert store.result()["reason"] == "it is not healthy; there is no previous package to go back to"
    assert (machine.installed, machine.files) == ("1.1", "old")


def test_what_the_doctor_says_is_in_the_result_and_decides_nothing(tmp_path: Path) -> None:
    store = store_with(tmp_path, UPGRADE)
    assert boot(store, FakeMachine())
    assert store.result()["advice"] == ["clock: nobody sets it"]
    assert store.result()["outcome"] == "confirmed"


def test_two_updates_later_the_packages_of_the_last_two_are_kept(tmp_path: Path) -> None:
    store = store_with(tmp_path, UPGRADE)
    assert boot(store, FakeMachine())
    newest = Package("1.2", "newest.deb", "2" * 64)
    (store.packages / newest.name).write_text("newest")
    store.save(replace(UPGRADE, new=newest, previous=NEW))
    assert boot(store, FakeMachine(installed="1.1"))
    assert {path.name for path in store.packages.iterdir()} == {NEW.name, newest.name}
    assert (store.current(), store.earlier()) == (newest, NEW)


def test_a_transaction_survives_its_file_and_one_that_is_garbled_is_said_to_be(tmp_path: Path) -> None:
    assert parse_transaction(UPGRADE.to_json()) == UPGRADE
    assert parse_transaction({**UPGRADE.to_json(), "of a later version": 1}) == UPGRADE
    with pytest.raises(UpdateError, match="there is no phase 'dancing'"):
        parse_transaction({**UPGRADE.to_json(), "phase": "dancing"})
