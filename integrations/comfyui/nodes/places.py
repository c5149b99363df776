"""The folders of ComfyUI that the nodes use: results and their cache, models, temporary files."""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from itertools import islice
from pathlib import Path
from typing import Any

import folder_paths

MODELS = "vidtrans"  # the name of the models' folder
MODEL_ENDINGS = (".safetensors", ".onnx", ".cube", ".pth", ".pt", ".ckpt", ".t7", ".xml", ".zip")
UNSAFE = re.compile(r"[^\w .()+-]")


def register_models() -> None:
    folder_paths.add_model_folder_path(MODELS, os.path.join(folder_paths.models_dir, MODELS), is_default=True)


def model_folder() -> Path:
    return Path(folder_paths.get_folder_paths(MODELS)[0])


def output_folder() -> Path:
    return Path(folder_paths.get_output_directory())


def cache_folder() -> Path:
    """Return the cache: beside the results, so that ``vidtrans`` started in ``output/vidtrans`` shares it."""
    return output_folder() / "vidtrans" / ".vidtrans"


def temporary_folder() -> Path:
    folder = Path(folder_paths.get_temp_directory()) / "vidtrans"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def allowed_folders() -> list[str]:
    own = [folder_paths.get_input_directory(), folder_paths.get_output_directory(), folder_paths.get_temp_directory()]
    return [os.path.abspath(folder) for folder in (*own, *folder_paths.get_folder_paths(MODELS))]


def named_file(text: str) -> str:
    """Return the absolute path of a file or folder that a workflow names: by a path in a folder of ComfyUI, or a name.

    A name is as ``film.mp4`` or ``film.mp4 [output]``. Raises ValueError for other places, or if there is no such file.
    """
    text = text.strip().strip('"')
    if not text:
        raise ValueError("a path is empty — name a file in ComfyUI's input or output folder")
    name, base = folder_paths.annotated_filepath(text)
    inside = [base] if base else allowed_folders()
    for folder in inside:
        path = os.path.abspath(os.path.join(folder, name))
        if _is_inside(path) and os.path.exists(path):
            return path
    path = os.path.abspath(os.path.join(inside[0], name))
    if not _is_inside(path):
        raise ValueError(f"{text}: it leads out of the folders of ComfyUI — move it to its input folder")
    raise ValueError(f"{text}: no such file in the folders of ComfyUI — was it moved or deleted?")


def files_named_in(options: str) -> list[str]:
    """Return the files and folders of ComfyUI's folders that lines of options name, as far as they exist."""
    begins = re.compile("|".join(re.escape(os.path.normcase(folder) + os.sep) for folder in allowed_folders()))
    found = []
    for line in map(os.path.normcase, options.splitlines()):
        for match in begins.finditer(line):
            # A name may have any letter: take the longest that exists.
            names = (line[match.start() : end] for end in range(len(line.rstrip()), match.end(), -1))
            found += [*islice(filter(os.path.exists, names), 1)]
    return found


def _is_inside(path: str) -> bool:
    path = os.path.normcase(path)
    return any(path.startswith(os.path.normcase(folder).rstrip("/\\") + os.sep) for folder in allowed_folders())


def state_of(path: str) -> list[Any]:
    """Return what tells a file from a later one of its name: its path, size in bytes and time of change in ns.

    Of a folder, the same of the files in it: painted frames are often saved in place.
    """
    try:
        found = os.stat(path)
        if not stat.S_ISDIR(found.st_mode):
            return [path, found.st_size, found.st_mtime_ns]
        with os.scandir(path) as entries:
            files = sorted((one.name, one.stat().st_size, one.stat().st_mtime_ns) for one in entries if one.is_file())
    except OSError:
        return [path]
    return [path, hashlib.sha256(repr(files).encode("utf-8", "replace")).hexdigest()]


def result_path(base: Path, name: str, ending: str, request: object) -> Path:
    """Return the path of a result: the same for the same request, so that a later run goes on or finds it.

    Args:
        base, ending: Its folder, and its suffix, with a dot; '' for a folder.
        name: Its beginning, as the user wrote it, with subfolders. ValueError if it leads out of the folder.
        request: All that decides its content, as JSON.
    """
    digest = hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()[:10]
    parts = [UNSAFE.sub("_", part).strip(" .") for part in re.split(r"[/\\]+", name.strip()) if part]
    if not parts or not all(parts):
        raise ValueError(f"name: {name[:80]!r} names no file in ComfyUI's folder — write a name such as vidtrans/take")
    return base.joinpath(*parts[:-1], f"{parts[-1]}-{digest}{ending}")
