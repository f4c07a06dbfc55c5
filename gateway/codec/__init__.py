"""Bytes to messages and back, one file per format."""

from __future__ import annotations

from typing import Protocol

from boards.options import did_you_mean
from gateway.codec.cbor import CborCodec
from gateway.codec.json import JsonCodec
from gateway.errors import CodecError
from gateway.model import Message

__all__ = ["CODECS", "Codec", "CodecError", "codec_named", "find_codec"]


class Codec(Protocol):
    """One wire format of a stream's batches and gaps."""

    name: str
    content_type: str

    def encode(self, message: Message) -> bytes:
        """The message on the wire."""

    def decode(self, payload: bytes) -> Message:
        """The message in the payload; raises CodecError, and nothing else, for any other bytes."""


CODECS: dict[str, Codec] = {codec.name: codec for codec in (CborCodec(), JsonCodec())}


def codec_named(name: object) -> Codec:
    """The codec that somebody's meta names, or CBOR if it names none that there is."""
    return CODECS.get(name, CODECS["cbor"]) if isinstance(name, str) else CODECS["cbor"]


def find_codec(name: str) -> Codec:
    """The codec of that name; raises CodecError naming those there are."""
    try:
        return CODECS[name]
    except KeyError:
        hint = did_you_mean(name, list(CODECS))
        raise CodecError(f"there is no codec {name!r}; there are {', '.join(CODECS)}{hint}") from None
