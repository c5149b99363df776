"""Put the result of a job in the place of its strip: same frames, handles, speed, blending and animation.

The strip itself takes the new file, so that effects, transitions and animation that refer to it keep working. A copy
of it, muted, keeps the source.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import bpy

from . import UserError
from .media_parts import MediaPart, StripTimes
from .movie_padding import pad_movie
from .sequencer import MOST_CHANNELS, all_strips, curves_of, sequencer_context, siblings_of, strips_of
from .strip_sources import absolute, num_frames_of, read_strip

JOB, SOURCE = "vidtrans_job", "vidtrans_source"  # properties of strips: a job's number; the name of the muted source
COPIED = ("blend_type", "blend_alpha", "use_linear_modifiers", "color_multiply", "color_saturation", "color_tag")
COPIED += ("use_flip_x", "use_flip_y", "strobe", "multiply_alpha", "alpha_mode", "use_reverse_frames")
LINEAR = (".exr", ".hdr")


def strip_of(scene: Any, number: int, name: str) -> Any:
    """Return the strip of a job: the one with its number, of several the one of its name. Raises UserError."""
    strips = all_strips(scene)
    marked = [one for one in strips if one.get(JOB) == number]
    found = next((one for one in marked or strips if one.name == name), marked[0] if marked else None)
    if found is None:
        raise UserError(f"{name}: the strip is gone — add the result by hand")
    return found


def insert_result(scene: Any, number: int, target: Mapping[str, Any], output: Path) -> Any:
    """Replace the frames of a strip by a result, a movie or a folder of pictures, and return the strip.

    Raises:
        UserError: The strip is gone or was edited beyond the rendered frames, the result has other frames, or no
            channel is free. The edit is as before.
    """
    strip = strip_of(scene, number, target["strip"])
    if not _shows_the_same(scene, strip, target):
        raise UserError(f"{strip.name}: it shows another file by now — add {output} by hand")
    part = MediaPart(**target["part"])
    source = read_strip(scene, strip, 0)
    times = source.times
    if not part.is_whole and not part.contains(source.part if times is None else times.visible_part()):
        raise UserError(f"{strip.name}: it was extended or retimed beyond the rendered frames — style it again")
    if part.num_frames != source.part.num_frames:
        raise UserError(f"{strip.name}: its file changed — style it again")
    wanted, found = part.end - part.first, num_frames_of(output) if output.is_file() else len(pictures_in(output))
    if found != wanted:
        raise UserError(f"{output}: it has {found} frames, not the {wanted} of the strip — style the strip again")
    if strip.type == "MOVIE" and times is None and not part.is_whole:
        output = _padded(output, part, Fraction(source.fps).limit_denominator(1001))
    label = f"{strip.name} ({target['label']})"
    if strip.type == "SCENE":
        return _replace_scene(scene, strip, times, part, output, label)
    source_channel, channel = _channels(scene, strip)
    copy = _duplicate(scene, strip)
    name = strip.name
    copy.mute = True
    if channel != strip.channel:  # Blender moves a strip that it would put on another
        strip.channel = channel
    copy.channel = source_channel
    strip.name, copy.name = label, f"{name} (source)"
    copy.pop(JOB, None)
    strip.pop(JOB, None)
    strip[SOURCE] = copy.name
    try:
        _give_media(strip, copy, times, part, output)
    except UserError:
        revert(scene, strip)
        raise
    if scene.animation_data and scene.animation_data.action:
        scene.animation_data.action.update_tag()  # its curves belong to the new names
    return strip


def _shows_the_same(scene: Any, strip: Any, target: Mapping[str, Any]) -> bool:
    if strip.type != target["kind"] or strip.type == "SCENE":
        return bool(strip.type == target["kind"])
    path = strip.filepath if strip.type == "MOVIE" else strip.directory
    return absolute(path, scene.library) == Path(target["path"])


def _padded(output: Path, part: MediaPart, rate: Fraction) -> Path:
    padded = output.with_name(f"{output.stem}.padded{output.suffix}")
    try:
        pad_movie(output, padded, part.first, part.num_frames - part.end, rate)
    except OSError as error:
        raise UserError(f"{padded}: it cannot be written ({error.strerror}) — free disk space, then Insert") from error
    if (found := num_frames_of(padded)) != part.num_frames:
        raise UserError(f"{padded}: it has {found} frames, not {part.num_frames} — choose Whole Clip, and style again")
    return padded


def _channels(scene: Any, strip: Any) -> tuple[int, int]:
    """Return the channels of the source and of the result. Raises UserError if none is free.

    The result is above its source if the next channel is free. Else it takes the channel of its source, below all
    that lies above, and the source, muted, takes the nearest free one, of equally near ones the lower.
    """
    channel, start, end = strip.channel, strip.frame_final_start, strip.frame_final_end
    others = [one for one in siblings_of(scene, strip) if one != strip]
    taken = {one.channel for one in others if one.frame_final_start < end and start < one.frame_final_end}
    free = [one for one in range(1, MOST_CHANNELS + 1) if one not in taken and one != channel]
    if channel + 1 in free:
        return channel, channel + 1
    if not free:
        raise UserError(f"{strip.name}: all {MOST_CHANNELS} channels are in use here — free one, then Insert")
    return min(free, key=lambda one: (abs(one - channel), one)), channel


def _duplicate(scene: Any, strip: Any) -> Any:
    before = set(all_strips(scene))
    with sequencer_context(scene, strip):
        bpy.ops.sequencer.duplicate()
    copies = [one for one in all_strips(scene) if one not in before]
    copy = next(one for one in copies if one.type == strip.type)
    for one in copies:
        if one != copy:  # of strips that are connected
            siblings_of(scene, copy).remove(one)
    return copy


def _give_media(strip: Any, copy: Any, times: StripTimes | None, part: MediaPart, output: Path) -> None:
    """Give a strip the result's files, and check that its place and length are those of its copy."""
    if strip.type == "MOVIE":
        strip.filepath = relative(output)
        if not part.is_whole and times is not None:
            _move_media(strip, times, part)
    else:
        names = [path.name for path in pictures_in(output)]
        was_linear = Path(strip.elements[0].filename).suffix.lower() in LINEAR
        for at, element in enumerate(strip.elements):  # beyond the part: the nearest picture
            element.filename = names[min(max(at - part.first, 0), len(names) - 1)]
        strip.directory = relative(output).rstrip("/") + "/"
        if was_linear and Path(strip.elements[0].filename).suffix.lower() not in LINEAR:
            strip.colorspace_settings.name = "sRGB"
    ends = [(one.frame_final_start, one.frame_final_end) for one in (strip, copy)]
    if ends[0] != ends[1]:
        raise UserError(f"{output}: with it the strip would lie at {ends[0]}, not at {ends[1]} — report this as a bug")


def _move_media(strip: Any, times: StripTimes, part: MediaPart) -> None:
    """Place a movie that is a part of the strip's former one, at the times of the strip before."""
    # Blender moves the keyframes of a strip along with frame_start: they get their times back.
    name = bpy.utils.escape_identifier(strip.name)
    prefixes = tuple(f'sequence_editor.{strips}["{name}"]' for strips in ("strips_all", "sequences_all"))
    curves = [curve for curve in curves_of(strip.id_data) if curve.data_path.startswith(prefixes)]
    points = [point for curve in curves for point in curve.keyframe_points]
    moments = [(point.co[0], point.handle_left[0], point.handle_right[0]) for point in points]
    strip.frame_start = times.start_of(part)
    for point, moment in zip(points, moments, strict=True):
        point.co[0], point.handle_left[0], point.handle_right[0] = moment
    strip.frame_offset_start = times.first - strip.frame_start
    length = float(Fraction(part.end - part.first) / times.rate)
    strip.frame_offset_end = strip.frame_start + length - times.end
    # Blender rounds the length of a file of another rate; only these two change transitions along with the strip.
    strip.frame_final_start, strip.frame_final_end = times.first, times.end


def _replace_scene(scene: Any, strip: Any, times: StripTimes | None, part: MediaPart, output: Path, label: str) -> Any:
    """Put a movie above a scene strip, with its settings; mute the scene strip. Without times it has all frames."""
    source_channel, channel = _channels(scene, strip)
    was_muted, strip.mute = strip.mute, True
    if source_channel != strip.channel:
        strip.channel = source_channel
    start = round(strip.frame_start if times is None else times.start_of(part))
    new = siblings_of(scene, strip).new_movie(label, relative(output), channel, start)
    if times is None:
        new.animation_offset_start, new.animation_offset_end = strip.animation_offset_start, strip.animation_offset_end
        new.frame_start = start
    new.frame_final_start, new.frame_final_end = strip.frame_final_start, strip.frame_final_end
    for name in COPIED:
        if hasattr(strip, name) and hasattr(new, name):
            setattr(new, name, getattr(strip, name))
    new.mute = was_muted
    for source, target in ((strip.transform, new.transform), (strip.crop, new.crop)):
        for one in source.bl_rna.properties:
            if not one.is_readonly and one.identifier != "name":
                setattr(target, one.identifier, getattr(source, one.identifier))
    _change_inputs(scene, strip, new)
    strip.pop(JOB, None)
    new[SOURCE] = strip.name
    return new


def _change_inputs(scene: Any, old: Any, new: Any) -> None:
    """Let the effects and transitions of a strip use another one."""
    for one in all_strips(scene):
        for key in ("input_1", "input_2"):
            if getattr(one, key, None) == old:
                setattr(one, key, new)


def revert(scene: Any, strip: Any) -> Any:
    """Take a result out of the edit again, and return the strip with its source. Raises UserError without a source."""
    name = strip.get(SOURCE)
    source = next((one for one in all_strips(scene) if one.name == name), None)
    if source is None:
        raise UserError(f"{strip.name}: its source strip is gone — undo, or change its path")
    _change_inputs(scene, strip, source)
    was_muted, channel = strip.mute, strip.channel
    if abs(channel - source.channel) == 1:
        channel = min(channel, source.channel)
    siblings_of(scene, strip).remove(strip)
    source.mute, source.channel = was_muted, channel
    source.name = str(name).removesuffix(" (source)")
    return source


def natural_key(name: str) -> list[tuple[int, str]]:
    """Return the key by which ``frame2`` comes before ``frame10``."""
    return [(int(word), "") if word.isdecimal() else (-1, word.lower()) for word in re.split(r"(\d+)", name) if word]


def pictures_in(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    found = [path for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")]
    return sorted(found, key=lambda path: natural_key(path.name))


def relative(path: Path) -> str:
    try:
        return str(bpy.path.relpath(str(path))) if bpy.data.filepath else str(path)
    except ValueError:  # another drive of Windows
        return str(path)


def insert_movie(scene: Any, output: Path, first: int, label: str) -> Any:
    """Put the movie of a rendered scene into the sequencer of ``edit_scene``, and return the strip. Raises UserError.

    It begins at frame ``first``, in the lowest free channel.
    """
    edit = edit_scene(scene)
    length = num_frames_of(output)
    if not length:
        raise UserError(f"{output}: Blender reads no frames of it — run the job again")
    strips = strips_of(edit.sequence_editor or edit.sequence_editor_create())
    taken = {one.channel for one in strips if one.frame_final_start < first + length and first < one.frame_final_end}
    channel = next((one for one in range(1, MOST_CHANNELS + 1) if one not in taken), None)
    if channel is None:
        raise UserError(f"{edit.name}: all {MOST_CHANNELS} channels are in use here — free one, then Insert")
    return strips.new_movie(label, relative(output), channel, first)


def edit_scene(scene: Any) -> Any:
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
