"""`headwater-install-emmc` on files: what is on the copy, and what it refuses. Nothing is mounted but folders."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.image import filesystems
from deploy.image.layout import DISK_ID, FAT32, LINUX, MIB, MLO_AT, Table, lay_out, read_table, sfdisk_script
from deploy.image.tools import run
from tests.support.processes import ROOT

SCRIPT = ROOT / "deploy/image/tree/boot/usr/sbin/headwater-install-emmc"
MENU = f"label linux-1\n    append headwater.disk={DISK_ID:08x} console=ttyO0,115200n8\n"


class Card:
    """A small card with a bootloader, a menu, a system and changes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.image = folder / "card.img"
        self.state = folder / "state"
        (self.state / "changes/etc").mkdir(parents=True)
        (self.state / "changes/etc/hostname").write_text("headwater-7\n")
        (self.state / "before-reset").mkdir()
        self.partitions = lay_out([(FAT32, 34 * MIB), (LINUX, 8 * MIB), (LINUX, 8 * MIB)])
        with self.image.open("wb") as out:
            out.truncate(self.partitions[-1].end)
            out.seek(MLO_AT)
            out.write(b"bootloader")
            out.seek(self.partitions[1].offset)
            out.write(b"system" * 1000)
        run("sfdisk", "--quiet", self.image, stdin=sfdisk_script(Table(DISK_ID, self.partitions)))
        self.config = f"{self.image}@@{self.partitions[0].offset}"
        run("mformat", "-F", "-i", self.config, "-T", str(self.partitions[0].size), "::")
        run("mmd", "-i", self.config, "::/extlinux")
        (folder / "extlinux.conf").write_text(MENU)
        run("mcopy", "-i", self.config, folder / "extlinux.conf", "::/extlinux/extlinux.conf")

    def target(self, size: int = 300 * MIB) -> Path:
        """An eMMC with an old system that starts."""
        path = self.folder / "emmc.img"
        path.write_bytes(b"\xff" * (6 * MIB))
        with path.open("r+b") as out:
            out.truncate(size)
        return path

    def install(self, target: Path, *options: str, answer: str = "") -> subprocess.CompletedProcess[str]:
        """Run the script from this card."""
        mine = [] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--mount"]
        words = [str(SCRIPT), "--source", str(self.image), "--state", str(self.state), *options, str(target)]
        return subprocess.run([*mine, *words], input=answer, capture_output=True, text=True, timeout=60)


@pytest.fixture
def card(tmp_path: Path) -> Iterator[Card]:
    yield Card(tmp_path)
    assert not [line for line in Path("/proc/self/mounts").read_text().splitlines() if str(tmp_path) in line]


def test_the_copy_has_the_bootloader_the_system_and_the_changes(card: Card) -> None:
    target = card.target()
    done = card.install(target, "--yes")
    assert done.returncode == 0, done.stderr
    copy = target.read_bytes()
    table = read_table(copy)
    assert [(part.start, part.type) for part in table.partitions] == [
        (part.start, part.type) for part in card.partitions
    ]
    assert table.partitions[2].end == len(copy), "the last one takes what there is"
    assert copy[MLO_AT:].startswith(b"bootloader")
    system = card.partitions[1]
    assert copy[system.offset : system.end] == card.image.read_bytes()[system.offset : system.end]
    state = f"{target}?offset={table.partitions[2].offset}"
    run("e2fsck", "-fn", state)
    assert run("debugfs", "-R", "cat /changes/etc/hostname", state) == "headwater-7\n"
    names = run("debugfs", "-R", "ls -p /", state)
    assert "/work/" in names
    assert "before-reset" not in names


def test_the_copy_has_an_id_of_its_own_which_its_menu_names(card: Card) -> None:
    target = card.target()
    assert card.install(target, "--yes").returncode == 0
    disk_id = read_table(target.read_bytes()[:512]).disk_id
    assert disk_id not in (0, DISK_ID)
    config = f"{target}@@{card.partitions[0].offset}"
    assert run("mcopy", "-i", config, "::/extlinux/extlinux.conf", "-") == MENU.replace(
        f"{DISK_ID:08x}", f"{disk_id:08x}"
    )
    assert run("mcopy", "-i", card.config, "::/extlinux/extlinux.conf", "-") == MENU


def test_what_is_too_small_is_refused_before_anything_is_written(card: Card) -> None:
    target = card.target(100 * MIB)
    before = target.read_bytes()
    done = card.install(target, "--yes")
    assert done.returncode == 2
    assert "has 100 MiB; this system needs" in done.stderr
    assert target.read_bytes() == before


def test_without_yes_nothing_is_written(card: Card) -> None:
    target = card.target()
    before = target.read_bytes()
    for answer in ("no\n", "\n", ""):
        assert card.install(target, answer=answer).returncode != 0
        assert target.read_bytes() == before


def test_the_card_itself_and_what_is_not_there_are_refused(card: Card) -> None:
    done = card.install(card.image, "--yes")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "is what this system runs from" in done.stderr
    assert "is not there" in card.install(card.folder / "none", "--yes").stderr


def test_a_copy_that_breaks_off_does_not_start(card: Card) -> None:
    target = card.target()
    run("mdel", "-i", card.config, "::/extlinux/extlinux.conf")
    assert card.install(target, "--yes").returncode != 0
    assert target.read_bytes()[: 4 * MIB] == bytes(4 * MIB)


def test_the_file_systems_of_a_card_are_made_without_being_mounted(tmp_path: Path) -> None:
    boot = tmp_path / "boot"
    (boot / "extlinux").mkdir(parents=True)
    (boot / "extlinux/extlinux.conf").write_text(MENU)
    config, state = tmp_path / "config.img", tmp_path / "state.img"
    filesystems.make_config(config, boot)
    assert run("mcopy", "-i", config, "::/extlinux/extlinux.conf", "-") == MENU
    assert "authorized_keys" in run("mcopy", "-i", config, "::/README.txt", "-")
    filesystems.make_state(state)
    run("e2fsck", "-fn", state)
