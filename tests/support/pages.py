"""The project's pages: their sections, the blocks of code in them, and their links."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


class Page:
    """A Markdown file of the project."""

    def __init__(self, name: str) -> None:
        self.path = ROOT / name
        self.text = self.path.read_text(encoding="utf-8")

    def section(self, heading: str) -> str:
        """What stands below a heading, up to the next one of its rank."""
        begin = re.search(rf"^(#+) {re.escape(heading)}$", self.text, re.MULTILINE)
        assert begin is not None, f"{self.path.name} has no heading {heading!r}"
        end = re.compile(rf"^#{{1,{len(begin[1])}}} ", re.MULTILINE).search(self.text, begin.end())
        return self.text[begin.end() : end.start() if end else None]

    def anchors(self) -> set[str]:
        """The names that links to its headings have, as GitHub makes them."""
        headings = re.findall(r"^#+ (.*)$", _without_blocks(self.text), re.MULTILINE)
        return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}

    def links(self) -> list[tuple[str, str]]:
        """Path and anchor of each link and picture within the project."""
        targets = re.findall(r"\]\(([^)\s]+)\)", _without_blocks(self.text))
        return [(path, anchor) for path, _, anchor in (t.partition("#") for t in targets) if "://" not in path]


def blocks(text: str, language: str) -> list[str]:
    """The blocks of code in that language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def code_in(text: str) -> str:
    """All code of a text, within its lines and in blocks."""
    return "\n".join([*re.findall(r"`([^`\n]+)`", _without_blocks(text)), *blocks(text, "[a-z]*")])


def _without_blocks(text: str) -> str:
    return re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
