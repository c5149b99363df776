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


def name_of(requirement: str) -> str:
    found = re.match(r"[A-Za-z0-9._-]+", requirement.strip())
    return re.sub(r"[-_.]+", "-", found.group()).lower() if found else ""


def requirements_of(source: str) -> tuple[list[str], list[str]]:
    """Return vidtrans' own requirements without torch, and those of torch. Raises InstallError."""
    (own,) = plan("--no-deps", "--ignore-installed", source)
    if needs := own.get("requires_python"):
        lowest = tuple(map(int, re.findall(r"\d+", needs)[:2]))
        if sys.version_info[:2] < lowest:
            raise InstallError(f"vidtrans needs Python {needs}, and ComfyUI runs on {sys.version.split()[0]}")
    needed = [one for one in own.get("requires_dist", []) if "extra ==" not in one.replace("'", '"')]
    torch = [one for one in needed if name_of(one) == "torch"]
    return [one for one in needed if not TORCH_FAMILY.fullmatch(name_of(one))], torch


def check_torch(requirements: list[str]) -> str:
    """Return a warning if the environment's torch is outside the versions that vidtrans was tested with; else ''.

    Raises InstallError if there is no torch.
    """
    try:
        version = metadata.version("torch")
    except metadata.PackageNotFoundError:
        raise InstallError("this Python has no torch — run this with the Python that runs ComfyUI") from None
    have = _numbers(version)
    for sign, bound in re.findall(r"(>=|<)\s*([0-9.]+)", " ".join(requirements)):
        limit = _numbers(bound)
        if (sign == ">=" and have < limit) or (sign == "<" and have >= limit):
            return f"torch {version} is outside of what vidtrans was tested with ({sign}{bound}); it is left as it is"
    return ""


def _numbers(version: str) -> tuple[int, ...]:
    found = re.match(r"[0-9.]+", version)
    return tuple(int(part) for part in (found.group() if found else "0").split(".") if part)


def install(source: str) -> list[str]:
    """Fill the pack's folder, and return the names and versions that are in it. Raises InstallError, OSError."""
    own, torch = requirements_of(source)
    if warning := check_torch(torch):
        say(f"vidtrans: warning: {warning}")
    missing = [one for one in plan(*own) if not TORCH_FAMILY.fullmatch(name_of(one["name"]))]
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
