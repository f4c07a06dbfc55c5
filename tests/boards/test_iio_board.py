"""What the IIO board finds, what it refuses, and how it says so."""

from __future__ import annotations

import errno
from fractions import Fraction
from pathlib import Path

import pytest

from boards import BadOption, BoardUnavailable, LimitExceeded, SourceLost, SourceRequest, UnknownInput
from boards.errors import BoardError
from boards.iio import IioBoard
from tests.standin.iio_requests import STAMPED, channels, eight
from tests.standin.iio_tree import Feeder, IioTree, am335x_tree


@pytest.fixture
def tree(tmp_path: Path) -> IioTree:
    return am335x_tree(tmp_path)


class TestLimits:
    def test_what_the_device_tree_allows_is_the_limit(self, tmp_path: Path) -> None:
        board = IioBoard(am335x_tree(tmp_path, averages=16, open_delay=0x98).options)
        assert board.maximum_rate(1) == Fraction(3_000_000, 376)
        with pytest.raises(LimitExceeded, match=r"8 channel\(s\) at 997\.34 Hz at most; 25000 Hz"):
            board.check(eight(25_000, 2500))

    def test_with_the_fastest_overlay_eight_channels_reach_25_khz(self, tree: IioTree) -> None:
        assert IioBoard(tree.options).maximum_rate(8) == 25_000

    def test_a_device_slower_than_it_should_be_is_refused_at_the_start(self, tree: IioTree) -> None:
        with (
            Feeder(tree, 20_000, "64"),
            pytest.raises(LimitExceeded, match=r"delivers .* Hz .* 25000 Hz was asked for"),
        ):
            IioBoard(tree.options).open_source(eight(25_000, 2500)).open()

    def test_polling_refuses_more_than_it_holds(self, tmp_path: Path) -> None:
        board = IioBoard(am335x_tree(tmp_path, with_buffer=False).options)
        with pytest.raises(LimitExceeded, match=r"62\.5 Hz at most"):
            board.check(eight(100, 10))

    def test_polling_can_be_asked_for_and_then_has_its_limit(self, tree: IioTree) -> None:
        with pytest.raises(LimitExceeded, match="500 values a second can be polled; 8000"):
            IioBoard(tree.options).check(eight(1000, 10, capture="polled"))

    def test_a_channel_that_can_only_be_captured_is_not_polled(self, tmp_path: Path) -> None:
        board = IioBoard(IioTree(tmp_path, STAMPED).options)
        with pytest.raises(LimitExceeded, match="cannot be asked for 'voltage0' alone"):
            board.check(SourceRequest(channels("voltage0"), Fraction(10), 1, {"capture": "polled"}))

    def test_slow_streams_are_polled_and_fast_ones_captured(self, tree: IioTree) -> None:
        board = IioBoard(tree.options)
        assert type(board.open_source(eight(10, 1))).__name__ == "OneShotSource"
        assert type(board.open_source(eight(1000, 100))).__name__ == "BufferedSource"

    def test_an_unknown_option_is_refused(self, tree: IioTree) -> None:
        with pytest.raises(BadOption, match="did you mean 'trigger'"):
            IioBoard(tree.options).check(eight(10, 1, triger="t0"))
        with pytest.raises(BadOption, match="allowed here: device, sysfs, dev"):
            IioBoard({"node": "x"})


class TestFindingDevices:
    def test_there_must_be_one(self, tmp_path: Path) -> None:
        with pytest.raises(BoardUnavailable, match=r"no IIO device in .*devices"):
            IioBoard({"sysfs": str(tmp_path)})

    def test_of_several_one_is_chosen_by_number_name_or_label(self, tmp_path: Path) -> None:
        first = am335x_tree(tmp_path)
        second = IioTree(
            tmp_path, {}, number=1, name="ads1115", attributes={"in_voltage0_raw": "1", "label": "inlet"}
        )
        with pytest.raises(
            BoardUnavailable, match=r"iio:device0 \(TI-am335x-adc.0.auto\), iio:device1 \(ads1115\)"
        ):
            IioBoard(first.options)
        for wanted in ("iio:device1", "ads1115", "inlet"):
            assert IioBoard({**first.options, "device": wanted}).device.path == second.device
        with pytest.raises(BoardUnavailable, match="no IIO device 'mcp'; there is: iio:device0"):
            IioBoard({**first.options, "device": "mcp"})

    def test_inputs_have_the_kernels_units_scales_and_offsets(self, tmp_path: Path) -> None:
        attributes = {
            "in_temp_raw": "20", "in_temp_scale": "125.0", "in_temp_offset": "-8", "in_accel_x_raw": "0",
            "in_accel_scale": "0.01", "in_voltage0_raw": "1", "in_count0_raw": "3", "in_voltage0_label": "inlet",
            "in_voltage_scale": "0.5",
        }  # fmt: skip
        board = IioBoard(IioTree(tmp_path, {}, attributes=attributes, buffered=False).options)
        temperature, acceleration = board.find_input("temp"), board.find_input("in_accel_x")
        assert (temperature.unit, temperature.scale, temperature.offset) == ("°C", 0.125, -1.0)
        assert (acceleration.unit, acceleration.scale) == ("m/s2", 0.01)
        assert (board.find_input("inlet").unit, board.find_input("inlet").scale) == ("mV", 0.5)
        assert (board.find_input("count0").unit, board.find_input("count0").scale) == ("count", 1.0)

    def test_the_am335x_counts_to_4095_and_its_unit_is_the_millivolt(self, tree: IioTree) -> None:
        known = IioBoard(tree.options).find_input("voltage3")
        assert (known.bits, known.unit) == (12, "mV")
        assert 4096 * known.scale == pytest.approx(1800)

    def test_an_unknown_channel_is_refused_naming_those_there_are(self, tree: IioTree) -> None:
        with pytest.raises(UnknownInput, match="no input 'voltage9'; it has voltage0, voltage1"):
            IioBoard(tree.options).check(SourceRequest(channels("voltage9"), Fraction(1)))


class TestErrorsSayWhatToDo:
    @pytest.mark.parametrize(
        ("number", "kind", "says"),
        [
            (errno.EBUSY, SourceLost, "fuser -v .*iio:device0.*iiod"),
            (errno.EACCES, BoardUnavailable, "usermod -aG"),
            (errno.ENODEV, SourceLost, "The device is gone"),
            (errno.ERANGE, BoardError, "cannot set buffer/enable to 1: "),
            (errno.EINVAL, BoardError, "wants a trigger.*to one of: t0"),
        ],
    )
    def test_each_errno_of_the_kernel(self, tree: IioTree, number: int, kind: type[Exception], says: str) -> None:
        trigger = tree.device.parent / "trigger0"
        trigger.mkdir()
        (trigger / "name").write_text("t0\n")
        error = IioBoard(tree.options).device.failure(OSError(number, "why"), "set buffer/enable to 1")
        assert type(error) is kind
        with pytest.raises(kind, match=says):
            raise error

    def test_an_attribute_that_is_not_there_is_not_made_up(self, tree: IioTree) -> None:
        with pytest.raises(SourceLost, match="cannot set no/such to 1"):
            IioBoard(tree.options).device.write("no/such", 1)
        with pytest.raises(SourceLost, match="cannot set nothing to 1"):
            IioBoard(tree.options).device.write("nothing", 1)
        assert not (tree.device / "nothing").exists()
