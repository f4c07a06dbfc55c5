"""Envelopes for many viewers: one pyramid a stream, one computation and one encoding for all equal requests.

On the wire an envelope is one CBOR map, in the manner of a batch:

| key | |
|---|---|
| `v` | schema version, 1 |
| `e` | epoch |
| `i` | index of the first bucket's first frame |
| `t` | UTC of that frame, ns since 1970 |
| `b` | frames in a bucket |
| `n` | buckets |
| `r` | rate of the frames as [numerator, denominator]; absent when irregular |
| `o` | irregular only: time of each bucket's first frame after `t`, ns, typed array |
| `k` | numbers of the channels, in the order of the columns: those asked for that the epoch has |
| `lo`, `hi` | tag 40: [[buckets, channels], little-endian typed array], raw values as in the batches |
| `u` | delivered frames of each bucket, typed array of uint32; where 0, `lo` and `hi` mean nothing |
| `g` | which of the frames are not there, in order: [[index, frames, why], …]; absent if all are |

In `g`, `why` is null if nobody has said; it has the newest 1000 at most. What is missing of the last bucket beyond
that is yet to come. `b` takes the place of a batch's `d`: that is how the two are told apart.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import cbor2
import numpy as np

from gateway.codec.cbor import MULTI_DIMENSIONAL, typed_array
from gateway.errors import HeadwaterError
from gateway.model import SCHEMA_VERSION, Batch, Gap, Message
from gateway.relay.envelope.pyramid import BUCKETS, MINIMUM_WIDTH, Envelope, Pyramid

EPOCHS = 2
"""Epochs of which a stream has a pyramid."""
REMEMBERED = 256
"""Answers that a stream remembers."""
MAXIMUM_WIDTH = 16_384


class EnvelopeError(HeadwaterError, ValueError):
    """An envelope that cannot be had: what was asked for, and what is allowed."""


@dataclass(frozen=True, slots=True)
class LiveRequest:
    """The last so many seconds of the newest epoch; equal requests have one answer."""

    seconds: float
    width: int
    """Buckets, at most: two values a pixel."""
    channels: tuple[int, ...] | None = None
    """None: all."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """What a viewer has: everything up to an index of an epoch, with so many messages that came late."""

    epoch: int
    index: int
    late: int


class StreamEnvelope:
    """The pyramids of one stream, and the answers that were given since the last batch."""

    def __init__(self, buckets: int = BUCKETS) -> None:
        self._buckets = buckets
        self._pyramids: dict[int, Pyramid] = {}
        self._answers: OrderedDict[tuple[LiveRequest, Cursor | None], bytes | None] = OrderedDict()
        self._late = 0
        self.computed = 0
        """How many live answers were computed, and not taken from memory."""

    @property
    def nbytes(self) -> int:
        """What the pyramids take."""
        return sum(pyramid.nbytes for pyramid in self._pyramids.values())

    @property
    def epochs(self) -> list[int]:
        """Those that can be asked about, ascending."""
        return sorted(self._pyramids)

    def add(self, message: Message) -> None:
        """Take what was not there yet: what accounting calls new, and nothing twice."""
        self._answers.clear()
        if isinstance(message, Gap):
            self._declare(message)
        else:
            self._take(message)

    def _declare(self, gap: Gap) -> None:
        pyramid = self._pyramids.get(gap.epoch)
        if pyramid is None:
            return
        self._late += gap.index < pyramid.end
        pyramid.declare(gap)

    def _take(self, batch: Batch) -> None:
        pyramid = self._pyramids.get(batch.epoch)
        if pyramid is not None and (pyramid.columns, pyramid.dtype) == (batch.data.shape[1], batch.data.dtype):
            self._late += batch.index < pyramid.end
            pyramid.add(batch)
            return
        self._late += batch.epoch <= max(self._pyramids, default=-1)
        self._pyramids[batch.epoch] = Pyramid(batch, self._buckets)
        if len(self._pyramids) > EPOCHS:
            del self._pyramids[min(self._pyramids)]

    @property
    def cursor(self) -> Cursor | None:
        """Where somebody is who has seen everything there is; None if there is nothing."""
        if not self._pyramids:
            return None
        newest = self._pyramids[max(self._pyramids)]
        return Cursor(newest.epoch, newest.end, self._late)

    def check(self, request: LiveRequest) -> None:
        """Raise EnvelopeError if it asks for what cannot be had, as far as is known before the first batch."""
        self._check(request.width, request.channels)
        if not 0 < request.seconds < float("inf"):
            raise EnvelopeError(f"a window is more than 0 s long, not {request.seconds:g} s")

    def live(self, request: LiveRequest, seen: Cursor | None = None) -> bytes | None:
        """The answer on the wire, the same object for equal requests until the next batch; None if there is none.

        Who had the `cursor` after an earlier answer gets the buckets that have changed since, the last one of
        then among them; and the whole window if an epoch has begun or backlog has come late. A viewer puts the
        buckets from `i` on in the place of those it has. Channels that the epoch does not have are left out.
        """
        asked = (request, seen)
        if asked in self._answers:
            return self._answers[asked]
        answer = self._answers[asked] = self._compute(request, seen)
        if len(self._answers) > REMEMBERED:
            self._answers.popitem(last=False)
        return answer

    def frames(
        self, epoch: int, start: int, end: int, width: int, channels: tuple[int, ...] | None = None
    ) -> Envelope | None:
        """The frames [start, end) of an epoch; None if there is no pyramid of it. Raises EnvelopeError."""
        self._check(width, channels)
        pyramid = self._pyramids.get(epoch)
        return None if pyramid is None else pyramid.query(start, end, width, channels)

    def window(
        self, epoch: int, start_ns: int, end_ns: int, width: int, channels: tuple[int, ...] | None = None
    ) -> Envelope | None:
        """What was from `start_ns` to before `end_ns` in an epoch, with up to a bucket more at either side."""
        pyramid = self._pyramids.get(epoch)
        return None if pyramid is None else self.frames(epoch, *pyramid.indices(start_ns, end_ns), width, channels)

    def _compute(self, request: LiveRequest, seen: Cursor | None) -> bytes | None:
        if not self._pyramids:
            return None
        self.computed += 1
        pyramid = self._pyramids[max(self._pyramids)]
        follows = seen is not None and (seen.epoch, seen.late) == (pyramid.epoch, self._late)
        # the frame before the cursor: its bucket may have got more
        after = max(seen.index - 1, 0) if seen is not None and follows else None
        channels = request.channels
        if channels is not None:
            channels = tuple(channel for channel in channels if channel < pyramid.columns)
        return encode(pyramid.latest(request.seconds, request.width, channels, after), channels)

    def _check(self, width: int, channels: tuple[int, ...] | None) -> None:
        if not MINIMUM_WIDTH <= width <= MAXIMUM_WIDTH:
            raise EnvelopeError(f"the width is from {MINIMUM_WIDTH} to {MAXIMUM_WIDTH}, not {width}")
        if channels is None or not self._pyramids:
            return
        columns = min(pyramid.columns for pyramid in self._pyramids.values())
        for channel in channels:
            if not 0 <= channel < columns:
                raise EnvelopeError(f"there is no channel {channel}; there are {columns}, from 0 on")


def encode(envelope: Envelope, channels: tuple[int, ...] | None = None) -> bytes:
    """An envelope on the wire; `channels` are those of its query."""
    buckets, columns = envelope.lo.shape
    start_ns = int(envelope.t[0]) if buckets else 0
    content: dict[str, Any] = {
        "v": SCHEMA_VERSION,
        "e": envelope.epoch,
        "i": envelope.index,
        "t": start_ns,
        "b": envelope.frames,
        "n": buckets,
    }
    if envelope.rate is None:
        content["o"] = typed_array(envelope.t - start_ns)
    else:
        content["r"] = [envelope.rate.numerator, envelope.rate.denominator]
    content["k"] = list(range(columns)) if channels is None else list(channels)
    for key, values in (("lo", envelope.lo), ("hi", envelope.hi)):
        content[key] = cbor2.CBORTag(MULTI_DIMENSIONAL, [[buckets, columns], typed_array(values)])
    content["u"] = typed_array(envelope.covered.astype(np.uint32))
    if envelope.losses:
        content["g"] = [list(loss) for loss in envelope.losses]
    return cbor2.dumps(content)
