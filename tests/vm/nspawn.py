"""Debian without hardware: its user space, booted by systemd in a container; and a board, reached over ssh."""

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
SUITE = "bookworm"
PACKAGES = ("systemd", "systemd-sysv", "udev", "dbus", "procps", "ca-certificates", "python3", "python3-numpy")
USER = "debian"
HIERARCHIES = ("/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified", "/sys/fs/cgroup")
IN_OWN_GROUP = f"""
for hierarchy in {" ".join(HIERARCHIES)}; do
    [ ! -e $hierarchy/cgroup.procs ] || {{ mkdir $hierarchy/$0 && echo $$ > $hierarchy/$0/cgroup.procs; }}
done
exec systemd-nspawn "$@"
"""
"""Containers beside each other must not share the control groups that systemd makes in them."""


def debian_root(*more: str) -> Path:
    """A folder with Debian and more of its packages, from where this machine has them; made once."""
    packages = (*PACKAGES, *more)
    key = hashlib.sha256(" ".join((SUITE, *packages)).encode()).hexdigest()[:12]
    root = CACHE / f"{SUITE}-{key}"
    if root.is_dir():
        return root
    CACHE.mkdir(parents=True, exist_ok=True)
    making = root.with_suffix(".making")
    shutil.rmtree(making, ignore_errors=True)
    script = '. deploy/debian/chroot.sh && mirrors "$0"'
    mirrors = subprocess.run(["bash", "-c", script, SUITE], cwd=ROOT, check=True, capture_output=True, text=True)
    options = ("--mode=root", "--variant=minbase", "--dpkgopt=force-unsafe-io", f"--include={','.join(packages)}")
    command = ["mmdebstrap", "--quiet", *options, SUITE, str(making), *mirrors.stdout.splitlines()]
    subprocess.run(command, check=True)
    making.rename(root)
    return root


class Container:
    """What it has on disk outlives its being switched off, and ends with the `with` block. It has no network."""

    boot_s = 120.0
    command_s = 300.0
    """How long a command may take."""
    packages: tuple[str, ...] = ()
    """What it has beside the usual ones."""
    network: tuple[str, ...] = ("--private-network",)

    def __init__(self, folder: Path, *options: str, like: Container | None = None) -> None:
        """`options` are further ones of systemd-nspawn(1); `like` is one that is off, and stays as it is."""
        self.folder = folder
        self.root = folder / "root"
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
        """Boot, and wait until it is up."""
        flags = ("--register=no", "--keep-unit", "--boot", "--console=pipe", "--quiet", "--link-journal=no")
        machine = ("-D", str(self.root), f"--machine={self.name}", *self.network)
        self._process = RunningProcess(["sh", "-c", IN_OWN_GROUP, self.name, *machine, *flags, *self._options])
        process = self._process
        wait_until(lambda: self._children() or not process.running, "the container's init", self.boot_s)
        assert process.running, process
        wait_until(lambda: self.is_up() or not process.running, "the container to be up", self.boot_s)
        assert process.running, process

    def is_up(self) -> bool:
        """Whether it has booted."""
        # at first the child is one that only makes the container's init
        return (
            len(self._children()) == 1
            and self.try_run("systemctl is-system-running | grep -Eq 'running|degraded'")[0] == 0
        )

    def cut_power(self) -> None:
        """Nothing in it gets to say goodbye."""
        if self._process is None:
            return
        with self._process as process:
            if children := self._children():
                for child in children:
                    os.kill(child, signal.SIGKILL)  # its init, and with it all of its processes
                process.wait(self.boot_s)
        self._process = None
        for folder in (Path(hierarchy, self.name) for hierarchy in HIERARCHIES):
            if folder.is_dir():
                subprocess.run(
                    ["find", str(folder), "-depth", "-type", "d", "-exec", "rmdir", "{}", ";"], check=True
                )

    @property
    def name(self) -> str:
        """What the machine is called here."""
        return f"headwater-{hashlib.sha256(str(self.folder).encode()).hexdigest()[:8]}"

    @property
    def leader(self) -> int:
        """The process id of its init, outside."""
        (leader,) = self._children()
        return leader

    def run(self, command: str) -> str:
        """The output of a shell command in it, which has to succeed."""
        code, out = self.try_run(command)
        assert code == 0, f"{command}: {code}\n{out}"
        return out

    def try_run(self, command: str) -> tuple[int, str]:
        """Exit code and all output of a shell command in it."""
        leader = next(iter(self._children()), None)
        enter = ["nsenter", "--target", str(leader), "--mount", "--uts", "--ipc", "--net", "--pid"]
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "HOME": "/root"}
        done = subprocess.run(
            [*enter, "--", "sh", "-c", command],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=self.command_s,
        )
        return done.returncode, done.stdout

    def put(self, source: Path, name: str) -> None:
        """Copy a file into it."""
        shutil.copy(source, self.path(name))

    def path(self, name: str) -> Path:
        """A file of it, as it is on disk; what is in /run and /tmp is not on disk."""
        return self.root / name.lstrip("/")

    def base(self) -> Path:
        """The tree that it has changes of its own to."""
        return debian_root(*self.packages)

    def _prepare(self) -> None:
        """What is done to its disk before it boots."""

    def _mount(self) -> None:
        upper, work = self.folder / "upper", self.folder / "work"
        for path in (upper, work, self.root):
            path.mkdir(parents=True)
        below = f"{self._like.folder / 'upper'}:{self.base()}" if self._like else self.base()
        layers = f"lowerdir={below},upperdir={upper},workdir={work}"
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", layers, str(self.root)], check=True)

    def _unmount(self) -> None:
        subprocess.run(["umount", str(self.root)], check=True)

    def _children(self) -> list[int]:
        if self._process is None or not self._process.running:
            return []
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        return [int(child) for child in children]


class Board(Container):
    """One that is logged into; its network is this machine's."""

    boot_s = 60.0
    connect_s = 5
    """How long an attempt to log in may take."""
    packages: tuple[str, ...] = ("openssh-server", "sudo")
    network = ()

    def __init__(self, folder: Path, *options: str, like: Board | None = None) -> None:
        super().__init__(folder, *options, like=like)
        self.port = free_port()
        self.key = folder / "login"

    def is_up(self) -> bool:
        """Whether one can log in."""
        return self.try_ssh("true")[0] == 0

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
