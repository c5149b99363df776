"""The documentation site, built as its readers see it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PARTS = (
    "mkdocs.yml",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "CHANGELOG.md",
)  # beside docs/: the settings, and what is included


def build_site(folder: Path) -> Path:
    """Build the site in a folder, and return the folder of its pages; a warning is a failure."""
    for name in PARTS:
        shutil.copy(ROOT / name, folder)
    shutil.copytree(ROOT / "docs", folder / "docs", ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "zensical", "build", "--strict"]
    done = subprocess.run(command, cwd=folder, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "site"


def pages_of(site: Path) -> list[Path]:
    """Return the pages, without the one for addresses that do not exist."""
    return sorted(path for path in site.rglob("*.html") if path.name != "404.html")
