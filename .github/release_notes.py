"""Print the notes of a release, a section of CHANGELOG.md: python .github/release_notes.py 0.1.0.

Fails where the version is not that of the package, or its section is missing or has no date.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def notes(changelog: str, version: str) -> str:
    """Return the text of a version's section without its heading. Raises ValueError."""
    found = re.search(rf"^## \[{re.escape(version)}\] - (.*)$([\s\S]*?)(?=^## |^\[|\Z)", changelog, re.MULTILINE)
    if found is None:
        raise ValueError(f"CHANGELOG.md has no section '## [{version}] - DATE'")
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", found[1]):
        raise ValueError(f"CHANGELOG.md: version {version} has no date, but '{found[1]}'")
    return found[2].strip() + "\n"


def main(version: str) -> None:
    """Print the notes. Raises ValueError."""
    [own] = re.findall(r'^__version__ = "(.*)"$', (ROOT / "vidtrans/__init__.py").read_text("utf-8"), re.MULTILINE)
    if own != version:
        raise ValueError(f"the tag says {version}, vidtrans/__init__.py {own}")
    sys.stdout.reconfigure(encoding="utf-8")
    sys.stdout.write(notes((ROOT / "CHANGELOG.md").read_text("utf-8"), version))


if __name__ == "__main__":
    try:
        main(sys.argv[1].removeprefix("v"))
    except ValueError as error:
        sys.exit(f"error: {error}")
