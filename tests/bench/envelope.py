"""Envelopes: 100 viewers of 200 kS/s, against giving all samples to each."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from fractions import Fraction

import numpy as np

from gateway.codec import CODECS
from gateway.model import Batch
from gateway.relay.envelope import LiveRequest, StreamEnvelope
from tests.bench.report import Report

CHANNELS = 8
VIEWERS = 100
REFRESHES = 30
SECONDS = 10
WINDOW_S = 10
WIDTH = 1000
START_NS = 1_700_000_000_000_000_000


def benchmark(runs: int) -> Report:
    """CPU for a second of stream, and the bytes that all viewers get; each viewer's bytes are copied once."""
    columns = ("CPU ms/s", "MB/s", "computed/s", "pyramid MB")
    report = Report(
        f"Envelope: {CHANNELS} ch, {VIEWERS} viewers, {REFRESHES} frames/s, {WINDOW_S} s on {WIDTH} pixels",
        columns,
    )
    subjects: dict[str, Callable[[], Mapping[str, float]]] = {
        "envelope, 25 kHz, equal requests": lambda: _envelope(25_000, 1),
        "envelope, 25 kHz, ten requests": lambda: _envelope(25_000, 10),
        "envelope, 25 kHz, a request each": lambda: _envelope(25_000, VIEWERS),
        "envelope, 1 kHz, a request each": lambda: _envelope(1000, VIEWERS),
        "whole windows, 25 kHz, equal requests": lambda: _envelope(25_000, 1, whole=True),
        "raw, 25 kHz": lambda: _raw(25_000),
        "taking the batches alone, 25 kHz": lambda: _envelope(25_000, 0),
    }
    for name, run in subjects.items():
        report.add(name, [run() for _ in range(runs)])
    report.notes = [
        f"Medians of {runs} runs of {SECONDS} s of stream; a batch for each refresh. Decoding is included in all.",
        "Each viewer gets the buckets that changed; `whole windows` sends all 10 s at each refresh instead.",
        "No sockets: a delivery is one copy of the bytes. Requests that differ have different widths.",
    ]
    return report


def _payloads(rate: int) -> list[bytes]:
    frames, made = rate // REFRESHES, []
    noise = np.random.default_rng(1).integers(-2000, 2000, (frames, CHANNELS)).astype(np.int16)
    for number in range((WINDOW_S + SECONDS) * REFRESHES):
        index = number * frames
        batch = Batch(1, index, START_NS + index * 1_000_000_000 // rate, 0, noise, Fraction(rate))
        made.append(CODECS["cbor"].encode(batch))
    return made


def _decoded(payload: bytes) -> Batch:
    message = CODECS["cbor"].decode(payload)
    assert isinstance(message, Batch)
    return message


def _envelope(rate: int, requests: int, *, whole: bool = False) -> Mapping[str, float]:
    payloads, stream = _payloads(rate), StreamEnvelope()
    warm, measured = payloads[: WINDOW_S * REFRESHES], payloads[WINDOW_S * REFRESHES :]
    for payload in warm:
        stream.add(_decoded(payload))
    wanted = [LiveRequest(WINDOW_S, WIDTH + number % requests) for number in range(VIEWERS)] if requests else []
    delivered = 0
    begin = time.process_time()
    for payload in measured:
        seen = None if whole else stream.cursor
        stream.add(_decoded(payload))
        for request in wanted:
            delivered += len(bytearray(stream.live(request, seen) or b""))
    cpu = time.process_time() - begin
    return {
        "CPU ms/s": cpu * 1e3 / SECONDS,
        "MB/s": delivered / SECONDS / 1e6,
        "computed/s": stream.computed / SECONDS,
        "pyramid MB": stream.nbytes / 1e6,
    }


def _raw(rate: int) -> Mapping[str, float]:
    measured, delivered = _payloads(rate)[WINDOW_S * REFRESHES :], 0
    begin = time.process_time()
    for payload in measured:
        _decoded(payload)
        for _ in range(VIEWERS):
            delivered += len(bytearray(payload))
    cpu = time.process_time() - begin
    return {"CPU ms/s": cpu * 1e3 / SECONDS, "MB/s": delivered / SECONDS / 1e6}
