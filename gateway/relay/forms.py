"""What a stream looks like to readers of lines or of bytes: CSV, NDJSON, CBOR. Pure.

CSV and NDJSON have a line a frame, in physical units; CBOR is the messages as they are on MQTT.
"""

from __future__ import annotations

from gateway.lines import columns_of, csv_header, csv_lines, json_lines
from gateway.meta import channels_of
from gateway.relay.catalogue import StreamState
from gateway.relay.delivery import Delivery


class CsvForm:
    """Lines of CSV for all readers of one stream; a header again where the channels change."""

    def __init__(self, state: StreamState) -> None:
        self._state = state
        self._header: str | None = None

    def start(self) -> bytes:
        """What a new reader gets first, if the channels are known."""
        channels = channels_of(self._state.meta or {})
        if not channels:
            return b""
        header = csv_header(channels)
        self._header = self._header or header
        return f"{header}\n".encode() if header == self._header else b""

    def __call__(self, delivery: Delivery) -> bytes:
        batch = delivery.batch
        columns = columns_of(self._state.meta_of(batch.revision), batch) if batch is not None else ()
        lines = list(csv_lines(delivery.message, columns))
        if batch is not None and self._header != (header := csv_header(columns)):
            self._header = header
            lines.insert(0, header)
        return ("\n".join(lines) + "\n").encode()


class JsonForm:
    """Lines of JSON for all readers of one stream."""

    def __init__(self, state: StreamState) -> None:
        self._state = state

    def start(self) -> bytes:
        """Nothing comes first."""
        return b""

    def __call__(self, delivery: Delivery) -> bytes:
        batch = delivery.batch
        columns = columns_of(self._state.meta_of(batch.revision), batch) if batch is not None else ()
        return ("\n".join(json_lines(delivery.message, columns)) + "\n").encode()


class CborForm:
    """The messages as they are on MQTT."""

    def start(self) -> bytes:
        """Nothing comes first."""
        return b""

    def __call__(self, delivery: Delivery) -> bytes:
        return delivery.payload


PlainForm = CsvForm | JsonForm | CborForm


def make_form(name: str, state: StreamState) -> PlainForm:
    """The form called `csv`, `ndjson` or `cbor`, for all readers of one stream."""
    if name == "cbor":
        return CborForm()
    return CsvForm(state) if name == "csv" else JsonForm(state)
