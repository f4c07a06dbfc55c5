"""What a screen can show: the least and greatest value for each pixel, at a cost that no rate changes."""

from __future__ import annotations

from gateway.relay.envelope.live import Cursor, EnvelopeError, LiveRequest, StreamEnvelope, encode
from gateway.relay.envelope.pyramid import Envelope, Pyramid

__all__ = ["Cursor", "Envelope", "EnvelopeError", "LiveRequest", "Pyramid", "StreamEnvelope", "encode"]
