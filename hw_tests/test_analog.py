"""Voltages that are known: ground, the reference, and a PWM behind an RC low-pass."""

from __future__ import annotations

import time
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from boards.base import Channel, SourceRequest
from boards.beaglebone import BeagleBoneBoard
from boards.beaglebone.library import module
from hw_tests.wiring import (
    GROUND_PIN,
    PWM_HZ,
    PWM_PIN,
    RC_FULL_V,
    RC_PIN,
    RC_TIME_S,
    REFERENCE_PIN,
)


@pytest.fixture
def pwm() -> Iterator[Any]:
    """Adafruit_BBIO's PWM on its pin; call with the duty in per cent."""
    library = module("PWM")
    library.start(PWM_PIN, 0, PWM_HZ)
    yield lambda duty: library.set_duty_cycle(PWM_PIN, duty)
    library.stop(PWM_PIN)


def read(board: BeagleBoneBoard, rate: int, seconds: float, *pins: str) -> Any:
    """Volts, shape (frames, pins)."""
    channels = tuple(Channel(pin, pin) for pin in pins)
    blocks, frames = [], 0
    with board.open_source(SourceRequest(channels, Fraction(rate), max(1, rate // 10))) as source:
        while frames < rate * seconds:
            block = source.read()
            blocks.append(block.frames)
            frames += len(block.frames)
    return np.concatenate(blocks) * board.find_input(pins[0]).scale


@pytest.mark.parametrize("rate", [100, 1000], ids=["polled", "captured"])
def test_ground_is_0_and_the_reference_is_full_scale(board: BeagleBoneBoard, rate: int) -> None:
    volts = read(board, rate, 1, GROUND_PIN, REFERENCE_PIN)
    assert np.median(volts[:, 0]) == pytest.approx(0, abs=0.02)
    assert np.median(volts[:, 1]) == pytest.approx(1.8, abs=0.02)


@pytest.mark.parametrize("rate", [100, 1000], ids=["polled", "captured"])
@pytest.mark.parametrize("duty", [0, 25, 50, 75, 100])
def test_the_voltage_follows_the_pwm(board: BeagleBoneBoard, pwm: Any, duty: int, rate: int) -> None:
    pwm(duty)
    time.sleep(8 * RC_TIME_S)  # the filter has settled to 0.03 %
    volts = read(board, rate, 0.5, RC_PIN)
    assert np.median(volts) == pytest.approx(RC_FULL_V * duty / 100, abs=0.05 * RC_FULL_V)


def test_the_time_base_is_right(board: BeagleBoneBoard, pwm: Any) -> None:
    """A step through the filter takes its time constant to get to 63 %."""
    rate = 1000
    pwm(0)
    time.sleep(8 * RC_TIME_S)
    channels = (Channel("rc", RC_PIN),)
    blocks = []
    with board.open_source(SourceRequest(channels, Fraction(rate), 20)) as source:
        for step in range(60):
            if step == 10:
                pwm(90)
            blocks.append(source.read().frames)
    volts = np.concatenate(blocks)[:, 0] * board.find_input(RC_PIN).scale
    final = np.median(volts[-100:])
    begin = int(np.argmax(volts > 0.02 * final))
    there = int(np.argmax(volts > (1 - np.exp(-1)) * final))
    assert (there - begin) / rate == pytest.approx(RC_TIME_S, rel=0.35)


def test_channels_do_not_change_places(board: BeagleBoneBoard, pwm: Any) -> None:
    pwm(50)
    time.sleep(8 * RC_TIME_S)
    volts = read(board, 1000, 20, GROUND_PIN, RC_PIN, REFERENCE_PIN)
    assert np.all(volts[:, 0] < 0.2)
    assert np.all(np.abs(volts[:, 1] - RC_FULL_V / 2) < 0.3)
    assert np.all(volts[:, 2] > 1.6)
