"""Shared by the scripts that tests run inside Blender: the add-on, clips in a sequencer, the numbers in its frames."""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

INTEGRATION = Path(__file__).resolve().parents[3] / "integrations" / "blender"
sys.path.insert(0, str(INTEGRATION))

import bpy  # noqa: E402
import numpy as np  # noqa: E402

MODULE = "vidtrans_blender"
WIDTH, HEIGHT, BITS = 64, 48, 8


def fail(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    """Print an error, and end: see ``finish``."""
    traceback.print_exception(kind, error, trace)
    sys.stdout.flush()
    os._exit(1)


sys.excepthook = fail


def disable() -> None:
    """Disable the add-on."""
    import addon_utils

    addon_utils.disable(MODULE, default_set=True)


def enable(program: str = "") -> Any:
    """Enable the add-on with a program, and return its module."""
    import addon_utils  # part of Blender, found once bpy is imported

    module = addon_utils.enable(MODULE, default_set=True)
    assert module is not None
    if program:
        bpy.context.preferences.addons[MODULE].preferences.program = program
        bpy.ops.vidtrans.find_program()
    return module


def fresh(folder: Path) -> Any:
    """Return the scene of a new file, which is saved."""
    bpy.ops.wm.read_homefile(use_empty=True)
    scene = bpy.context.scene
    scene.render.fps, scene.render.fps_base = 24, 1.0
    scene.frame_start, scene.frame_end = 1, 70
    scene.render.resolution_x, scene.render.resolution_y, scene.render.resolution_percentage = WIDTH, HEIGHT, 100
    scene.sequence_editor_create()
    folder.mkdir(parents=True, exist_ok=True)
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "edit.blend"))
    return bpy.context.scene


def frames_of(scene: Any, path: Path) -> list[tuple[int, float]]:
    """Render all frames of a sequencer, and return the number and the brightness that each shows; -1 without a number.

    The number is in blocks of the upper half: bit 0 at the left.
    """
    bpy.context.window.scene = scene
    settings = scene.render.image_settings
    scene.view_settings.view_transform = "Standard"
    settings.file_format, settings.color_mode = "BMP", "RGB"
    found = []
    for frame in range(scene.frame_start, scene.frame_end + 1):
        scene.frame_set(frame)
        scene.render.filepath = str(path)
        bpy.ops.render.render(write_still=True)
        image = bpy.data.images.load(str(path))
        pixels = np.array(image.pixels[:]).reshape(HEIGHT, WIDTH, 4)[::-1, :, :3].mean(2)
        bpy.data.images.remove(image)
        blocks = pixels[12:20].mean(0).reshape(BITS, WIDTH // BITS)[:, 2:6].mean(1)
        is_lit = [value > max(0.1, 0.35 * blocks.max()) for value in blocks]
        number = sum(int(lit) << bit for bit, lit in enumerate(is_lit)) if blocks.max() > 0.2 else -1
        found.append((int(number), round(float(pixels[34:44].mean()), 2)))
    return found


def refused(act: Callable[[], object]) -> str:
    """Return the message with which a button refuses; empty if it does not."""
    try:
        act()
    except RuntimeError as error:
        return str(error).removeprefix("Error: ").strip()
    return ""


def finish(results: object, path: Path) -> None:
    """Write the results, and end: Blender as a module may wait for its own threads at an ordinary end."""
    path.write_text(json.dumps(results), encoding="utf-8")
    sys.stdout.flush()
    os._exit(0)
