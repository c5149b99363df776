"""Checkpoints, written atomically and read with a check for damage."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch

from vidtrans.core.events import Note, Report
from vidtrans.core.files import digest_file, naming_disk_errors, read_small_json, remove, write_atomically, write_json

POINTER = "checkpoint.json"


def save_checkpoint(folder: Path, step: int, state: dict[str, Any]) -> None:
    """Write ``step-N.pt``, name it in ``checkpoint.json``, then delete older files: a kill leaves a complete one."""
    name = f"step-{step:08d}.pt"
    with write_atomically(folder / name) as temporary, naming_disk_errors(temporary):
        torch.save(state, temporary)
    write_json(folder / POINTER, {"file": name, "step": step, "sha256": digest_file(folder / name)})
    for other in folder.glob("step-*.pt"):
        if other.name != name:
            remove(other)


def load_checkpoint(folder: Path, report: Report) -> dict[str, Any] | None:
    """Return the latest checkpoint's state, on the CPU; None if there is none, or (with a warning) if it is damaged."""
    pointer = folder / POINTER
    if not pointer.exists():
        return None
    try:
        value = read_small_json(pointer)
        file = folder / str(value["file"])
        if digest_file(file) != value["sha256"]:
            raise ValueError("its content changed")
        state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
        return state
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, pickle.UnpicklingError) as error:
        report(Note(f"the training checkpoint is damaged ({error}); training starts again", "warning"))
        return None
