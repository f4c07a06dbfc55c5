"""What others may ask of a device, over MQTT: `request/<method>` with a JSON object.

`resend` is answered by the messages themselves, on the stream's topic: `{"stream": …, "epoch": …, "ranges":
[[start, end], …]}`. What is asked for and kept no more is declared lost. What is still in the outbox comes by
itself, and is not answered for.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
from collections.abc import Callable, Mapping
from typing import Any

from gateway.account import IntervalSet, Range
from gateway.codec.json import json_object
from gateway.device.kept import Kept
from gateway.device.outbox.record import Record, encode_gap, gap_record
from gateway.errors import CodecError
from gateway.model import Gap, GapReason

log = logging.getLogger(__name__)

MOST_WAITING = 256
"""Requests beyond this are not taken: whoever asks, asks again."""
MOST_BYTES = 64 << 10
"""A request that is larger is not looked at."""
MOST_RANGES = 1000
"""Ranges that are answered at a time; those of one request beyond them are not looked at."""

Stretch = tuple[str, int]
"""A stream's epoch."""


class Requests:
    """Answers requests in a thread of its own, so that the network thread is never held up.

    What waits is answered together: several who ask for the same get it once.
    """

    def __init__(self, kept: Kept, codecs: Mapping[str, str], epoch: int, send: Callable[[Record], bool]) -> None:
        """`codecs`: the codec of each stream. `send` may wait; what it refuses is asked for again."""
        self._kept = kept
        self._codecs = codecs
        self._epoch = epoch
        self._send = send
        self._stopping = threading.Event()
        self._inbox: queue.Queue[tuple[str, bytes] | None] = queue.Queue(MOST_WAITING)
        self._thread = threading.Thread(target=self._run, name="requests", daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Answer no more."""
        self._stopping.set()
        with contextlib.suppress(queue.Full):
            self._inbox.put_nowait(None)
        if self._thread.is_alive():
            self._thread.join()

    def take(self, topic: str, payload: bytes) -> None:
        """Take a request in; called in the network thread."""
        if len(payload) > MOST_BYTES:
            log.warning("%s: a request of %d bytes; %d are allowed", topic, len(payload), MOST_BYTES)
            return
        try:
            self._inbox.put_nowait((topic.rpartition("/")[2], payload))
        except queue.Full:
            log.debug("%s: too many requests are waiting", topic)

    def _run(self) -> None:
        while not self._stopping.is_set():
            request = self._inbox.get()
            try:
                self._answer(self._together_with(request))
            except Exception:
                # whatever a request was, the next one is answered
                log.exception("request: unexpected")

    def _together_with(self, request: tuple[str, bytes] | None) -> dict[Stretch, IntervalSet]:
        """What that request and those behind it ask for."""
        asked: dict[Stretch, IntervalSet] = {}
        while request is not None:
            try:
                stretch, ranges = self._parse(*request)
                wanted = asked.setdefault(stretch, IntervalSet())
                for part in ranges:
                    wanted.add(*part)
            except CodecError as error:
                log.warning("request %s: %s", request[0], error)
            full = sum(map(len, asked.values())) >= MOST_RANGES
            request = None if full or self._inbox.empty() else self._inbox.get()
        return asked

    def _parse(self, method: str, payload: bytes) -> tuple[Stretch, list[Range]]:
        if method != "resend":
            raise CodecError("there is no such request; there is resend")
        match json_object(payload):
            case {"stream": str(stream), "epoch": int(epoch), "ranges": list(ranges)} if stream in self._codecs:
                return (stream, epoch), [_range(part) for part in ranges[:MOST_RANGES]]
            case _:
                raise CodecError("must hold a stream of this device, its epoch, and ranges")

    def _answer(self, asked: dict[Stretch, IntervalSet]) -> None:
        for (stream, epoch), wanted in asked.items():
            for record in self._records(stream, epoch, wanted):
                if self._stopping.is_set() or not self._send(record):
                    return

    def _records(self, stream: str, epoch: int, wanted: IntervalSet) -> list[Record]:
        records, gone = self._kept.find(stream, epoch, wanted)
        reason: GapReason = "outbox_full" if epoch == self._epoch else "crash"
        codec = self._codecs[stream]
        for low, high in gone:
            records.append(gap_record(stream, Gap(epoch, low, high - low, reason), codec, encode_gap))
        return sorted(records, key=lambda record: record.index)


def _range(part: Any) -> Range:
    match part:
        case [int(start), int(end)] if 0 <= start < end:
            return start, end
    raise CodecError(f"a range must be [start, end], not {part!r:.60}")
