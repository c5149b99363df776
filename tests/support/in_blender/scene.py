"""Style a small scene: render its passes, or give its colour, guides or labels to a model, and make a strip.

Arguments: the folder, the program, what to do (``passes``, or a look, or a model file), the file for the results.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import bpy
from common import enable, finish, fresh

FOLDER, PROGRAM, TASK, RESULTS = Path(sys.argv[-4]), sys.argv[-3], sys.argv[-2], Path(sys.argv[-1])
enable(PROGRAM)
from vidtrans_blender.monitor import MONITOR  # noqa: E402
from vidtrans_blender.strip_results import edit_scene  # noqa: E402


def thing(name: str, colour: tuple[float, float, float], index: int) -> Any:
    """Give the active object a name, a colour and an index."""
    found = bpy.context.object
    found.name, found.pass_index = name, index
    material = bpy.data.materials.new(name)
    material.use_nodes = True
    material.node_tree.nodes["Principled BSDF"].inputs["Base Color"].default_value = (*colour, 1)
    found.data.materials.append(material)
    return found


def build(folder: Path, num_frames: int = 8) -> Any:
    """Return a scene: a cube that turns, a ball that passes, a floor, a light and a camera."""
    scene = fresh(folder)
    scene.sequence_editor_clear()
    bpy.ops.mesh.primitive_cube_add(size=2, location=(-1.4, 0, 1))
    cube = thing("cube", (0.8, 0.12, 0.08), 1)
    for frame, angle in ((3, 0.3), (3 + num_frames, 1.3)):
        cube.rotation_euler[2] = angle
        cube.keyframe_insert("rotation_euler", frame=frame)
    bpy.ops.mesh.primitive_uv_sphere_add(radius=1.1, location=(1.5, 0, 1.1), segments=32, ring_count=16)
    bpy.ops.object.shade_smooth()
    ball = thing("ball", (0.1, 0.35, 0.75), 2)
    for frame, side in ((3, 1.2), (3 + num_frames, 2.4)):
        ball.location[0] = side
        ball.keyframe_insert("location", frame=frame)
    bpy.ops.mesh.primitive_plane_add(size=30)
    thing("floor", (0.6, 0.55, 0.45), 0)
    bpy.ops.object.light_add(type="SUN", rotation=(0.7, 0.3, 0.5))
    bpy.context.object.data.energy = 4
    bpy.ops.object.camera_add(location=(0, -8.5, 3.4), rotation=(math.radians(74), 0, 0))
    scene.camera = bpy.context.object
    world = bpy.data.worlds.new("sky")
    world.use_nodes = True
    world.node_tree.nodes["Background"].inputs[0].default_value = (0.35, 0.45, 0.6, 1)
    scene.world = world
    scene.frame_start, scene.frame_end = 3, 2 + num_frames
    scene.render.engine = "CYCLES"
    scene.cycles.samples, scene.cycles.device, scene.cycles.use_denoising = 8, "CPU", False
    scene.render.resolution_x, scene.render.resolution_y = 160, 96
    bpy.ops.wm.save_mainfile()
    return scene


def main() -> None:
    """Do the task."""
    scene = build(FOLDER)
    settings = scene.vidtrans
    MONITOR.load()
    if TASK == "passes":
        settings.pass_index = True
        assert bpy.ops.vidtrans.render_passes() == {"FINISHED"}
        MONITOR.run_until_done(120)
        finish({"shot": str(MONITOR.entries[-1].job.output)}, RESULTS)
    if Path(TASK).suffix:
        settings.look, settings.model_file = "FILE", TASK
    else:
        settings.look, settings.options_stylize.size = TASK, "160"
    assert bpy.ops.vidtrans.style_scene() == {"FINISHED"}
    MONITOR.run_until_done(120)
    job = MONITOR.entries[-1].job
    strips = edit_scene(scene).sequence_editor.strips if hasattr(scene, "sequence_editor") else []
    strip = strips[0]
    place = {"first": strip.frame_final_start, "end": strip.frame_final_end, "channel": strip.channel}
    finish({**place, "output": str(job.output), "shot": str(job.folder / "shot"), "line": job.steps[1].line}, RESULTS)


main()
