"""`make update`: what it signs is what a board takes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from deploy.board.headwater_update.archive import read_update
from deploy.board.headwater_update.manifest import Manifest
from deploy.board.headwater_update.signature import verify
from tests.support.processes import ROOT


@pytest.fixture
def package(tmp_path: Path) -> Path:
    tree = tmp_path / "tree" / "DEBIAN"
    tree.mkdir(parents=True)
    (tree / "control").write_text(
        "Package: headwater\nVersion: 0.2.0+deb12\nArchitecture: armhf\nMaintainer: Nobody <n@example.org>\n"
        "Installed-Size: 32077\nDescription: A stand-in\n"
    )
    path = tmp_path / "headwater_0.2.0+deb12_armhf.deb"
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "--build", tree.parent, path], check=True, capture_output=True
    )
    return path


def sign(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "deploy.rollout.sign", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)


def test_a_package_becomes_an_update_that_a_board_with_the_key_takes(package: Path, tmp_path: Path) -> None:
    said = sign("--key", tmp_path / "key", package)
    assert said.returncode == 0, said.stderr
    assert f"{package.with_suffix('.update')}: 0.2.0+deb12 for armhf with Debian 12" in said.stdout
    key = (tmp_path / "key.pub").read_text()
    assert key.strip() in said.stdout, "what belongs into /etc/headwater/update.pub"
    (tmp_path / "taken").mkdir()
    admitted: list[Manifest] = []
    with package.with_suffix(".update").open("rb") as source:
        read_update(
            source, lambda data, made: verify(data, made, key, "here"), admitted.append, tmp_path / "taken"
        )
    assert (admitted[0].architecture, admitted[0].release, admitted[0].installed_kib) == ("armhf", "12", 32077)
    assert (tmp_path / "taken" / package.name).read_bytes() == package.read_bytes()


def test_a_version_that_does_not_name_its_release_needs_to_be_told(package: Path, tmp_path: Path) -> None:
    control = tmp_path / "tree" / "DEBIAN" / "control"
    control.write_text(control.read_text().replace("+deb12", ""))
    subprocess.run(["dpkg-deb", "--build", tmp_path / "tree", package], check=True, capture_output=True)
    said = sign("--key", tmp_path / "key", package)
    assert said.returncode == 2
    assert "does not say which release of Debian it is for: --release 12" in said.stderr
    assert sign("--key", tmp_path / "key", "--release", "13", package).returncode == 0


def test_another_package_is_refused(package: Path, tmp_path: Path) -> None:
    control = tmp_path / "tree" / "DEBIAN" / "control"
    control.write_text(control.read_text().replace("headwater", "tailwater"))
    subprocess.run(["dpkg-deb", "--build", tmp_path / "tree", package], check=True, capture_output=True)
    said = sign("--key", tmp_path / "key", package)
    assert said.returncode == 2
    assert "is the package 'tailwater', not 'headwater'" in said.stderr
