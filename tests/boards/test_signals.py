"""Signals: pure functions of the index, and true to what they claim to be."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from boards.errors import BadOption
from boards.signals import KINDS, Counts, Ecg, Pin, Signal, parse_signal

RATE = Fraction(500)


def signal(kind: str, rate: Fraction = RATE, seed: int = 1, **options: Any) -> Signal:
    return parse_signal(options, {"signal": kind}, "here").build(Pin(0, rate, seed))


def millivolts(counts: Counts) -> NDArray[np.floating[Any]]:
    return counts * (1.8 / 4095 / 0.4) - 0.9 / 0.4


@pytest.mark.parametrize("kind", sorted(KINDS.keys() - {"file"}))
@given(start=st.integers(0, 10**12), rate=st.fractions(Fraction(1, 10), 25_000, max_denominator=1000))
@settings(max_examples=8, deadline=None)
def test_a_value_depends_on_the_frames_index_alone(kind: str, start: int, rate: Fraction) -> None:
    whole = signal(kind, rate).counts(start, 40)
    pieces = signal(kind, rate)
    backwards = [pieces.counts(start + at, 10) for at in (30, 20, 10, 0)]
    assert np.array_equal(whole, np.concatenate(backwards[::-1]))
    assert whole.min() >= 0
    assert whole.max() <= 4095


def test_a_sine_has_its_frequency_amplitude_and_offset() -> None:
    counts = signal("sine", frequency=5, amplitude=0.45, offset=0.9).counts(0, 500)
    spectrum = np.abs(np.fft.rfft(counts - counts.mean()))
    assert spectrum.argmax() == 5
    assert counts.max() == round(1.35 / 1.8 * 4095)
    assert counts.min() == round(0.45 / 1.8 * 4095)


def test_a_wave_that_does_not_fit_a_whole_number_of_frames_never_drifts() -> None:
    wave = signal("ramp", Fraction(1000, 3), frequency=7.3)
    hours = 3 * 1000 * 3600 * 24
    assert np.array_equal(wave.counts(0, 1000), wave.counts(hours, 1000))


def test_a_ramp_rises_and_a_square_has_two_levels() -> None:
    assert np.all(np.diff(signal("ramp").counts(0, 500)) >= 0)
    levels = signal("square", amplitude=0.9).counts(0, 1000)
    assert levels.tolist() == ([4095] * 250 + [0] * 250) * 2


def test_an_input_beyond_the_rails_is_clipped_there() -> None:
    counts = signal("sine", amplitude=1.8).counts(0, 500)
    assert (counts.min(), counts.max()) == (0, 4095)


def test_noise_has_its_deviation_and_no_memory() -> None:
    counts = signal("noise", amplitude=0.1).counts(0, 100_000) * (1.8 / 4095)
    centred = counts - counts.mean()
    assert counts.mean() == pytest.approx(0.9, abs=0.002)
    assert counts.std() == pytest.approx(0.1, rel=0.02)
    assert abs(np.corrcoef(centred[1:], centred[:-1])[0, 1]) < 0.02


@pytest.mark.parametrize("heart_rate", [40, 60, 72, 150])
def test_an_ecg_peaks_at_the_times_of_its_beat_list(heart_rate: float) -> None:
    ecg = signal("ecg", heart_rate=heart_rate)
    assert isinstance(ecg, Ecg)
    beats = ecg.heart.beats(70)
    assert len(beats) == pytest.approx(heart_rate * 70 / 60, abs=2)
    trace = ecg.counts(0, 70 * 500)
    for beat in beats[1:-1]:
        near = slice(int(beat * 500) - 50, int(beat * 500) + 50)
        assert abs((near.start + trace[near].argmax()) / 500 - beat) <= 0.004


def test_an_ecgs_r_wave_is_a_millivolt_and_its_t_wave_is_there() -> None:
    ecg = signal("ecg", heart_rate_deviation=0)
    assert isinstance(ecg, Ecg)
    trace = millivolts(ecg.counts(0, 60 * 500))
    beats = (ecg.heart.beats(60)[2:-2] * 500).round().astype(int)
    average = np.mean([trace[beat - 150 : beat + 250] for beat in beats], axis=0)
    assert average.max() - np.median(average) == pytest.approx(1.0, abs=0.1)
    t_wave = average[150 + 100 : 150 + 200]
    assert t_wave.max() - np.median(average) > 0.1
    assert average[150 + 10 : 150 + 30].min() < np.median(average) - 0.1


def test_a_hearts_rate_has_its_mean_and_deviation() -> None:
    ecg = signal("ecg", heart_rate=72, heart_rate_deviation=2)
    assert isinstance(ecg, Ecg)
    rates = 60 / np.diff(ecg.heart.beats(1800))
    assert rates.mean() == pytest.approx(72, abs=0.5)
    assert 1.2 < rates.std() < 2.4


def test_breath_is_seen_in_the_heart_rate() -> None:
    ecg = signal("ecg", heart_rate_deviation=2)
    assert isinstance(ecg, Ecg)
    beats = ecg.heart.beats(300)
    breath = signal("respiration").counts(0, 300 * 500)
    middles = ((beats[1:] + beats[:-1]) / 2 * 500).astype(int)
    assert np.corrcoef(1 / np.diff(beats), breath[middles])[0, 1] > 0.5


def test_a_breath_has_its_rate() -> None:
    counts = signal("respiration", Fraction(20), breath_rate=12).counts(0, 20 * 300)
    spectrum = np.abs(np.fft.rfft(counts - counts.mean()))
    assert spectrum.argmax() / 300 == pytest.approx(12 / 60, abs=0.02)


def played(tmp_path: Path, content: bytes, count: int, **options: Any) -> list[int]:
    path = tmp_path / "log.csv"
    path.write_bytes(content)
    values: list[int] = signal("file", path=str(path), **options).counts(0, count).tolist()
    return values


@pytest.mark.parametrize(
    "content", [b"1\n2\n3\n", b"1\r\n2\r\n3\r\n", b"\xef\xbb\xbf1\n2\n3", b"ekg\n1\n2\n3\n", b"1.0\n 2\n3\n\n"]
)
def test_a_file_holds_one_number_a_line(tmp_path: Path, content: bytes) -> None:
    assert played(tmp_path, content, 4) == [1, 2, 3, 1]


def test_a_file_that_is_not_looped_stays_at_its_last_value(tmp_path: Path) -> None:
    assert played(tmp_path, b"1\n2\n3\n", 5, loop=False) == [1, 2, 3, 3, 3]


@pytest.mark.parametrize(
    ("content", "column"),
    [(b"t,ekg\n0.5,7\n0.6,8\n", "ekg"), (b"t;ekg\r\n0.5;7\r\n0.6;8\r\n", 2), (b"0.5\t7\n0.6\t8\n", 2)],
)
def test_a_csv_column_is_chosen_by_name_or_number(tmp_path: Path, content: bytes, column: str | int) -> None:
    assert played(tmp_path, content, 2, column=column) == [7, 8]


def test_any_recording_can_be_fitted_to_the_converter(tmp_path: Path) -> None:
    assert played(tmp_path, b"-1.5\n0\n1.5\n", 3, fit=True) == [0, 2048, 4095]


@pytest.mark.parametrize(
    ("content", "options", "says"),
    [
        (b"1\n2\nabc\n4\n", {}, r"log\.csv, line 3: found 'abc'; allowed: one number"),
        (b"1\n\n3\n", {}, r"line 2: found ''"),
        (b"1\nnan\n", {}, r"line 2: found 'nan'"),
        (b"v\n1\n1_0\n", {}, r"line 3: found '1_0'"),
        (b"1\n\xff\xfe\n", {}, r"line 2: found"),
        (b"t,v\n1,2\n3\n", {"column": "v"}, r"line 3: found '3'; allowed: a number in column 2"),
        (b"1\n4096\n", {}, r"line 2: 4096 is not a count.*0 to 4095.*fit = true"),
        (b"v\n1\n0.5\n", {}, r"line 3: 0\.5 is not a count"),
        (b"-1\n", {}, r"line 1: -1 is not a count"),
        (b"t,v\n1,2\n", {}, r"columns: t, v; say which by 'column'"),
        (b"1,2\n", {}, r"2 columns without names; say which"),
        (b"t,ekg\n1,2\n", {"column": "ecg"}, r"no column 'ecg'; it has columns: t, ekg; did you mean 'ekg'"),
        (b"1\n", {"column": 2}, r"no column 2; allowed: 1 to 1"),
        (b"", {}, r"log\.csv is empty"),
        (b"\r\n", {}, r"log\.csv is empty"),
        (b"ekg\n", {}, r"a row of names and no values"),
    ],
)
def test_a_bad_file_is_refused_with_file_line_and_what_is_allowed(
    tmp_path: Path, content: bytes, options: dict[str, Any], says: str
) -> None:
    with pytest.raises(BadOption, match=says):
        played(tmp_path, content, 1, **options)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadOption, match=r"none\.txt: there is no such file"):
        signal("file", path=str(tmp_path / "none.txt"))
    with pytest.raises(BadOption, match="is not a file"):
        signal("file", path=str(tmp_path))
