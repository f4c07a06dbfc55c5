"""`make image BASE=…`: Headwater in an image like BeagleBoard's, made here: theirs cannot be fetched."""

from __future__ import annotations

import lzma
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from deploy.image import build, debian, package
from deploy.image.layout import LINUX, MIB, Table, lay_out, sfdisk_script
from deploy.image.parts import place
from deploy.image.tools import run
from tests.support.processes import ROOT
from tests.vm.image.card import Card, tool
from tests.vm.image.cards import archive
from tests.vm.image.login import public_key

pytestmark = pytest.mark.timeout(3600)

UENV = """\
#Docs: http://elinux.org/Beagleboard:U-boot_partitioning_layout_2.0
uname_r=5.10.168-ti-r72
enable_uboot_overlays=1
###Additional custom capes
#uboot_overlay_addr4=<file4>.dtbo
#disable_uboot_overlay_adc=1
enable_uboot_cape_universal=1
"""
LOADER = b"a bootloader of somebody else's"


def make_base(folder: Path) -> Path:
    """One ext4 behind a bootloader, full to the brim, with a password that everybody knows."""
    tree = folder / "tree"
    tree.mkdir()
    stub = package.STUB.build(build.CACHE, package.STUB_VERSION)
    base = debian.base_layer(build.CACHE, archive(), stub)
    tool("tar", "-x", "--numeric-owner", "--xattrs-include=*", "-p", "-f", str(base), "-C", str(tree))
    for name, text in {"boot/uEnv.txt": UENV, "etc/hostname": "BeagleBone\n", "etc/machine-id": "1" * 32}.items():
        (tree / name).write_text(text)
    (tree / "etc/ssh/ssh_host_rsa_key").write_text("the same for all")
    for name, line in (("passwd", "debian:x:1000:1000::/home/debian:/bin/bash"), ("group", "debian:x:1000:")):
        with (tree / "etc" / name).open("a") as file:
            file.write(f"{line}\n")
    with (tree / "etc/shadow").open("a") as file:
        file.write("debian:$6$salt$temppwd:19000:0:99999:7:::\n")
    (tree / "home/debian").mkdir()
    shutil.chown(tree / "home/debian", 1000, 1000)
    system = folder / "system.img"
    with system.open("wb") as out:
        out.truncate(2048 * MIB)
    run("mke2fs", "-q", "-F", "-t", "ext4", "-d", tree, system)
    run("resize2fs", "-M", system)
    fields = dict(re.findall(r"^([^:\n]+):\s*(\d+)", run("dumpe2fs", "-h", system), re.MULTILINE))
    length = int(fields["Block count"]) * int(fields["Block size"])
    table = Table(0x1234, lay_out([(LINUX, length)]))
    image = folder / "bone-debian.img"
    with image.open("wb") as out:
        out.truncate(table.partitions[-1].end)
        out.seek(128 << 10)
        out.write(LOADER)
    run("sfdisk", "--quiet", image, stdin=sfdisk_script(table))
    place(system, image, table.partitions[0].offset)
    shutil.rmtree(tree)
    system.unlink()
    return image


@pytest.fixture(scope="module")
def adopted(tmp_path_factory: pytest.TempPathFactory) -> Card:
    """The image with Headwater in it."""
    folder = tmp_path_factory.mktemp("adopt")
    base = make_base(folder)
    packed = folder / "bone-debian.img.xz"
    packed.write_bytes(lzma.compress(base.read_bytes(), preset=0))
    base.unlink()
    deb = build.find_deb(ROOT / "dist", "bookworm")
    options = ["--deb", str(deb), "--ssh-key", str(public_key()), "--out", str(folder), "--security", "no"]
    assert build.main(["--base", str(packed), *options]) == 0
    return Card(folder / "headwater-bone-debian.img")


def system_of(card: Card) -> str:
    """Its only partition, for the tools of e2fsprogs."""
    return card.at(card.table.partitions[0])


def file(card: Card, name: str) -> str:
    return tool("debugfs", "-R", f"cat {name}", system_of(card)).decode()


def names(card: Card, folder: str) -> str:
    return tool("debugfs", "-R", f"ls -p {folder}", system_of(card)).decode()


def test_headwater_and_all_it_needs_are_installed(adopted: Card) -> None:
    status = file(adopted, "/var/lib/dpkg/status")
    states = dict(re.findall(r"^Package: (\S+)\nStatus: (.*)$", status, re.MULTILINE))
    assert {"headwater", "headwater-image", "chrony", "python3-numpy"} <= set(states)
    assert "headwater-image-boot" not in states or "0~stub" in status, "it starts as it did"
    assert set(states.values()) == {"install ok installed"}


def test_its_bootloader_and_its_id_are_left_as_they_are(adopted: Card) -> None:
    assert adopted.span(128 << 10, len(LOADER)) == LOADER
    assert adopted.table.disk_id == 0x1234


def test_its_file_system_is_clean_and_has_grown(adopted: Card) -> None:
    tool("e2fsck", "-fn", system_of(adopted))
    said = tool("dumpe2fs", "-h", system_of(adopted)).decode()
    fields = dict(re.findall(r"^([^:\n]+):\s*(\d+)", said, re.MULTILINE))
    assert int(fields["Free blocks"]) * int(fields["Block size"]) > 64 * MIB
    assert adopted.table.partitions[0].end <= adopted.path.stat().st_size


def test_the_password_everybody_knows_is_locked_and_the_key_is_in(adopted: Card) -> None:
    passwords = {line.split(":")[0]: line.split(":")[1] for line in file(adopted, "/etc/shadow").splitlines()}
    assert passwords["debian"] == "*"
    assert set(passwords.values()) <= {"*", "!", "!*"}
    assert file(adopted, "/home/debian/.ssh/authorized_keys").strip() == public_key().read_text().strip()
    assert "PasswordAuthentication no" in file(adopted, "/etc/ssh/sshd_config.d/headwater-image.conf")


def test_what_was_the_same_for_all_boards_is_gone(adopted: Card) -> None:
    assert "ssh_host_" not in names(adopted, "/etc/ssh")
    assert file(adopted, "/etc/machine-id") == ""
    assert "policy-rc.d" not in names(adopted, "/usr/sbin")


def test_the_adc_is_switched_on_at_its_full_rate(adopted: Card, tmp_path: Path) -> None:
    uenv = file(adopted, "/boot/uEnv.txt").splitlines()
    assert uenv.count("enable_uboot_overlays=1") == 1
    assert "uboot_overlay_addr4=BB-ADCFAST-00A0.dtbo" in uenv
    assert "disable_uboot_overlay_adc=1" in uenv
    assert "uname_r=5.10.168-ti-r72" in uenv
    overlay = tmp_path / "overlay.dtbo"
    command = f"dump /lib/firmware/BB-ADCFAST-00A0.dtbo {overlay}"
    subprocess.run(["/usr/sbin/debugfs", "-R", command, system_of(adopted)], check=True, capture_output=True)
    got = tool("fdtget", str(overlay), "/fragment@0/__overlay__/adc", "ti,adc-channels").decode().split()
    assert got == [str(channel) for channel in range(8)]


@pytest.mark.parametrize(
    ("content", "why"),
    [(bytes(MIB), "no disk image"), (b"", "no disk image")],
    ids=["zeros", "empty"],
)
def test_what_is_no_image_is_refused_in_one_line(
    content: bytes, why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = tmp_path / "base.img"
    base.write_bytes(content)
    assert build.main(["--base", str(base), "--deb", str(base), "--out", str(tmp_path)]) == 2
    assert why in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["base.img"]
