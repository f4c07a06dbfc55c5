import pytest

from boards.serial.crc import CRCS, CrcName

CHECK = b"123456789"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("crc8", 0xF4),
        ("crc8-maxim", 0xA1),
        ("crc16-ccitt", 0x29B1),
        ("crc16-xmodem", 0x31C3),
        ("crc16-kermit", 0x2189),
        ("crc16-modbus", 0x4B37),
        ("crc32", 0xCBF43926),
    ],
)
def test_each_crc_has_the_check_value_of_the_catalogue(name: CrcName, value: int) -> None:
    assert CRCS[name].compute(CHECK) == value


def test_every_crc_has_its_check_value_tested() -> None:
    assert len(CRCS) == 7


def test_a_modbus_frame_carries_the_low_byte_first() -> None:
    # Read holding registers, from the MODBUS over Serial Line specification's own kind of example.
    request = bytes.fromhex("01 03 00 00 00 0a")
    assert CRCS["crc16-modbus"].pack(request, "little").hex() == "c5cd"
