"""docs/operations.md explains every line that a service can log."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from tests.support.pages import ROOT, Page

LEVELS = {"info", "warning", "error", "exception", "critical"}
"""What `run` and `relay` show."""
OTHERS = ("gateway/cli/", "gateway/client/")
"""What talks to a person instead."""
FIELD = re.compile(r"%[-+0-9.]*[sdrfg]")


def logged() -> Iterator[str]:
    """The lines in the code, with … for what they are filled in with."""
    for source in sorted([*(ROOT / "boards").rglob("*.py"), *(ROOT / "gateway").rglob("*.py")]):
        if source.relative_to(ROOT).as_posix().startswith(OTHERS):
            continue
        for call in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and ast.unparse(call.func) in {f"log.{level}" for level in LEVELS}:
                yield FIELD.sub("…", ast.literal_eval(call.args[0])).replace("……", "…")


def explained() -> list[str]:
    """The lines in the page's tables."""
    rows = Page("docs/operations.md").section("What each log line means")
    return re.findall(r"^\| `([^`]+)` \|", rows, re.MULTILINE)


def test_every_line_is_explained_once_and_none_that_there_is_not() -> None:
    assert sorted(explained()) == sorted(set(logged()))


def test_there_are_many() -> None:
    assert len(set(logged())) > 20
