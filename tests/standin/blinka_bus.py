"""An I2C bus of the Linux kernel, with models of chips on it, for Blinka on a machine that has neither.

Blinka, PureIO, the bus device and the chips' drivers are the real ones: what stands in is `/dev/i2c-N` itself,
its `open`, `read`, `write` and `ioctl`, with the errors of the kernel's i2c-dev interface
(Documentation/i2c/dev-interface.rst, fault-codes.rst).
"""

from __future__ import annotations

import errno
import struct
from ctypes import c_uint8
from typing import Any

from Adafruit_PureIO import smbus


class Chip:
    """Registers of some width behind a pointer, with what reads and writes do to it; what is written stays."""

    width = 1
    steps = True
    """Whether the pointer goes on to the next register while bytes are read."""

    def __init__(self) -> None:
        self.registers: dict[int, int] = {}
        self.pointer = 0
        self.reads = 0
        """Read transactions."""

    def write(self, data: bytes) -> None:
        """A write transaction: the pointer, then values."""
        if not data:
            return
        self.pointer = data[0] & 0x7F
        values = data[1:]
        for at in range(0, len(values) - self.width + 1, self.width):
            self.store(self.pointer + at // self.width, int.from_bytes(values[at : at + self.width], "big"))

    def read(self, count: int) -> bytes:
        """A read transaction from the pointer onwards."""
        self.reads += 1
        data = b""
        register = self.pointer
        while len(data) < count:
            data += self.load(register).to_bytes(self.width, "big")
            register += self.steps
        return data[:count]

    def store(self, register: int, value: int) -> None:
        """A register is written."""
        self.registers[register] = value

    def load(self, register: int) -> int:
        """A register is read."""
        return self.registers.get(register, 0)


class Ads1115(Chip):
    """TI's four-channel 16-bit ADC (SBAS444): a conversion takes one look at its busy bit."""

    width = 2
    steps = False
    RANGES = {0: 6.144, 1: 4.096, 2: 2.048, 3: 1.024, 4: 0.512, 5: 0.256}
    PAIRS = {0: (0, 1), 1: (0, 3), 2: (1, 3), 3: (2, 3)}

    def __init__(self) -> None:
        super().__init__()
        self.volts = [0.0, 0.0, 0.0, 0.0]
        self.conversions = 0
        self._busy = False

    def store(self, register: int, value: int) -> None:
        super().store(register, value)
        if register == 1 and value & 0x8000:
            self._busy = True
            self.conversions += 1
            self.registers[0] = self._code(value >> 12 & 7, value >> 9 & 7) & 0xFFFF

    def load(self, register: int) -> int:
        value = super().load(register)
        if register != 1:
            return value
        busy, self._busy = self._busy, False
        return value & 0x7FFF if busy else value | 0x8000

    def _code(self, inputs: int, gain: int) -> int:
        if inputs in self.PAIRS:
            plus, minus = self.PAIRS[inputs]
            volts = self.volts[plus] - self.volts[minus]
        else:
            volts = self.volts[inputs - 4]
        return max(-32768, min(32767, round(volts / self.RANGES[gain] * 32768)))


class Mcp9808(Chip):
    """Microchip's thermometer (DS25095)."""

    width = 2
    steps = False

    def __init__(self) -> None:
        super().__init__()
        self.registers = {6: 0x0054, 7: 0x0400}
        self.celsius = 21.5

    def load(self, register: int) -> int:
        return round(self.celsius * 16) & 0x1FFF if register == 5 else super().load(register)


class Lis3dh(Chip):
    """ST's accelerometer (LIS3DH data sheet): at +-2 g, 16380 counts are 1 g, as its driver has it."""

    def __init__(self) -> None:
        super().__init__()
        self.registers = {0x0F: 0x33}

    def move(self, x: int, y: int, z: int) -> None:
        """Counts of the three axes."""
        self.registers |= {0x28 + place: byte for place, byte in enumerate(struct.pack("<3h", x, y, z))}


class KernelBus:
    """`/dev/i2c-2`, the BeagleBone's I2C2, and what is on it."""

    def __init__(self, number: int = 2) -> None:
        self.path = f"/dev/i2c-{number}"
        self.chips: dict[int, Chip] = {}
        self.there = True
        """Whether the device node exists."""
        self.failures = 0
        """So many of the next transactions fail, as with a loose wire."""
        self.opened = 0
        self.closed = 0
        self._files: dict[int, KernelFile] = {}

    def install(self) -> None:
        """Take the place of the kernel under PureIO."""
        namespace: Any = smbus
        namespace.open = self.open
        namespace.ioctl = self.ioctl

    def open(self, path: str, _mode: str, buffering: int) -> KernelFile:
        """open(2)."""
        assert buffering == 0
        if path != self.path or not self.there:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", path)
        self.opened += 1
        file = KernelFile(self, 10_000 + self.opened)
        self._files[file.number] = file
        return file

    def ioctl(self, number: int, request: int, argument: Any) -> int:
        """ioctl(2): I2C_SLAVE and I2C_RDWR."""
        if request == smbus.I2C_SLAVE:
            self._files[number].address = argument
            return 0
        if request != smbus.I2C_RDWR:
            raise OSError(errno.ENOTTY, "Inappropriate ioctl for device")
        for at in range(argument.nmsgs):
            message = argument.msgs[at]
            chip = self.chip_at(message.addr)
            if message.flags & smbus.I2C_M_RD:
                for place, byte in enumerate(chip.read(message.len)):
                    message.buf[place] = c_uint8(byte)
            else:
                chip.write(bytes(message.buf[: message.len]))
        return int(argument.nmsgs)

    def chip_at(self, address: int) -> Chip:
        """The chip that acknowledges; the kernel's error if none does."""
        if self.failures > 0:
            self.failures -= 1
            raise OSError(errno.ETIMEDOUT, "Connection timed out")
        if address not in self.chips:
            raise OSError(errno.EREMOTEIO, "Remote I/O error")
        return self.chips[address]


class KernelFile:
    """An open `/dev/i2c-N`."""

    def __init__(self, bus: KernelBus, number: int) -> None:
        self.number = number
        self.address = 0
        self._bus = bus

    def fileno(self) -> int:
        """The number that ioctl wants."""
        return self.number

    def read(self, count: int) -> bytes:
        """read(2)."""
        return self._bus.chip_at(self.address).read(count)

    def write(self, data: bytes) -> int:
        """write(2)."""
        self._bus.chip_at(self.address).write(bytes(data))
        return len(data)

    def close(self) -> None:
        """close(2)."""
        self._bus.closed += 1
