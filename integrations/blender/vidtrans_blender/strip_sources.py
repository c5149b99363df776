"""Read a strip: its file, the frames of it that it shows, and the part that is rendered."""

from __future__ import annotations

import ctypes
import math
import os
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import bpy

from . import UserError
from .media_parts import MediaPart, RetimingPoint, StripTimes, retimed_part, time_of_frame
from .sequencer import all_strips, curves_of, scene_rate, strips_of

KINDS = ("MOVIE", "IMAGE", "SCENE")
LAYOUTS = ("<di4xf", "<dif")  # of a key in memory: the frame of the strip, its flags, the share; the first before 5.0
SMOOTH = 0b0001  # the flag of the first of the two keys of a smooth change of speed
STEADY = 0.01  # frames of the file in one of the scene, by which speeds have to differ for it
TOLERANCE = 1e-3
Key = tuple[float, float]  # a time in frames of the file, and the share of the file that is shown then


@dataclass(frozen=True)
class StripSource:
    """The media of a strip, and the frames of it that are rendered."""

    kind: str  # MOVIE, IMAGE or SCENE
    path: Path  # the file of a movie; the folder of pictures
    pictures: tuple[Path, ...]  # the files of an image sequence, one for each of its frames
    part: MediaPart  # the frames to render
    times: StripTimes | None  # the place of the strip; None if it is retimed: its file has to keep its length
    fps: float  # of the file


def absolute(path: str, library: Any = None) -> Path:
    return Path(os.path.normpath(bpy.path.abspath(path, library=library)))


def read_strip(scene: Any, strip: Any, handle: int, *, whole: bool = False) -> StripSource:
    """Return the source of a strip: the frames that it shows and ``handle`` more on each side, or the whole file."""
    name = strip.name
    if strip.type == "META":
        raise UserError(f"{name}: a meta strip — open it (Tab), and select a strip in it")
    if strip.type not in KINDS:
        raise UserError(f"{name}: a strip of this kind has no frames of its own — select a movie, image or scene strip")
    if strip.lock:
        raise UserError(f"{name}: the strip is locked — unlock it (Shift Ctrl Alt H), or its channel")
    path, pictures, num_frames, fps = _read_media(scene, strip)
    times = None if strip.type == "IMAGE" and num_frames == 1 else times_of(scene, strip, num_frames, fps)
    if whole or num_frames == 1 or (strip.type == "SCENE" and times is None):
        part = MediaPart(0, num_frames, num_frames)
    elif times is None:
        part = retimed_frames(scene, strip, num_frames, fps).widened(handle)
    else:
        part = times.part_with_handles(handle)
    if gone := next((one for one in pictures[part.first : part.end] if not one.is_file()), None):
        raise UserError(f"{gone}: a picture of this strip is not there — relink it (Strip, Change Path)")
    return StripSource(strip.type, path, pictures, part, times, fps)


def _read_media(scene: Any, strip: Any) -> tuple[Path, tuple[Path, ...], int, float]:
    if strip.type == "MOVIE":
        path = absolute(strip.filepath, scene.library)
        if not path.is_file():
            raise UserError(f"{path}: the file of this strip is not there — relink it (Strip, Change Path)")
        num_frames = num_frames_of(path)
        if not num_frames or not strip.fps:
            raise UserError(f"{path}: Blender reads no frames of it — see 'vidtrans probe {path.name}'")
        return path, (), num_frames, strip.fps
    fps = float(scene_rate(scene))
    if strip.type == "IMAGE":
        folder = absolute(strip.directory, scene.library)
        pictures = tuple(folder / one.filename for one in strip.elements)
        return folder, pictures, len(pictures), fps
    name = strip.name
    if strip.scene is None:
        raise UserError(f"{name}: its scene is gone — choose one in the strip's settings")
    if strip.scene == scene:
        raise UserError(f"{name}: it shows the scene in which it lies — put it in a scene of its own")
    if strip.scene_input == "SEQUENCER":
        raise UserError(f"{name}: it shows a sequencer, no camera — set its Input to Camera, or style its strips there")
    if len(strip.retiming_keys):
        raise UserError(f"{name}: this scene strip is retimed — reset its retiming, and retime the styled strip")
    return Path(), (), strip.frame_duration + strip.animation_offset_start + strip.animation_offset_end, fps


def num_frames_of(path: Path) -> int:
    """Return how many frames Blender finds in a movie; 0 if it cannot read it."""
    scene = bpy.data.scenes.new("vidtrans")
    try:
        return int(strips_of(scene.sequence_editor_create()).new_movie("clip", str(path), 1, 1).frame_duration)
    except RuntimeError:
        return 0
    finally:
        bpy.data.scenes.remove(scene)


def speed_effects(scene: Any, strip: Any) -> list[Any]:
    return [one for one in all_strips(scene) if one.type == "SPEED" and one.input_1 == strip]


def times_of(scene: Any, strip: Any, num_frames: int, fps: float) -> StripTimes | None:
    """Return the place of a strip; None if it is retimed, has a speed effect, or was trimmed hard."""
    is_retimed = len(getattr(strip, "retiming_keys", ())) or speed_effects(scene, strip)
    if is_retimed or strip.animation_offset_start or strip.animation_offset_end:
        return None
    rate = Fraction(1)
    length = strip.frame_final_duration + strip.frame_offset_start + strip.frame_offset_end
    if length != num_frames:
        rate = Fraction(fps).limit_denominator(1001) / scene_rate(scene)
        if rate == 1 or abs(length - float(num_frames / rate)) > 1.01:  # retimed
            return None
    place = (float(strip.frame_start), strip.frame_final_start, strip.frame_final_end)
    return StripTimes(*place, num_frames, rate, bool(strip.use_reverse_frames))


def retimed_frames(scene: Any, strip: Any, num_frames: int, fps: float) -> MediaPart:
    """Return the frames of its file that a strip without a place shows; all if that is not known."""
    points, (start, end) = retiming_of(scene, strip, num_frames, fps), content_span(strip)
    if points is None:
        return MediaPart(0, num_frames, num_frames)
    shown = float(strip.frame_final_start), last_of_speed(scene, strip, end)
    if strip.use_reverse_frames:
        shown = start + end - 1 - shown[1], start + end - 1 - shown[0]
    return retimed_part(points, shown, (strip.animation_offset_start, strip.animation_offset_end), num_frames)


def last_of_speed(scene: Any, strip: Any, end: float) -> float:
    """Return the last frame of the scene at which a speed effect shows a strip, from its first visible one on."""
    last = strip.frame_final_end - 1
    for one in speed_effects(scene, strip):
        curves = [curve for curve in curves_of(scene) if curve.data_path.endswith(".speed_factor")]
        if one.speed_control != "MULTIPLY" or curves:
            return end
        length = one.frame_final_duration * max(0.0, one.speed_factor)
        last = max(last, strip.frame_final_start + length + 1)  # it may mix a frame with the next one
    return min(last, end)


def content_span(strip: Any) -> tuple[float, float]:
    return float(strip.frame_start), float(strip.frame_final_end + strip.frame_offset_end)


def clock_of(scene: Any, strip: Any, source: StripSource) -> Callable[[int], float] | None:
    """Return a function from a frame of a strip's file to the scene's frame that shows it; None if it is not known.

    A speed effect above the strip is left out: it may show a frame at several times.
    """
    if source.times is not None:
        return source.times.time_of
    points, (start, end) = retiming_of(scene, strip, source.part.num_frames, source.fps), content_span(strip)
    if points is None:
        return None
    trim = strip.animation_offset_start
    if strip.use_reverse_frames:
        return lambda frame: start + end - 1 - time_of_frame(points, frame - trim)
    return lambda frame: time_of_frame(points, frame - trim)


def retiming_of(scene: Any, strip: Any, num_frames: int, fps: float) -> list[RetimingPoint] | None:
    """Return which frame a strip shows when, if it played forwards; None if that is not known."""
    left = num_frames - strip.animation_offset_start - strip.animation_offset_end
    start, end = content_span(strip)
    if left < 1 or end <= start:
        return None
    if len(getattr(strip, "retiming_keys", ())):
        return points_of(strip, left, (1.0, fps / float(scene_rate(scene))))
    return [RetimingPoint(start, 0.0), RetimingPoint(end, float(left))]


def points_of(strip: Any, length: int, rates: Sequence[float]) -> list[RetimingPoint] | None:
    """Return the keys of a retimed strip; None if this version of Blender stores them in another form.

    Python can read the times of keys, but not the shares of the file that they stand for. The shares are read from
    memory, and used only if they are what shares have to be: they rise from 0 to 1 at times that Python has, too.

    Args:
        strip: The strip.
        length: The number of frames of the file that hard trims leave.
        rates: The possible numbers of frames of the file in one of the scene: 1, and the quotient of the frame rates.
    """
    keys, (start, end) = list(strip.retiming_keys), content_span(strip)
    frames = [key.timeline_frame - start for key in keys]
    for layout in LAYOUTS:
        size = struct.calcsize(layout)
        found = [struct.unpack(layout, ctypes.string_at(key.as_pointer(), size)) for key in keys]
        times, shares = [row[0] for row in found], [row[2] for row in found]
        if not _rise(times, 1e9) or not _rise(shares, 1.0) or abs(shares[-1] - 1) > TOLERANCE:
            continue
        rate = min(rates, key=lambda one: abs((times[-1] + 1) / one - (end - start)))
        # Python has the times in frames of the scene or of the file.
        is_known = any(
            all(abs(time / one - frame) <= 1.0 for time, frame in zip(times, frames, strict=True))
            for one in (1.0, rate)
        )
        if abs((times[-1] + 1) / rate - (end - start)) <= 2 and is_known:
            smooth = [bool(row[1] & SMOOTH) for row in found]
            dense = with_arcs([*zip(times, shares, strict=True)], smooth, rate, length - 1)
            return [RetimingPoint(start + time / rate, share * (length - 1)) for time, share in dense]
    return None


def _rise(values: list[float], most: float) -> bool:
    """Return whether values rise from 0, and not above ``most``."""
    is_near = abs(values[0]) <= TOLERANCE and 0 < values[-1] <= most + TOLERANCE
    return is_near and all(a <= b + TOLERANCE for a, b in pairwise(values))


def with_arcs(keys: list[Key], smooth: list[bool], rate: float, most: int) -> list[Key]:
    """Return keys and, between the two of a smooth change of speed, a point for each frame of the scene.

    There Blender lets the share follow the circle that touches the lines before and behind.

    Args:
        keys, smooth: The keys, and whether a smooth change begins at each.
        rate: Frames of the file in one of the scene.
        most: The number of the file's last frame.
    """
    found: list[Key] = []
    for at, key in enumerate(keys):
        found.append(key)
        if smooth[at] and 0 < at < len(keys) - 2:
            before, start, end, behind = keys[at - 1 : at + 3]
            frames = range(math.floor(start[0] / rate) + 1, math.ceil(end[0] / rate))
            found += [(frame * rate, _on_arc((before, start, end, behind), frame * rate, most)) for frame in frames]
    return found


def _on_arc(keys: tuple[Key, Key, Key, Key], time: float, most: int) -> float:
    """Return the share of the file at a time between the second and the third key."""
    before, start, end, behind = keys
    slopes = [(b[1] - a[1]) / (b[0] - a[0]) for a, b in ((before, start), (end, behind))]
    if abs(slopes[0] - slopes[1]) * most < STEADY:
        return start[1] + slopes[0] * (time - start[0])
    # The centre lies on the normals of both lines: x + slope * y is the same along each.
    feet = [point[0] + slope * point[1] for point, slope in zip((start, end), slopes, strict=True)]
    centre_y = (feet[0] - feet[1]) / (slopes[0] - slopes[1])
    centre_x = feet[0] - slopes[0] * centre_y
    rise = math.sqrt(max(0.0, (start[0] - centre_x) ** 2 + (start[1] - centre_y) ** 2 - (time - centre_x) ** 2))
    return centre_y - rise if centre_y > start[1] else centre_y + rise
