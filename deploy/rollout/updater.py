"""Builds `headwater-update`, the program that updates a board: one file that Debian's Python runs.

python -m deploy.rollout.updater dist/headwater-update
"""

from __future__ import annotations

import io
import sys
import zipfile
from pathlib import Path

SOURCES = Path(__file__).parents[1] / "board" / "headwater_update"
SHEBANG = b"#!/usr/bin/python3 -I\n"
MAIN = "import sys\nfrom headwater_update.program import main\nsys.exit(main())\n"
EPOCH = (1980, 1, 1, 0, 0, 0)
"""The same sources give the same bytes."""


def build_updater() -> bytes:
    """The program: a zip archive that Python can run, behind a first line that names Python."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(_entry("__main__.py"), MAIN)
        for source in sorted(SOURCES.glob("*.py")):
            archive.writestr(_entry(f"{SOURCES.name}/{source.name}"), source.read_bytes())
    return SHEBANG + out.getvalue()


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, EPOCH)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    return entry


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(build_updater())
    target.chmod(0o755)
