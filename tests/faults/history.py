"""What each part of the chain said while faults were made, and whether it holds together in the end.

Every part writes claims: the device what it acquired and what the broker acknowledged, an observer what was
delivered or declared to it. The checker holds them against each other, and finds each frame that somebody
vouched for and the observer neither got nor was told of.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from gateway.account import IntervalSet, Range, StreamAccount, length
from gateway.model import Gap, GapReason, Message

What = Literal["acquired", "acknowledged", "delivered", "declared"]


@dataclass(frozen=True, slots=True)
class Claim:
    """One part says something of [start, end) of a stream's epoch."""

    part: str
    what: What
    stream: str
    epoch: int
    start: int
    end: int
    reason: GapReason | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that must not be."""

    what: Literal["undeclared", "unfulfilled", "invented", "contradicted"]
    """`undeclared`: a hole. `unfulfilled`: less than somebody had vouched for. `invented`: frames that nobody
    acquired. `contradicted`: delivered and declared lost."""
    stream: str
    epoch: int
    frames: int
    ranges: tuple[Range, ...] = ()
    by: str = ""
    """Who had vouched for it."""


class History:
    """The claims of all parts, in the order in which each made its own. Any thread may add."""

    def __init__(self, claims: Iterable[Claim] = (), *, file: Path | None = None) -> None:
        """With a `file`, claims are appended to it line by line, so that they outlive a killed process."""
        self._claims = list(claims)
        self._lock = threading.Lock()
        self._file = file.open("a", buffering=1, encoding="utf-8") if file is not None else None

    @classmethod
    def load(cls, *files: Path) -> History:
        """The claims of several parts; a last line that a kill cut off is left out."""
        return cls(claim for file in files for claim in _read(file))

    def add(self, claim: Claim) -> None:
        """Note a claim."""
        with self._lock:
            self._claims.append(claim)
            if self._file is not None:
                self._file.write(json.dumps(asdict(claim)) + "\n")

    def saw(self, part: str, stream: str, message: Message) -> None:
        """Note that a message reached that part."""
        if isinstance(message, Gap):
            claim = Claim(part, "declared", stream, message.epoch, message.index, message.end, message.reason)
        else:
            claim = Claim(part, "delivered", stream, message.epoch, message.index, message.end)
        self.add(claim)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def account(self, observer: str) -> dict[tuple[str, int], StreamAccount]:
        """What the observer got and was told, by stream and epoch."""
        accounts: dict[tuple[str, int], StreamAccount] = {}
        for claim in self._claims:
            if claim.part != observer:
                continue
            account = accounts.setdefault((claim.stream, claim.epoch), StreamAccount())
            if claim.what == "delivered":
                account.deliver(claim.start, claim.end)
            elif claim.what == "declared" and claim.reason is not None:
                account.declare(claim.start, claim.end, claim.reason)
        return accounts

    def check(self, observer: str) -> list[Finding]:
        """All that does not hold together from where that part stands; empty if the promise was kept."""
        accounts = self.account(observer)
        vouched = self._vouched(observer)
        findings: list[Finding] = []
        for stream, epoch in sorted(accounts.keys() | {key for key, _ in vouched}):
            account = accounts.get((stream, epoch), StreamAccount())
            findings += _holes(stream, epoch, account)
            here = {by: ranges for (key, by), ranges in vouched.items() if key == (stream, epoch)}
            for by, ranges in here.items():
                findings += _unfulfilled(stream, epoch, account, by, ranges)
            acquired = [ranges for (_, what), ranges in here.items() if what == "acquired"]
            if acquired:
                findings += _invented(stream, epoch, account, acquired)
        return findings

    def _vouched(self, observer: str) -> dict[tuple[tuple[str, int], tuple[str, str]], IntervalSet]:
        """What others say there is, by (stream, epoch) and (part, what)."""
        vouched: dict[tuple[tuple[str, int], tuple[str, str]], IntervalSet] = {}
        for claim in self._claims:
            if claim.part != observer and claim.what in ("acquired", "acknowledged"):
                key = ((claim.stream, claim.epoch), (claim.part, str(claim.what)))
                vouched.setdefault(key, IntervalSet()).add(claim.start, claim.end)
        return vouched


def _read(file: Path) -> Iterator[Claim]:
    for line in file.read_text(encoding="utf-8").splitlines():
        try:
            yield Claim(**json.loads(line))
        except (ValueError, TypeError):
            return


def _holes(stream: str, epoch: int, account: StreamAccount) -> Iterator[Finding]:
    if account.undeclared():
        yield Finding("undeclared", stream, epoch, account.undeclared(), tuple(account.holes()))
    if account.contradicted:
        yield Finding("contradicted", stream, epoch, account.contradicted)


def _unfulfilled(
    stream: str, epoch: int, account: StreamAccount, by: tuple[str, str], ranges: IntervalSet
) -> Iterator[Finding]:
    missing = [hole for part in ranges for hole in account.covered.holes(*part)]
    if missing:
        yield Finding("unfulfilled", stream, epoch, length(missing), tuple(missing), " ".join(by))


def _invented(
    stream: str, epoch: int, account: StreamAccount, acquired: Iterable[IntervalSet]
) -> Iterator[Finding]:
    known = IntervalSet(part for ranges in acquired for part in ranges)
    lost = IntervalSet(part for ranges in account.lost.values() for part in ranges)
    delivered = [part for covered in account.covered for part in lost.holes(*covered)]
    extra = [part for one in delivered for part in known.holes(*one)]
    if extra:
        yield Finding("invented", stream, epoch, length(extra), tuple(extra))
