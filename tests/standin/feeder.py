"""Plays the kernel for an IIO device made of files: a converter, its driver, and the kfifo behind its node.

Usage: feeder.py DEVICE_DIR FIFO RATE [CHUNK [JITTER_US]]

While `buffer/enable` holds 1 it makes frames at RATE and writes the enabled channels into the FIFO, CHUNK at a
time, as the layout of `scan_elements` says (numpy's aligned structures, not the code under test). As a kfifo
does, it holds `buffer/length` frames rounded up to a power of two, and drops new frames without a word while
that many wait. Frame n has n's low 12 bits in voltage0 and the next 12 in voltage1; time stamps are
CLOCK_MONOTONIC, late by up to JITTER_US.

Commands on stdin: `skip N` the hardware loses N frames; `stall MS` the trigger stops for that long and then
catches up with nothing; `run N` makes N more frames before the next command; `unplug` ends the FIFO; `quit` prints
the counts.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import select
import struct
import sys
import termios
import time
from pathlib import Path
from typing import Any

import numpy as np

TICK_S = 0.004
F_SETPIPE_SZ = 1031
ATOMIC = 4096


class Converter:
    """The device's state, as its files have it, and the frames it makes."""

    def __init__(self, device: Path, node: Path, rate: float, chunk: int, jitter_us: float) -> None:
        self.device = device
        self.period_ns = 1e9 / rate
        self.chunk = chunk
        self.jitter_ns = jitter_us * 1000
        self.random = np.random.default_rng(1)
        self.fifo = os.open(node, os.O_RDWR | os.O_NONBLOCK)
        self.made = 0
        self.due_ns = 0.0
        self.refused = 0
        self.skipped = 0
        self.running = False
        self.seen: tuple[int, str] = (0, "")

    def read(self, attribute: str) -> str:
        return (self.device / attribute).read_text().strip()

    def watch(self) -> None:
        """Start and stop as `buffer/enable` says; a new write of the same value counts too."""
        state = ((self.device / "buffer/enable").stat().st_mtime_ns, self.read("buffer/enable"))
        if state == self.seen or state[1] not in ("0", "1"):
            return
        self.seen = state
        self.running = state[1] == "1"
        self.drain()
        if self.running:
            self.prepare()

    def drain(self) -> None:
        try:
            while os.read(self.fifo, 1 << 20):
                pass
        except BlockingIOError:
            pass

    def prepare(self) -> None:
        enabled = [
            path.name.removesuffix("_en")
            for path in (self.device / "scan_elements").glob("*_en")
            if path.read_text().strip() == "1"
        ]
        if not enabled:
            self.running = False  # the kernel answers EINVAL
            return
        enabled.sort(key=lambda name: int(self.read(f"scan_elements/{name}_index")))
        self.layout = np.dtype(
            [(name, numpy_type(self.read(f"scan_elements/{name}_type"))) for name in enabled], align=True
        )
        self.shifts = {
            name: int(self.read(f"scan_elements/{name}_type").partition(">>")[2] or 0) for name in enabled
        }
        length = int(self.read("buffer/length"))
        self.capacity = 1 << max(0, length - 1).bit_length()
        wanted = max(4096, 2 * self.capacity * self.layout.itemsize)
        try:
            fcntl.fcntl(self.fifo, F_SETPIPE_SZ, wanted)
        except PermissionError:
            fcntl.fcntl(self.fifo, F_SETPIPE_SZ, min(wanted, 1 << 20))
        now = time.monotonic_ns()
        if not self.due_ns:
            self.due_ns = now + self.period_ns
        self.skip(max(0, int((now - self.due_ns) / self.period_ns) + 1))

    def frames(self, first: int, count: int, first_ns: float) -> Any:
        scans = np.zeros(count, self.layout)
        numbers = first + np.arange(count, dtype=np.int64)
        for name in self.layout.names or ():
            if name == "in_timestamp":
                late = self.random.random(count) * self.jitter_ns
                scans[name] = (first_ns + np.arange(count) * self.period_ns + late).astype(np.int64)
            else:
                scans[name] = value(name, numbers) << self.shifts[name]
        return scans

    def run(self) -> None:
        """Make what is due."""
        while self.running and time.monotonic_ns() >= self.due_ns + (self.chunk - 1) * self.period_ns:
            scans = self.frames(self.made, self.chunk, self.due_ns)
            waiting = struct.unpack("i", fcntl.ioctl(self.fifo, termios.FIONREAD, bytes(4)))[0]
            room = max(0, self.capacity - waiting // self.layout.itemsize)
            accepted = scans[:room].tobytes()
            for begin in range(0, len(accepted), ATOMIC // self.layout.itemsize * self.layout.itemsize):
                os.write(
                    self.fifo, accepted[begin : begin + ATOMIC // self.layout.itemsize * self.layout.itemsize]
                )
            self.refused += max(0, self.chunk - room)
            self.made += self.chunk
            self.due_ns += self.chunk * self.period_ns

    def skip(self, frames: int) -> None:
        self.made += frames
        self.skipped += frames
        self.due_ns += frames * self.period_ns

    def pause_s(self) -> float:
        if not self.running:
            return TICK_S
        ahead = self.due_ns + (self.chunk - 1) * self.period_ns - time.monotonic_ns()
        return float(min(TICK_S, max(0.0, ahead / 1e9)))


def numpy_type(text: str) -> str:
    match = re.match(r"(le|be):([us])\d+/(\d+)", text)
    assert match is not None, text
    return f"{'<' if match[1] == 'le' else '>'}{'i' if match[2] == 's' else 'u'}{int(match[3]) // 8}"


def value(name: str, numbers: Any) -> Any:
    line = int(re.sub(r"\D", "", name) or 0)
    if line == 0:
        return numbers & 0xFFF
    if line == 1:
        return numbers >> 12 & 0xFFF
    return numbers * 7 + line * 101 & 0xFFF


def main() -> None:
    device, node, rate, *rest = sys.argv[1:]
    converter = Converter(
        Path(device), Path(node), float(rate), int(rest[0]) if rest else 1, float(rest[1]) if len(rest) > 1 else 0
    )
    print("ready", flush=True)
    while True:
        converter.watch()
        converter.run()
        if select.select([sys.stdin], [], [], converter.pause_s())[0]:
            word, *arguments = (sys.stdin.readline() or "quit").split()
            if word == "quit":
                break
            if word == "skip":
                converter.skip(int(arguments[0]))
            elif word == "stall":
                time.sleep(float(arguments[0]) / 1000)
                missed = int((time.monotonic_ns() - converter.due_ns) / converter.period_ns)
                converter.skip(max(0, missed))
            elif word == "run":
                enough = converter.made + int(arguments[0])
                while converter.made < enough:
                    time.sleep(converter.pause_s())
                    converter.run()
            elif word == "unplug":
                os.close(converter.fifo)
                converter.running = False
                print("done", flush=True)
                sys.stdin.readline()
                break
            print("done", flush=True)
    counts = {"made": converter.made, "refused": converter.refused, "skipped": converter.skipped}
    print(json.dumps(counts), flush=True)


if __name__ == "__main__":
    main()
