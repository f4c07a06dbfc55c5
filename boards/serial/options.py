"""The options of a serial instrument: the keys of `[stream.serial]`."""

from __future__ import annotations

import re
import struct
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from boards.options import Options
from boards.serial.crc import ByteOrder, CrcCovers, CrcName

FrameName = Literal["line", "struct", "cobs"]
ParseName = Literal["csv", "regex", "json", "struct", "nmea"]

LARGEST_PAYLOAD = 4096

TERMINATORS = {"lf": b"\n", "crlf": b"\r\n", "cr": b"\r"}


class SerialOptions(Options):
    """How an instrument is connected, and what its bytes mean."""

    # The port.
    port: str = Field(min_length=1)
    """A path, `usb:VID:PID`, `usb:SERIALNUMBER`, a URL of pyserial (`socket://`, `rfc2217://`, `loop://`), or
    `simulated:KIND` for an instrument that is not there."""
    baud: int = Field(default=9600, gt=0, le=12_000_000)
    bytesize: Literal[5, 6, 7, 8] = 8
    parity: Literal["none", "even", "odd", "mark", "space"] = "none"
    stopbits: Literal[1, 2] = 1
    rtscts: bool = False
    xonxoff: bool = False
    dtr: bool | None = None
    """Set the line so on opening; None leaves it to the driver, which raises it (and so resets an Arduino)."""
    rts: bool | None = None
    init: str | bytes = b""
    """Sent on each opening, such as a start command. In text each character up to U+00FF is one byte."""
    timing: Literal["auto", "wire", "arrival"] = "auto"
    """Whether arrival times are corrected for the bytes' time on the wire. `auto`: not for `loop://`,
    `socket://` and USB modems (`/dev/ttyACM*`), whose baud rate means nothing."""

    # From bytes to frames.
    frame: FrameName = "line"
    terminator: str = "lf"
    """line: `lf` (takes CR LF too), `crlf`, `cr`, or the characters themselves."""
    max_length: int = Field(default=1024, ge=1, le=65_536)
    """line, cobs: a frame of more bytes is overlong and lost."""
    sync: str = ""
    """struct: the bytes that begin a frame, in hexadecimal: `aa55`."""
    size: int | None = Field(default=None, ge=1, le=LARGEST_PAYLOAD)
    """struct: bytes of payload, where the parser's format doesn't say."""
    crc: CrcName | None = None
    """struct, cobs: the check at the frame's end."""
    crc_order: ByteOrder = "little"
    crc_covers: CrcCovers = "payload"
    """struct: whether the check covers the sync bytes too (`frame`)."""
    skip: int | None = Field(default=None, ge=0)
    """Frames to ignore after each opening. By default the first frame of a format without a check is not
    trusted, as the opening may have cut it, and is declared lost; 0 trusts it."""

    # From frames to rows.
    parse: ParseName | None = None
    """Default: `csv` for lines, `struct` for the others."""
    encoding: str = "utf-8"
    ignore: re.Pattern[str] | None = None
    """Lines in which this is found, such as comments and prompts, are no rows and no losses."""
    delimiter: str = Field(default=",", min_length=1)
    """csv. A blank stands for any run of blanks."""
    columns: tuple[str, ...] = ()
    """csv: the columns' names, from the left."""
    header: bool = False
    """csv: the line that holds every channel's column name names the columns; rows before it are lost."""
    decimal: Literal[".", ","] = "."
    """csv, regex: the decimal sign."""
    pattern: re.Pattern[str] | None = None
    """regex: with named groups, searched for in each line."""
    format: str | None = None
    """struct: as Python's struct module has it; little-endian unless it says otherwise."""
    fields: tuple[str, ...] = ()
    """struct: the values' names, in order."""
    sentence: str | None = Field(default=None, pattern=r"^[A-Z0-9]{3,8}$")
    """nmea: the sentence that is a row, as `GGA` (from any talker) or `GPGGA`."""

    sequence: str | None = None
    """The column, group, key or field in which the instrument numbers its rows: then lost rows are counted
    exactly, over unplugging too."""
    sequence_modulo: int | None = Field(default=None, ge=2)
    """The number after the last one before 0. By default packed integers wrap at their size, text never."""

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, name: str) -> str:
        try:
            "".encode(name)
        except LookupError:
            raise ValueError("must be an encoding that Python knows, such as 'utf-8' or 'latin-1'") from None
        return name

    @field_validator("terminator")
    @classmethod
    def _some_terminator(cls, value: str) -> str:
        if not value or not value.isascii():
            raise ValueError("must be 'lf', 'crlf', 'cr', or ASCII characters")
        return value

    @field_validator("sync")
    @classmethod
    def _hexadecimal(cls, value: str) -> str:
        try:
            bytes.fromhex(value)
        except ValueError:
            raise ValueError("must be bytes in hexadecimal, such as 'aa55'") from None
        return value

    @field_validator("init")
    @classmethod
    def _bytes_only(cls, value: str | bytes) -> bytes:
        if isinstance(value, bytes):
            return value
        try:
            return value.encode("latin-1")
        except UnicodeEncodeError:
            raise ValueError("may hold characters up to U+00FF only, each one byte") from None

    @field_validator("format")
    @classmethod
    def _packable(cls, value: str | None) -> str | None:
        if value is None:
            return None
        full = value if value[:1] in {"<", ">", "=", "!"} else f"<{value}"
        try:
            values = len(struct.unpack(full, bytes(struct.calcsize(full))))
        except struct.error as error:
            raise ValueError(f"must be a format of Python's struct module: {error}") from None
        if not values or struct.calcsize(full) > LARGEST_PAYLOAD:
            raise ValueError(f"must hold at least one value and at most {LARGEST_PAYLOAD} bytes")
        return full

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        required = {
            "regex": ("pattern", self.pattern),
            "struct": ("format", self.format),
            "nmea": ("sentence", self.sentence),
        }
        key, value = required.get(self.parser, ("", True))
        if not value:
            raise ValueError(f"parse = {self.parser!r} needs {key!r}")
        if self.pattern is not None and not self.pattern.groupindex:
            raise ValueError("pattern needs named groups, such as (?P<spo2>[0-9]+)")
        if self.frame == "struct" and not self.sync:
            raise ValueError("frame = 'struct' needs 'sync'")
        if self.frame == "struct" and self.size is None and self.format is None:
            raise ValueError("frame = 'struct' needs 'size' or 'format'")
        if self.parser == "struct" and self.size not in (None, struct.calcsize(self.format or "")):
            raise ValueError(f"size must be the format's own, {struct.calcsize(self.format or '')}")
        if self.frame == "line" and self.crc is not None:
            raise ValueError("crc goes with frame = 'struct' or 'cobs'; NMEA's own check is always verified")
        if self.rtscts and self.xonxoff:
            raise ValueError("rtscts and xonxoff exclude each other")
        return self

    @property
    def parser(self) -> ParseName:
        """The parser's name, with its default."""
        return self.parse or ("csv" if self.frame == "line" else "struct")

    @property
    def terminator_bytes(self) -> bytes:
        """What ends a line."""
        return TERMINATORS.get(self.terminator) or self.terminator.encode("ascii")

    @property
    def sync_bytes(self) -> bytes:
        """What begins a frame."""
        return bytes.fromhex(self.sync)

    @property
    def payload_size(self) -> int:
        """Bytes between the sync bytes and the check of a frame of fixed size."""
        return self.size or struct.calcsize(self.format or "")

    @property
    def init_bytes(self) -> bytes:
        """What is sent on opening."""
        return self.init if isinstance(self.init, bytes) else self.init.encode("latin-1")

    @property
    def byte_ns(self) -> int:
        """How long one byte takes on the wire: start bit, data, parity, stop bits."""
        bits = 1 + self.bytesize + (self.parity != "none") + self.stopbits
        return round(bits * 1e9 / self.baud)
