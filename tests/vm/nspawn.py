"""A board without hardware: Debian's own user space, booted by systemd in a container, reached over ssh."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.ports import free_port
from tests.support.processes import ROOT, RunningProcess
from tests.support.waiting import wait_until

CACHE = ROOT / "build" / "vm"
PACKAGES = (
    *("systemd", "systemd-sysv", "dbus", "procps", "openssh-server", "sudo"),
    *("python3", "python3-numpy", "ca-certificates"),
)
BOOT_S = 60.0
USER = "debian"
HIERARCHIES = ("/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified", "/sys/fs/cgroup")
IN_OWN_GROUP = f"""
for hierarchy in {" ".join(HIERARCHIES)}; do
    [ ! -e $hierarchy/cgroup.procs ] || {{ mkdir $hierarchy/$0 && echo $$ > $hierarchy/$0/cgroup.procs; }}
done
exec systemd-nspawn "$@"
"""
"""Boards beside each other must not share the control groups that systemd makes in them."""


def debian_root(*more: str, release: str = "bookworm") -> Path:
    """A folder with Debian and more of its packages in it; made once, which takes two minutes."""
    packages = (*PACKAGES, *more)
    key = hashlib.sha256(" ".join((release, *packages)).encode()).hexdigest()[:12]
    root = CACHE / f"{release}-amd64-{key}"
    if not root.is_dir():
        CACHE.mkdir(parents=True, exist_ok=True)
        making = root.with_suffix(".making")
        shutil.rmtree(making, ignore_errors=True)
        options = ("--mode=root", "--variant=minbase", "--architectures=amd64", f"--include={','.join(packages)}")
        subprocess.run(["mmdebstrap", "--quiet", *options, release, str(making)], check=True)
        making.rename(root)
    return root


class Board:
    """One board: what it has on disk outlives its being switched off, and ends with the `with` block."""

    connect_s = 5
    """How long an attempt to log in may take."""
    command_s = 300
    """How long a command may."""
    packages: tuple[str, ...] = ()
    """What it has beside the usual ones."""

    def __init__(self, folder: Path, *options: str, like: Board | None = None) -> None:
        """`options` are further ones of systemd-nspawn(1); `like` is a board that is off, and stays as it is."""
        self.folder = folder
        self.root = folder / "root"
        self.port = free_port()
        self.key = folder / "login"
        self._options = options
        self._like = like
        self._process: RunningProcess | None = None

    def __enter__(self) -> Self:
        self._mount()
        try:
            self._prepare()
            self.switch_on()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cut_power()
        self._unmount()

    def switch_on(self) -> None:
        """Boot, and wait until one can log in."""
        flags = ("--register=no", "--keep-unit", "--boot", "--console=pipe", "--quiet", "--link-journal=no")
        machine = ("-D", str(self.root), f"--machine={self.name}")
        self._process = RunningProcess(["sh", "-c", IN_OWN_GROUP, self.name, *machine, *flags, *self._options])
        process = self._process
        wait_until(lambda: self.try_ssh("true")[0] == 0 or not process.running, "a login on the board", BOOT_S)
        assert process.running, process

    def cut_power(self) -> None:
        """Nothing on the board gets to say goodbye."""
        if self._process is None:
            return
        process, self._process = self._process, None
        with process:
            for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
                os.kill(int(child), signal.SIGKILL)  # the board's init, and with it all of its processes
            process.wait(BOOT_S)
        for folder in (Path(hierarchy, self.name) for hierarchy in HIERARCHIES):
            if folder.is_dir():
                subprocess.run(
                    ["find", str(folder), "-depth", "-type", "d", "-exec", "rmdir", "{}", ";"], check=True
                )

    @property
    def name(self) -> str:
        """What the machine is called here."""
        return f"headwater-board-{self.port}"

    def ssh(self, command: str, data: bytes = b"", user: str = "root") -> str:
        """The output of a shell command on the board, which has to succeed."""
        code, out, err = self.try_ssh(command, data, user)
        assert code == 0, f"{command}: {code}\n{out}{err}"
        return out

    def try_ssh(self, command: str, data: bytes = b"", user: str = "root") -> tuple[int, str, str]:
        """Exit code, output and error output of a shell command on the board."""
        login = ["ssh", "-F", str(self.config), f"{user}@board", command]
        done = subprocess.run(login, input=data, capture_output=True, check=False, timeout=self.command_s)
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    @property
    def config(self) -> Path:
        """The user's ssh_config(5) by which it is reached as `board`."""
        return self.folder / "ssh_config"

    def path(self, name: str) -> Path:
        """A file of the board, as it is on disk."""
        return self.root / name.lstrip("/")

    def _mount(self) -> None:
        upper, work = self.folder / "upper", self.folder / "work"
        for path in (upper, work, self.root):
            path.mkdir(parents=True)
        base = debian_root(*self.packages)
        below = f"{self._like.folder / 'upper'}:{base}" if self._like else base
        layers = f"lowerdir={below},upperdir={upper},workdir={work}"
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", layers, str(self.root)], check=True)

    def _unmount(self) -> None:
        subprocess.run(["umount", str(self.root)], check=True)

    def _listening(self) -> str:
        """Where its ssh server listens: the network is this machine's."""
        return f"Port {self.port}\nListenAddress 127.0.0.1\n"

    def _prepare(self) -> None:
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.key)], check=True)
        public = self.key.with_suffix(".pub").read_text()
        if self._like is None:
            subprocess.run(["chroot", str(self.root), "useradd", "--create-home", USER], check=True)
        for home, owner in (("root", 0), (f"home/{USER}", 1000)):
            folder = self.path(home) / ".ssh"
            folder.mkdir(mode=0o700, exist_ok=True)
            (folder / "authorized_keys").write_text(public)
            for path in (folder, folder / "authorized_keys"):
                os.chown(path, owner, owner)
        self.path("etc/sudoers.d/board").write_text(f"{USER} ALL=(ALL) NOPASSWD: ALL\n")
        self.path("etc/ssh/sshd_config.d/board.conf").write_text(self._listening())
        host_key = self.path("etc/ssh/ssh_host_ed25519_key.pub").read_text().split()
        known = self.folder / "known_hosts"
        known.write_text(f"[127.0.0.1]:{self.port} {host_key[0]} {host_key[1]}\n")
        self.config.write_text(
            f"Host board\n HostName 127.0.0.1\n Port {self.port}\n IdentityFile {self.key}\n IdentitiesOnly yes\n"
            f" UserKnownHostsFile {known}\n GlobalKnownHostsFile /dev/null\n"
            f" BatchMode yes\n ConnectTimeout {self.connect_s}\n"
        )
