"""What happens around the outbox's file, for a process in a mount namespace of its own.

`python -m tests.gateway.device.disk_scenarios NAME DIRECTORY`, as root, below `unshare --mount`. Each function
mounts what it needs on the directory and raises AssertionError if the outbox does not keep its promise.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from gateway.device.outbox import OutboxSettings
from tests.gateway.device.outboxes import FRAMES, Bench, batch

UNMOUNTABLE = 77
"""Exit code: this machine cannot mount what the scenario needs."""


def run(*command: str | Path) -> None:
    """A command that has to succeed."""
    subprocess.run(command, check=True, capture_output=True)


def settings_at(directory: Path) -> OutboxSettings:
    """More than the small file systems hold, and little memory."""
    return OutboxSettings(directory=directory, max_bytes=8 << 20, memory_bytes=256 << 10, retry_s=0.5)


def fill(box: Bench, numbers: range) -> None:
    """Put batches while the broker is away; a second passes for each 50."""
    for number in numbers:
        box.outbox.put(batch(number))
        if number % 50 == 49:
            box.wait(1.0)
        assert box.outbox.counters().memory_bytes <= box.settings.memory_bytes


def arrive_and_go(box: Bench, records: int) -> None:
    """The broker is there for a moment; what it acknowledged is not deleted from the disk yet."""
    box.outbox.connected()
    while len(box.received) < records:
        box.outbox.step()
        for sending in box.send():
            box.arrive(sending)
    box.outbox.release_all()


def check_the_account(box: Bench, total: int) -> None:
    """Everything arrived once, or was declared."""
    box.drain()
    account = box.account.of("ecg", 1)
    assert account.undeclared(total * FRAMES) == 0
    assert account.duplicates == 0
    lost = box.outbox.counters().dropped
    assert lost == {reason: ranges.count for reason, ranges in account.lost.items()}


def full(directory: Path) -> None:
    """The file system has 1 MiB; later it has more."""
    run("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", directory)
    box = Bench(settings_at(directory))
    fill(box, range(4000))
    assert box.names[0] == "outbox_degraded"
    assert "outbox_full" in box.names
    assert box.outbox.counters().degraded is not None
    run("mount", "-o", "remount,size=32m", directory)
    box.wait(20.0)
    dropped = box.outbox.counters().dropped["outbox_full"]
    fill(box, range(4000, 6000))
    assert box.names[-1] == "outbox_recovered"
    assert box.outbox.counters().degraded is None
    assert box.outbox.counters().dropped["outbox_full"] == dropped
    check_the_account(box, 6000)


def full_but_drained(directory: Path) -> None:
    """The file system stays full, and the broker comes back: what is on disk is sent, and makes room."""
    run("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", directory)
    box = Bench(settings_at(directory))
    fill(box, range(3000))
    assert box.outbox.counters().disk_records > 100
    check_the_account(box, 3000)
    box.wait(20.0)
    box.wait(20.0)
    assert box.names[-1] == "outbox_recovered"


def full_while_a_damaged_file_is_taken_over(directory: Path) -> None:
    """There is no room for both; what was taken over stays, and the rest of the start is as any other."""
    run("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", directory)
    earlier = Bench(settings_at(directory))
    fill(earlier, range(700))
    earlier.outbox.close()
    file = directory / "outbox.db"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    file.write_bytes(content)
    box = Bench(settings_at(directory))
    for number in range(100):
        box.outbox.put(batch(number, epoch=2))
    box.wait(1.0)
    assert box.names == ["outbox_corrupt"]
    run("mount", "-o", "remount,size=32m", directory)
    box.wait(20.0)
    box.wait(20.0)
    box.drain()
    assert box.outbox.counters().degraded is None
    assert box.account.of("ecg", 2).delivered == 100 * FRAMES
    (known,) = box.outbox.previous(0) or []
    taken_over = sum(end - start for start, end in known.backlog)
    assert 0 < taken_over < 700 * FRAMES
    assert box.account.of("ecg", 1).delivered == taken_over
    assert box.account.of("ecg", 1).duplicates == 0


def full_from_the_start(directory: Path) -> None:
    """Not even an empty file fits; live data goes out from memory."""
    run("mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", directory)
    box = Bench(settings_at(directory))
    box.outbox.connected()
    for number in range(100):
        box.outbox.put(batch(number))
        box.wait(0.1)
        for sending in box.send():
            box.arrive(sending)
    assert box.account.of("ecg", 1).delivered == 100 * FRAMES
    assert box.names == ["outbox_degraded"]


def read_only_from_the_start(directory: Path) -> None:
    """Then somebody mounts it as it should be."""
    run("mount", "-t", "tmpfs", "-o", "size=32m,ro", "tmpfs", directory)
    box = Bench(settings_at(directory))
    fill(box, range(1000))
    assert "outbox_degraded" in box.names
    run("mount", "-o", "remount,rw", directory)
    box.wait(20.0)
    fill(box, range(1000, 1500))
    assert box.names[-1] == "outbox_recovered"
    assert (directory / "outbox.db").exists()
    check_the_account(box, 1500)


def read_only_on_the_way(directory: Path) -> None:
    """An SD card with errors: ext4 goes read-only under the open file; it is checked and mounted again."""
    image = directory.with_suffix(".img")
    with image.open("wb") as file:
        file.truncate(32 << 20)
    run("mke2fs", "-q", "-t", "ext4", image)
    if subprocess.run(["mount", "-o", "loop,errors=remount-ro", image, directory], check=False).returncode:
        sys.exit(UNMOUNTABLE)
    source = subprocess.run(["findmnt", "-no", "SOURCE", directory], check=True, capture_output=True, text=True)
    trigger = Path("/sys/fs/ext4") / Path(source.stdout.strip()).name / "trigger_fs_error"
    if not trigger.exists():
        sys.exit(UNMOUNTABLE)
    box = Bench(settings_at(directory))
    fill(box, range(1000))
    assert box.names == []
    arrive_and_go(box, 100)
    trigger.write_text("1")
    fill(box, range(1000, 3000))
    assert box.names[0] == "outbox_degraded"
    run("umount", directory)
    subprocess.run(["e2fsck", "-fy", image], check=False, capture_output=True)
    run("mount", "-o", "loop", image, directory)
    box.wait(20.0)
    fill(box, range(3000, 3500))
    assert box.names[-1] == "outbox_recovered"
    check_the_account(box, 3500)
    assert box.account.of("ecg", 1).delivered > 1000 * FRAMES
    box.outbox.close()
    run("umount", directory)


SCENARIOS = {
    scenario.__name__: scenario
    for scenario in (
        full,
        full_but_drained,
        full_while_a_damaged_file_is_taken_over,
        full_from_the_start,
        read_only_from_the_start,
        read_only_on_the_way,
    )
}

if __name__ == "__main__":
    SCENARIOS[sys.argv[1]](Path(sys.argv[2]))
