"""The card's user space in a container: systemd-nspawn boots it on this computer's kernel, through qemu-user."""

from __future__ import annotations

import fcntl
import subprocess
from pathlib import Path
from typing import Self

from tests.vm.image.cards import FOLDER, Made
from tests.vm.image.gateway_on_card import UNIT
from tests.vm.nspawn import Container

HOST, GUEST = "198.18.6.1", "198.18.6.2"
"""For networks that are measured (RFC 2544): nothing on a usual one has these, and nothing of ours hides it."""
NOT_IN_A_CONTAINER = """\
[Service]
# systemd reads them in a process that it makes with CLONE_NEWNS, and do_fork() of qemu-user refuses that
LoadCredential=
ExecStartPre=+chown --recursive headwater /etc/headwater/secrets
# systemd passes the name space on as a file descriptor, which comes back as an I/O error
PrivateIPC=no
# the unit has a /proc of its own, without what the stand-in of the ADC has bound over the kernel's command line
BindReadOnlyPaths=-/run/cmdline:/proc/cmdline
"""


def tree_of(made: Made) -> Path:
    """A folder with the card's system, kept beside the card."""
    tree = FOLDER / f"{made.parts.folder.name}.tree"
    with (FOLDER / "tree.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not tree.is_dir():
            making = tree.with_suffix(".making")
            subprocess.run(["rm", "-rf", str(making)], check=True)
            making.mkdir()
            options = ["--numeric-owner", "--xattrs-include=*", "--preserve-permissions"]
            subprocess.run(["tar", "-x", *options, "-f", str(made.parts.tar), "-C", str(making)], check=True)
            making.chmod(0o755)
            making.rename(tree)
    return tree


class CardContainer(Container):
    """A board without a kernel of its own, and a cable to this computer."""

    boot_s = 600.0

    def __init__(self, folder: Path, made: Made) -> None:
        super().__init__(folder)
        self._made = made
        self._link = f"hw{abs(hash(folder)) % 10**8}"

    def base(self) -> Path:
        """The card's system."""
        return tree_of(self._made)

    def _prepare(self) -> None:
        # there is no ADC yet, and systemd calls the start unfinished while a service is tried again and again
        self.path(f"etc/systemd/system/{UNIT}").symlink_to("/dev/null")
        drop_in = self.path(f"etc/systemd/system/{UNIT}.d/emulated.conf")
        drop_in.parent.mkdir()
        drop_in.write_text(NOT_IN_A_CONTAINER)

    def __enter__(self) -> Self:
        super().__enter__()
        try:
            self._plug_in()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def _plug_in(self) -> None:
        """The cable ends with the container's network."""
        pid = str(self.leader)
        _ip("link", "add", self._link, "type", "veth", "peer", "name", "hw0", "netns", pid)
        _ip("address", "add", f"{HOST}/30", "dev", self._link)
        _ip("link", "set", self._link, "up")
        self.run(f"ip address add {GUEST}/30 dev hw0; ip link set hw0 up")


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)
