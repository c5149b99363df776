"""Put vidtrans into the pack's own folder, with what ComfyUI's environment lacks for it or has in too old a version.

ComfyUI-Manager and comfy-cli run this after they clone the pack. Nothing of the environment is changed: other versions
of packages go into ``packages/``, which only the process of vidtrans searches, before the environment. torch is always
the environment's.

``VIDTRANS_SOURCE`` names what is installed instead of the released version: a folder, a wheel, or a requirement.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

PACKAGES = Path(__file__).resolve().parent / "packages"
SOURCE = "vidtrans>=0.1,<0.2"
TORCH_FAMILY = re.compile(r"(torch|torchvision|torchaudio|triton.*|pytorch-triton.*|nvidia-.*|cuda-.*)", re.IGNORECASE)


class InstallError(Exception):
    """vidtrans cannot be installed; the message says why, and what to do."""


def say(text: str) -> None:
    sys.stdout.write(text + "\n")


def pip(*words: str) -> None:
    """Run pip of this Python. Raises InstallError if it fails."""
    line = [sys.executable, *(["-s"] if sys.flags.no_user_site else []), "-m", "pip", *words, "--no-input"]
    environment = os.environ | {"PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    done = subprocess.run(line, capture_output=True, text=True, encoding="utf-8", errors="replace", env=environment)
    if done.returncode:
        lines = [text for text in done.stderr.splitlines() if text.strip()]
        raise InstallError("\n".join([f"pip {words[0]} failed:", *lines[-5:]]))


def plan(*words: str) -> list[dict[str, Any]]:
    """Return the metadata of what pip would install for requirements. Nothing is installed. Raises InstallError."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        pip("install", "--dry-run", "--quiet", "--report", str(report), *words)
        return [entry["metadata"] for entry in json.loads(report.read_text(encoding="utf-8"))["install"]]


def requirements_of(source: str) -> tuple[list[str], SpecifierSet]:
    """Return vidtrans' own requirements without torch, and the tested versions of torch. Raises InstallError."""
    (own,) = plan("--no-deps", "--ignore-installed", source)
    python = own.get("requires_python") or ""
    if sys.version.split()[0] not in SpecifierSet(python, prereleases=True):
        raise InstallError(f"vidtrans needs Python {python}, and ComfyUI runs on {sys.version.split()[0]}")
    stated = map(Requirement, own.get("requires_dist", []))
    needed = [one for one in stated if not one.marker or one.marker.evaluate({"extra": ""})]
    torch = next((one.specifier for one in needed if one.name == "torch"), SpecifierSet())
    return [str(one) for one in needed if not TORCH_FAMILY.fullmatch(one.name)], torch


def check_torch(tested: SpecifierSet) -> str:
    """Return a warning if the environment's torch is outside the versions that vidtrans was tested with; else ''.

    Raises InstallError if there is no torch.
    """
    try:
        version = metadata.version("torch")
    except metadata.PackageNotFoundError:
        raise InstallError("this Python has no torch — run this with the Python that runs ComfyUI") from None
    if bounds := ", ".join(str(one) for one in tested if not one.contains(version, prereleases=True)):
        return f"torch {version} is outside of what vidtrans was tested with ({bounds}); it is left as it is"
    return ""


def install(source: str) -> list[str]:
    """Fill the pack's folder, and return the names and versions that are in it. Raises InstallError, OSError."""
    own, torch = requirements_of(source)
    if warning := check_torch(torch):
        say(f"vidtrans: warning: {warning}")
    missing = [one for one in plan(*own) if not TORCH_FAMILY.fullmatch(canonicalize_name(one["name"]))]
    exact = [f"{one['name']}=={one['version']}" for one in missing]
    # Beside the folder first: an installation that fails leaves the one before it.
    with tempfile.TemporaryDirectory(dir=PACKAGES.parent, prefix="packages-") as folder:
        new = Path(folder) / "packages"
        pip("install", "--quiet", "--no-deps", "--upgrade", "--target", str(new), source, *exact)
        old = Path(folder) / "old"
        if PACKAGES.exists():
            PACKAGES.rename(old)
        try:
            new.rename(PACKAGES)
        except OSError:
            if old.exists():
                old.rename(PACKAGES)
            raise
        shutil.rmtree(old, ignore_errors=True)
    return exact


def main() -> None:
    source = os.environ.get("VIDTRANS_SOURCE") or SOURCE
    if os.environ.get("VIDTRANS_PYTHON"):
        say("vidtrans: VIDTRANS_PYTHON names a Python that has vidtrans; nothing is installed")
        return
    try:
        added = install(source)
    except (InstallError, OSError) as error:
        sys.exit(f"vidtrans: it is not installed: {error}")
    more = f", with {', '.join(added)} beside those of ComfyUI" if added else ""
    say(f"vidtrans: installed into {PACKAGES}{more}; ComfyUI's environment is as it was")


if __name__ == "__main__":
    main()
