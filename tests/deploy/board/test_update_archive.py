"""An update's file: what is signed is what is installed, and anything else is refused."""

from __future__ import annotations

import io
import subprocess
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.board.headwater_update.archive import read_update, write_update
from deploy.board.headwater_update.errors import Refused
from deploy.board.headwater_update.manifest import LONGEST, File, Manifest, parse_manifest
from deploy.board.headwater_update.signature import parse_keys, sign, verify
from deploy.board.headwater_update.store import sha256_of

NOBODY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPbbOCzq1mZ8bB1ihNdbJ8kV2qTLf0ZmqVPPwBBBBBBB nobody"


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "a comment", "-f", path], check=True)
    return path


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    """Of two files in tmp_path/from."""
    folder = tmp_path / "from"
    folder.mkdir()
    files = []
    for name in ("headwater_1_all.deb", "numpy_2_all.deb"):
        (folder / name).write_bytes(name.encode() * 1000)
        files.append(File(name, (folder / name).stat().st_size, sha256_of(folder / name)))
    return Manifest("1.0-1+deb12", "armhf", "12", 1_700_000_000, 100, files[0], (files[1],))


def written(tmp_path: Path, manifest: Manifest, signature: bytes) -> bytes:
    out = io.BytesIO()
    write_update(out, manifest, signature, {file.name: tmp_path / "from" / file.name for file in manifest.files})
    return out.getvalue()


def read(tmp_path: Path, data: bytes, checked: Callable[[bytes, bytes], None] = lambda *_: None) -> Manifest:
    target = tmp_path / "to"
    target.mkdir(exist_ok=True)
    return read_update(io.BytesIO(data), checked, lambda _: None, target)


def public(key: Path) -> str:
    return key.with_suffix(".pub").read_text()


def test_what_was_signed_arrives(tmp_path: Path, manifest: Manifest, key: Path) -> None:
    update = written(tmp_path, manifest, sign(manifest.to_bytes(), key))
    known = read(
        tmp_path, update, lambda data, made: verify(data, made, f"# mine\n{NOBODY}\n{public(key)}", "here")
    )
    assert known == manifest
    for file in manifest.files:
        assert (tmp_path / "to" / file.name).read_bytes() == (tmp_path / "from" / file.name).read_bytes()


def test_a_signature_by_another_key_of_other_data_or_for_another_purpose_is_refused(
    tmp_path: Path, manifest: Manifest, key: Path
) -> None:
    data = manifest.to_bytes()
    with pytest.raises(Refused, match="not signed by a key of here"):
        verify(data, sign(data, key), NOBODY, "here")
    with pytest.raises(Refused, match="not signed by a key of here"):
        verify(data + b" ", sign(data, key), public(key), "here")
    with pytest.raises(Refused, match="not signed by a key of here"):
        verify(data, b"no signature", public(key), "here")
    with pytest.raises(Refused, match="names no key"):
        verify(data, sign(data, key), "# none yet\n", "here")
    (tmp_path / "data").write_bytes(data)
    subprocess.run(["ssh-keygen", "-q", "-Y", "sign", "-f", key, "-n", "git", tmp_path / "data"], check=True)
    with pytest.raises(Refused, match="not signed by a key of here"):
        verify(data, (tmp_path / "data.sig").read_bytes(), public(key), "here")


def test_keys_cannot_smuggle_options_into_the_list_of_signers() -> None:
    assert parse_keys(f'cert-authority,namespaces="*" {NOBODY}\n* {NOBODY}\nssh-ed25519\n') == []
    assert parse_keys(f"  {NOBODY}  \n") == [NOBODY.removesuffix(" nobody")]


def test_a_wrong_signature_is_noticed_before_the_packages_are_read(tmp_path: Path, manifest: Manifest) -> None:
    def refuse(*_: bytes) -> None:
        raise Refused("no")

    update = written(tmp_path, manifest, b"wrong")
    with pytest.raises(Refused, match="no"):
        read(tmp_path, update[:4096], refuse)  # nothing but the manifest and the signature
    assert list((tmp_path / "to").iterdir()) == []


def test_a_package_that_was_changed_is_refused(tmp_path: Path, manifest: Manifest) -> None:
    update = bytearray(written(tmp_path, manifest, b""))
    update[update.index(b"numpy_2_all.debnumpy")] ^= 1
    with pytest.raises(Refused, match=r"numpy_2_all\.deb is not the one that was signed"):
        read(tmp_path, bytes(update))


@given(cut=st.integers(0, 40_000))
def test_half_an_update_is_refused(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    folder = tmp_path_factory.mktemp("half")
    (folder / "from").mkdir()
    (folder / "from" / "a.deb").write_bytes(b"x" * 30_000)
    package = File("a.deb", 30_000, sha256_of(folder / "from" / "a.deb"))
    update = written(folder, Manifest("1", "amd64", "12", 1, 1, package), b"")
    end = update.rindex(b"x") + 1
    with pytest.raises(Refused):
        read(folder, update[: min(cut, end - 1)])


@given(data=st.binary(max_size=2000))
def test_anything_else_is_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    with pytest.raises(Refused):
        read(tmp_path_factory.mktemp("any"), data)
    with pytest.raises(Refused):
        parse_manifest(data)


@pytest.mark.parametrize("name", ["../etc/passwd.deb", "/etc/x.deb", "a/b.deb", "a.sh", "", ".deb", "a\n.deb"])
def test_no_name_leads_out_of_the_folder(manifest: Manifest, name: str) -> None:
    with pytest.raises(Refused, match="cannot be read"):
        parse_manifest(replace(manifest, package=replace(manifest.package, name=name)).to_bytes())


@pytest.mark.parametrize(
    "changes",
    [{"version": "1.0; rm -rf /"}, {"architecture": "../x"}, {"serial": -1}, {"serial": True}, {"release": ""}],
)
def test_what_is_signed_is_checked_all_the_same(manifest: Manifest, changes: dict[str, object]) -> None:
    with pytest.raises(Refused, match="cannot be read"):
        parse_manifest(replace(manifest, **changes).to_bytes())  # type: ignore[arg-type]


def test_a_manifest_of_something_else_or_of_a_later_format_says_so(manifest: Manifest) -> None:
    data = manifest.to_bytes()
    with pytest.raises(Refused, match="one of 'tailwater'"):
        parse_manifest(data.replace(b'"headwater"', b'"tailwater"'))
    with pytest.raises(Refused, match="format 2; this board reads format 1"):
        parse_manifest(data.replace(b'"format": 1', b'"format": 2'))


def test_links_and_endless_manifests_are_refused(tmp_path: Path) -> None:
    for size, kind in ((LONGEST + 1, tarfile.REGTYPE), (0, tarfile.SYMTYPE)):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as tar:
            member = tarfile.TarInfo("manifest.json")
            member.size, member.type, member.linkname = size, kind, "/etc/passwd"
            tar.addfile(member, io.BytesIO(b"x" * size))
        with pytest.raises(Refused):
            read(tmp_path, out.getvalue())
