"""What holds for all pages: links lead somewhere, commands and targets exist."""

from __future__ import annotations

import re

import pytest

from gateway.cli import COMMANDS
from tests.support.pages import ROOT, Page, blocks

NAMES = sorted(
    str(path.relative_to(ROOT))
    for folder in (".", "docs", "hw_tests")
    for path in (ROOT / folder).glob("*.md")
    if path.name != "CHANGELOG.md"
)
PAGES = [pytest.param(Page(name), id=name) for name in NAMES]


def commands_of(page: Page) -> str:
    """What a reader would type: blocks of shell, and code within the text."""
    return "\n".join([*blocks(page.text, "sh"), *re.findall(r"`([^`\n]+)`", page.text)])


def test_the_pages_are_there() -> None:
    assert {"README.md", "CONTRIBUTING.md", "docs/architecture.md", "docs/boards.md"} <= set(NAMES)


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_to_a_file_and_a_heading(page: Page) -> None:
    for path, anchor in page.links():
        target = page.path.parent / path if path else page.path
        assert target.exists(), path
        if anchor:
            assert anchor in Page(str(target.resolve().relative_to(ROOT))).anchors(), f"{path}#{anchor}"


@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_ours_is_one(page: Page) -> None:
    named = re.findall(r"(?:^|bin/|`)headwater ([a-z]+)", commands_of(page), re.MULTILINE)
    assert set(named) <= set(COMMANDS)


@pytest.mark.parametrize("page", PAGES)
def test_every_target_of_make_is_one(page: Page) -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    named = re.findall(r"^make ([a-z-]+)", commands_of(page), re.MULTILINE)
    assert set(named) <= set(targets)


def test_the_readme_leads_to_the_pages_of_docs() -> None:
    linked = Page("README.md").text
    for path in (ROOT / "docs").glob("*.md"):
        assert f"docs/{path.name}" in linked
