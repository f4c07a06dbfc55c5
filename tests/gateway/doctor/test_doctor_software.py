"""Python and packages: present, missing, too old."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from gateway.doctor.software import check_software, packages_finding, python_finding


def test_the_python_that_runs_this_is_new_enough() -> None:
    assert python_finding((3, 11, 2)).ok
    assert next(check_software()).ok


def test_an_older_python_is_told_of() -> None:
    finding = python_finding((3, 9, 18))
    assert "Python 3.9.18" in finding.found
    assert finding.todo == "Python 3.11 or newer is needed"


INSTALLED = {"numpy": "1.24.2", "paho-mqtt": "2.1.0", "cbor2": "5.10rc1"}


def test_packages_at_the_versions_that_are_required_are_listed() -> None:
    finding = packages_finding(["numpy>=1.24", "paho-mqtt >= 2.1", "cbor2>=5.6"], INSTALLED.get)
    assert finding.ok
    assert "numpy 1.24.2, paho-mqtt 2.1.0, cbor2 5.10rc1" in finding.found


def test_what_is_too_old_or_missing_is_to_be_installed_and_nothing_else() -> None:
    finding = packages_finding(["numpy>=1.26", "paho-mqtt>=2.1", "pyserial>=3.5", "aiohttp"], INSTALLED.get)
    assert "pyserial missing" in finding.found
    assert finding.todo == "pip install 'numpy>=1.26' 'pyserial>=3.5' 'aiohttp'"


def test_what_is_required_of_other_machines_or_for_an_extra_is_not_asked_for() -> None:
    here, elsewhere = f"platform_machine == '{platform.machine()}'", f"platform_machine != '{platform.machine()}'"
    requirements = [f"cbor2>=5.6,<6; {here}", f"cbor2>=6; {elsewhere}", "uvloop>=99; extra == 'fast'"]
    finding = packages_finding(requirements, INSTALLED.get)
    assert finding.ok
    assert finding.found.endswith(", cbor2 5.10rc1")
    assert packages_finding(["cbor2>=5.6,<5.7"], INSTALLED.get).todo == "pip install 'cbor2<5.7,>=5.6'"


@pytest.mark.parametrize(("minimum", "ok"), [("0.9", True), ("999", False)])
def test_what_is_required_is_read_from_the_installed_distribution(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, minimum: str, ok: bool
) -> None:
    info = tmp_path / "headwater-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: headwater\nVersion: 1.0\n"
        f"Requires-Dist: numpy>={minimum}\nRequires-Dist: no-such-thing>=1; extra == 'more'\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    packages = list(check_software())[1]
    assert packages.ok is ok
    assert "no-such-thing" not in packages.line()


def test_a_source_tree_has_no_record_and_says_so() -> None:
    finding = packages_finding(None, INSTALLED.get)
    assert finding.ok
    assert "runs from its source" in finding.found
