"""Bytes that come from who knows where, for every codec."""

from __future__ import annotations

from hypothesis import strategies as st

from gateway.codec import Codec
from gateway.errors import CodecError
from gateway.model import Batch, Message
from tests.support.messages import messages


def decode_or_refuse(codec: Codec, payload: bytes) -> Message | None:
    """The message, whose every property can be computed; None if it was refused. Any other error is a failure."""
    refusal = None
    try:
        message = codec.decode(payload)
    except CodecError as error:
        refusal = str(error)
    if refusal is not None:
        assert 0 < len(refusal) < 500, "an error message is for people"
        return None
    assert message.index < message.end
    if isinstance(message, Batch):
        assert message.times_ns().shape == (message.frames,)
    codec.encode(message)
    return message


@st.composite
def damaged(draw: st.DrawFn, codec: Codec) -> bytes:
    """A valid message with a few bytes changed, removed, added or cut off."""
    payload = bytearray(codec.encode(draw(messages())))
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, max(0, len(payload) - 1)))
        match draw(st.sampled_from(["flip", "replace", "remove", "insert", "cut"])):
            case "flip" if payload:
                payload[place] ^= 1 << draw(st.integers(0, 7))
            case "replace" if payload:
                payload[place] = draw(st.integers(0, 255))
            case "remove":
                del payload[place : place + draw(st.integers(1, 9))]
            case "insert":
                payload[place:place] = draw(st.binary(min_size=1, max_size=9))
            case "cut":
                del payload[place:]
    return bytes(payload)
