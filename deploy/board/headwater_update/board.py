"""The board itself, as the driver needs it."""

from __future__ import annotations

from pathlib import Path

from . import configuration, doctor, packages, units
from .errors import UpdateError
from .store import Store
from .transaction import Transaction


class Board:
    """dpkg, systemd and /etc/headwater."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def settle(self) -> None:
        packages.settle()

    def put_files(self, transaction: Transaction) -> None:
        if transaction.files:
            configuration.put(self._store.staged_files)

    def install(self, transaction: Transaction) -> None:
        assert transaction.new
        dependencies = [self._store.staged / name for name in transaction.dependencies]
        packages.install([*dependencies, self._kept(transaction.new.name)])

    def advise(self, transaction: Transaction) -> tuple[str, ...]:
        return tuple(line for unit in transaction.units for line in doctor.examine(unit))

    def start(self, transaction: Transaction) -> None:
        units.enable(transaction.units)
        units.restart(transaction.units)

    def wait(self, transaction: Transaction) -> str | None:
        return units.wait_until_healthy(
            transaction.units, transaction.health_s, frames=transaction.frames, earlier=transaction.invocations
        )

    def restore_files(self, transaction: Transaction) -> None:
        if transaction.files:
            configuration.restore(self._store.before)

    def reinstall(self, transaction: Transaction) -> None:
        assert transaction.previous
        packages.force(self._kept(transaction.previous.name), self._store.root / "broken-scripts")

    def restart(self, transaction: Transaction) -> str:
        idle = [unit for unit in transaction.units if unit not in transaction.enabled]
        if idle:
            units.stop(idle)
        if transaction.active:
            earlier = units.invocations(transaction.active)
            units.restart(transaction.active)
            fault = units.wait_until_healthy(transaction.active, transaction.health_s, earlier=earlier)
            if fault:
                return f"as it was before, it is not healthy either: {fault}"
            return f"{self._what(transaction)} runs again"
        return f"{self._what(transaction)} is back, and does not run, as before"

    def give_up(self, transaction: Transaction) -> str:
        units.stop(transaction.units)
        if packages.installed_version() is None:
            packages.remove()
            return "nothing was installed before to go back to: the package was removed again"
        return (
            f"nothing was installed before to go back to: {', '.join(transaction.units)} is stopped and disabled"
        )

    def cleaned(self) -> None:
        units.nothing_to_resume()

    def _kept(self, name: str) -> Path:
        path = self._store.packages / name
        if not path.is_file():
            raise UpdateError(f"{path} is not there any more")
        return path

    def _what(self, transaction: Transaction) -> str:
        return transaction.previous.version if transaction.previous else "the configuration before"
