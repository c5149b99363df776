"""Style strips of many edits with a model that changes nothing, and compare every frame of the sequencer.

Arguments: the folder with the clips, the program, the file for the results, and the edits to run.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import bpy
from common import enable, finish, frames_of, fresh

CLIPS, PROGRAM, RESULTS = Path(sys.argv[-3]), sys.argv[-2], Path(sys.argv[-1])
enable(PROGRAM)
from vidtrans_blender.monitor import MONITOR  # noqa: E402
from vidtrans_blender.sequencer import all_strips, sequencer_context, strips_of  # noqa: E402
from vidtrans_blender.strip_results import revert  # noqa: E402
from vidtrans_blender.strip_sources import clock_of, read_strip  # noqa: E402

EDITS: dict[str, Callable[[Any], Any]] = {}
WITHOUT_CLOCK = {"variable_rate", "frozen"}  # a number of a picture is not that of a frame, or has several times
IS_OLD, IS_NEW = bpy.app.version < (4, 4), bpy.app.version >= (5, 0)


def edit(build: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Add an edit: a function that fills a scene, and returns the strip to style."""
    EDITS[build.__name__] = build
    return build


def movie(scene: Any, name: str = "24", trim: tuple[int, int] | None = (21, 50)) -> Any:
    """Add a movie from frame 5 on, with its first and last frames trimmed away: 29 frames are left of 100."""
    strip = strips_of(scene.sequence_editor).new_movie("clip", str(CLIPS / f"{name}.mp4"), 2, 5)
    if trim:
        strip.frame_offset_start, strip.frame_offset_end = trim
    return strip


def pictures(scene: Any, trim: tuple[int, int] | None = None) -> Any:
    """Add the image sequence."""
    names = sorted(path.name for path in (CLIPS / "pictures").iterdir())
    strip = strips_of(scene.sequence_editor).new_image("pictures", str(CLIPS / "pictures" / names[0]), 2, 5)
    for name in names[1:]:
        strip.elements.append(name)
    if trim:
        strip.frame_offset_start, strip.frame_offset_end = trim
    return strip


def adjusted(scene: Any, name: str, trim: tuple[int, int]) -> Any:
    """Add a movie of another rate as the button of Blender does: played at its own speed."""
    strips = strips_of(scene.sequence_editor)
    other = strips.new_movie("other", str(CLIPS / "24.mp4"), 9, 1)
    with sequencer_context(scene, other):
        bpy.ops.sequencer.movie_strip_add(
            filepath=str(CLIPS / f"{name}.mp4"),
            frame_start=5,
            channel=2,
            adjust_playback_rate=True,
            use_framerate=False,
            sound=False,
        )
    strips.remove(other)
    strip = next(one for one in strips if one.type == "MOVIE")
    scene.render.fps, scene.render.fps_base, scene.frame_start, scene.frame_end = 24, 1.0, 1, 70
    strip.channel, strip.frame_start = 2, 5
    strip.frame_offset_start, strip.frame_offset_end = trim
    return strip


def speed(scene: Any, strip: Any, percent: float, key: int | None = None) -> Any:
    """Retime a strip: all of it, or from a key on."""
    with sequencer_context(scene, strip):
        if key is not None:
            bpy.ops.sequencer.retiming_key_add(timeline_frame=key)
        bpy.ops.sequencer.retiming_segment_speed_set(speed=percent)
    return strip


def trimmed(strip: Any, start: int, end: int) -> Any:
    """Trim both ends of a strip."""
    strip.frame_offset_start, strip.frame_offset_end = start, end
    return strip


def effect(scene: Any, kind: str, channel: int, first: int, end: int, *inputs: Any) -> Any:
    """Add an effect strip; the names of arguments differ between versions."""
    names = ("seq1", "seq2") if IS_OLD else ("input1", "input2")
    span = {"length": end - first} if IS_NEW else {"frame_end": end}
    new = strips_of(scene.sequence_editor).new_effect
    return new("effect", kind, channel, first, **span, **dict(zip(names, inputs, strict=False)))


@edit
def whole(scene: Any) -> Any:
    """Show all of a clip."""
    return movie(scene, trim=None)


@edit
def handles(scene: Any) -> Any:
    """Trim both ends."""
    return movie(scene)


@edit
def reversed_(scene: Any) -> Any:
    """Run backwards."""
    strip = movie(scene, trim=(31, 30))
    strip.use_reverse_frames = True
    return strip


@edit
def twice_as_fast(scene: Any) -> Any:
    """Retime to 200 %."""
    return speed(scene, movie(scene, trim=None), 200)


@edit
def half_as_fast(scene: Any) -> Any:
    """Retime to 50 %, and trim both ends."""
    return trimmed(speed(scene, movie(scene, trim=None), 50), 21, 50)


@edit
def ramp(scene: Any) -> Any:
    """Change the speed in the middle, and trim both ends."""
    return trimmed(speed(scene, movie(scene, trim=None), 73, key=25), 16, 60)


@edit
def smooth_ramp(scene: Any) -> Any:
    """Change the speed smoothly in the middle, and trim both ends."""
    strip = speed(scene, movie(scene, trim=None), 73, key=45)
    with sequencer_context(scene, strip):
        bpy.ops.sequencer.retiming_transition_add(duration=16)
    return trimmed(strip, 30, 60)


@edit
def frozen(scene: Any) -> Any:
    """Hold a frame in the middle of a retimed strip, and trim both ends."""
    strip = speed(scene, movie(scene, trim=None), 90, key=45)
    with sequencer_context(scene, strip):
        bpy.ops.sequencer.retiming_freeze_frame_add(duration=9)
    return trimmed(strip, 22, 44)


@edit
def faster_reversed(scene: Any) -> Any:
    """Retime to 150 %, run backwards, and trim both ends."""
    strip = trimmed(speed(scene, movie(scene, trim=None), 150), 12, 18)
    strip.use_reverse_frames = True
    return strip


@edit
def other_rate_adjusted_faster(scene: Any) -> Any:
    """Retime a clip of 30 frames/s that plays at its own speed, and trim both ends."""
    return trimmed(speed(scene, adjusted(scene, "30", (0, 0)), 120), 12, 18)


@edit
def speed_effect(scene: Any) -> Any:
    """Put a speed effect above the strip."""
    strip = movie(scene, trim=(21, 30))
    above = effect(scene, "SPEED", 3, 1, 9, strip)
    above.speed_control, above.speed_factor = "MULTIPLY", 1.5
    return strip


@edit
def speed_stretched(scene: Any) -> Any:
    """Put a speed effect above the strip that stretches what lies behind its handle."""
    strip = movie(scene, trim=(21, 30))
    effect(scene, "SPEED", 3, 1, 9, strip).speed_control = "STRETCH"
    return strip


@edit
def animated_opacity(scene: Any) -> Any:
    """Fade in by keyframes."""
    strip = movie(scene)
    strip.blend_type = "ALPHA_OVER"
    for frame, value in ((26, 0.3), (45, 1.0)):
        strip.blend_alpha = value
        strip.keyframe_insert("blend_alpha", frame=frame)
    return strip


@edit
def held_ends(scene: Any) -> Any:
    """Extend the strip before the first frame, which is held."""
    return movie(scene, trim=(-4, 60))


@edit
def hard_trim(scene: Any) -> Any:
    """Trim by the animation offsets."""
    strip = movie(scene, trim=None)
    strip.animation_offset_start, strip.animation_offset_end = 10, 20
    return strip


@edit
def same_file_twice(scene: Any) -> Any:
    """Leave a gap, and show another part of the file behind it."""
    strip = movie(scene)
    other = strips_of(scene.sequence_editor).new_movie("other", str(CLIPS / "24.mp4"), 2, 50)
    other.frame_offset_start, other.frame_offset_end = 10, 80
    return strip


@edit
def transition(scene: Any) -> Any:
    """Cross-fade into a strip of the next channel."""
    strip = movie(scene)
    other = strips_of(scene.sequence_editor).new_movie("other", str(CLIPS / "24.mp4"), 3, 30)
    other.frame_offset_start, other.frame_offset_end = 10, 40
    effect(scene, "CROSS", 4, 40, 55, strip, other)
    return strip


@edit
def in_meta(scene: Any) -> Any:
    """Put the strip into a meta strip."""
    strip = movie(scene)
    with sequencer_context(scene, strip):
        bpy.ops.sequencer.meta_make()
    return strip


@edit
def moved_and_cropped(scene: Any) -> Any:
    """Transform and crop."""
    strip = movie(scene)
    strip.transform.offset_x, strip.crop.max_y = 3, 4
    return strip


@edit
def other_rate(scene: Any) -> Any:
    """Show a clip of 30 frames/s frame by frame."""
    return movie(scene, "30")


@edit
def other_rate_adjusted(scene: Any) -> Any:
    """Show a clip of 30 frames/s at its own speed."""
    return adjusted(scene, "30", (21, 30))


@edit
def other_rate_adjusted_reversed(scene: Any) -> Any:
    """Run it backwards."""
    strip = adjusted(scene, "30", (21, 30))
    strip.use_reverse_frames = True
    return strip


@edit
def ntsc_adjusted(scene: Any) -> Any:
    """Show a clip of 23.976 frames/s at its own speed."""
    return adjusted(scene, "23", (21, 50))


@edit
def variable_rate(scene: Any) -> Any:
    """Show a clip whose frames last one or two ticks."""
    return movie(scene, "variable", (21, 46))


@edit
def image_sequence(scene: Any) -> Any:
    """Show all pictures."""
    return pictures(scene)


@edit
def image_sequence_handles(scene: Any) -> Any:
    """Trim both ends."""
    return pictures(scene, (21, 50))


@edit
def image_sequence_reversed(scene: Any) -> Any:
    """Run backwards."""
    strip = pictures(scene, (31, 30))
    strip.use_reverse_frames = True
    return strip


@edit
def image_sequence_faster(scene: Any) -> Any:
    """Retime to 200 %."""
    return speed(scene, pictures(scene), 200)


@edit
def image_sequence_slower(scene: Any) -> Any:
    """Retime to 50 %, and trim both ends."""
    return trimmed(speed(scene, pictures(scene), 50), 21, 50)


def settings_of(strip: Any) -> dict[str, object]:
    """Return what of a strip a person has set, besides its name, channel and media."""
    left_out = {"name", "channel", "mute", "filepath", "directory", "frame_start", "frame_duration", "select"}
    left_out |= {
        "frame_offset_start",
        "frame_offset_end",
        "show_retiming_keys",
        "select_left_handle",
        "select_right_handle",
    }
    plain = ("BOOLEAN", "INT", "FLOAT", "STRING", "ENUM")
    found = {}
    for owner in (strip, strip.transform, strip.crop):
        for one in owner.bl_rna.properties:
            if one.type in plain and one.identifier not in left_out and not getattr(one, "is_array", False):
                value = getattr(owner, one.identifier)
                found[f"{owner.bl_rna.identifier}.{one.identifier}"] = (
                    sorted(value) if isinstance(value, set) else value
                )
    return found


def late_frames(times: dict[int, float], shown: dict[int, int]) -> list[tuple[int, float]]:
    """Return the frames whose time is not one of those at which they are shown, or next to them; -1 shows none."""
    found = []
    for number in set(shown.values()) & set(times):
        near = [frame for frame in shown if shown[frame] == number]
        if not min(near) - 1 <= times[number] <= max(near) + 1:
            found.append((number, times[number]))
    return found


def run(name: str, build: Callable[[Any], Any]) -> dict[str, object]:
    """Style the strip of one edit, and return what was seen before, after, and with the source again."""
    folder = RESULTS.parent / name
    scene = fresh(folder)
    strip = build(scene)
    for one in all_strips(scene):
        one.select = one == strip
    scene.sequence_editor.active_strip = strip
    scene.vidtrans.look, scene.vidtrans.handle = "identity", 5
    before = frames_of(scene, folder / "frame.bmp")
    source = read_strip(scene, strip, 5)
    clock, is_alone = clock_of(scene, strip, source), len(all_strips(scene)) == 1
    times = {at: clock(at) for at in range(source.part.first, source.part.end)} if clock else {}
    MONITOR.load()
    assert bpy.ops.vidtrans.style_strips() == {"FINISHED"}
    MONITOR.run_until_done(60)
    job = MONITOR.entries[-1].job
    after = frames_of(scene, folder / "frame.bmp")
    source = next(one for one in all_strips(scene) if one.name.endswith("(source)"))
    same = settings_of(strip) == settings_of(source)
    channels = (source.channel, strip.channel)
    revert(scene, strip)
    again = frames_of(scene, folder / "frame.bmp")
    part = job.record["target"]["part"]
    shown = dict(enumerate((number for number, _ in before), scene.frame_start))
    late = late_frames(times, shown) if is_alone and name not in WITHOUT_CLOCK else []
    return {
        "late": late,
        "before": before,
        "after": after,
        "again": again,
        "same": same,
        "part": part,
        "channels": channels,
    }


def main() -> None:
    """Run all edits, or those that an argument before the usual ones names."""
    names = (
        sys.argv[-4].split(",") if len(sys.argv) > 4 else [one for one in EDITS if not (IS_NEW and "adjusted" in one)]
    )
    finish({name: run(name, EDITS[name]) for name in names}, RESULTS)


main()
