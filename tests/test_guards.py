"""The guards that hold for every test, tried on small suites in a pytest of their own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.processes import ROOT, clean_environment

CONFTEST = "from tests.conftest import *\nfrom tests.conftest import _every_log_message_can_be_formatted\n"

SKIPS = {
    "mark": "import pytest\n@pytest.mark.skip(reason='no mark')\ndef test_it(): ...\n",
    "condition": "import pytest\n@pytest.mark.skipif(True, reason='no condition')\ndef test_it(): ...\n",
    "call": "import pytest\ndef test_it(): pytest.skip('no call')\n",
    "fixture": "import pytest\n@pytest.fixture\ndef it(): pytest.skip('no fixture')\ndef test_it(it): ...\n",
    "module": "import pytest\npytest.skip('no module', allow_module_level=True)\ndef test_it(): ...\n",
}
XFAIL = "import pytest\n@pytest.mark.xfail\ndef test_it(): assert False\n"


def run_suites(directory: Path, suites: Mapping[str, str], ci: str) -> subprocess.CompletedProcess[str]:
    (directory / "conftest.py").write_text(CONFTEST)
    for name, suite in suites.items():
        (directory / f"test_{name}.py").write_text(suite)
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--continue-on-collection-errors", "."],
        cwd=directory,
        env={**clean_environment(), "CI": ci, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )


def test_every_way_to_skip_fails_in_ci_and_says_why(tmp_path: Path) -> None:
    run = run_suites(tmp_path, {**SKIPS, "xfail": XFAIL}, ci="true")
    assert run.returncode != 0, run.stdout
    for way in SKIPS:
        assert f"under CI=true a skip is a failure: test_{way}.py" in run.stdout
        assert f"no {way}" in run.stdout
    assert "skipped" not in run.stdout.splitlines()[-1]
    assert "1 xfailed" in run.stdout, "an expected failure is no skip"


def test_a_skip_is_a_skip_elsewhere(tmp_path: Path) -> None:
    run = run_suites(tmp_path, SKIPS, ci="")
    assert run.returncode == 0, run.stdout
    assert f"{len(SKIPS)} skipped" in run.stdout


@pytest.mark.parametrize("level", ["debug", "warning"])
def test_a_test_that_logs_what_cannot_be_formatted_fails(tmp_path: Path, level: str) -> None:
    suite = (
        "import logging, threading\n"
        "def log():\n"
        f"    try: logging.getLogger('gateway.x').{level}('%d frames', 'many')\n"
        "    except Exception: pass\n"
        "def test_it():\n"
        "    thread = threading.Thread(target=log)\n"
        "    thread.start(); thread.join()\n"
    )
    run = run_suites(tmp_path, {"logs": suite}, ci="")
    assert run.returncode != 0, run.stdout
    assert "'%d frames' % ('many',)" in run.stdout
