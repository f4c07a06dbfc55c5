"""What simulated serial instruments say: pure functions of a seed and a row's number.

Each kind knows the options that read it, so a demo or a test needs nothing else:
`{"port": path, **kind.options}` is a working `[stream.serial]` table.
"""

from __future__ import annotations

import math
import random
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from boards.serial.crc import make_crc
from boards.serial.framers import cobs
from boards.serial.parsers.nmea import sentence


class Instrument(Protocol):
    """A kind of instrument."""

    @property
    def rate(self) -> float:
        """Rows a second."""

    @property
    def channels(self) -> Mapping[str, str]:
        """Each channel's name and unit."""

    @property
    def options(self) -> Mapping[str, Any]:
        """The keys of `[stream.serial]` that read it, but for the port."""

    def values(self, row: int) -> tuple[float, ...]:
        """The numbers that reading row `row` gives, in the channels' order: the known truth."""

    def encode(self, row: int) -> bytes:
        """The row's bytes on the wire, with all that belongs to one row."""


@dataclass(frozen=True)
class Oximeter:
    """A pulse oximeter that prints CSV lines: saturation, pulse rate and the plethysmogram."""

    seed: int = 0
    rate: float = 50.0
    channels: ClassVar[Mapping[str, str]] = {"spo2": "%", "pulse": "1/min", "pleth": "count"}
    options: ClassVar[Mapping[str, Any]] = {
        "baud": 19_200,
        "frame": "line",
        "parse": "csv",
        "columns": ("number", "spo2", "pulse", "pleth"),
    }

    def values(self, row: int) -> tuple[float, ...]:
        """Saturation and pulse wander slowly; the plethysmogram beats at the pulse's rate."""
        seconds = row / self.rate
        noise = _noise(self.seed, row)
        pulse = 72 + 4 * math.sin(seconds / 17)
        beat = seconds * 1.2 % 1
        pleth = 500 + 400 * math.exp(-beat * 4) * math.sin(math.pi * min(1, beat * 5)) + noise.gauss(0, 3)
        return round(97 + math.sin(seconds / 40), 1), round(pulse), round(pleth)

    def encode(self, row: int) -> bytes:
        """`number,spo2,pulse,pleth` and CR LF."""
        spo2, pulse, pleth = self.values(row)
        return b"%d,%.1f,%d,%d\r\n" % (row, spo2, pulse, pleth)


@dataclass(frozen=True)
class Gps:
    """A GPS receiver on a walk around a circle of 100 m: each row is a GGA sentence amid others."""

    seed: int = 0
    rate: float = 5.0
    channels: ClassVar[Mapping[str, str]] = {"lat": "deg", "lon": "deg", "altitude": "m", "satellites": ""}
    options: ClassVar[Mapping[str, Any]] = {"baud": 9600, "frame": "line", "parse": "nmea", "sentence": "GGA"}

    def values(self, row: int) -> tuple[float, ...]:
        """Position on the circle, in steps of 1e-5 minutes (about 2 cm) as it is printed."""
        angle = row / self.rate / 120 * 2 * math.pi
        lat = 47.07 + math.cos(angle) * 100 / 111_320
        lon = -15.42 + math.sin(angle) * 100 / 75_900
        altitude = 353 + round(_noise(self.seed, row).gauss(0, 0.5), 1)
        return _printed(lat), _printed(lon), round(altitude, 1), 8 + row // 50 % 4

    def encode(self, row: int) -> bytes:
        """The row's GGA sentence, and one of another type after it."""
        lat, lon, altitude, satellites = self.values(row)
        seconds = row / self.rate
        clock = f"{int(seconds // 3600) % 24:02d}{int(seconds // 60) % 60:02d}{seconds % 60:06.3f}"
        position = f"{_minutes(lat, 2)},{'NS'[lat < 0]},{_minutes(lon, 3)},{'EW'[lon < 0]}"
        fix = sentence(f"GPGGA,{clock},{position},1,{satellites:.0f},0.9,{altitude:.1f},M,46.9,M,,")
        return fix + b"\r\n" + sentence(f"GPGSA,A,3,{row % 32 + 1},,,,,,,,,,,,1.8,0.9,1.5") + b"\r\n"


@dataclass(frozen=True)
class Imu:
    """A motion sensor that sends packed int16 with a counter: sync bytes and CRC, or COBS (`stuffed`)."""

    seed: int = 0
    rate: float = 200.0
    stuffed: bool = False
    channels: ClassVar[Mapping[str, str]] = {
        "ax": "m/s2",
        "ay": "m/s2",
        "az": "m/s2",
        "gx": "",
        "gy": "",
        "gz": "",
    }
    options: Mapping[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        frame = {"frame": "cobs"} if self.stuffed else {"frame": "struct", "sync": "aa55"}
        packed = {"format": "<I6h", "fields": ("number", *self.channels), "crc": "crc16-ccitt"}
        object.__setattr__(self, "options", {"baud": 115_200, **frame, **packed})

    def values(self, row: int) -> tuple[float, ...]:
        """Swinging at 1 Hz, with noise."""
        noise = _noise(self.seed, row)
        swing = math.sin(2 * math.pi * row / self.rate)
        means = (2000 * swing, 0.0, 16_384.0, 0.0, 300 * swing, 0.0)
        return tuple(round(mean + noise.gauss(0, 20)) for mean in means)

    def encode(self, row: int) -> bytes:
        """Counter, acceleration and rotation, checked and framed."""
        payload = struct.pack("<I6h", row % 2**32, *self.values(row))
        checked = payload + make_crc("crc16-ccitt").pack(payload, "little")
        return cobs.encode(checked) + b"\0" if self.stuffed else b"\xaa\x55" + checked


def make_instrument(kind: str, seed: int = 0) -> Instrument:
    """The instrument of that kind, one of INSTRUMENTS."""
    return INSTRUMENTS[kind](seed)


INSTRUMENTS: dict[str, Callable[[int], Instrument]] = {
    "oximeter": Oximeter,
    "gps": Gps,
    "imu": Imu,
    "imu_cobs": lambda seed: Imu(seed, stuffed=True),
}


def _noise(seed: int, row: int) -> random.Random:
    return random.Random(seed << 40 ^ row)


def _printed(degrees: float) -> float:
    """The angle as it comes back from `ddmm.mmmmm`."""
    sign = -1 if degrees < 0 else 1
    whole, part = divmod(abs(degrees), 1)
    return sign * (whole + round(part * 60, 5) / 60)


def _minutes(degrees: float, width: int) -> str:
    """`ddmm.mmmmm`."""
    whole, part = divmod(abs(degrees), 1)
    return f"{int(whole):0{width}d}{part * 60:08.5f}"
