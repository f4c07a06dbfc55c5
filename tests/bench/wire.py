"""Bytes a sample: Headwater's codecs beside what else is used for samples over MQTT."""

from __future__ import annotations

import json
from fractions import Fraction

import numpy as np

from gateway.codec import CODECS
from gateway.model import Batch
from tests.bench.report import Report

FRAMES = 250


def benchmark(runs: int) -> Report:
    """One batch of 250 frames of a 12-bit signal, one channel; sizes do not vary, so one run is enough."""
    del runs
    data = (2048 + 1000 * np.sin(np.arange(FRAMES) / 20)).astype(np.int16).reshape(FRAMES, 1)
    batch = Batch(
        1 << 32, 1_000_000, 1_795_000_000_000_000_000, 86_400_000_000_000, data, Fraction(500), 100_000, None, 1
    )
    report = Report(f"Wire: one batch of {FRAMES} x int16", ("bytes", "bytes a sample", "overhead"))
    sizes = {f"headwater {codec.name}": len(codec.encode(batch)) for codec in CODECS.values()}
    sizes["SenML JSON (RFC 8428)"] = len(_senml(batch))
    sizes["array-1.0 (mflow)"] = len(_array_1_0(batch)) + data.nbytes
    sizes["one JSON publish a sample"] = sum(len(_single(batch, number)) for number in range(FRAMES))
    for name, size in sizes.items():
        figures = {"bytes": size, "bytes a sample": size / FRAMES, "overhead": size - data.nbytes}
        report.rows.append((name, figures))
    report.notes = ["MQTT's own header and topic are not counted; mflow's is its JSON part and the raw array."]
    return report


def _senml(batch: Batch) -> str:
    start = batch.utc_ns / 1e9
    first = {"bn": "urn:dev:bbb1:ecg", "bt": start, "bu": "mV"}
    rows = [{"t": round(number / 500, 3), "v": int(value)} for number, value in enumerate(batch.data[:, 0])]
    return json.dumps([first | rows[0], *rows[1:]], separators=(",", ":"))


def _array_1_0(batch: Batch) -> str:
    shape = list(batch.data.shape)
    header = {"htype": "array-1.0", "shape": shape, "type": "int16", "frame": batch.index, "endianness": "little"}
    return json.dumps(header, separators=(",", ":"))


def _single(batch: Batch, number: int) -> str:
    return json.dumps(
        {"t": batch.utc_ns + number * 2_000_000, "v": int(batch.data[number, 0])}, separators=(",", ":")
    )
