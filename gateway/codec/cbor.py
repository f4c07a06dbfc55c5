"""CBOR (RFC 8949) with typed arrays (RFC 8746): the default on the wire.

The samples are tag 40 (a row-major array: shape, then elements) over a little-endian typed array, so that any
CBOR library reads them and numpy or an `Int16Array` views them without a copy.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Any

import cbor2
import numpy as np
from numpy.typing import NDArray

from gateway.codec import fields
from gateway.errors import CodecError
from gateway.model import Gap, Message

MULTI_DIMENSIONAL = 40
"""RFC 8746, section 3.1.1: [shape, elements], row-major."""

TYPED_ARRAYS: dict[int, str] = {
    64: "|u1",
    69: "<u2",
    70: "<u4",
    71: "<u8",
    72: "|i1",
    77: "<i2",
    78: "<i4",
    79: "<i8",
    85: "<f4",
    86: "<f8",
}
"""RFC 8746, section 2.1: the little-endian ones."""

TAG_OF = {np.dtype(code).str: tag for tag, code in TYPED_ARRAYS.items()}


class CborCodec:
    """Batches and gaps as one CBOR map each."""

    name = "cbor"
    content_type = "application/cbor"

    def encode(self, message: Message) -> bytes:
        """One CBOR map."""
        if isinstance(message, Gap):
            return cbor2.dumps(fields.gap_fields(message))
        content = fields.header(message)
        content["d"] = cbor2.CBORTag(MULTI_DIMENSIONAL, [list(message.data.shape), typed_array(message.data)])
        if message.offsets_ns is not None:
            content["o"] = typed_array(message.offsets_ns)
        return cbor2.dumps(content)

    def decode(self, payload: bytes) -> Message:
        """The message; raises CodecError for anything that is not one. The arrays view the payload."""
        try:
            content = cbor2.loads(payload)
        except Exception as error:
            raise CodecError(f"not CBOR: {error}") from error
        return _message(content)

    def decode_sequence(self, file: IO[bytes]) -> Iterator[Message]:
        """The messages of a CBOR sequence (RFC 8742), as they come; raises CodecError at what is none."""
        decoder = cbor2.CBORDecoder(file)
        while True:
            try:
                content = decoder.decode()
            except cbor2.CBORDecodeEOF:
                return
            except cbor2.CBORDecodeError as error:
                raise CodecError(f"not CBOR: {error}") from error
            yield _message(content)


def _message(content: object) -> Message:
    if not isinstance(content, dict):
        raise CodecError(f"a message must be a map, not {type(content).__name__}")
    data = shaped_array(content["d"]) if "d" in content else None
    offsets = flat_array(content["o"], "o") if "o" in content else None
    return fields.message(content, data, offsets)


def typed_array(values: NDArray[Any]) -> cbor2.CBORTag:
    """The values as a typed array, row by row; raises CodecError for a type that RFC 8746 has no tag for."""
    dtype = values.dtype.newbyteorder("<")
    tag = TAG_OF.get(dtype.str)
    if tag is None:
        raise CodecError(f"samples of type {values.dtype} cannot be sent; allowed: {', '.join(TAG_OF)}")
    return cbor2.CBORTag(tag, values.astype(dtype, copy=False).tobytes())


def flat_array(value: object, key: str) -> NDArray[Any]:
    """A view of a typed array's bytes; raises CodecError."""
    if not isinstance(value, cbor2.CBORTag) or value.tag not in TYPED_ARRAYS or not isinstance(value.value, bytes):
        raise CodecError(f"field {key!r} must be a little-endian typed array (RFC 8746)")
    dtype = np.dtype(TYPED_ARRAYS[value.tag])
    if len(value.value) % dtype.itemsize:
        raise CodecError(f"field {key!r} has {len(value.value)} bytes, not a multiple of {dtype.itemsize}")
    return np.frombuffer(value.value, dtype)


def shaped_array(value: object) -> NDArray[Any]:
    """A view of a two-dimensional array; raises CodecError."""
    if not isinstance(value, cbor2.CBORTag) or value.tag != MULTI_DIMENSIONAL:
        raise CodecError("field 'd' must be a multi-dimensional array (RFC 8746, tag 40)")
    match value.value:
        case [[rows, columns], elements] if type(rows) is int and type(columns) is int:
            flat = flat_array(elements, "d")
        case _:
            raise CodecError("field 'd' must be [[frames, channels], typed array]")
    if rows < 1 or columns < 1 or flat.size != rows * columns:
        shape = f"{fields.shown(rows)} x {fields.shown(columns)}"
        raise CodecError(f"field 'd' has {flat.size} values, not {shape}; at least 1 x 1 is needed")
    return flat.reshape(rows, columns)
