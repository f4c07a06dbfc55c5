"""What a server said to a client, taken apart: from bytes as they were on the wire to what they tell of a stream.

Each function takes all that came, from the first byte on, and passes over what is cut off at its end.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import cbor2


class Told(NamedTuple):
    """What one message tells: [start, end) is there, or is lost for a reason."""

    start: int
    end: int
    reason: str | None = None


def told_of(payloads: Iterable[bytes]) -> Iterator[Told]:
    """Of messages as they are on MQTT."""
    for payload in payloads:
        content = cbor2.loads(payload)
        if "why" in content:
            yield Told(content["i"], content["i"] + content["n"], content["why"])
        else:
            yield Told(content["i"], content["i"] + content["d"].value[0][0])


def frames_in(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Opcode and payload of each WebSocket frame of a server: RFC 6455, section 5.2."""
    at = 0
    while len(data) - at >= 2:
        size, start = data[at + 1] & 0x7F, at + 2
        if size >= 126:
            width = 2 if size == 126 else 8
            size, start = int.from_bytes(data[start : start + width], "big"), start + width
        if len(data) < start + size:
            return
        yield data[at] & 0x0F, data[start : start + size]
        at = start + size


def websocket(data: bytes) -> Iterator[Told]:
    """Binary messages of the relay's, or anybody's, WebSocket; the answer to the handshake has been read."""
    return told_of(payload for opcode, payload in frames_in(data) if opcode == 2)


def mqtt(data: bytes) -> Iterator[Told]:
    """PUBLISH with QoS 0: MQTT 3.1.1, section 3.3."""
    return told_of(_publications(data))


def mqtt_websocket(data: bytes) -> Iterator[Told]:
    """The same in WebSocket frames."""
    return told_of(_publications(b"".join(payload for opcode, payload in frames_in(data) if opcode == 2)))


def nats(data: bytes) -> Iterator[Told]:
    """Messages in NATS' text protocol."""
    return told_of(_nats_messages(data))


def nats_websocket(data: bytes) -> Iterator[Told]:
    """The same in WebSocket frames."""
    return told_of(_nats_messages(b"".join(payload for opcode, payload in frames_in(data) if opcode == 2)))


def counted_cbor(data: bytes) -> Iterator[Told]:
    """Each message after its length, as the relay's TCP outlet has it; the meta is passed over."""
    return told_of(payload for payload in _counted(data) if "i" in cbor2.loads(payload))


def http_cbor(data: bytes) -> Iterator[Told]:
    """A chunked response of messages one after the other; each chunk has whole ones."""
    return told_of(chunks_in(data))


def http_csv(data: bytes) -> Iterator[Told]:
    """A chunked response of lines of CSV."""
    for line in _lines(b"".join(chunks_in(data))):
        gap = re.fullmatch(r"# gap: (\d+) frames from index (\d+): (\w+)", line)
        if gap is not None:
            yield Told(int(gap[2]), int(gap[2]) + int(gap[1]), gap[3])
        elif not line.startswith("time,"):
            index = int(line.split(",")[1])
            yield Told(index, index + 1)


def http_ndjson(data: bytes) -> Iterator[Told]:
    """A chunked response of lines of JSON."""
    return ndjson(b"".join(chunks_in(data)))


def ndjson(data: bytes) -> Iterator[Told]:
    """Lines of JSON."""
    for line in _lines(data):
        content = json.loads(line)
        if "gap" in content:
            gap = content["gap"]
            yield Told(gap["index"], gap["index"] + gap["count"], gap["reason"])
        elif "index" in content:
            yield Told(content["index"], content["index"] + 1)


def http_events(data: bytes) -> Iterator[Told]:
    """Server-sent events, by their numbers; `missed` tells how many, up to its own number, are lost."""
    blocks = b"".join(chunks_in(data)).split(b"\n\n")[:-1]
    for block in blocks:
        fields = dict(line.split(": ", 1) for line in block.decode().splitlines() if not line.startswith(":"))
        if "id" not in fields:
            continue
        number = int(fields["id"])
        if fields["event"] == "missed":
            yield Told(number + 1 - json.loads(fields["data"])["count"], number + 1, "slow")
        else:
            yield Told(number, number + 1)


def mflow(messages: Iterable[list[bytes]]) -> Iterator[Told]:
    """Two-part messages of `array-1.0`, whose headers tell what was lost before them."""
    for header, _ in messages:
        content = json.loads(header)
        for gap in content["gaps"]:
            yield Told(gap["index"], gap["index"] + gap["count"], gap["reason"])
        yield Told(content["index"], content["index"] + content["shape"][0])


def chunks_in(data: bytes) -> Iterator[bytes]:
    """The whole chunks of a response's body: RFC 9112, section 7.1."""
    at = data.index(b"\r\n\r\n") + 4
    while (end := data.find(b"\r\n", at)) >= 0:
        size, start = int(data[at:end], 16), end + 2
        if size == 0 or len(data) < start + size + 2:
            return
        yield data[start : start + size]
        at = start + size + 2


def _lines(data: bytes) -> list[str]:
    return data.decode().split("\n")[:-1]


def _counted(data: bytes) -> Iterator[bytes]:
    at = 0
    while len(data) - at >= 4:
        (size,) = struct.unpack_from("!I", data, at)
        if len(data) < at + 4 + size:
            return
        yield data[at + 4 : at + 4 + size]
        at += 4 + size


def _publications(data: bytes) -> Iterator[bytes]:
    at = 0
    while len(data) - at >= 2:
        size, start, shift = 0, at + 1, 0
        while start < len(data):
            byte = data[start]
            size, start, shift = size | (byte & 0x7F) << shift, start + 1, shift + 7
            if byte < 0x80:
                break
        if len(data) < start + size:
            return
        if data[at] >> 4 == 3:
            yield data[start + 2 + int.from_bytes(data[start : start + 2], "big") : start + size]
        at = start + size


def _nats_messages(data: bytes) -> Iterator[bytes]:
    at = 0
    while (end := data.find(b"\r\n", at)) >= 0:
        words, at = data[at:end].split(b" "), end + 2
        if words[0] == b"MSG":
            size = int(words[-1])
            if len(data) < at + size + 2:
                return
            yield data[at : at + size]
            at += size + 2


@dataclass(slots=True)
class Ledger:
    """What somebody was told of the indices from a first one on."""

    next: int
    """The index that is to come."""
    came: int = 0
    declared: int = 0
    """Indices that were said to be lost."""
    undeclared: int = 0
    """Indices of which nothing was said."""
    twice: int = 0
    reasons: frozenset[str] = frozenset()

    def enter(self, told: Iterable[Told]) -> Ledger:
        """Add what was told, in the order in which it was."""
        for start, end, reason in told:
            self.undeclared += max(0, start - self.next)
            self.twice += max(0, min(end, self.next) - start)
            count = max(0, end - max(start, self.next))
            self.next = max(self.next, end)
            if reason is None:
                self.came += count
            else:
                self.declared += count
                self.reasons |= {reason}
        return self

    @property
    def exact(self) -> bool:
        """Whether each index was told once."""
        return self.undeclared == self.twice == 0


Reading = Callable[[bytes], Iterator[Told]]

READINGS: dict[str, Reading] = {
    "websocket": websocket,
    "mqtt": mqtt,
    "mqtt-websocket": mqtt_websocket,
    "nats": nats,
    "nats-websocket": nats_websocket,
    "http-cbor": http_cbor,
    "http-csv": http_csv,
    "http-ndjson": http_ndjson,
    "http-events": http_events,
    "tcp-cbor": counted_cbor,
    "tcp-ndjson": ndjson,
}
"""By the way in which a server talks."""
