"""Find the ``vidtrans`` program, and ask it for its schemas and looks. No shell, no import of vidtrans."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import UserError

NAME = "vidtrans"
INSTALL = "install it with: uv tool install vidtrans (or pipx install vidtrans)"
COMMANDS = {"stylize": "Style", "deflicker": "Deflicker", "propagate": "Carry Paint"}
LIMIT_S = 60.0  # for a question to the program; it answers in about a second
JOB_OPTION = "--job-folder"
# For Popen: Windows opens no console.
HIDDEN_WINDOW: dict[str, Any] = {"creationflags": subprocess.CREATE_NO_WINDOW} if os.name == "nt" else {}


def program_places(environment: Mapping[str, str], home: Path, *, windows: bool) -> list[Path]:
    """Return where the program may be: on PATH, and where ``uv tool`` and pipx put programs.

    Desktop programs often lack the latter on their PATH. Unlike for ``shutil.which`` on Windows, the current folder is
    none of them: it may be that of a stranger's .blend.
    """
    on_path = [folder.strip('"') for folder in environment.get("PATH", "").split(os.pathsep)]
    named = [environment[key] for key in ("UV_TOOL_BIN_DIR", "XDG_BIN_HOME", "PIPX_BIN_DIR") if environment.get(key)]
    folders = [*filter(os.path.isabs, on_path), *named, home / ".local" / "bin", home / "bin"]
    folders += [home / "pipx" / "bin"] if windows else ["/opt/homebrew/bin", "/usr/local/bin"]
    return [Path(folder) / (f"{NAME}.exe" if windows else NAME) for folder in folders]


def find_program(chosen: str = "") -> Path:
    """Return the path of the program; ``chosen``: the one of the preferences. Raises UserError if there is none."""
    windows = os.name == "nt"
    places = [Path(chosen).expanduser()] if chosen else program_places(os.environ, Path.home(), windows=windows)
    for path in places:
        if path.is_file() and (windows or os.access(path, os.X_OK)):
            return path
    if chosen:
        raise UserError(f"{chosen}: not a program — correct its path in the preferences of the add-on")
    raise UserError(f"vidtrans is not installed — {INSTALL}, or set its path in the preferences of the add-on")


def text_of(program: Path, *arguments: str) -> str:
    """Return what a command of the program prints. Raises UserError, with the program's own message if it fails."""
    line = [str(program), *arguments]
    try:
        done = subprocess.run(
            line, capture_output=True, stdin=subprocess.DEVNULL, timeout=LIMIT_S, check=False, **HIDDEN_WINDOW
        )
    except subprocess.TimeoutExpired as error:
        raise UserError(f"{program} did not answer within {LIMIT_S:g} s — try it in a terminal") from error
    except OSError as error:
        raise UserError(f"{program}: it cannot be started ({error.strerror or error})") from error
    if done.returncode:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        last = lines[-1].strip().removeprefix("Error: ") if lines else ""
        raise UserError(last or f"{program} {arguments[0]} failed ({done.returncode})")
    return done.stdout.decode("utf-8", "replace")


def ask(program: Path, *arguments: str) -> dict[str, Any]:
    """Return the JSON object that a command of the program prints. Raises UserError."""
    try:
        found = json.loads(text_of(program, *arguments))
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise UserError(f"{program} answers as another program would — correct its path in the preferences")
    return found


def ask_interface(program: Path) -> dict[str, Any]:
    """Return ``{"version", "commands": schemas, "looks": names}`` of a program: what the panel is built from."""
    if JOB_OPTION not in text_of(program, "stylize", "--help"):
        raise UserError(f"{program} is too old for this add-on (it has no {JOB_OPTION}) — uv tool upgrade vidtrans")
    commands = {name: ask(program, "schema", name) for name in COMMANDS}
    looks = list(ask(program, "model", "list", "--json").get("looks", []))
    version = text_of(program, "--version").split()[-1]
    return {"version": version, "commands": commands, "looks": looks}


def pairing_of(program: Path, model: str) -> str:
    """Return the name of the pairing of a model file; empty for models of other kinds. Raises UserError."""
    pairing = ask(program, "model", "show", "--json", "--", model).get("pairing")
    return str(pairing.get("name", "")) if isinstance(pairing, dict) else ""
