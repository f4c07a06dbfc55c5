"""The card's image: what is at which place, and what must not be on it."""

from __future__ import annotations

import hashlib
import re
import tarfile
from pathlib import Path

import pytest

from deploy.image.layout import DISK_ID, FAT32, FIRST_PARTITION_AT, LINUX, MIB, MLO_AT, UBOOT_AT
from tests.vm.image.card import Card, tool
from tests.vm.image.cards import Made
from tests.vm.image.login import public_key

ADC = "/ocp/interconnect@44c00000/segment@200000/target-module@d000/tscadc@0"
SMALLEST_EMMC = 1_800 * MIB
"""Revision B of the BeagleBone Black has 2 GB, of which not all is there."""
PEM = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----\s+[A-Za-z0-9+/=\s]{64}")


@pytest.fixture
def card(made: Made) -> Card:
    return Card(made.image)


@pytest.fixture
def kernel(card: Card) -> str:
    """The version of the only kernel."""
    (name,) = (name for name in card.boot_names() if name.startswith("linux-"))
    return name.removeprefix("linux-")


def test_the_table_has_the_three_partitions_one_behind_the_other(card: Card) -> None:
    assert card.table.disk_id == DISK_ID
    assert [part.type for part in card.table.partitions] == [FAT32, LINUX, LINUX]
    assert [part.bootable for part in card.table.partitions] == [True, False, False]
    assert card.config.offset == FIRST_PARTITION_AT
    assert card.state.end == card.path.stat().st_size
    assert card.config.end == card.system.offset
    assert card.system.end == card.state.offset


def test_the_bootloader_lies_where_the_processor_looks_as_debians_package_has_it(card: Card) -> None:
    listed = card.file("/var/lib/dpkg/info/u-boot-omap:armhf.md5sums").decode()
    sums = {name: digest for digest, name in (line.split(maxsplit=1) for line in listed.splitlines())}
    for name, at in (("MLO", MLO_AT), ("u-boot.img", UBOOT_AT)):
        path = f"usr/lib/u-boot/am335x_boneblack/{name}"
        length = len(card.file(f"/{path}"))
        assert length > 50_000
        assert hashlib.md5(card.span(at, length), usedforsecurity=False).hexdigest() == sums[path]


def test_the_device_tree_has_the_adc_on_with_8_channels_and_no_delays(
    card: Card, kernel: str, tmp_path: Path
) -> None:
    tree = tmp_path / "tree.dtb"
    tree.write_bytes(card.boot_file(f"/linux-{kernel}/am335x-boneblack.dtb"))

    def get(*words: str) -> str:
        return tool("fdtget", str(tree), *words).decode().strip()

    assert get(ADC, "status") == "okay"
    assert get(ADC, "compatible") == "ti,am3359-tscadc"
    assert get(f"{ADC}/adc", "ti,adc-channels") == "0 1 2 3 4 5 6 7"
    assert get(f"{ADC}/adc", "ti,chan-step-avg") == "1 1 1 1 1 1 1 1"
    assert get(f"{ADC}/adc", "ti,chan-step-opendelay") == "0 0 0 0 0 0 0 0"
    assert get(f"{ADC}/adc", "ti,chan-step-sampledelay") == "0 0 0 0 0 0 0 0"
    debians = tmp_path / "debians.dtb"
    debians.write_bytes(card.file(f"/usr/lib/linux-image-{kernel}/am335x-boneblack.dtb"))
    assert tool("fdtget", str(debians), ADC, "status").decode().strip() == "disabled", "else nothing was tested"


def test_the_bootloader_is_told_of_files_that_are_there(card: Card, kernel: str) -> None:
    menu = card.boot_file("/extlinux/extlinux.conf").decode("ascii")
    named = dict(re.findall(r"^\s+(linux|initrd|fdt) (\S+)$", menu, re.MULTILINE))
    assert set(named) == {"linux", "initrd", "fdt"}
    for path in named.values():
        assert card.boot_file(path)
    assert card.boot_file(named["linux"]) == card.file(f"/boot/vmlinuz-{kernel}")
    (append,) = re.findall(r"^\s+append (.*)$", menu, re.MULTILINE)
    assert f"headwater.disk={DISK_ID:08x}" in append.split()
    assert "console=ttyO0,115200n8" in append.split()
    assert "bone_capemgr.uboot_capemgr_enabled=1" in append.split(), "Adafruit_BBIO looks for it"


def test_the_ram_disk_has_the_drivers_of_the_cards_controller_and_of_the_watchdog(
    card: Card, kernel: str, tmp_path: Path
) -> None:
    packed = card.boot_file(f"/linux-{kernel}/initrd.gz")
    names = tool("sh", "-c", "zcat | cpio --quiet -t", data=packed).decode().split()
    assert {"init", "bin/busybox", "bin/e2fsck.static"} <= set(names)
    modules = {Path(name).stem for name in names if name.endswith(".ko")}
    aliases = card.file(f"/lib/modules/{kernel}/modules.alias").decode()
    for device in ("ti,am335-sdhci", "ti,omap3-wdt"):
        (driver,) = set(re.findall(rf"^alias of:N\*T\*C{device} (\S+)$", aliases, re.MULTILINE))
        assert driver.replace("_", "-") in {module.replace("_", "-") for module in modules}
    builtin = {Path(line).stem for line in card.file(f"/lib/modules/{kernel}/modules.builtin").decode().split()}
    assert {"mmc_block", "ext4", "overlay", "vfat"} <= modules | builtin
    needs = card.file(f"/lib/modules/{kernel}/modules.dep").decode()
    for line in needs.splitlines():
        module, _, needed = line.partition(":")
        if Path(module).stem in modules:
            assert {Path(each).stem for each in needed.split()} <= modules, module


def test_the_file_systems_are_clean(card: Card, tmp_path: Path) -> None:
    for partition in (card.system, card.state):
        tool("e2fsck", "-fn", card.at(partition))
    config = tmp_path / "config"
    config.write_bytes(card.span(card.config.offset, card.config.length))
    tool("fsck.vfat", "-n", str(config))


def test_nobody_has_a_password(card: Card) -> None:
    shadow = [line.split(":") for line in card.file("/etc/shadow").decode().splitlines()]
    assert {"root", "debian"} <= {name for name, *_ in shadow}
    assert {password for _, password, *_ in shadow} <= {"*", "!", "!*"}
    passwd = [line.split(":") for line in card.file("/etc/passwd").decode().splitlines()]
    assert {password for _, password, *_ in passwd} == {"x"}


def test_only_the_given_key_lets_somebody_in(card: Card) -> None:
    path = "/home/debian/.ssh/authorized_keys"
    assert card.file(path).decode().strip() == public_key().read_text().strip()
    assert card.mode(path) == "0600 1000"
    assert card.mode("/home/debian/.ssh") == "0700 1000"
    assert not card.names("/root/.ssh")


def test_what_each_board_makes_for_itself_is_not_on_it(card: Card) -> None:
    assert not {name for name in card.names("/etc/ssh") if name.startswith("ssh_host_")}
    assert card.file("/etc/machine-id") == b""
    assert "random-seed" not in card.names("/var/lib/systemd")
    assert card.file("/etc/hostname") == b"headwater\n"
    assert not card.names("/var/lib/headwater")


def test_no_private_key_is_on_it(made: Made, card: Card) -> None:
    # the archive is what the second partition was made of
    found = []
    with tarfile.open(made.parts.tar) as system:
        for member in system:
            if ".so." in member.name:
                continue  # GnuTLS has keys inside to test itself with
            content = system.extractfile(member) if member.isfile() else None
            if content is not None and PEM.search(content.read()):
                found.append(member.name)
    assert not found
    for name in ("/etc/ssl/private", "/root", "/home/debian"):
        assert not {each for each in card.names(name) if each.endswith((".key", ".pem", "_history"))}


def test_the_system_takes_its_packages_from_debian_with_security_updates(card: Card) -> None:
    sources = card.file("/etc/apt/sources.list").decode().splitlines()
    assert any(line.endswith("bookworm-security main") for line in sources)
    assert all(line.startswith("deb http://deb.debian.org/debian") for line in sources)


def test_it_fits_the_smallest_emmc_and_has_little_room_to_spare(card: Card) -> None:
    size = card.path.stat().st_size
    print(f"\nthe image has {size >> 20} MiB, the system {card.system.length >> 20} MiB")
    assert size < SMALLEST_EMMC
    fields = dict(re.findall(r"^([^:\n]+):\s*(\d+)", tool("dumpe2fs", "-h", card.at(card.system)).decode(), re.M))
    assert int(fields["Free blocks"]) < 0.3 * int(fields["Block count"])
    assert "has_journal" not in tool("dumpe2fs", "-h", card.at(card.system)).decode(), "it is never written to"


def test_headwater_is_installed_and_the_package_database_is_whole(card: Card) -> None:
    status = card.file("/var/lib/dpkg/status").decode()
    states = dict(re.findall(r"^Package: (\S+)\nStatus: (.*)$", status, re.MULTILINE))
    assert set(states.values()) == {"install ok installed"}
    assert {
        "headwater",
        "headwater-image",
        "headwater-image-boot",
        "mosquitto",
        "chrony",
        "openssh-server",
        "u-boot-omap",
    } <= set(states)
