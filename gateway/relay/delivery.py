"""One message of a stream on its way to its readers. Pure.

A *form* is what a message looks like on one kind of wire: a WebSocket frame, lines of CSV, a ZeroMQ message. All
readers of one form share its bytes, which are made once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction

from gateway.codec import CODECS
from gateway.model import Batch, Gap, GapReason, Message


@dataclass(frozen=True, slots=True)
class Span:
    """Which frames a message speaks of: [index, end) of an epoch."""

    epoch: int
    index: int
    end: int
    reason: GapReason | None = None
    """Why they are lost; None if the message brings them."""

    @property
    def count(self) -> int:
        """How many frames."""
        return self.end - self.index


@dataclass(slots=True)
class Delivery:
    """A message as bytes, and what they mean."""

    span: Span
    payload: bytes
    """CBOR, as it is on MQTT."""
    utc_ns: int | None = None
    """When the first frame was taken; None for a gap."""
    last_utc_ns: int | None = None
    """When the last frame was taken."""
    rate: Fraction | None = None
    """Of a regular stream's batch."""
    late: bool = False
    """It fills a hole: what follows it in the stream was delivered before."""
    _message: Message | None = None
    _wires: dict[Form, bytes] = field(default_factory=dict)

    @classmethod
    def of(cls, message: Message, payload: bytes | None = None, *, late: bool = False) -> Delivery:
        """The delivery of a message, encoded unless its bytes are given."""
        payload = CODECS["cbor"].encode(message) if payload is None else payload
        if isinstance(message, Gap):
            span = Span(message.epoch, message.index, message.end, message.reason)
            return cls(span, payload, late=late, _message=message)
        span = Span(message.epoch, message.index, message.end)
        rate = message.rate if message.offsets_ns is None else None
        return cls(span, payload, message.utc_ns, last_utc_ns(message), rate, late, message)

    @property
    def message(self) -> Message:
        """The payload, taken apart."""
        if self._message is None:
            self._message = CODECS["cbor"].decode(self.payload)
        return self._message

    def wire(self, form: Form) -> bytes:
        """The bytes in a form, made once for all who want it."""
        wire = self._wires.get(form)
        if wire is None:
            wire = self._wires[form] = form(self)
        return wire

    @property
    def batch(self) -> Batch | None:
        """The message, if it is a batch."""
        message = self.message
        return message if isinstance(message, Batch) else None


def last_utc_ns(batch: Batch) -> int:
    """Time of the last frame."""
    if batch.offsets_ns is not None or batch.rate is None:
        return int(batch.times_ns()[-1])
    return batch.utc_ns + (batch.frames - 1) * 1_000_000_000 * batch.rate.denominator // batch.rate.numerator


Form = Callable[[Delivery], bytes]
"""The bytes of a message on one kind of wire; none if there is nothing to say of it there."""
