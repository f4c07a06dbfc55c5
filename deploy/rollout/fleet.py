"""Many boards: the file that lists them, several at a time, and the table at the end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from deploy.rollout.deployment import Outcome, Wish
from deploy.rollout.errors import DeployError

MOST_WORDS = 3


def parse_hosts(text: str, folder: Path, role: str, configuration: Path | None, name: str) -> list[Wish]:
    """Read lines of `host [configuration [bundle]]`, `-` for none; paths are relative to the file's folder.

    A host without a configuration gets the given one. Raises DeployError that names the line.
    """
    wishes: list[Wish] = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        if len(words) > MOST_WORDS:
            raise DeployError(
                f"{name}:{number}: expected 'host [configuration [bundle]]', found {len(words)} words"
            )
        host, own, bundle = (*words, "-", "-")[:MOST_WORDS]
        if any(wish.host == host for wish in wishes):
            raise DeployError(f"{name}:{number}: {host} is there twice")
        chosen = configuration if own == "-" else folder / own
        wishes.append(Wish(host, role, chosen, None if bundle == "-" else folder / bundle))
    if not wishes:
        raise DeployError(f"{name}: names no host")
    return wishes


def deploy_all(
    wishes: Sequence[Wish], deploy: Callable[[Wish], Outcome], jobs: int, first: bool = False
) -> list[Outcome]:
    """Deploy to all, so many at a time; with `first`, the others only if the first one is well afterwards."""
    outcomes: list[Outcome] = []
    if first and len(wishes) > 1:
        outcomes.append(deploy(wishes[0]))
        if not outcomes[0].well:
            why = f"left alone, as {wishes[0].host} did not go well"
            return outcomes + [Outcome(wish.host, "left alone", why=why) for wish in wishes[1:]]
        wishes = wishes[1:]
    with ThreadPoolExecutor(max_workers=jobs) as pool:
        return outcomes + list(pool.map(deploy, wishes))


def summary(outcomes: Sequence[Outcome]) -> list[str]:
    """The table, and how many went well."""
    rows = [("board", "before", "after", "result", "seconds")]
    rows += [(each.host, each.before, each.after, each.result, f"{each.seconds:.0f}") for each in outcomes]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    well = sum(each.well for each in outcomes)
    lines.append(f"{well} of {len(outcomes)} boards are as wanted")
    lines += [f"  {each.host}: {each.why}" for each in outcomes if not each.well]
    return lines
