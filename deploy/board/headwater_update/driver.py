"""Does the work of a transaction, phase after phase, wherever it was interrupted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

from .errors import UpdateError
from .store import Store
from .transaction import Phase, Transaction

Say = Callable[[str], None]


class Machine(Protocol):
    """The board as the driver needs it. Every method may be called again after a power cut in its middle."""

    def settle(self) -> None:
        """Finish what dpkg was doing."""

    def put_files(self, transaction: Transaction) -> None:
        """Put the new configuration in place."""

    def install(self, transaction: Transaction) -> None:
        """Install the new package; raises UpdateError."""

    def advise(self, transaction: Transaction) -> tuple[str, ...]:
        """What `headwater doctor` finds to be done with the new version and configuration; it decides nothing."""

    def start(self, transaction: Transaction) -> None:
        """Have the services run the new version and configuration, now and at boot."""

    def wait(self, transaction: Transaction) -> str | None:
        """Wait until the services are healthy; why they are not, or None."""

    def restore_files(self, transaction: Transaction) -> None:
        """Put the configuration from before in place."""

    def reinstall(self, transaction: Transaction) -> None:
        """Install the previous package, whatever state the new one is in; raises UpdateError."""

    def restart(self, transaction: Transaction) -> str:
        """Have the services be as they were; says how they are."""

    def give_up(self, transaction: Transaction) -> str:
        """Leave a first installation stopped and disabled; says what is left of it."""

    def cleaned(self) -> None:
        """Nothing has to be resumed at boot any more."""


class Driver:
    """Runs the transaction of the store to its end."""

    def __init__(self, store: Store, machine: Machine, say: Say) -> None:
        self._store = store
        self._machine = machine
        self._say = say
        self._steps: dict[Phase, Callable[[Transaction], Transaction]] = {
            "installing": self._install,
            "waiting": self._wait,
            "rolling back": self._roll_back,
        }

    def run(self, resumed: bool) -> dict[str, Any]:
        """The result; empty if there is nothing to do. `resumed` says that an earlier run was cut off."""
        transaction = self._store.transaction()
        if transaction is None or transaction.phase == "staging":
            self._discard(transaction)
            return {}
        if resumed:
            self._say(f"going on with {transaction.phase} after an interruption")
            self._machine.settle()
        while transaction.phase in self._steps:
            transaction = self._steps[transaction.phase](transaction)
            self._store.save(transaction)
        return self._finish(transaction)

    def _install(self, transaction: Transaction) -> Transaction:
        try:
            if transaction.new:
                self._say(f"installing {transaction.new.version}")
                self._machine.install(transaction)
            self._machine.put_files(transaction)  # now there is a group that secrets are for
        except (UpdateError, OSError) as error:
            return transaction.failed(str(error))
        return replace(transaction, phase="waiting", advice=self._machine.advise(transaction))

    def _wait(self, transaction: Transaction) -> Transaction:
        try:
            self._machine.start(transaction)
        except UpdateError as error:
            return transaction.failed(str(error))
        self._say(f"waiting for {', '.join(transaction.units)} to be healthy")
        fault = self._machine.wait(transaction)
        return transaction.failed(fault) if fault else transaction.at("confirmed")

    def _roll_back(self, transaction: Transaction) -> Transaction:
        self._say(f"rolling back: {transaction.reason}")
        if transaction.first:
            left = self._machine.give_up(transaction)
            return _because(transaction.at("rolled back"), left)
        self._machine.restore_files(transaction)
        if transaction.new and not transaction.previous:
            return _because(transaction.at("rolled back"), "there is no previous package to go back to")
        try:
            if transaction.previous:
                self._machine.reinstall(transaction)
        except UpdateError as error:
            return _because(transaction.at("rolled back"), f"the previous version could not be installed: {error}")
        return _because(transaction.at("rolled back"), self._machine.restart(transaction))

    def _finish(self, transaction: Transaction) -> dict[str, Any]:
        if transaction.phase == "confirmed" and transaction.new:
            self._store.confirm(transaction.new, transaction.serial)
        result = {
            "id": transaction.id,
            "outcome": transaction.phase,
            "reason": transaction.reason,
            "version": transaction.new.version if transaction.new else None,
            "previous": transaction.previous.version if transaction.previous else None,
            "first": transaction.first,
            "advice": list(transaction.advice),
        }
        self._store.save_result(result)
        self._discard(transaction)
        self._say(f"{transaction.phase}{': ' if transaction.reason else ''}{transaction.reason}")
        return result

    def _discard(self, transaction: Transaction | None) -> None:
        if transaction is not None:
            self._store.forget()
            self._store.prune()
        self._machine.cleaned()


def _because(transaction: Transaction, more: str) -> Transaction:
    return replace(transaction, reason=f"{transaction.reason}; {more}")
