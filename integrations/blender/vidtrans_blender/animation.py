"""Read sliders of the panel that are animated, and write their values for each frame of a clip.

Blender's curves have interpolations and modifiers that vidtrans does not know, so that values are written frame by
frame, as a CSV file beside the job. Keyframes, drivers and the NLA are read.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import bpy

from . import UserError
from .options import Field
from .properties import FIELDS
from .sequencer import curves_in, curves_of

VALUES = "values.csv"


def animated_fields(scene: Any) -> list[Field]:  # noqa: ANN401  (types of Blender)
    fields = [field for field in FIELDS[scene.vidtrans.command] if field.is_curve]
    return [field for field in fields if _curve_of(scene, field) is not None or _needs_scene(scene, field)]


def _path_of(scene: Any, field: Field) -> str:  # noqa: ANN401
    return f"vidtrans.options_{scene.vidtrans.command}.{field.name}"


def _curve_of(scene: Any, field: Field) -> Any:  # noqa: ANN401
    """Return the curve of an option that is not muted; None if it has none."""
    curves = (one for one in curves_of(scene) if one.data_path == _path_of(scene, field))
    return next((one for one in curves if not one.mute and not (one.group and one.group.mute)), None)


def _needs_scene(scene: Any, field: Field) -> bool:  # noqa: ANN401
    """Return whether only the scene itself knows the values: of drivers, and of the NLA."""
    data, path = scene.animation_data, _path_of(scene, field)
    if data is None:
        return False
    if any(one.data_path == path and not one.mute for one in data.drivers):
        return True
    actions = [one.action for track in data.nla_tracks for one in track.strips if one.action and not track.mute]
    return bool(data.use_nla) and any(curve.data_path == path for action in actions for curve in curves_in(action))


@contextmanager
def _at_any_frame(scene: Any) -> Iterator[None]:  # noqa: ANN401
    """Let the frame of a scene change, which only one in a window does; then return to the current frame."""
    frame, part, window = scene.frame_current, scene.frame_subframe, bpy.context.window
    other = window.scene if window and window.scene != scene else None
    try:
        if other:
            window.scene = scene
        yield
    finally:
        scene.frame_set(frame, subframe=part)
        if other:
            window.scene = other


def _values_at(scene: Any, fields: Sequence[Field], times: Sequence[float]) -> list[list[float]]:  # noqa: ANN401
    """Return the values of each option at some frames of the scene, within its bounds, with the digits of 32 bits."""
    group = getattr(scene.vidtrans, f"options_{scene.vidtrans.command}")
    columns: dict[str, list[float]] = {field.name: [] for field in fields}
    slow = [field for field in fields if _needs_scene(scene, field)]
    if slow:
        with _at_any_frame(scene):
            for time in times:
                scene.frame_set(int(time // 1), subframe=time % 1)
                for field in slow:
                    columns[field.name].append(getattr(group, field.name))
    for field in fields:
        if field not in slow:
            columns[field.name] = [*map(_curve_of(scene, field).evaluate, times)]
    for field in fields:
        low, high = -math.inf if field.low is None else field.low, math.inf if field.high is None else field.high
        columns[field.name] = [float(f"{min(max(value, low), high):.6g}") for value in columns[field.name]]
    return list(columns.values())


def write_values(
    scene: Any,  # noqa: ANN401
    folder: Path,
    frames: Sequence[tuple[float, float]],
    *,
    by_time: bool = False,
) -> dict[str, str | float]:
    """Write the values of animated sliders to the folder of a job.

    Args:
        scene: The scene whose panel it is.
        folder: The folder of the job, ``jobs/NUMBER`` of the folder in which the command runs.
        frames: For each frame of the clip its number, or its time in s, and the scene's frame that shows it.
        by_time: The former are times.

    Returns:
        A value for each of these options: a column of the file, or a number if it does not change.

    Raises:
        UserError: The file cannot be written.
    """
    fields = animated_fields(scene)
    if not fields:
        return {}
    columns = _values_at(scene, fields, [round(time, 4) for _, time in frames])
    path, rows = folder / VALUES, zip(*columns, strict=True)
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["time" if by_time else "frame", *(field.name for field in fields)])
            writer.writerows([f"{at:.9g}", *row] for (at, _), row in zip(frames, rows, strict=True))
    except OSError as error:
        raise UserError(f"{path}: it cannot be written ({error.strerror}) — free disk space") from error
    name = f"jobs/{folder.name}/{VALUES}"  # relative: curves take no path with an apostrophe
    return {
        field.name: f"{name}:{field.name}" if len(set(column)) > 1 else column[0]
        for field, column in zip(fields, columns, strict=True)
    }
