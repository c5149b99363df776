"""What a release stands on: its notes, its file list, and addresses on the README that hold outside the repository."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OWN = "https://github.com/vidtrans/vidtrans/blob/main/"
OWN_PICTURES = "https://raw.githubusercontent.com/vidtrans/vidtrans/main/"
UNDATED = "## [0.1.0] - not yet released\n\n### Added\n\n- It.\n\n"


def release_notes(folder: Path, changelog: str, version: str) -> subprocess.CompletedProcess[str]:
    """Run the script of the workflow in a folder with a package of version 0.1.0 and this changelog."""
    for name in (".github", "vidtrans"):
        (folder / name).mkdir(exist_ok=True)
    script = folder / ".github/release_notes.py"
    script.write_bytes((ROOT / ".github/release_notes.py").read_bytes())
    (folder / "vidtrans/__init__.py").write_text('__version__ = "0.1.0"\n')
    (folder / "CHANGELOG.md").write_text(f"# Changelog\n\n{changelog}[0.1.0]: https://example.org\n")
    return subprocess.run([sys.executable, script, version], capture_output=True, text=True, check=False)


def test_the_notes_of_a_release_are_its_section_of_the_changelog(tmp_path: Path) -> None:
    dated = UNDATED.replace("not yet released", "2027-01-31")
    printed = release_notes(tmp_path, dated + "## [0.0.9] - 2026-01-01\n\n- Older.\n\n", "v0.1.0")
    assert (printed.returncode, printed.stdout) == (0, "### Added\n\n- It.\n")


@pytest.mark.parametrize(
    ("changelog", "version", "why"),
    [
        (UNDATED, "v0.1.0", "has no date, but 'not yet released'"),
        (UNDATED, "v0.2.0", "the tag says 0.2.0, vidtrans/__init__.py 0.1.0"),
    ],
)
def test_a_tag_without_its_section_or_version_is_refused(
    tmp_path: Path, changelog: str, version: str, why: str
) -> None:
    printed = release_notes(tmp_path, changelog, version)
    assert (printed.returncode, printed.stdout) == (1, "")
    assert why in printed.stderr


def test_addresses_on_the_readme_are_whole_as_pypi_shows_it_too_and_lead_to_files() -> None:
    text = (ROOT / "README.md").read_text()
    addresses = re.findall(r"\]\(([^)\s]+)\)", text)
    assert [address for address in addresses if not address.startswith("https://")] == []
    pictures = re.findall(r"!\[[^\]]*\]\(([^)\s]+)\)", text)
    outside = ("https://img.shields.io/", f"{OWN.removesuffix('blob/main/')}actions/")
    assert [p for p in pictures if not p.startswith((OWN_PICTURES, *outside))] == []
    own = [a.removeprefix(p).partition("#")[0] for a in addresses for p in (OWN, OWN_PICTURES) if a.startswith(p)]
    assert len(own) > 30
    assert [name for name in own if not (ROOT / name).exists()] == []


def test_the_source_archive_names_what_is_there_and_what_builds_the_wheel() -> None:
    targets = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]
    listed = targets["sdist"]["include"]
    assert [name for name in listed if not (ROOT / name.strip("/")).exists()] == []
    needed = [*targets["wheel"]["packages"], *targets["wheel"]["force-include"], "README.md", "LICENSE"]
    assert [name for name in needed if f"/{name}" not in listed] == []
