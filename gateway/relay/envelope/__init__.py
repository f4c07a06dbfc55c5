"""What a screen can show: the least and greatest value for each pixel, at a cost that no rate changes."""

from __future__ import annotations

from gateway.relay.envelope.live import MAXIMUM_WIDTH, Cursor, EnvelopeError, LiveRequest, StreamEnvelope, encode
from gateway.relay.envelope.merge import merged
from gateway.relay.envelope.pyramid import MINIMUM_WIDTH, Envelope, Pyramid

__all__ = [
    "MAXIMUM_WIDTH",
    "MINIMUM_WIDTH",
    "Cursor",
    "Envelope",
    "EnvelopeError",
    "LiveRequest",
    "Pyramid",
    "StreamEnvelope",
    "encode",
    "merged",
]
