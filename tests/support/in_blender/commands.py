"""Deflicker and Carry Paint from the panel, on movies and pictures, and scene strips of every kind.

Arguments: the folder with the clips, the program, the file for the results.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import bpy
from common import MODULE, enable, finish, fresh, movie_strip, refused

CLIPS, PROGRAM, RESULTS = Path(sys.argv[-3]), sys.argv[-2], Path(sys.argv[-1])
FOLDER = RESULTS.parent / "files"
enable(PROGRAM)
from vidtrans_blender.monitor import MONITOR  # noqa: E402
from vidtrans_blender.sequencer import strips_of  # noqa: E402


def press(scene: Any, strip: Any) -> dict[str, object]:
    """Press the button for one strip, wait, and return where the result is, or the refusal."""
    for one in strips_of(scene.sequence_editor):
        one.select = one == strip
    scene.sequence_editor.active_strip = strip
    MONITOR.load()
    if refusal := refused(bpy.ops.vidtrans.style_strips):
        return {"refusal": refusal}
    while MONITOR.tick():
        time.sleep(0.05)
    job = MONITOR.entries[-1].job
    found = next((one for one in strips_of(scene.sequence_editor) if one.get("vidtrans_source")), None)
    place = [found.frame_final_start, found.frame_final_end, found.channel, found.type] if found else []
    target = job.record["target"]
    return {
        "output": str(job.output),
        "part": target["part"],
        "place": place,
        "message": MONITOR.entries[-1].text,
        "line": job.steps[-1].line,
    }


def pictures(scene: Any, folder: Path, trim: tuple[int, int]) -> Any:
    """Add an image sequence."""
    names = sorted(path.name for path in folder.iterdir())
    strip = strips_of(scene.sequence_editor).new_image("pictures", str(folder / names[0]), 2, 5)
    for name in names[1:]:
        strip.elements.append(name)
    strip.frame_offset_start, strip.frame_offset_end = trim
    return strip


def with_command(name: str, command: str, **values: object) -> Any:
    """Return a new scene with a command and its options."""
    scene = fresh(FOLDER / name)
    scene.vidtrans.command, scene.vidtrans.handle = command, 3
    for key, value in values.items():
        setattr(getattr(scene.vidtrans, f"options_{command}"), key, value)
    return scene


def deflicker() -> dict[str, object]:
    """Deflicker a trimmed movie along the motion of its source."""
    scene = with_command("deflicker", "deflicker", source=str(CLIPS / "steady.mp4"))
    return press(scene, movie_strip(scene, CLIPS / "flickers.mp4", (8, 6)))


def deflicker_of_result() -> dict[str, object]:
    """Style a part of a film, and deflicker the result along the film: it begins later in it."""
    scene = with_command("deflicker_result", "stylize")
    scene.vidtrans.look = "identity"
    strip = movie_strip(scene, CLIPS / "flickers.mp4", (8, 6))
    press(scene, strip)
    scene.vidtrans.command, scene.vidtrans.options_deflicker.source = "deflicker", str(CLIPS / "flickers.mp4")
    return press(scene, strip)


def deflicker_pictures() -> dict[str, object]:
    """Deflicker a trimmed image sequence along the motion of a movie of the whole clip."""
    scene = with_command("deflicker_pictures", "deflicker", source=str(CLIPS / "steady.mp4"))
    return press(scene, pictures(scene, CLIPS / "flickering", (8, 6)))


def paint() -> dict[str, object]:
    """Carry two painted frames through a trimmed movie."""
    scene = with_command("paint", "propagate", keyframes=str(CLIPS / "painted"), steps=2)
    return press(scene, movie_strip(scene, CLIPS / "steady.mp4", (6, 4)))


def paint_pictures() -> dict[str, object]:
    """Carry two painted frames through a trimmed image sequence."""
    scene = with_command("paint_pictures", "propagate", keyframes=str(CLIPS / "painted"), steps=2)
    return press(scene, pictures(scene, CLIPS / "steady", (6, 4)))


def without_keyframes() -> dict[str, object]:
    """Carry no painted frames."""
    scene = with_command("without", "propagate")
    return press(scene, movie_strip(scene, CLIPS / "steady.mp4", (6, 4)))


def shot() -> Any:
    """Return a scene of 12 frames with a light that moves, rendered in a moment."""
    scene = bpy.data.scenes.new("shot")
    scene.frame_start, scene.frame_end = 3, 14
    scene.render.engine, scene.render.resolution_x, scene.render.resolution_y = "CYCLES", 64, 48
    scene.cycles.samples = 1
    scene.world = bpy.data.worlds.new("world")
    scene.world.use_nodes = True
    colour = scene.world.node_tree.nodes["Background"].inputs[0]
    for frame, value in ((3, 0.05), (14, 0.6)):
        colour.default_value = (value, value, value, 1)
        colour.keyframe_insert("default_value", frame=frame)
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    scene.collection.objects.link(camera)
    scene.camera = camera
    return scene


def scene_strip(change: Callable[[Any, Any], object]) -> dict[str, object]:
    """Style a scene strip with a model that changes nothing."""
    scene = with_command(change.__name__, "stylize")
    scene.vidtrans.look, scene.vidtrans.handle = "identity", 2
    strip = strips_of(scene.sequence_editor).new_scene("shot", shot(), 2, 20)
    bpy.ops.wm.save_mainfile()
    change(scene, strip)
    return press(scene, strip)


def trim(_: Any, strip: Any) -> None:
    """Trim a scene strip."""
    strip.frame_offset_start, strip.frame_offset_end = 4, 3


def trim_hard(_: Any, strip: Any) -> None:
    """Trim a scene strip by its animation offsets."""
    strip.animation_offset_start, strip.animation_offset_end = 4, 3


def retime(scene: Any, strip: Any) -> None:
    """Retime a scene strip."""
    from vidtrans_blender.sequencer import sequencer_context

    with sequencer_context(scene, strip):
        bpy.ops.sequencer.retiming_segment_speed_set(speed=50)


def main() -> None:
    """Run all of it."""
    assert MODULE in bpy.context.preferences.addons
    cases = (deflicker, deflicker_of_result, deflicker_pictures, paint, paint_pictures, without_keyframes)
    found = {case.__name__: case() for case in cases}
    finish({**found, **{change.__name__: scene_strip(change) for change in (trim, trim_hard, retime)}}, RESULTS)


main()
