"""The files below /etc/headwater."""

from __future__ import annotations

import io
import stat
import tarfile
from pathlib import Path

import pytest

from deploy.board.headwater_update import configuration
from deploy.board.headwater_update.errors import Refused
from deploy.rollout.files import pack


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    path = tmp_path / "etc"
    path.mkdir()
    (path / "device.toml").write_text("old")
    (path / "device.toml").chmod(0o644)
    return path


def received(tmp_path: Path, files: dict[str, bytes]) -> Path:
    folder = tmp_path / "staged"
    assert configuration.receive(io.BytesIO(pack(files)), folder) == len(files)
    return folder


def test_files_are_put_in_place_and_put_back_with_what_was_not_there_removed(tmp_path: Path, etc: Path) -> None:
    staged = received(tmp_path, {"device.toml": b"new", "device/key.pem": b"key", "secrets/password": b"secret"})
    assert not configuration.in_place(staged, etc)
    configuration.back_up(etc, tmp_path / "before")
    configuration.put(staged, etc)
    assert configuration.in_place(staged, etc)
    assert (etc / "device" / "key.pem").read_text() == "key"
    assert stat.S_IMODE((etc / "secrets").stat().st_mode) == 0o700
    assert stat.S_IMODE((etc / "secrets" / "password").stat().st_mode) == 0o600
    assert not (etc / "device" / "key.pem").stat().st_mode & 0o007, "nothing of it is for everybody"
    configuration.restore(tmp_path / "before", etc)
    assert configuration.digests(etc).keys() == {"device.toml"}
    assert (etc / "device.toml").read_text() == "old"
    assert stat.S_IMODE((etc / "device.toml").stat().st_mode) == 0o644


def test_what_is_the_same_is_not_touched(tmp_path: Path, etc: Path) -> None:
    inode = (etc / "device.toml").stat().st_ino
    configuration.put(received(tmp_path, {"device.toml": b"old"}), etc)
    assert (etc / "device.toml").stat().st_ino == inode


@pytest.mark.parametrize("name", ["/etc/passwd", "../passwd", "a/../../passwd", "a\nb"])
def test_no_name_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(Refused, match="the configuration may be"):
        configuration.receive(io.BytesIO(pack({name: b""})), tmp_path / "staged")


def test_links_are_refused(tmp_path: Path) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        member = tarfile.TarInfo("device.toml")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/shadow"
        tar.addfile(member)
    with pytest.raises(Refused, match=r"found 'device\.toml'"):
        configuration.receive(io.BytesIO(out.getvalue()), tmp_path / "staged")


def test_half_a_configuration_is_refused(tmp_path: Path) -> None:
    packed = pack({"device.toml": b"x" * 5000})
    with pytest.raises(Refused, match="did not come whole"):
        configuration.receive(io.BytesIO(packed[:3000]), tmp_path / "staged")
