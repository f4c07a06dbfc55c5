"""Which pin is wired to what for these tests; hw_tests/README.md has the picture."""

from __future__ import annotations

PWM_PIN = "P9_14"
PWM_HZ = 20_000
RC_PIN = "P9_39"
"""The PWM through 10 kOhm, with 10 kOhm and 10 uF to ground: half the PWM's 3.3 V, smoothed."""
RC_FULL_V = 1.65
RC_TIME_S = 0.05
"""10 kOhm parallel to 10 kOhm, times 10 uF."""

GROUND_PIN = "P9_40"
"""Wired to GNDA_ADC (P9_34)."""
REFERENCE_PIN = "P9_37"
"""Wired to VDD_ADC (P9_32), 1.8 V."""

GPIO_OUT_PIN = "P9_15"
GPIO_IN_PIN = "P9_12"

UART = "UART1"
UART_PORTS = ("/dev/ttyS1", "/dev/ttyO1")
"""P9_24 (TXD) wired to P9_26 (RXD); the port's name depends on the kernel."""
