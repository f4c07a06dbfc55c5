"""The questions a history answers, over any chunks. Pure but for reading the payloads, which happens last.

Each returns an iterator: what is in it is settled when the query is made, payloads on disk are read as it is
consumed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from gateway.relay.history.headers import Chunk, Selection, select
from gateway.relay.history.record import LATEST_NS, Excerpt, HistoryRecord, Key

Trim = Callable[[HistoryRecord], tuple[int, int]]
"""Which frames of a record were asked for."""

THE_END: Key = ((1 << 63) - 1, (1 << 63) - 1)


def between(chunks: Sequence[Chunk], start_ns: int, end_ns: int) -> Iterator[Excerpt]:
    """Every frame from `start_ns` to before `end_ns`."""
    earliest, latest = max(start_ns, -LATEST_NS), min(end_ns - 1, LATEST_NS)
    may = [c for c in chunks if c.summary.earliest_ns <= latest and c.summary.latest_ns >= earliest]
    masks = [(c.headers()["utc_ns"] <= latest) & (c.headers()["last_ns"] >= earliest) for c in may]
    return _excerpts(select(may, masks), lambda record: record.within(start_ns, end_ns))


def from_key(chunks: Sequence[Chunk], key: Key) -> Iterator[Excerpt]:
    """Every frame at or after (epoch, index)."""
    may = [chunk for chunk in chunks if chunk.summary.end > key]
    return _excerpts(select(may, [_reaching(chunk, key) for chunk in may]), _from(key))


def page_from(chunks: Sequence[Chunk], key: Key, size: int) -> tuple[list[Excerpt], bool]:
    """The first records that reach beyond (epoch, index), up to so many bytes of payload and at least one.

    And whether more follow.
    """
    found = _forwards(chunks, key, lambda settled: int(settled.headers["size"].sum(dtype=np.int64)) > size)
    if not len(found):
        return [], False
    reached = np.cumsum(found.headers["size"], dtype=np.int64)
    fitting = max(int(np.searchsorted(reached, size, side="right")), 1)
    return list(_excerpts(found[:fitting], _from(key))), fitting < len(found)


def last_before(chunks: Sequence[Chunk], count: int, limit: Key = THE_END) -> Iterator[Excerpt]:
    """The last `count` delivered frames before (epoch, index), and the gaps among and after them."""
    if count <= 0:
        return iter(())
    found = _backwards(chunks, count, limit)
    frames = _frames_before(found, limit)
    beyond = np.cumsum(frames[::-1])[::-1]
    enough = np.flatnonzero(beyond >= count)
    if not enough.size:
        return _excerpts(found, lambda record: (record.index, _cut(record, limit)))
    at = int(enough[-1])
    skip = int(beyond[at]) - count
    first = (int(found.headers["epoch"][at]), int(found.headers["index"][at]))
    return _excerpts(
        found[at:],
        lambda record: (record.index + (skip if record.key == first else 0), _cut(record, limit)),
    )


def first_from(chunks: Sequence[Chunk], count: int, key: Key) -> Iterator[Excerpt]:
    """The first `count` delivered frames at or after (epoch, index), and the gaps before and among them."""
    if count <= 0:
        return iter(())
    found = _forwards(chunks, key, lambda settled: int(_frames_from(settled, key).sum()) >= count)
    reached = np.cumsum(_frames_from(found, key))
    enough = int(np.searchsorted(reached, count))
    if enough == len(found):
        return _excerpts(found, _from(key))
    spare = int(reached[enough]) - count
    last = (int(found.headers["epoch"][enough]), int(found.headers["index"][enough]))
    begin = _from(key)
    return _excerpts(
        found[: enough + 1],
        lambda record: (begin(record)[0], record.end - (spare if record.key == last else 0)),
    )


def position(chunks: Sequence[Chunk], moment_ns: int) -> Key:
    """(epoch, index) of the first delivered frame, in the stream's order, that is at or after the moment."""
    best: HistoryRecord | None = None
    for chunk in sorted(chunks, key=lambda chunk: chunk.summary.first):
        if chunk.summary.latest_ns < moment_ns:
            continue
        if best is not None and chunk.summary.first > best.key:
            break
        headers = chunk.headers()
        late = np.flatnonzero((headers["last_ns"] >= moment_ns) & ~headers["is_gap"])
        for row in late.tolist():
            record = _fetch(chunk.sources([row])[0])
            if record is not None:
                best = record if best is None or record.key < best.key else best
                break
    return THE_END if best is None else (best.epoch, best.first_from(moment_ns))


def _backwards(chunks: Sequence[Chunk], count: int, limit: Key) -> Selection:
    """Enough of the records that begin before the limit, all of them from some place on."""
    left = sorted((c for c in chunks if c.summary.first < limit), key=lambda c: c.summary.last)
    taken: list[Chunk] = []
    while True:
        # those that end late first, but equal records are to be had from the chunk that was given first
        ordered = [chunk for chunk in chunks if chunk in taken]
        found = select(ordered, [None] * len(ordered))
        found = found[: found.from_key(limit)]
        if not left:
            return found
        settled = found.from_key((left[-1].summary.last[0], left[-1].summary.last[1] + 1))
        if int(_frames_before(found[settled:], limit).sum()) >= count:
            return found[settled:]
        taken.append(left.pop())


def _forwards(chunks: Sequence[Chunk], key: Key, enough: Callable[[Selection], bool]) -> Selection:
    """Enough of the records that reach beyond the key, all of them up to some place."""
    left = sorted((c for c in chunks if c.summary.end > key), key=lambda c: c.summary.first, reverse=True)
    taken: list[Chunk] = []
    while True:
        ordered = [chunk for chunk in chunks if chunk in taken]
        found = select(ordered, [_reaching(chunk, key) for chunk in ordered])
        if not left:
            return found
        settled = found.from_key(left[-1].summary.first)
        if enough(found[:settled]):
            return found[:settled]
        taken.append(left.pop())


def _reaching(chunk: Chunk, key: Key) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    headers = chunk.headers()
    same = (headers["epoch"] == key[0]) & (headers["index"] + headers["count"] > key[1])
    reaching: np.ndarray[tuple[int], np.dtype[np.bool_]] = same | (headers["epoch"] > key[0])
    return reaching


def _frames_before(found: Selection, limit: Key) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    headers = found.headers
    over = np.where(headers["epoch"] == limit[0], headers["index"] + headers["count"] - limit[1], 0)
    frames: np.ndarray[tuple[int], np.dtype[np.int64]] = found.frames()
    return np.where(headers["is_gap"], 0, frames - np.maximum(over, 0))


def _frames_from(found: Selection, key: Key) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    headers = found.headers
    under = np.where(headers["epoch"] == key[0], key[1] - headers["index"], 0)
    frames: np.ndarray[tuple[int], np.dtype[np.int64]] = found.frames()
    return np.where(headers["is_gap"], 0, frames - np.maximum(under, 0))


def _cut(record: HistoryRecord, limit: Key) -> int:
    return min(record.end, limit[1]) if record.epoch == limit[0] else record.end


def _from(key: Key) -> Trim:
    return lambda record: (max(record.index, key[1]) if record.epoch == key[0] else record.index, record.end)


def _excerpts(found: Selection, trim: Trim) -> Iterator[Excerpt]:
    return _read(found.sources(), trim)


def _read(sources: Sequence[object], trim: Trim) -> Iterator[Excerpt]:
    for source in sources:
        record = _fetch(source)
        if record is None:
            continue
        start, end = trim(record)
        if start < end:
            yield Excerpt(record, start, end)


def _fetch(source: object) -> HistoryRecord | None:
    if isinstance(source, HistoryRecord):
        return source
    fetched: HistoryRecord | None = source.fetch()  # type: ignore[attr-defined]
    return fetched
