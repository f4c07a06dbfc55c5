"""The card's first start, and those after it, in QEMU with the card's own kernel and RAM disk."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.image.layout import DISK_ID, MIB
from tests.vm.image.card import Card, tool
from tests.vm.image.cards import Made
from tests.vm.image.qemu import CARD_SIZE, Board, copy_card, on_virt

pytestmark = pytest.mark.timeout(1800)

WITHOUT_ADC = "systemd.mask=headwater-gateway.service"
"""There is none here, and a gateway that tries for ever takes the machine's time."""
UBOOT = Path("/usr/lib/u-boot/qemu_arm/u-boot.bin")


@pytest.fixture(scope="module")
def board(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Board]:
    """A new card, started once."""
    folder = tmp_path_factory.mktemp("board")
    card = copy_card(made.image, folder / "card.img", CARD_SIZE)
    began = time.monotonic()
    with Board(folder, card, boot=made.kernel, append=made.append, extra=WITHOUT_ADC) as board:
        print(f"\nfirst start to login: {time.monotonic() - began:.0f} s")
        yield board


def test_all_services_start(board: Board) -> None:
    board.login.attempt("systemctl is-system-running --wait")
    failed = board.login.lines("systemctl list-units --failed --plain --no-legend")
    assert not failed, board.login.run(f"systemctl status --no-pager {failed[0].split()[0]} || true")
    for unit in ("mosquitto", "chrony", "ssh", "systemd-networkd", "systemd-resolved"):
        assert board.login.run(f"systemctl is-active {unit} || true") == "active", unit
    print(f"\n{board.login.run('systemd-analyze time')}")


def test_the_system_is_never_written_to_and_changes_go_to_the_last_partition(board: Board) -> None:
    mounts = {
        target: (kind, options)
        for target, kind, options in (
            line.split() for line in board.login.lines("findmnt --raw --noheadings -o TARGET,FSTYPE,OPTIONS")
        )
    }
    assert mounts["/"][0] == "overlay"
    assert mounts["/media/system"][0] == "ext4"
    assert mounts["/media/system"][1].split(",")[0] == "ro"
    assert mounts["/media/state"][1].split(",")[0] == "rw"
    assert mounts["/boot/firmware"][1].split(",")[0] == "ro"
    assert mounts["/tmp"][0] == "tmpfs"
    board.login.run("echo 1 >/etc/changed; sync; cmp /etc/changed /media/state/changes/etc/changed")


def test_the_last_partition_has_grown_to_the_size_of_the_card(board: Board, made: Made) -> None:
    start = Card(made.image).state.offset
    assert int(board.login.run("blockdev --getsize64 /dev/vda3")) == CARD_SIZE - start
    blocks = int(board.login.run("stat --file-system --format=%b /media/state"))
    assert blocks * 4096 > 0.9 * (CARD_SIZE - start)


def test_the_board_is_called_after_its_network_address_and_knows_itself(board: Board) -> None:
    address = board.login.run("cat /sys/class/net/e*/address").replace(":", "")
    assert board.login.run("hostname") == f"headwater-{address}"
    assert board.login.run("cat /etc/hostname") == f"headwater-{address}"
    assert board.login.run("getent hosts localhost").split()[0] in ("::1", "127.0.0.1")
    assert board.login.run('getent ahostsv4 "$(hostname)"').split()[0] == "127.0.1.1"


def test_it_has_made_keys_and_an_identity_of_its_own(board: Board) -> None:
    assert board.login.run("ls /etc/ssh/ssh_host_*_key") == "/etc/ssh/ssh_host_ed25519_key"
    assert board.login.run("stat -c '%a %U' /etc/ssh/ssh_host_ed25519_key") == "600 root"
    assert re.fullmatch("[0-9a-f]{32}", board.login.run("cat /etc/machine-id"))


def test_nobody_gets_in_with_a_password_and_root_not_at_all(board: Board) -> None:
    for option in ("passwordauthentication no", "kbdinteractiveauthentication no", "permitrootlogin no"):
        assert option in board.login.lines("sshd -T")
    for user, options in (("debian", ["-o", "PubkeyAuthentication=no"]), ("root", [])):
        command = board.login.command("true", options=("BatchMode=yes",))
        command = [*(word.replace("debian@", f"{user}@") for word in command[:-1]), *options, command[-1]]
        tried = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert tried.returncode == 255, user
        assert "Permission denied (publickey)" in tried.stderr


def test_the_boards_watchdog_is_systemds_where_there_is_one(board: Board) -> None:
    board.login.run("modprobe softdog")
    assert board.login.run("systemctl show -p RuntimeWatchdogUSec --value") == "30s"


def test_the_usb_socket_is_a_network_card_at_192_168_7_2(board: Board) -> None:
    # dummy_hcd is both ends of a USB cable in one kernel
    board.login.run("modprobe dummy_hcd; modprobe g_ether; udevadm settle")
    found = board.login.run(
        "for i in $(seq 99); do ip -4 -br address | grep 192.168.7.2 && exit; sleep 0.1; done; ip address; exit 1"
    )
    assert "192.168.7.2/24" in found


def test_a_restart_keeps_all_that_was_changed(board: Board) -> None:
    before = board.login.lines("cat /etc/hostname /etc/machine-id /etc/ssh/ssh_host_ed25519_key.pub")
    board.login.run("echo kept >/var/lib/kept")
    board.restart()
    assert board.login.lines("cat /etc/hostname /etc/machine-id /etc/ssh/ssh_host_ed25519_key.pub") == before
    assert board.login.run("cat /var/lib/kept") == "kept"
    assert "kept" not in board.login.run("ls /media/system/var/lib")


class TestWhatIsOnTheFirstPartition:
    """People put files there with other computers."""

    @pytest.fixture
    def card(self, made: Made, tmp_path: Path) -> Card:
        return Card(copy_card(made.image, tmp_path / "card.img", CARD_SIZE))

    def put(self, card: Card, name: str, text: str) -> None:
        tool("mcopy", "-o", "-i", card.at_config, "-", f"::{name}", data=text.encode())

    def test_keys_are_added_and_a_reset_puts_the_changes_aside(
        self, card: Card, made: Made, tmp_path: Path
    ) -> None:
        self.put(card, "authorized_keys", "# mine\r\nssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOther other@laptop")
        board = Board(tmp_path, card.path, boot=made.kernel, append=made.append, extra=WITHOUT_ADC)
        with board:
            keys = board.login.lines("cat /home/debian/.ssh/authorized_keys")
            assert keys[-1] == "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOther other@laptop"
            assert len(keys) == 2
            board.login.run("echo changed >/etc/changed; sync")
            machine = board.login.run("cat /etc/machine-id")
        self.put(card, "reset", "")
        with board:
            assert board.login.run("ls /etc/changed 2>/dev/null || echo gone") == "gone"
            assert board.login.run("cat /media/state/before-reset/etc/changed") == "changed"
            assert board.login.run("cat /etc/machine-id") != machine
            assert "reset" not in board.login.lines("ls /boot/firmware")


class TestTheBootloader:
    """Debian's U-Boot of the same version, built for QEMU's machine: it looks for its menu in the same way."""

    def test_it_finds_the_menu_and_starts_the_kernel_with_its_ram_disk(self, made: Made, tmp_path: Path) -> None:
        card = Card(copy_card(made.image, tmp_path / "card.img", CARD_SIZE))
        menu = card.boot_file("/extlinux/extlinux.conf").decode()
        # the device tree is the one part that is for the board alone: QEMU has its own
        menu = re.sub(r"^\s+fdt .*\n", "", on_virt(menu), flags=re.MULTILINE)
        tool("mcopy", "-D", "o", "-i", card.at_config, "-", "::/extlinux/extlinux.conf", data=menu.encode())
        with Board(tmp_path, card.path, boot=UBOOT, append="") as board:
            assert "Found /extlinux/extlinux.conf" in board.console
            assert board.login.run("findmnt -no FSTYPE /") == "overlay"
            assert "headwater.disk=" in board.login.run("cat /proc/cmdline")

    def test_a_new_kernel_is_put_beside_the_one_that_runs(self, board: Board, made: Made) -> None:
        running = board.login.run("uname -r")
        board.login.run(
            f"ln -sfn {running} /lib/modules/6.1.0-new; "
            f"ln -sfn linux-image-{running} /usr/lib/linux-image-6.1.0-new; "
            f"for file in vmlinuz config; do cp /boot/$file-{running} /boot/$file-6.1.0-new; done; "
            "/etc/kernel/postinst.d/zz-headwater-image 6.1.0-new"
        )
        menu = board.login.run("cat /boot/firmware/extlinux/extlinux.conf")
        assert re.findall(r"^default (\S+)$", menu, re.MULTILINE) == ["linux-6.1.0-new"]
        assert re.findall(r"^label (\S+)$", menu, re.MULTILINE) == ["linux-6.1.0-new", f"linux-{running}"]
        for name in re.findall(r"^\s+(?:linux|initrd|fdt) (\S+)$", menu, re.MULTILINE):
            board.login.run(f"test -s /boot/firmware{name}")
        assert board.login.run("findmnt -no OPTIONS /boot/firmware").split(",")[0] == "ro"
        board.login.run(f"/etc/kernel/postinst.d/zz-headwater-image {running}")
        again = board.login.run("cat /boot/firmware/extlinux/extlinux.conf")
        # the console is named after the kernel's drivers, the id as the bootloader named it
        assert again == (made.parts.boot / "extlinux/extlinux.conf").read_text().strip()
        assert board.login.run("ls -d /boot/firmware/linux-*") == f"/boot/firmware/linux-{running}"


class TestDamage:
    """Cards wear out, and people pull plugs."""

    @pytest.fixture
    def card(self, made: Made, tmp_path: Path) -> Card:
        return Card(copy_card(made.image, tmp_path / "card.img", CARD_SIZE))

    def test_a_last_partition_that_cannot_be_repaired_leaves_a_board_one_can_log_in_to(
        self, card: Card, made: Made, tmp_path: Path
    ) -> None:
        with card.path.open("r+b") as file:
            file.seek(card.state.offset)
            file.write(bytes(card.state.length))
        with Board(tmp_path, card.path, boot=made.kernel, append=made.append, extra=WITHOUT_ADC) as board:
            assert board.login.run("findmnt -no FSTYPE /media/state") == "tmpfs"
            assert "STARTING WITHOUT IT" in board.login.run("journalctl -k -b --no-pager")

    def test_a_damaged_file_system_is_repaired_before_it_is_used(
        self, card: Card, made: Made, tmp_path: Path
    ) -> None:
        # the root directory's inode is gone
        tool("debugfs", "-w", "-R", "clri /", card.at(card.state))
        with Board(tmp_path, card.path, boot=made.kernel, append=made.append, extra=WITHOUT_ADC) as board:
            assert board.login.run("findmnt -no FSTYPE /media/state") == "ext4"
            assert board.login.run("cat /run/e2fsck.log")
            board.press_power_button()
            board.wait_until_off()
        tool("e2fsck", "-fn", card.at(Card(card.path).state))


class TestInstallingToEmmc:
    """`headwater-install-emmc`, onto a second disk."""

    def test_the_copy_starts_alone_with_all_that_was_changed(self, made: Made, tmp_path: Path) -> None:
        card = copy_card(made.image, tmp_path / "card.img", CARD_SIZE)
        emmc = tmp_path / "emmc.img"
        with emmc.open("wb") as out:
            out.truncate(1900 * MIB)
        with Board(tmp_path, card, emmc, boot=made.kernel, append=made.append, extra=WITHOUT_ADC) as board:
            board.login.run("echo taken >/var/lib/taken; chown 33:33 /var/lib/taken; rm /etc/motd")
            machine = board.login.run("cat /etc/machine-id")
            refused = board.login.attempt("headwater-install-emmc --yes /dev/vda")
            assert refused.returncode == 2
            assert "is what this system runs from" in refused.stderr
            began = time.monotonic()
            board.login.run("headwater-install-emmc --yes /dev/vdb", timeout=1800)
            print(f"\nto eMMC: {time.monotonic() - began:.0f} s")
        copy = Card(emmc)
        assert copy.table.disk_id not in (0, DISK_ID)
        assert copy.state.end == 1900 * MIB
        first, second = Card(card), copy
        assert first.span(128 << 10, 2 << 20) == second.span(128 << 10, 2 << 20)
        tool("e2fsck", "-fn", copy.at(copy.state))
        append = re.search(r"^\s+append (.*)$", copy.boot_file("/extlinux/extlinux.conf").decode(), re.MULTILINE)
        assert append
        # both are in, and each finds its own
        with Board(tmp_path, card, emmc, boot=made.kernel, append=append[1], extra=WITHOUT_ADC) as board:
            assert board.login.run("findmnt -no SOURCE /media/state") == "/dev/vdb3"
            assert board.login.run("stat -c %u:%g /var/lib/taken; cat /var/lib/taken") == "33:33\ntaken"
            assert board.login.run("ls /etc/motd 2>/dev/null || echo gone") == "gone"
            assert board.login.run("cat /etc/machine-id") == machine
