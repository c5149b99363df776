"""Animate sliders of the panel: which values a job takes for each frame, and a render whose look begins at a frame.

Arguments: the folder with the clips, the program, the file for the results.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import bpy
from common import enable, finish, fresh, movie_strip

CLIPS, PROGRAM, RESULTS = Path(sys.argv[-3]), sys.argv[-2], Path(sys.argv[-1])
enable(PROGRAM)
from vidtrans_blender.monitor import MONITOR  # noqa: E402
from vidtrans_blender.sequencer import curves_of, sequencer_context, strips_of  # noqa: E402
from vidtrans_blender.submitting import submit_scene, submit_strip  # noqa: E402

FOLDER = RESULTS.parent / "animated, it's ours"  # a name that no curve can hold


def scene_of(name: str) -> tuple[Any, Any]:
    """Return a new scene, and its options of the command ``stylize``."""
    scene = fresh(FOLDER / name)
    scene.vidtrans.look, scene.vidtrans.handle, scene.vidtrans.options_stylize.temporal = "pencil", 5, "off"
    return scene, scene.vidtrans.options_stylize


def animate(owner: Any, name: str, keys: dict[float, float], interpolation: str = "LINEAR") -> Any:
    """Give a slider keyframes, and return its curve."""
    for frame, value in keys.items():
        setattr(owner, name, value)
        owner.keyframe_insert(name, frame=frame)
    curve = next(one for one in curves_of(owner.id_data) if one.data_path.endswith(f".{name}"))
    for point in curve.keyframe_points:
        point.interpolation = interpolation
    return curve


def values(job: Any) -> dict[str, object]:
    """Return the options of a job that change, and the table of their values."""
    path = job.folder / "values.csv"
    with path.open(newline="") as file:
        rows = [[float(word) if at else word for word in row] for at, row in enumerate(csv.reader(file))]
    words = [word for word in job.steps[-1].line if "values.csv" in word]
    return {"words": words, "rows": rows, "is_there": (Path(job.steps[-1].folder) / "jobs" / path.parent.name).is_dir()}


def trimmed() -> dict[str, object]:
    """Animate two sliders, one of which is an option of --set, beside one that does not change, and a muted one."""
    scene, options = scene_of("trimmed")
    animate(options, "strength", {26: 0.0, 36: 1.0})
    animate(options, "keep_colour", {26: 0.25, 46: 0.75})
    animate(options, "mix", {1: 0.125, 60: 0.125})
    animate(options, "keep_shading", {1: 0.0, 60: 1.0}).mute = True
    job = submit_strip(scene, movie_strip(scene, CLIPS / "24.mp4", (21, 50)))
    return {**values(job), "constant": [word for word in job.steps[-1].line if word.startswith("--mix")]}


def driven() -> dict[str, object]:
    """Drive a slider, with values beyond its bounds; the current frame is as before."""
    scene, options = scene_of("driven")
    scene.frame_set(33)
    options.driver_add("strength").driver.expression = "(frame - 30) / 10"
    bpy.context.window.scene = bpy.data.scenes.new("other")  # as in Blender 5.0, whose sequencer has a scene of its own
    job = submit_strip(scene, movie_strip(scene, CLIPS / "24.mp4", (21, 50)))
    return {**values(job), "frame": scene.frame_current}


def retimed() -> dict[str, object]:
    """Animate over a strip that plays at half speed, backwards."""
    scene, options = scene_of("retimed")
    animate(options, "strength", {0: 0.0, 200: 1.0})
    strip = movie_strip(scene, CLIPS / "24.mp4", (0, 0))
    with sequencer_context(scene, strip):
        bpy.ops.sequencer.retiming_segment_speed_set(speed=50)
    strip.use_reverse_frames = True
    return values(submit_strip(scene, strip))


def pictures() -> dict[str, object]:
    """Animate over an image sequence: its rendered pictures are a clip of their own."""
    scene, options = scene_of("pictures")
    animate(options, "strength", {26: 0.0, 36: 1.0})
    names = sorted(path.name for path in (CLIPS / "pictures").iterdir())
    strip = strips_of(scene.sequence_editor).new_image("pictures", str(CLIPS / "pictures" / names[0]), 2, 5)
    for name in names[1:]:
        strip.elements.append(name)
    strip.frame_offset_start, strip.frame_offset_end = 21, 50
    return values(submit_strip(scene, strip))


def whole_scene() -> dict[str, object]:
    """Animate over a scene."""
    scene, options = scene_of("scene")
    animate(options, "strength", {10: 0.0, 20: 1.0}, "CONSTANT")
    bpy.ops.object.camera_add()
    scene.camera = bpy.context.object
    return values(submit_scene(scene))


def still() -> list[str]:
    """Return the properties that take one value for a clip, and can be animated all the same."""
    settings = bpy.context.scene.vidtrans
    allowed = {"strength", "mix", "keep_colour", "keep_shading", "stroke_size"}
    owners = [settings, settings.options_stylize, settings.options_deflicker, settings.options_propagate]
    plain = [one for owner in owners for one in owner.bl_rna.properties if one.type != "POINTER"]
    return [one.identifier for one in plain if one.is_animatable and one.identifier not in {*allowed, "name"}]


def rendered() -> dict[str, object]:
    """Render a look that begins at frame 40 of the scene."""
    scene, options = scene_of("rendered")
    animate(options, "strength", {1: 0.0, 40: 1.0}, "CONSTANT")
    options.size = "48"
    MONITOR.load()
    MONITOR.add(submit_strip(scene, movie_strip(scene, CLIPS / "24.mp4", (21, 50))))
    MONITOR.run_until_done(120)
    return {"output": str(MONITOR.entries[-1].job.output), "part": MONITOR.entries[-1].job.record["target"]["part"]}


def main() -> None:
    """Run all of it."""
    cases: tuple[Callable[[], object], ...] = (trimmed, driven, retimed, pictures, whole_scene, still, rendered)
    finish({case.__name__: case() for case in cases}, RESULTS)


main()
