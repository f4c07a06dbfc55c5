"""A serial instrument as a sample source: the thin shell around port and decoder."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from boards.base import READ_PATIENCE_S, Block, Channel, SampleSource, SourceRequest
from boards.errors import BadOption, LimitExceeded, SourceLost
from boards.options import parse_options
from boards.serial.counters import Counters
from boards.serial.decoder import Decoder
from boards.serial.framers import make_framer
from boards.serial.losses import CountByNumber, CountRefusals, LossCounter, wraps_at
from boards.serial.options import SerialOptions
from boards.serial.parsers import make_parser
from boards.serial.port import Port, has_no_wire
from boards.serial.simulated import is_simulated
from boards.serial.wire import WireClock

log = logging.getLogger(__name__)


def open_serial_source(request: SourceRequest, options: Mapping[str, Any]) -> SerialSource:
    """The source for `[stream.serial]` options; the caller opens it.

    Raises BadOption, UnknownInput or LimitExceeded for what can't be.
    """
    return SerialSource(request, parse_options(SerialOptions, options, "serial"))


class SerialSource(SampleSource):
    """Rows as they come, each with the time at which its first byte began on the wire.

    Only unplugging raises SourceLost; whatever comes over the wire does not. `open()` after that looks the
    port up again, so an instrument may come back under another path if it is named by its USB id.
    """

    def __init__(self, request: SourceRequest, options: SerialOptions) -> None:
        super().__init__(request)
        if request.rate is not None:
            raise LimitExceeded(
                "a serial stream is irregular, as the instrument paces it: "
                f"leave out its rate ({float(request.rate):g} Hz)"
            )
        for channel in request.channels:
            if channel.options:
                raise BadOption(
                    f"channel {channel.name!r}: {', '.join(channel.options)}: a serial channel has no options"
                )
        is_simulated(options.port)  # refuses kinds that there are not
        self.options = options
        self.counters = Counters()
        numbers = [Channel("", options.sequence)] if options.sequence else []
        self._parser = make_parser(options, [*request.channels, *numbers])
        self.dtype: DTypeLike = make_parser(options, request.channels).dtype
        self._port: Port | None = None
        self._decoder: Decoder | None = None
        self._losses = self._make_losses(numbers)
        self._ready: deque[Block] = deque()
        self._lost: SourceLost | None = None

    def open(self) -> None:
        self._close_port()
        self._port = Port(self.options)
        self._losses.opened(again=self._lost is not None)
        self._lost = None
        self._decoder = self._make_decoder(self._port.name)
        self.counters.opened += 1

    def _make_losses(self, numbers: Sequence[Channel]) -> LossCounter:
        if not numbers:
            return CountRefusals()
        modulo = self.options.sequence_modulo or wraps_at(make_parser(self.options, numbers).dtype)
        return CountByNumber(modulo, self.counters)

    def _make_decoder(self, port: str) -> Decoder:
        options = self.options
        corrected = options.timing == "wire" or (options.timing == "auto" and not has_no_wire(port))
        return Decoder(
            make_framer(options),
            self._parser,
            WireClock(options.byte_ns if corrected else 0, time.monotonic_ns()),
            self._losses,
            channels=len(self.request.channels),
            dtype=self.dtype,
            counters=self.counters,
            encoding=options.encoding,
            ignore=options.ignore,
            skip=options.skip,
        )

    def read(self) -> Block:
        deadline = time.monotonic() + READ_PATIENCE_S
        while not self._ready and self._lost is None:
            patience_s = deadline - time.monotonic()
            if patience_s <= 0:
                break
            self._read_port(patience_s)
        if self._ready:
            return self._ready.popleft()
        if self._lost is not None:
            raise self._lost
        return self._nothing()

    def _read_port(self, patience_s: float) -> None:
        if self._port is None or self._decoder is None:
            raise SourceLost("the serial source is not open")
        try:
            chunk = self._port.read(patience_s)
        except SourceLost as error:
            self._lost = error
            self.counters.unplugged += 1
            self._ready.extend(self._decoder.cut(time.monotonic_ns()))
            return
        if chunk:
            self._ready.extend(self._decoder.feed(chunk, time.monotonic_ns()))
        warning = self._decoder.take_warning()
        if warning:
            log.warning("%s: %s; are baud (%d) and frame right?", self._port.name, warning, self.options.baud)

    def _nothing(self) -> Block:
        frames = np.empty((0, len(self.request.channels)), dtype=self.dtype)
        return Block(frames, time.monotonic_ns(), offsets_ns=np.empty(0, dtype=np.int64))

    def close(self) -> None:
        self._close_port()
        self._ready.clear()

    def _close_port(self) -> None:
        if self._port is not None:
            self._port.close()
        self._port = None
        self._decoder = None
