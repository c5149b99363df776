"""Put the result of a job in the place of its strip: same frames, handles, speed, blending and animation.

The strip itself takes the new file, so that effects, transitions and animation that refer to it keep working. A copy
of it, muted, keeps the source.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import bpy

from .faults import UserError
from .held_movies import pad_movie
from .media_parts import MediaPart, StripTimes, free_channel, nearest_names, start_of_part, visible_part
from .places import natural_key
from .sequencer import MOST_CHANNELS, all_strips, duplicate, kept_animation, siblings_of, strips_of, taken_channels
from .strip_sources import num_frames_of, read_strip, shows_the_same

JOB, SOURCE = "vidtrans_job", "vidtrans_source"  # properties of strips: a job's number; the name of the muted source
COPIED = ("blend_type", "blend_alpha", "use_linear_modifiers", "color_multiply", "color_saturation", "color_tag")
COPIED += ("use_flip_x", "use_flip_y", "strobe", "multiply_alpha", "alpha_mode", "mute")
LINEAR = (".exr", ".hdr")


def strip_of(scene: Any, number: int, name: str) -> Any:  # noqa: ANN401  (types of Blender)
    """Return the strip of a job: the one with its number, of several the one of its name. Raises UserError."""
    strips = all_strips(scene.sequence_editor) if scene.sequence_editor else []
    marked = [one for one in strips if one.get(JOB) == number]
    found = next((one for one in marked if one.name == name), marked[0] if marked else None)
    found = found or next((one for one in strips if one.name == name), None)
    if found is None:
        raise UserError(f"{name}: the strip is gone — add the result by hand")
    return found


def insert_result(scene: Any, number: int, target: Mapping[str, Any], output: Path) -> Any:  # noqa: ANN401
    """Replace the frames of a strip by a result, and return the strip.

    Args:
        scene: The scene whose sequencer has it.
        number: The number of the job.
        target: The table of a job: ``strip`` (its name), ``label`` (of the model), and that of its ``StripSource``.
        output: The movie, or the folder of pictures.

    Raises:
        UserError: The strip is gone or was edited beyond the rendered frames, the result has other frames, or no
            channel is free. The edit is as before.
    """
    strip = strip_of(scene, number, target["strip"])
    if not shows_the_same(target, strip, scene):
        raise UserError(f"{strip.name}: it shows another file by now — add {output} by hand")
    part = MediaPart.read(target["part"])
    source = read_strip(scene, strip, 0)
    times = source.times
    if not part.is_whole and not part.contains(source.part if times is None else visible_part(times)):
        raise UserError(f"{strip.name}: it was extended or retimed beyond the rendered frames — style it again")
    if part.num_frames != source.part.num_frames:
        raise UserError(f"{strip.name}: its file changed — style it again")
    _check_frames(strip, part, output)
    if strip.type == "MOVIE" and times is None and not part.is_whole:
        output = _padded(output, part, Fraction(source.fps).limit_denominator(1001))
    label = f"{strip.name} ({target['label']})"
    if strip.type == "SCENE":
        return _replace_scene(scene, strip, times, part, output, label)
    source_channel, channel = _channels(scene, strip)
    copy = duplicate(scene, strip)
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
        _give_media(scene, strip, copy, times, part, output)
    except UserError:
        revert(scene, strip)
        raise
    if scene.animation_data and scene.animation_data.action:
        scene.animation_data.action.update_tag()  # its curves belong to the new names
    return strip


def _check_frames(strip: Any, part: MediaPart, output: Path) -> None:  # noqa: ANN401
    """Raise UserError if a result has not as many frames as the part."""
    wanted = part.end - part.first
    count = num_frames_of if output.is_file() else lambda folder: len(pictures_in(folder))
    found = count(output)
    if found != wanted:
        raise UserError(f"{output}: it has {found} frames, not the {wanted} of the strip — style the strip again")


def _padded(output: Path, part: MediaPart, rate: Fraction) -> Path:
    """Return a movie of a part that has as many frames as the whole file, beside the one of the part."""
    padded = output.with_name(f"{output.stem}.padded{output.suffix}")
    try:
        pad_movie(output, padded, part.first, part.num_frames - part.end, rate)
    except OSError as error:
        raise UserError(f"{padded}: it cannot be written ({error.strerror}) — free disk space, then Insert") from error
    if (found := num_frames_of(padded)) != part.num_frames:
        raise UserError(f"{padded}: it has {found} frames, not {part.num_frames} — choose Whole Clip, and style again")
    return padded


def _channels(scene: Any, strip: Any) -> tuple[int, int]:  # noqa: ANN401
    """Return the channels of the source and of the result. Raises UserError if none is free.

    The result is above its source if the next channel is free. Else it takes the channel of its source, below all
    that lies above, and the source, muted, takes the nearest free one.
    """
    taken, channel = taken_channels(scene, strip), strip.channel
    if channel + 1 <= MOST_CHANNELS and channel + 1 not in taken:
        return channel, channel + 1
    free = free_channel(taken, channel, MOST_CHANNELS)
    if free is None:
        raise UserError(f"{strip.name}: all {MOST_CHANNELS} channels are in use here — free one, then Insert")
    return free, channel


def _give_media(scene: Any, strip: Any, copy: Any, times: Any, part: MediaPart, output: Path) -> None:  # noqa: ANN401
    """Give a strip the result's files, and check that its place and length are those of its copy."""
    if strip.type == "MOVIE":
        strip.filepath = relative(output)
        if not part.is_whole and times is not None:
            _move_media(strip, times, part)
    else:
        names = {part.first + at: path.name for at, path in enumerate(pictures_in(output))}
        names = {0: next(iter(names.values()))} if part.num_frames == 1 else names
        was_linear = Path(strip.elements[0].filename).suffix.lower() in LINEAR
        for element, name in zip(strip.elements, nearest_names(names, part.num_frames), strict=True):
            element.filename = name
        strip.directory = relative(output) + ("" if relative(output).endswith("/") else "/")
        if was_linear and Path(strip.elements[0].filename).suffix.lower() not in LINEAR:
            strip.colorspace_settings.name = "sRGB"
    ends = [(one.frame_final_start, one.frame_final_end) for one in (strip, copy)]
    if ends[0] != ends[1]:
        raise UserError(f"{output}: with it the strip would lie at {ends[0]}, not at {ends[1]} — report this as a bug")


def _move_media(strip: Any, times: StripTimes, part: MediaPart) -> None:  # noqa: ANN401
    """Place a movie that is a part of the strip's former one, at the times of the strip before."""
    with kept_animation(strip):
        strip.frame_start = start_of_part(times, part)
    strip.frame_offset_start = times.first - strip.frame_start
    length = float(Fraction(part.end - part.first) / times.rate)
    strip.frame_offset_end = strip.frame_start + length - times.end
    # Blender rounds the length of a file of another rate; only these two change transitions along with the strip.
    strip.frame_final_start, strip.frame_final_end = times.first, times.end


def _replace_scene(scene: Any, strip: Any, times: Any, part: MediaPart, output: Path, label: str) -> Any:  # noqa: ANN401
    """Put a movie above a scene strip, with its settings; mute the scene strip. Without times it has all frames."""
    source_channel, channel = _channels(scene, strip)
    ends = strip.frame_final_start, strip.frame_final_end
    was_muted, strip.mute = strip.mute, True
    if source_channel != strip.channel:
        strip.channel = source_channel
    siblings = siblings_of(scene, strip)
    start = round(strip.frame_start if times is None else start_of_part(times, part))
    new = siblings.new_movie(label, relative(output), channel, start)
    if times is None:
        new.animation_offset_start, new.animation_offset_end = strip.animation_offset_start, strip.animation_offset_end
        new.frame_start = start
    new.frame_final_start, new.frame_final_end = ends
    for name in COPIED:
        if hasattr(strip, name) and hasattr(new, name):
            setattr(new, name, getattr(strip, name))
    new.mute, new.use_reverse_frames = was_muted, strip.use_reverse_frames
    for group in ("transform", "crop"):
        _copy_group(getattr(strip, group), getattr(new, group))
    for one in all_strips(scene.sequence_editor):  # effects and transitions of the strip
        for key in ("input_1", "input_2"):
            if getattr(one, key, None) == strip:
                setattr(one, key, new)
    strip.pop(JOB, None)
    new[SOURCE] = strip.name
    return new


def _copy_group(source: Any, target: Any) -> None:  # noqa: ANN401
    for one in source.bl_rna.properties:
        if not one.is_readonly and one.identifier != "name":
            setattr(target, one.identifier, getattr(source, one.identifier))


def revert(scene: Any, strip: Any) -> Any:  # noqa: ANN401
    """Take a result out of the edit again, and return the strip with its source. Raises UserError without a source."""
    name = strip.get(SOURCE)
    source = next((one for one in all_strips(scene.sequence_editor) if one.name == name), None)
    if source is None:
        raise UserError(f"{strip.name}: its source strip is gone — undo, or change its path")
    siblings, channel, was_muted = siblings_of(scene, strip), min(strip.channel, source.channel), strip.mute
    for one in all_strips(scene.sequence_editor):
        for key in ("input_1", "input_2"):
            if getattr(one, key, None) == strip:
                setattr(one, key, source)
    if strip.channel + 1 != source.channel and source.channel + 1 != strip.channel:
        channel = strip.channel
    siblings.remove(strip)
    source.mute, source.channel = was_muted, channel
    source.name = str(name).removesuffix(" (source)")
    return source


def pictures_in(folder: Path) -> list[Path]:
    """Return the pictures of a result by their names."""
    if not folder.is_dir():
        return []
    found = [path for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")]
    return sorted(found, key=lambda path: natural_key(path.name))


def relative(path: Path) -> str:
    """Return a path as Blender's files have it: relative to a saved one on the same disk."""
    if not bpy.data.filepath:
        return str(path)
    try:
        return str(bpy.path.relpath(str(path)))
    except ValueError:  # another drive of Windows
        return str(path)


def insert_movie(scene: Any, output: Path, first: int, label: str) -> Any:  # noqa: ANN401
    """Put a movie into a scene's sequencer from a frame on, in the lowest free channel, and return the strip."""
    editor = scene.sequence_editor or scene.sequence_editor_create()
    length = num_frames_of(output)
    if not length:
        raise UserError(f"{output}: Blender reads no frames of it — run the job again")
    strips = strips_of(editor)
    taken = {one.channel for one in strips if one.frame_final_start < first + length and first < one.frame_final_end}
    channel = next((one for one in range(1, MOST_CHANNELS + 1) if one not in taken), None)
    if channel is None:
        raise UserError(f"{scene.name}: all {MOST_CHANNELS} channels are in use here — free one, then Insert")
    return strips.new_movie(label, relative(output), channel, first)
