"""The commands of docs/provision.md go through, in their order, and the page says of files what is so."""

from __future__ import annotations

import re
import shlex
import subprocess
from contextlib import chdir
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.cli import root
from tests.support.pages import Page, blocks
from tests.support.secure import ME

PAGE = Page("docs/provision.md")
ELSEWHERE = ("sudo systemctl ", "headwater sub ")
"""What needs a broker: tests/gateway/provision does it."""


def commands() -> list[list[str]]:
    lines = [line for block in blocks(PAGE.text, "sh") for line in block.splitlines()]
    return [shlex.split(line, comments=True) for line in lines if not line.startswith(ELSEWHERE)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where all of them were run."""
    place = tmp_path_factory.mktemp("page")
    at = place
    for command in commands():
        words = command[1:] if command[0] == "sudo" else list(command)
        if words[0] == "cd":
            at /= words[1]
            continue
        if "init" in words:
            words += ["--at", str(place / "mosquitto")]
        if "install" in words:
            words += ["--conf", str(place / "headwater.conf"), "--owner", ME]
        with chdir(at):
            run(words)
    return place


def run(words: list[str]) -> None:
    if words[0] == "headwater":
        result = CliRunner().invoke(root, words[1:])
        assert result.exit_code == 0, (words, result.output)
    else:
        subprocess.run(words, capture_output=True, check=True)


def test_its_commands_go_through(folder: Path) -> None:
    assert len(commands()) >= 13
    assert (folder / "headwater.conf").is_file()


def test_what_is_where_is_so(folder: Path) -> None:
    [tree] = blocks(PAGE.text, "text")
    for path in re.findall(r"^  ([a-z]\S*)", tree, re.MULTILINE):
        assert (folder / "pki" / path).exists(), path
    for kind in ("broker", "devices/bbb1"):
        line = next(line for line in tree.splitlines() if line.strip().startswith(f"{kind}/"))
        assert set(line.split()[1:]) == {file.name for file in (folder / "pki" / kind).iterdir()}


def test_the_table_of_rights_is_that_of_the_access_list(folder: Path) -> None:
    acl = (folder / "pki" / "broker" / "acl").read_text()
    for rule in ("write headwater/bbb1/#", "read headwater/#", "write headwater/+/request/+"):
        assert f"topic {rule}\n" in acl
    assert "bbb2" not in acl, "it was revoked"
