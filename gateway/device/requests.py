"""What others may ask of a device, over MQTT: `request/<method>` with a JSON object.

`resend` is answered by the messages themselves, on the stream's topic: `{"stream": …, "epoch": …, "ranges":
[[start, end], …]}`. What is asked for and kept no more is declared lost.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Mapping
from typing import Any

from gateway.codec.json import json_object
from gateway.device.kept import Kept
from gateway.device.outbox.record import Record, gap_record
from gateway.device.outbox.record import encode_gap as encode
from gateway.errors import CodecError
from gateway.model import Gap, GapReason

log = logging.getLogger(__name__)

MOST_WAITING = 256
"""Requests beyond this are not taken: whoever asks, asks again."""
MOST_RANGES = 1000
"""Ranges of one request that are looked at."""


class Requests:
    """Answers requests in a thread of its own, so that the network thread is never held up."""

    def __init__(self, kept: Kept, codecs: Mapping[str, str], epoch: int, send: Callable[[Record], None]) -> None:
        self._kept = kept
        self._codecs = codecs
        self._epoch = epoch
        self._send = send
        self._inbox: queue.Queue[tuple[str, bytes] | None] = queue.Queue(MOST_WAITING)
        self._thread = threading.Thread(target=self._run, name="requests", daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Answer no more."""
        self._inbox.put(None)
        self._thread.join()

    def take(self, topic: str, payload: bytes) -> None:
        """Take a request in; called in the network thread."""
        try:
            self._inbox.put_nowait((topic.rpartition("/")[2], payload))
        except queue.Full:
            log.warning("%s: too many requests are waiting", topic)

    def _run(self) -> None:
        while (request := self._inbox.get()) is not None:
            method, payload = request
            try:
                if method != "resend":
                    raise CodecError("there is no such request; there is resend")
                self._resend(json_object(payload))
            except CodecError as error:
                log.warning("request %s: %s", method, error)

    def _resend(self, asked: dict[str, Any]) -> None:
        match asked:
            case {"stream": str(stream), "epoch": int(epoch), "ranges": list(ranges)} if stream in self._codecs:
                pass
            case _:
                raise CodecError("must hold a stream of this device, its epoch, and ranges")
        reason: GapReason = "outbox_full" if epoch == self._epoch else "crash"
        for part in ranges[:MOST_RANGES]:
            match part:
                case [int(start), int(end)] if 0 <= start < end:
                    records, gone = self._kept.find(stream, epoch, start, end)
                case _:
                    raise CodecError(f"a range must be [start, end], not {part!r:.60}")
            codec = self._codecs[stream]
            gaps = [gap_record(stream, Gap(epoch, low, high - low, reason), codec, encode) for low, high in gone]
            for record in sorted([*records, *gaps], key=lambda record: record.index):
                self._send(record)
