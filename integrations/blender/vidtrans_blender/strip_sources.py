"""Read a strip: its file, the frames of it that it shows, and the part that is rendered."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import bpy

from .faults import UserError
from .media_parts import (
    MediaPart,
    RetimingPoint,
    StripTimes,
    part_with_handles,
    retimed_part,
    time_in_scene,
    time_of_frame,
    widened,
)
from .retiming import points_of
from .sequencer import all_strips, curves_of, strips_of

KINDS = {"MOVIE": "movie", "IMAGE": "image sequence", "SCENE": "scene"}


@dataclass(frozen=True)
class StripSource:
    """The media of a strip, and the frames of it that are rendered.

    Attributes:
        kind: ``MOVIE``, ``IMAGE`` or ``SCENE``.
        path: The file of a movie; the folder of pictures.
        pictures: The files of an image sequence, one for each of its frames.
        part: The frames to render.
        times: The place of the strip; None if it is retimed: its file has to keep its length.
        fps: Frames per second of the file.
    """

    kind: str
    path: Path
    pictures: tuple[Path, ...]
    part: MediaPart
    times: StripTimes | None
    fps: float

    @property
    def is_padded(self) -> bool:
        """Return whether the movie of the part has to be as long as the whole file: see ``held_movies.py``."""
        return self.kind == "MOVIE" and self.times is None and not self.part.is_whole

    def table(self) -> dict[str, Any]:
        """Return what the insertion of the result needs."""
        return {"kind": self.kind, "path": str(self.path), "part": self.part.table()}


def scene_rate(scene: Any) -> Fraction:  # noqa: ANN401  (types of Blender)
    """Return the frames per second of a scene."""
    return Fraction(scene.render.fps / scene.render.fps_base).limit_denominator(1001)


def absolute(path: str, library: Any = None) -> Path:  # noqa: ANN401
    """Return a path of Blender, which may begin with ``//``, as the system has it."""
    return Path(os.path.normpath(bpy.path.abspath(path, library=library)))


def read_strip(scene: Any, strip: Any, handle: int, *, whole: bool = False) -> StripSource:  # noqa: ANN401
    """Return the source of a strip.

    Args:
        scene: The scene whose sequencer has it.
        strip: The strip.
        handle: How many frames are rendered beyond those that are visible, on each side.
        whole: Render the whole file.

    Raises:
        UserError: The strip is of another kind, its file is gone, or it is locked.
    """
    if strip.type == "META":
        raise UserError(f"{strip.name}: a meta strip — open it (Tab), and select a strip in it")
    if strip.type not in KINDS:
        raise UserError(
            f"{strip.name}: a strip of this kind has no frames of its own — select a movie, image or scene strip"
        )
    if strip.lock:
        raise UserError(f"{strip.name}: the strip is locked — unlock it (Shift Ctrl Alt H), or its channel")
    read = {"MOVIE": _movie, "IMAGE": _pictures, "SCENE": _scene}[strip.type]
    return read(scene, strip, handle, whole)


def speed_effects(scene: Any, strip: Any) -> list[Any]:  # noqa: ANN401
    """Return the speed effects above a strip."""
    return [one for one in all_strips(scene.sequence_editor) if one.type == "SPEED" and one.input_1 == strip]


def times_of(scene: Any, strip: Any, num_frames: int, fps: float) -> StripTimes | None:  # noqa: ANN401
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


def last_of_speed(scene: Any, strip: Any, end: float) -> float:  # noqa: ANN401
    """Return the last frame of the scene at which a speed effect shows a strip, from its first visible one on."""
    last = strip.frame_final_end - 1
    for one in speed_effects(scene, strip):
        curves = [curve for curve in curves_of(scene) if curve.data_path.endswith(".speed_factor")]
        if one.speed_control != "MULTIPLY" or curves:
            return end
        length = one.frame_final_duration * max(0.0, one.speed_factor)
        last = max(last, strip.frame_final_start + length + 1)  # it may mix a frame with the next one
    return min(last, end)


def retiming_of(scene: Any, strip: Any, num_frames: int, fps: float) -> list[RetimingPoint] | None:  # noqa: ANN401
    """Return which frame a strip shows when, if it played forwards; None if that is not known."""
    left = num_frames - strip.animation_offset_start - strip.animation_offset_end
    start, end = content_span(strip)
    if left < 1 or end <= start:
        return None
    if len(getattr(strip, "retiming_keys", ())):
        return points_of(strip, left, (1.0, fps / float(scene_rate(scene))))
    return [RetimingPoint(start, 0.0), RetimingPoint(end, float(left))]


def content_span(strip: Any) -> tuple[float, float]:  # noqa: ANN401
    """Return the scene's frame at which the file of a strip begins, and the one behind its end."""
    return float(strip.frame_start), float(strip.frame_final_end + strip.frame_offset_end)


def retimed_frames(scene: Any, strip: Any, num_frames: int, fps: float) -> MediaPart:  # noqa: ANN401
    """Return the frames of its file that a strip without a place shows; all if that is not known."""
    points = retiming_of(scene, strip, num_frames, fps)
    if points is None:
        return MediaPart(0, num_frames, num_frames)
    start, end = content_span(strip)
    shown = float(strip.frame_final_start), last_of_speed(scene, strip, end)
    if strip.use_reverse_frames:
        shown = start + end - 1 - shown[1], start + end - 1 - shown[0]
    return retimed_part(points, shown, (strip.animation_offset_start, strip.animation_offset_end), num_frames)


def clock_of(scene: Any, strip: Any, source: StripSource) -> Callable[[int], float] | None:  # noqa: ANN401
    """Return a function from a frame of a strip's file to the scene's frame that shows it; None if it is not known.

    A speed effect above the strip is left out: it may show a frame at several times.
    """
    times, num_frames = source.times, source.part.num_frames
    if times is not None:
        return lambda frame: time_in_scene(times, frame)
    points, (start, end) = retiming_of(scene, strip, num_frames, source.fps), content_span(strip)
    if points is None:
        return None
    trim = strip.animation_offset_start
    if strip.use_reverse_frames:
        return lambda frame: start + end - 1 - time_of_frame(points, frame - trim)
    return lambda frame: time_of_frame(points, frame - trim)


def num_frames_of(path: Path) -> int:
    """Return how many frames Blender finds in a movie; 0 if it cannot read it."""
    scene = bpy.data.scenes.new("vidtrans")
    try:
        return int(strips_of(scene.sequence_editor_create()).new_movie("clip", str(path), 1, 1).frame_duration)
    except RuntimeError:
        return 0
    finally:
        bpy.data.scenes.remove(scene)


def _part(scene: Any, strip: Any, num_frames: int, fps: float, handle: int, whole: bool) -> Any:  # noqa: ANN401
    times = times_of(scene, strip, num_frames, fps)
    if whole:
        return MediaPart(0, num_frames, num_frames), times
    if times is None:
        return widened(retimed_frames(scene, strip, num_frames, fps), handle), times
    return part_with_handles(times, handle), times


def _movie(scene: Any, strip: Any, handle: int, whole: bool) -> StripSource:  # noqa: ANN401
    path = absolute(strip.filepath, scene.library)
    if not path.is_file():
        raise UserError(f"{path}: the file of this strip is not there — relink it (Strip, Change Path)")
    num_frames = num_frames_of(path)
    if not num_frames or not strip.fps:
        raise UserError(f"{path}: Blender reads no frames of it — see 'vidtrans probe {path.name}'")
    part, times = _part(scene, strip, num_frames, strip.fps, handle, whole)
    return StripSource("MOVIE", path, (), part, times, strip.fps)


def _pictures(scene: Any, strip: Any, handle: int, whole: bool) -> StripSource:  # noqa: ANN401
    folder = absolute(strip.directory, scene.library)
    pictures = tuple(folder / one.filename for one in strip.elements)
    fps = float(scene_rate(scene))
    if len(pictures) == 1:
        part, times = MediaPart(0, 1, 1), None
    else:
        part, times = _part(scene, strip, len(pictures), fps, handle, whole)
    if gone := next((one for one in pictures[part.first : part.end] if not one.is_file()), None):
        raise UserError(f"{gone}: a picture of this strip is not there — relink it (Strip, Change Path)")
    return StripSource("IMAGE", folder, pictures, part, times, fps)


def _scene(scene: Any, strip: Any, handle: int, whole: bool) -> StripSource:  # noqa: ANN401
    if strip.scene is None:
        raise UserError(f"{strip.name}: its scene is gone — choose one in the strip's settings")
    if strip.scene == scene:
        raise UserError(f"{strip.name}: it shows the scene in which it lies — put it in a scene of its own")
    if strip.scene_input == "SEQUENCER":
        raise UserError(
            f"{strip.name}: it shows a sequencer, no camera — set its Input to Camera, or style its strips there"
        )
    if len(strip.retiming_keys):
        raise UserError(f"{strip.name}: this scene strip is retimed — reset its retiming, and retime the styled strip")
    fps = float(scene_rate(scene))
    num_frames = strip.frame_duration + strip.animation_offset_start + strip.animation_offset_end
    whole = whole or times_of(scene, strip, num_frames, fps) is None
    part, times = _part(scene, strip, num_frames, fps, handle, whole)
    return StripSource("SCENE", Path(), (), part, times, fps)


def shows_the_same(target: Mapping[str, Any], strip: Any, scene: Any) -> bool:  # noqa: ANN401
    """Return whether a strip still shows the file that a job was started for."""
    if strip.type != target["kind"] or strip.type == "SCENE":
        return bool(strip.type == target["kind"])
    path = strip.filepath if strip.type == "MOVIE" else strip.directory
    return absolute(path, scene.library) == Path(target["path"])
