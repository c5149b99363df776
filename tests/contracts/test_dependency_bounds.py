"""Installed versions lie within the bounds of pyproject.toml, and sessions of noxfile.py test both ends."""

from __future__ import annotations

import os
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
TESTED = os.environ.get("TESTED_VERSIONS", "")  # set by noxfile.py: lowest, latest or nothing
DIRECT = [Requirement(line) for line in PROJECT["dependencies"]]
OPTIONAL = [Requirement(line) for lines in PROJECT["optional-dependencies"].values() for line in lines]


def installed(requirement: Requirement) -> Version | None:
    """Return the version without its build ('+cpu'); None where an optional library is absent."""
    try:
        return Version(Version(version(requirement.name)).public)
    except PackageNotFoundError:
        assert requirement not in DIRECT, requirement
        return None


def lower_bound(requirement: Requirement) -> Version:
    [bound] = [Version(part.version) for part in requirement.specifier if part.operator == ">="]
    return bound


@pytest.mark.parametrize("requirement", [r for r in DIRECT + OPTIONAL if r.name != "vidtrans"], ids=str)
def test_what_is_installed_is_within_its_bounds(requirement: Requirement) -> None:
    found, bound = installed(requirement), lower_bound(requirement)
    if found is None:
        pytest.skip(f"{requirement.name} is not installed")
    by_the_specifier = requirement.specifier.contains(found, prereleases=True)
    # With the latest versions caps are lifted.
    assert {"lowest": found == bound, "latest": found >= bound}.get(TESTED, by_the_specifier)
