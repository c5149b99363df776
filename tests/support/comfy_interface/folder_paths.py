"""Stand-in for ComfyUI's ``folder_paths``; a test sets ``BASE``."""

from __future__ import annotations

import os
from pathlib import Path

BASE = Path()
models_dir = "models"
_models: dict[str, list[str]] = {}


def get_input_directory() -> str:
    return str(BASE / "input")


def get_output_directory() -> str:
    return str(BASE / "output")


def get_temp_directory() -> str:
    return str(BASE / "temp")


def annotated_filepath(name: str) -> tuple[str, str | None]:
    for kind in ("input", "output", "temp"):
        if name.endswith(f"[{kind}]"):
            return name[: -len(kind) - 3], str(BASE / kind)
    return name, None


def add_model_folder_path(folder_name: str, full_folder_path: str, is_default: bool = False) -> None:
    _models.setdefault(folder_name, [full_folder_path])


def get_folder_paths(folder_name: str) -> list[str]:
    return [str(BASE / "models" / folder_name)]


def get_filename_list(folder_name: str) -> list[str]:
    folder = Path(get_folder_paths(folder_name)[0])
    return sorted(path.name for path in folder.glob("*")) if folder.is_dir() else []


def get_full_path(folder_name: str, filename: str) -> str | None:
    path = os.path.join(get_folder_paths(folder_name)[0], filename)
    return path if os.path.isfile(path) else None
