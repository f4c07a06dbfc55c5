"""The build hook: what the wheel holds of the page, and what is said when the build fails."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "deploy" / "build_page.py"


@pytest.fixture(scope="module")
def build_page() -> ModuleType:
    """The script as hatchling loads it: by its path."""
    spec = importlib.util.spec_from_file_location("build_page_hook", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def checkout(tmp_path: Path, build_page: ModuleType) -> Path:
    """A copy of the sources, with the page built already."""
    built = build_page.build_page(ROOT)
    copy = tmp_path / "checkout"
    copy.mkdir()
    for name in ("pyproject.toml", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    (copy / "README.md").write_text("# Headwater\n")
    leave = shutil.ignore_patterns("node_modules", "__pycache__", "dist")
    for name in ("boards", "gateway", "deploy"):
        shutil.copytree(ROOT / name, copy / name, ignore=leave)
    shutil.copytree(built, copy / build_page.WEB / "dist")
    return copy


def test_the_wheel_holds_the_built_page_and_none_of_its_sources(checkout: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel"], cwd=checkout, check=True, capture_output=True
    )
    (wheel,) = (checkout / "dist").glob("*.whl")
    names = [name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("gateway/relay/web/")]
    assert "gateway/relay/web/dist/index.html" in names
    assert any(name.endswith(".js") for name in names)
    assert [name for name in names if not name.startswith("gateway/relay/web/dist/")] == []


def test_the_source_distribution_holds_the_sources_and_not_what_was_built(checkout: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "sdist"], cwd=checkout, check=True, capture_output=True
    )
    (archive,) = (checkout / "dist").glob("*.tar.gz")
    shutil.unpack_archive(archive, checkout / "unpacked")
    (web,) = (checkout / "unpacked").glob("*/gateway/relay/web")
    assert (web / "package-lock.json").exists()
    assert (web / ".npmrc").exists()
    assert (web / "src" / "main.ts").exists()
    assert not (web / "dist").exists()


def test_a_page_newer_than_its_sources_is_not_built_again(checkout: Path, build_page: ModuleType) -> None:
    index = checkout / build_page.WEB / "dist" / "index.html"
    before = index.stat().st_mtime_ns
    build_page.build_page(checkout)
    assert index.stat().st_mtime_ns == before
    assert not (checkout / build_page.WEB / "node_modules").exists()


def test_a_failed_build_says_what_failed_and_what_it_said(checkout: Path, build_page: ModuleType) -> None:
    web = checkout / build_page.WEB
    (web / "package-lock.json").write_text("{")
    newer = (web / "dist" / "index.html").stat().st_mtime + 10
    os.utime(web / "package-lock.json", (newer, newer))
    with pytest.raises(
        build_page.PageError, match=r"installing the page's packages failed with exit code 1(.|\n)*npm"
    ):
        build_page.build_page(checkout)


def test_the_lock_file_names_no_registry(build_page: ModuleType) -> None:
    assert '"resolved"' not in (ROOT / build_page.WEB / "package-lock.json").read_text()
