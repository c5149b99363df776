"""Set up the renderer of scenes: a Blender of its own, with a copy of the file, so that the window stays free."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import bpy

from .faults import UserError
from .job_files import write_table
from .jobs import Step

WORKER = Path(__file__).with_name("render_worker.py")


def check_scene(scene: Any, passes: Sequence[str]) -> None:  # noqa: ANN401  (types of Blender)
    """Raise UserError if a scene cannot be rendered, or lacks a pass."""
    if scene.camera is None:
        raise UserError(f"{scene.name}: the scene has no camera — add one (Shift A, Camera)")
    if "index" in passes and scene.render.engine != "CYCLES":
        raise UserError(
            f"{scene.name}: only Cycles renders the object index — choose it under Render Engine, or leave it out"
        )


def render_step(
    job: Path,
    scene: Any,  # noqa: ANN401
    frames: tuple[int, int],
    shot: Path,
    *,
    passes: Sequence[str],
    colour: bool,
    standard_view: bool,
) -> Step:
    """Store a copy of the file and the work, and return the step that renders it.

    Args:
        job: The folder of the job, whose first step it is.
        scene: The scene.
        frames: Its first frame, and the one after the last.
        shot: The folder for ``colour/`` and ``passes/``.
        passes: Some of ``depth``, ``normal``, ``index``.
        colour: Write pictures.
        standard_view: Leave the view transform to the sequencer that shows the pictures.

    Raises:
        UserError: The copy cannot be written.
    """
    check_scene(scene, passes)
    step = job / "step1"
    step.mkdir(parents=True, exist_ok=True)
    blend = job / "scene.blend"
    try:
        bpy.ops.wm.save_as_mainfile(filepath=str(blend), copy=True, compress=True)
    except RuntimeError as error:
        raise UserError(f"{blend}: the copy of the file cannot be written ({error}) — free disk space") from error
    work = {"blend": str(blend), "scene": scene.name, "frames": list(frames), "shot": str(shot), "step": str(step)}
    work |= {"passes": list(passes), "colour": colour, "view": "standard" if standard_view else "scene"}
    write_table(job / "work.json", work)
    return Step("Render the scene", (*worker_program(), str(job / "work.json")), str(job), is_vidtrans=False)


def worker_program() -> list[str]:
    """Return the line that runs the renderer: with this Blender, or with the Python that has it as a module."""
    if bpy.app.binary_path:
        return [bpy.app.binary_path, "--background", "--python-exit-code", "1", "--python", str(WORKER), "--"]
    return [sys.executable, str(WORKER)]


def shown_frames(scene: Any) -> tuple[int, int]:  # noqa: ANN401
    """Return the first frame of a scene, and the one after the last."""
    return scene.frame_start, scene.frame_end + 1


def edit_scene(scene: Any) -> Any:  # noqa: ANN401
    """Return the scene for the strip of a rendered scene: one that shows the scene already, or a new one.

    The strip cannot lie in the scene itself, which would then render its sequencer instead of its camera.
    """
    name = f"{scene.name} styled"
    if found := bpy.data.scenes.get(name):
        return found
    new = bpy.data.scenes.new(name)
    new.frame_start, new.frame_end = scene.frame_start, scene.frame_end
    for key in ("fps", "fps_base", "resolution_x", "resolution_y", "resolution_percentage"):
        setattr(new.render, key, getattr(scene.render, key))
    new.view_settings.view_transform = "Standard"  # the frames have the view of the scene
    return new
