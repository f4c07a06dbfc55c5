"""A virtual machine in which a script changes the system on a disk image, which this computer does not mount.

QEMU emulates the processor, Debian's kernel knows the file system, and a busybox is all the rest. Slow, but it
needs no rights and keeps everything as the kernel does: owners, capabilities, hard links.
"""

from __future__ import annotations

import gzip
import hashlib
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path

from deploy.image.apt import Apt, first
from deploy.image.debian import Archive
from deploy.image.tools import LAST_LINES, ImageError, environment, run, say

INIT = Path(__file__).parent / "workshop-init"
MODULES = ("virtio_mmio", "virtio_blk", "virtio_rng", "crc32c_generic", "ext4")
PATIENCE_S = 3600
RESULT = re.compile(r"^workshop: result (\d+)", re.MULTILINE)


class Workshop:
    """Made once; each `work()` is one start of the machine."""

    def __init__(self, kernel: Path, initrd: Path) -> None:
        self.kernel = kernel
        self.initrd = initrd

    @classmethod
    def make(cls, cache: Path, archive: Archive) -> Workshop:
        """Fetch kernel and busybox, unless that was done before. Raises ImageError."""
        key = hashlib.sha256(INIT.read_bytes() + Path(__file__).read_bytes()).hexdigest()[:12]
        folder = cache / f"workshop-{archive.suite}-{key}"
        workshop = cls(folder / "vmlinuz", folder / "initrd.gz")
        if workshop.initrd.exists():
            return workshop
        say("fetching a kernel for the virtual machine …")
        apt = Apt(folder / "apt", archive, b"")
        packages = apt.download("linux-image-armmp", "busybox-static")
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            tree = Path(scratch)
            for package in (first(packages, "linux-image-6"), first(packages, "busybox-static_")):
                run("dpkg-deb", "--extract", package, tree)
            (kernel,) = (tree / "boot").glob("vmlinuz-*")
            shutil.copy(kernel, workshop.kernel)
            _make_initrd(tree, kernel.name.removeprefix("vmlinuz-"), workshop.initrd)
        return workshop

    def work(self, image: Path, partition: int, files: Mapping[str, Path], log: Path) -> None:
        """Run the script `work.sh` of the files, as root of the system on that partition. Raises ImageError."""
        with tempfile.TemporaryDirectory(dir=log.parent) as scratch:
            payload = Path(scratch) / "payload.tar"
            with tarfile.open(payload, "w") as tar:
                for name, path in files.items():
                    tar.add(path, arcname=name)
            command = self._command(image, partition, payload)
            with log.open("wb") as out:
                try:
                    subprocess.run(
                        command,
                        stdin=subprocess.DEVNULL,
                        stdout=out,
                        stderr=subprocess.STDOUT,
                        env=environment(),
                        timeout=PATIENCE_S,
                        check=False,
                    )
                except subprocess.TimeoutExpired:
                    raise ImageError(
                        f"the virtual machine did not end within {PATIENCE_S // 60} min: {log}"
                    ) from None
        said = log.read_text(errors="replace").replace("\r", "")
        result = RESULT.search(said)
        if result is None or result[1] != "0":
            last = "\n".join(said.strip().splitlines()[-LAST_LINES:])
            raise ImageError(f"changing {image.name} failed:\n{last}\n(all of it: {log})")

    def _command(self, image: Path, partition: int, payload: Path) -> list[str]:
        drives = []
        for name, path in (("image", image), ("payload", payload)):
            drives += ["-drive", f"file={path},if=none,format=raw,id={name},cache=unsafe"]
            drives += ["-device", f"virtio-blk-device,drive={name},serial={name}"]
        return [
            "qemu-system-arm",
            *(
                "-M",
                "virt",
                "-cpu",
                "cortex-a15",
                "-smp",
                "2",
                "-m",
                "1024",
                "-nographic",
                "-no-reboot",
                "-nic",
                "none",
            ),
            *("-kernel", str(self.kernel), "-initrd", str(self.initrd)),
            *("-append", f"console=ttyAMA0 quiet panic=1 workshop={partition}"),
            *drives,
            *("-device", "virtio-rng-device"),
        ]


def _make_initrd(tree: Path, version: str, initrd: Path) -> None:
    """The machine's root: busybox, the modules it needs, and the init beside this file."""
    run("depmod", "-b", tree, version)
    root = tree / "initrd"
    for folder in ("bin", "dev", "proc", "sys", "system"):
        (root / folder).mkdir(parents=True)
    shutil.copy(tree / "bin/busybox", root / "bin/busybox")
    shutil.copy(INIT, root / "init")
    (root / "init").chmod(0o755)
    for module in MODULES:
        shown = run("modprobe", "-d", tree, "-S", version, "--show-depends", module)
        for path in re.findall(r"^insmod (\S+)", shown, re.MULTILINE):
            target = root / Path(path).relative_to(tree)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
    for name in ("modules.order", "modules.builtin", "modules.builtin.modinfo"):
        shutil.copy(tree / "lib/modules" / version / name, root / "lib/modules" / version / name)
    run("depmod", "-b", root, version)
    names = "\n".join(str(path.relative_to(root)) for path in [root, *sorted(root.rglob("*"))])
    archive = subprocess.run(
        ["cpio", "--quiet", "-o", "-H", "newc", "-R", "0:0"],
        cwd=root,
        input=names.encode(),
        stdout=subprocess.PIPE,
        check=True,
    ).stdout
    initrd.write_bytes(gzip.compress(archive, mtime=0))
