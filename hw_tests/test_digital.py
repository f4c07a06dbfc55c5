"""A pin wired to another, the user LEDs, and a UART wired to itself."""

from __future__ import annotations

import time
from fractions import Fraction
from pathlib import Path

import pytest
import serial

from boards.base import Channel, SourceRequest
from boards.beaglebone import BeagleBoneBoard
from boards.beaglebone.gpio import StatusLed
from hw_tests.wiring import GPIO_IN_PIN, GPIO_OUT_PIN, UART, UART_PORTS


def test_a_digital_input_follows_the_pin_it_is_wired_to(board: BeagleBoneBoard) -> None:
    output = StatusLed(GPIO_OUT_PIN)
    channel = Channel("level", GPIO_IN_PIN, {"kind": "gpio", "pull": "down"})
    with board.open_source(SourceRequest((channel,), Fraction(100))) as source:
        for level in (True, False, True, False):
            output.set(level)
            source.read()  # may have been due before the change
            assert source.read().frames.tolist() == [[int(level)]]


@pytest.mark.parametrize("led", ["USR0", "USR3"])
def test_a_user_led_is_switched(led: str) -> None:
    board = BeagleBoneBoard({"led": led})
    status = board.status_led()
    assert status is not None
    (brightness,) = Path("/sys/class/leds").glob(f"beaglebone:green:{led.lower()}/brightness")
    for on in (True, False):
        status.set(on)
        assert bool(int(brightness.read_text())) == on


@pytest.mark.parametrize("baud", [9600, 115200])
def test_what_a_uart_sends_comes_back(baud: int) -> None:
    BeagleBoneBoard({"uarts": [UART]})
    port = next(path for path in UART_PORTS if Path(path).exists())
    sent = b"".join(b"%05d,%f\n" % (number, number / 7) for number in range(200))
    with serial.Serial(port, baud, timeout=1) as line:
        line.reset_input_buffer()
        line.write(sent)
        begin, received = time.monotonic(), b""
        while len(received) < len(sent) and time.monotonic() < begin + 20 * len(sent) / baud + 2:
            received += line.read(len(sent) - len(received))
    assert received == sent
