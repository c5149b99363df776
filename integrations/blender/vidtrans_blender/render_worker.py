"""Render frames of a scene in a Blender of its own: pictures, and a multilayer EXR of the passes for each frame.

It is started with a file that names its work (see ``submitting.py``), reports to the folder of its step as
``vidtrans`` does, leaves out frames that are there, and ends when a file ``stop`` appears.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import bpy

sys.path.insert(0, str(Path(__file__).parent))
from job_files import StepFiles, take_lock

PASSES = {"depth": "use_pass_z", "normal": "use_pass_normal", "index": "use_pass_object_index"}
LAYER = "Pass"  # the name of the view layer in the EXR files, whatever that of the scene is


def set_up(scene: Any, work: dict[str, Any]) -> None:
    """Prepare the scene, which is a copy: the passes, the view, no sequencer, and a window that shows it.

    Blender changes the frame of no scene that is in no window: all frames would be the same.
    """
    for window in bpy.context.window_manager.windows:
        window.scene = scene
    layer = next((one for one in scene.view_layers if one.use), scene.view_layers[0])
    layer.name = LAYER
    for name in work["passes"]:
        setattr(layer, PASSES[name], True)
    scene.render.use_sequencer = False
    scene.render.use_file_extension = True
    scene.frame_step = 1
    if work["standard_view"]:
        scene.view_settings.view_transform, scene.view_settings.look = "Standard", "None"
        scene.view_settings.exposure, scene.view_settings.gamma = 0.0, 1.0


def save(scene: Any, path: Path, kind: str) -> None:
    settings, part = scene.render.image_settings, path.with_name(f"part{path.suffix}")
    if hasattr(settings, "media_type"):  # Blender 5.0
        settings.media_type = "MULTI_LAYER_IMAGE" if kind == "OPEN_EXR_MULTILAYER" else "IMAGE"
    settings.file_format = kind
    if kind == "PNG":
        settings.color_mode, settings.color_depth = "RGBA" if scene.render.film_transparent else "RGB", "8"
    else:
        settings.color_depth = "32"
    bpy.data.images["Render Result"].save_render(str(part), scene=scene)
    os.replace(part, path)


def render(work: dict[str, Any], files: StepFiles) -> int:
    scene = bpy.data.scenes[work["scene"]]
    set_up(scene, work)
    shot, (first, end) = Path(work["shot"]), work["frames"]
    kinds = [("colour", "PNG", ".png")] if work["colour"] else []
    kinds += [("passes", "OPEN_EXR_MULTILAYER", ".exr")] if work["passes"] else []
    for name, _, _ in kinds:
        (shot / name).mkdir(parents=True, exist_ok=True)
    began, made = time.monotonic(), 0
    for frame in range(first, end):
        if files.stop.exists():
            return 130
        left = (time.monotonic() - began) / made * (end - frame) if made else None
        files.report(task="render the scene", done=frame - first, total=end - first, unit="frames", left_s=left)
        paths = [(shot / name / f"{frame - first:06d}{ending}", kind) for name, kind, ending in kinds]
        if all(path.exists() for path, _ in paths):
            continue
        scene.frame_set(frame)
        if scene.frame_current != frame:
            raise RuntimeError(f"Blender does not go to frame {frame}")
        bpy.ops.render.render(scene=scene.name)
        for path, kind in paths:
            save(scene, path, kind)
        made += 1
    files.report(task="render the scene", done=end - first, total=end - first, unit="frames", left_s=0)
    return 0


def main() -> None:
    work = json.loads(Path(sys.argv[-1]).read_text(encoding="utf-8"))
    files = StepFiles(Path(work["step"]))
    with (files.path / "lock").open("wb") as lock:
        if not take_lock(lock):
            sys.exit(2)
        (files.path / "pid").write_text(str(os.getpid()))
        status, result = 1, {}
        try:
            bpy.ops.wm.open_mainfile(filepath=work["blend"], load_ui=False)
            status = render(work, files)
            result = {"output": work["shot"], "frames": work["frames"][1] - work["frames"][0]}
        except (RuntimeError, KeyError, OSError) as error:
            result = {"error": f"the scene {work['scene']} could not be rendered: {error}"}
        finally:
            files.finish(status, result)
    sys.stdout.flush()
    os._exit(status)  # Blender as a module may wait for its own threads at an ordinary end


if __name__ == "__main__":
    main()
