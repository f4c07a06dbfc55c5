"""A card's image, read from outside: what is at which byte, and the files in it. Nothing is mounted."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from deploy.image.layout import Partition, Table, read_table
from deploy.image.tools import environment


@dataclass(frozen=True)
class Card:
    """An image with the partitions config, system and state."""

    path: Path

    @cached_property
    def table(self) -> Table:
        """Its partition table."""
        return read_table(self.span(0, 512))

    @property
    def config(self) -> Partition:
        return self.table.partitions[0]

    @property
    def system(self) -> Partition:
        return self.table.partitions[1]

    @property
    def state(self) -> Partition:
        return self.table.partitions[2]

    def span(self, at: int, length: int) -> bytes:
        """What is at that place."""
        with self.path.open("rb") as image:
            image.seek(at)
            return image.read(length)

    def at(self, partition: Partition) -> str:
        """How the tools of e2fsprogs name a partition of it."""
        return f"{self.path}?offset={partition.offset}"

    @property
    def at_config(self) -> str:
        """How mtools names the first partition."""
        return f"{self.path}@@{self.config.offset}"

    def debugfs(self, request: str, partition: Partition | None = None) -> bytes:
        """What debugfs(8) answers, by default about the system."""
        return tool("debugfs", "-R", request, self.at(partition or self.system))

    def file(self, name: str) -> bytes:
        """A file of the system."""
        return self.debugfs(f"cat {name}")

    def names(self, folder: str) -> set[str]:
        """The names in a folder of the system."""
        lines = self.debugfs(f"ls -p {folder}").decode().splitlines()
        return {line.split("/")[5] for line in lines if line.startswith("/")} - {".", ".."}

    def mode(self, name: str) -> str:
        """Rights and owner of a file of the system: `0600 1000`."""
        text = self.debugfs(f"stat {name}").decode()
        return f"{text.split('Mode:')[1].split()[0]} {text.split('User:')[1].split()[0]}"

    def boot_file(self, name: str) -> bytes:
        """A file of the first partition, which U-Boot reads."""
        return tool("mcopy", "-n", "-i", self.at_config, f"::{name}", "-")

    def boot_names(self, folder: str = "/") -> set[str]:
        """The names in a folder of the first partition."""
        listed = tool("mdir", "-b", "-i", self.at_config, f"::{folder}").decode()
        return {line.rstrip("/").rsplit("/", 1)[-1] for line in listed.splitlines()}


def tool(*command: str, data: bytes | None = None) -> bytes:
    """The output of a command that must succeed."""
    extra = environment({"MTOOLS_SKIP_CHECK": "1"})
    done = subprocess.run(command, input=data, capture_output=True, env=extra, check=False)
    assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout!r}\n{done.stderr!r}"
    return done.stdout
