"""What is on the headers: facts of the boards, from their reference manuals.

The AM335x has eight analog inputs of 12 bits. They stand 1.8 V (the ADC's reference) and no more: 3.3 V destroys
them. AIN7 is on no header of a BeagleBone (on the Black it measures half of the 3.3 V supply); a PocketBeagle has
it on P2_36, and of the others AIN0 to AIN4.
"""

from __future__ import annotations

from boards.base import Input

REFERENCE_V = 1.8
FULL_SCALE = 4095
BITS = 12

BEAGLEBONE_ANALOG: dict[str, int] = {
    "P9_39": 0,
    "P9_40": 1,
    "P9_37": 2,
    "P9_38": 3,
    "P9_33": 4,
    "P9_36": 5,
    "P9_35": 6,
}
POCKETBEAGLE_ANALOG: dict[str, int] = {
    "P1_19": 0,
    "P1_21": 1,
    "P1_23": 2,
    "P1_25": 3,
    "P1_27": 4,
    "P2_36": 7,
}
"""Header pin to the number of its analog input."""

# fmt: off
BEAGLEBONE_DIGITAL: dict[str, int] = {
    "P8_3": 38, "P8_4": 39, "P8_5": 34, "P8_6": 35, "P8_7": 66, "P8_8": 67, "P8_9": 69, "P8_10": 68,
    "P8_11": 45, "P8_12": 44, "P8_13": 23, "P8_14": 26, "P8_15": 47, "P8_16": 46, "P8_17": 27, "P8_18": 65,
    "P8_19": 22, "P8_20": 63, "P8_21": 62, "P8_22": 37, "P8_23": 36, "P8_24": 33, "P8_25": 32, "P8_26": 61,
    "P8_27": 86, "P8_28": 88, "P8_29": 87, "P8_30": 89, "P8_31": 10, "P8_32": 11, "P8_33": 9, "P8_34": 81,
    "P8_35": 8, "P8_36": 80, "P8_37": 78, "P8_38": 79, "P8_39": 76, "P8_40": 77, "P8_41": 74, "P8_42": 75,
    "P8_43": 72, "P8_44": 73, "P8_45": 70, "P8_46": 71,
    "P9_11": 30, "P9_12": 60, "P9_13": 31, "P9_14": 50, "P9_15": 48, "P9_16": 51, "P9_17": 5, "P9_18": 4,
    "P9_19": 13, "P9_20": 12, "P9_21": 3, "P9_22": 2, "P9_23": 49, "P9_24": 15, "P9_25": 117, "P9_26": 14,
    "P9_27": 115, "P9_28": 113, "P9_29": 111, "P9_30": 112, "P9_31": 110, "P9_41": 20, "P9_42": 7,
}
POCKETBEAGLE_DIGITAL: dict[str, int] = {
    "P1_2": 87, "P1_4": 89, "P1_6": 5, "P1_8": 2, "P1_10": 3, "P1_12": 4, "P1_20": 20, "P1_26": 12,
    "P1_28": 13, "P1_29": 117, "P1_30": 43, "P1_31": 114, "P1_32": 42, "P1_33": 111, "P1_34": 26, "P1_35": 88,
    "P1_36": 110,
    "P2_1": 50, "P2_2": 59, "P2_3": 23, "P2_4": 58, "P2_5": 30, "P2_6": 57, "P2_7": 31, "P2_8": 60, "P2_9": 15,
    "P2_10": 52, "P2_11": 14, "P2_17": 65, "P2_18": 47, "P2_19": 27, "P2_20": 64, "P2_22": 46, "P2_24": 44,
    "P2_25": 41, "P2_27": 40, "P2_28": 116, "P2_29": 7, "P2_30": 113, "P2_31": 19, "P2_32": 112, "P2_33": 45,
    "P2_34": 115, "P2_35": 86,
}
"""Header pin to the number of its GPIO: bank * 32 + line."""
# fmt: on

USER_LEDS = ("USR0", "USR1", "USR2", "USR3")


class Headers:
    """The pins of one kind of board."""

    def __init__(self, pocket: bool) -> None:
        self.analog = POCKETBEAGLE_ANALOG if pocket else BEAGLEBONE_ANALOG
        self.digital = POCKETBEAGLE_DIGITAL if pocket else BEAGLEBONE_DIGITAL

    def inputs(self) -> tuple[Input, ...]:
        """Every pin that can be sampled, the analog ones first."""
        return (
            *(_analog_input(pin, line) for pin, line in self.analog.items()),
            *(_digital_input(pin, number) for pin, number in self.digital.items()),
        )


def _analog_input(pin: str, line: int) -> Input:
    return Input(
        name=pin,
        description=f"analog input AIN{line}: 0 to {REFERENCE_V} V. More than {REFERENCE_V} V destroys it",
        aliases=(f"AIN{line}",),
        unit="V",
        scale=REFERENCE_V / FULL_SCALE,
        bits=BITS,
        minimum=0.0,
        maximum=REFERENCE_V,
    )


def _digital_input(pin: str, number: int) -> Input:
    name = f"GPIO{number // 32}_{number % 32}"
    return Input(
        name=pin,
        description=f"digital input {name}: 0 or 1 (0 V or 3.3 V)",
        aliases=(name,),
        unit="",
        bits=1,
        minimum=0.0,
        maximum=1.0,
    )
