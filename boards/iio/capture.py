"""Buffered capture: the kernel paces and stores, Headwater reads whole blocks from `/dev/iio:deviceN`."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from boards.base import READ_PATIENCE_S, Block, LossReason, Samples, SampleSource, SourceRequest
from boards.errors import LimitExceeded, SourceLost
from boards.iio import am335x
from boards.iio.arrivals import ArrivalClock, measure_period
from boards.iio.options import CaptureOptions
from boards.iio.resample import Reducer, Run
from boards.iio.scan import TIMESTAMP, ScanLayout
from boards.iio.stamps import StampClock
from boards.iio.sysfs import IioDevice
from boards.iio.tap import Tap
from boards.timeline import NS

log = logging.getLogger(__name__)

MEASURE_S = 0.3
MEASURE_FRAMES = 16
MEASURE_AT_MOST_S = 3.0
"""How long a device's real rate is measured when it starts; longer if fewer frames come."""

NEAR = 0.01
"""How far a measured rate may be from the stream's to be the same, if the device does not say what it is."""

SLOPPY = 0.1
"""And if it does: the clocks inside many sensors are no better, and the time of each block tells the truth."""

MOST_OF_A_BLOCK = 0.75


class BufferedSource(SampleSource):
    """Frames captured by the kernel, with what its buffer dropped counted.

    Where the device has time stamps, a loss is exact in place and number. Where it has none (ti_am335x_adc),
    its place is known from the buffer having been full, and its number from the clock, to a few frames.
    """

    def __init__(
        self, device: IioDevice, request: SourceRequest, columns: Sequence[str], options: CaptureOptions
    ) -> None:
        """`columns` are the names of the values to capture, one for each of the request's channels."""
        super().__init__(request)
        if request.rate is None or request.rate <= 0:
            raise LimitExceeded(
                f"{device.id} ({device.name}): a captured stream needs a rate; found {request.rate}"
            )
        self._rate = request.rate
        self._reduction = options.reduce
        self._width = len(columns)
        wanted = {name.split("[")[0] for name in columns}
        if device.has("current_timestamp_clock"):
            wanted.add(TIMESTAMP)
        elements = [element for element in device.elements() if element.name in wanted]
        self._layout = ScanLayout(elements, columns)
        self.dtype = self._layout.dtype
        self._tap = Tap(device, elements, self._layout.size, request.rate, options)
        self._away = False
        self._next = 0
        self._next_ns: float | None = None

    def open(self) -> None:
        self._tap.close()
        if not self._away:
            self._next, self._next_ns = 0, None
        self._ready: deque[Block] = deque()
        self._failure: SourceLost | None = None
        self._base: int | None = None
        self._held: list[Samples] = []
        self._held_stamps = np.empty(0, np.int64)
        self._held_since: int | None = None
        self._tap.open(self.request.block_frames)
        try:
            self._start()
        except BaseException:
            self._tap.close()
            raise

    def close(self) -> None:
        self._tap.close()

    def read(self) -> Block:
        if not self._ready:
            if self._failure is not None:
                raise self._failure
            self._collect()
        if self._ready:
            return self._ready.popleft()
        return Block(np.empty((0, self._width), self.dtype), time.monotonic_ns())

    # The device's rate

    def _start(self) -> None:
        expected = self._tap.declared or self._rate
        self._arrivals = self._measured_clock(float(expected), MEASURE_S)
        native = self._native_rate(1e9 / self._arrivals.period_ns)
        if native != expected:  # a surprise is looked at for longer, as the machine may have been busy
            self._arrivals = self._measured_clock(float(expected), MEASURE_AT_MOST_S)
            native = self._native_rate(1e9 / self._arrivals.period_ns)
        if self._tap.declared and abs(float(native / self._tap.declared) - 1) > NEAR:
            device = self._tap.device
            log.warning("%s says %g Hz, and delivers %.6g Hz", device.id, self._tap.declared, native)
        if am335x.is_am335x(self._tap.device):
            self._arrivals.period_ns = float(NS / native)
        self._stamps = StampClock(self._arrivals.period_ns) if self._layout.timestamp is not None else None
        if native < self._rate:
            device = self._tap.device
            raise LimitExceeded(
                f"{device.id} ({device.name}) delivers {float(native):.6g} Hz ({native}) with "
                f"{len(self._tap.channels)} channel(s); {float(self._rate):g} Hz was asked for"
            )
        self._reducer = Reducer(native / self._rate, self._reduction)

    def _measured_clock(self, expected: float, seconds: float) -> ArrivalClock:
        """A clock of the device's real rate, after it ran for a moment; the frames of that time get no numbers."""
        reads: list[tuple[int, int]] = []
        stamps = [np.empty(0, np.int64)]
        total = 0
        enough = time.monotonic_ns() + int(min(max(seconds, MEASURE_FRAMES / expected), MEASURE_AT_MOST_S) * NS)
        while time.monotonic_ns() < enough or len(reads) < 2:
            self._tap.wait(0)
            scans, now, _ = self._tap.read()
            if len(scans):
                total += len(scans) // self._layout.size
                reads.append((total, now))
                if self._layout.timestamp is not None:
                    stamps.append(self._layout.stamps(scans))
            elif now > enough and not reads:
                device = self._tap.device
                trigger = device.read("trigger/current_trigger")
                why = f": does its trigger {trigger!r} fire at {expected:g} Hz?" if trigger else ""
                raise SourceLost(f"{device.id} ({device.name}) captures nothing{why}")
        known = np.concatenate(stamps)
        counts, times = zip(*reads, strict=True)
        period = measure_period(range(len(known)), known) if len(known) > 1 else measure_period(counts, times)
        return ArrivalClock.measured(reads, period)

    def _native_rate(self, measured: float) -> Fraction:
        """The device's rate, exactly if it says what it is."""
        device = self._tap.device
        if am335x.is_am335x(device):
            return am335x.snapped(device, self._tap.channels, measured)
        declared = self._tap.declared or self._rate
        if abs(measured / float(declared) - 1) < (SLOPPY if self._tap.declared else NEAR):
            return declared
        return Fraction(measured).limit_denominator(1000)

    # From scans to blocks

    def _collect(self) -> None:
        """Wait for scans, and make blocks of those whose numbers are known."""
        try:
            fresh = self._wait()
            scans, now, full = self._tap.read()
        except SourceLost as error:
            self._away = True
            self._emit(self._last_runs())
            if not self._ready:
                raise
            self._failure = error  # what came before it is handed over first
            return
        frames = self._layout.frames(scans)
        if self._stamps is not None:
            self._emit(self._by_stamps(self._stamps, frames, self._layout.stamps(scans), now))
        else:
            self._emit(self._by_arrival(frames, self._arrivals.arrived(len(frames), now, full, fresh)))
        if self._arrivals.behind:
            log.warning("%s lost frames inside its hardware; the capture is started again", self._tap.device.id)
            self._tap.restart()
            self._arrivals.restart()

    def _wait(self) -> bool:
        clock = self._stamps or self._arrivals
        if clock.wants_fresh(time.monotonic_ns()):
            return self._tap.wait(0)
        return self._tap.wait(clock.time_ns(clock.index + MOST_OF_A_BLOCK * self._tap.want))

    def _by_arrival(self, frames: Samples, lost: int | None) -> list[Run]:
        """What is held and these, numbered; `lost` were lost before them, and None says that more are to come.

        A loss that a full buffer announces comes after its frames, and is told with the next ones.
        """
        self._held.append(frames)
        if lost is None:
            return []
        known = np.concatenate(self._held) if len(self._held) > 1 else frames
        self._held.clear()
        return [Run(self._arrivals.index - len(known), known)]

    def _by_stamps(self, clock: StampClock, frames: Samples, stamps: NDArray[np.int64], now: int) -> list[Run]:
        """What is held and these, as far as their numbers are certain, as runs without a gap."""
        if self._held:
            frames = np.concatenate([*self._held, frames])
            stamps = np.concatenate([self._held_stamps, stamps])
            self._held.clear()
        patient = self._held_since is None or now - self._held_since < READ_PATIENCE_S * NS
        numbers = clock.number(stamps, hold=patient)
        known = len(numbers)
        if known == len(frames):
            self._held_since = None
        else:
            self._held.append(frames[known:])
            self._held_stamps = stamps[known:]
            self._held_since = self._held_since or now
        borders = [0, *(np.flatnonzero(np.diff(numbers) != 1) + 1).tolist(), known]
        return [Run(int(numbers[a]), frames[a:b]) for a, b in pairwise(borders) if b > a]

    def _last_runs(self) -> list[Run]:
        """The frames that were held, when no more will come."""
        if not self._held:
            return []
        nothing = self._held[0][:0]
        if self._stamps is None:
            return self._by_arrival(nothing, self._arrivals.settle())
        self._held_since = 0
        return self._by_stamps(self._stamps, nothing, np.empty(0, np.int64), time.monotonic_ns())

    def _emit(self, runs: list[Run]) -> None:
        for run in runs:
            reduced = self._reducer.reduce(run)
            if reduced is not None and len(reduced.frames):
                self._ready.append(self._block(reduced))

    def _block(self, run: Run) -> Block:
        clock = self._stamps or self._arrivals
        stamp = clock.time_ns(float(self._reducer.centre(run.index)))
        reason: LossReason = "overrun"
        if self._base is None:
            first, reason = self._place(stamp), "unplugged"
            self._base = first - run.index
        index = self._base + run.index
        block = Block(run.frames, stamp, index - self._next, reason)
        self._next = index + len(run.frames)
        self._next_ns = stamp + len(run.frames) * float(NS / self._rate)
        self._away = False
        return block

    def _place(self, stamp: int) -> int:
        """The number of the first frame: that of the first that ever was, or of one after the device was away."""
        if self._next_ns is None:
            return 0
        return self._next + max(0, round((stamp - self._next_ns) * float(self._rate) / NS))
