"""Which package a board gets, and what is brought along."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.rollout.choose import bring_along, choose
from deploy.rollout.errors import DeployError
from deploy.rollout.package import Deb
from deploy.rollout.workshop import compare


def deb(name: str, version: str, architecture: str = "armhf", depends: str = "", provides: str = "") -> Deb:
    return Deb(Path(f"{name}_{version}_{architecture}.deb"), name, version, architecture, depends, provides, 1)


OURS = [
    deb("headwater", "0.9.0+deb12"),
    deb("headwater", "0.10.0+deb12"),
    deb("headwater", "0.10.0+deb13"),
    deb("headwater", "0.11.0+deb12", "amd64"),
    deb("other", "9"),
]


def test_the_newest_one_for_architecture_and_release_is_taken() -> None:
    assert choose(OURS, "armhf", "12", compare).version == "0.10.0+deb12"
    assert choose(OURS, "armhf", "13", compare).version == "0.10.0+deb13"
    assert choose(OURS, "amd64", "12", compare).version == "0.11.0+deb12"
    assert choose([deb("headwater", "1.0")], "armhf", "13", compare).version == "1.0"


def test_what_there_is_is_named_when_nothing_fits() -> None:
    with pytest.raises(
        DeployError, match=r"arm64 with Debian 12, .* there is 0\.10\.0\+deb12 for armhf, .*make deb"
    ):
        choose(OURS, "arm64", "12", compare)
    with pytest.raises(DeployError, match="there is none at all"):
        choose([], "armhf", "12", compare)


NUMPY = deb("python3-numpy", "1:1.24", depends="libblas3 | libblas.so.3, python3", provides="python3-numpy-abi9")
BLAS = deb("libopenblas0", "0.3", provides="libblas.so.3", depends="libgfortran5 (>= 8)")
FORTRAN = deb("libgfortran5", "12.2")
HEADWATER = deb("headwater", "1", depends="python3 (>= 3.11), python3-numpy (>= 1:1.24)")
BARE = {"python3": ("3.11.2",)}


def test_what_is_missing_comes_along_with_what_it_needs_itself_first() -> None:
    brought = bring_along(HEADWATER, BARE, [NUMPY, BLAS, FORTRAN], compare)
    assert brought == (FORTRAN, BLAS, NUMPY)


def test_what_is_there_does_not_come_along() -> None:
    assert bring_along(HEADWATER, {**BARE, "python3-numpy": ("1:1.24.2",)}, [NUMPY, BLAS, FORTRAN], compare) == ()
    assert bring_along(HEADWATER, {**BARE, "libblas3": ("3.11",)}, [NUMPY, BLAS, FORTRAN], compare) == (NUMPY,)


def test_what_cannot_be_found_is_named_with_what_to_do() -> None:
    with pytest.raises(
        DeployError, match=r"it lacks libgfortran5 \(>= 8\)\. On the board: sudo apt-get install lib"
    ):
        bring_along(HEADWATER, BARE, [NUMPY, BLAS], compare)
    with pytest.raises(DeployError, match=r"it lacks python3-numpy \(>= 1:1\.24\)"):
        bring_along(HEADWATER, BARE, [deb("python3-numpy", "1:1.24", "amd64")], compare)
    with pytest.raises(DeployError, match=r"it lacks python3 \(>= 3\.11\), python3-numpy"):
        bring_along(HEADWATER, {}, [], compare)


def test_packages_that_need_each_other_are_no_endless_loop() -> None:
    one, two = deb("one", "1", depends="two"), deb("two", "1", depends="one")
    assert set(bring_along(deb("headwater", "1", depends="one"), {}, [one, two], compare)) == {one, two}
