"""Make jobs of strips and scenes.

A scene is rendered by a Blender of its own, with a copy of the file, so that the window stays free. Sliders of the
panel may be animated: Blender's curves have interpolations and modifiers that vidtrans does not know, so that values
are written frame by frame, as a CSV file beside the job. Keyframes, drivers and the NLA are read.
"""

from __future__ import annotations

import csv
import math
import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import bpy

from . import UserError
from .job_files import write_table
from .jobs import JobState, Step, StripJob, job_folders
from .media_parts import MediaPart, time_words
from .movie_padding import PADDED, has_variable_rate
from .options import FILE, Field, codec_words, command_line, model_input, movie_ending, words_of
from .programs import pairing_of
from .properties import FIELDS, program, values_of, work_folder
from .sequencer import all_strips, curves_in, curves_of, scene_rate
from .strip_results import JOB, SOURCE, natural_key
from .strip_sources import StripSource, absolute, clock_of, num_frames_of, read_strip, times_of

WORKER = Path(__file__).with_name("render_worker.py")
PASSES = ("depth", "normal", "index")
LABELS = "passes#Pass.IndexOB=0..255"  # grey levels are the numbers of objects
RESERVED = re.compile(r"con|prn|aux|nul|com\d|lpt\d", re.IGNORECASE)  # of Windows, with any ending
VALUES = "values.csv"  # of animated sliders, in the folder of a job
MOST_NAME = 48  # letters of a strip's or model's name in the name of a file


def plain_name(text: str) -> str:
    plain = re.sub(r"[^\w-]+", "_", re.sub(r"\.\w{1,5}$", "", text)).strip("_-")  # without the ending of a file
    plain = plain[:MOST_NAME] or "clip"
    return f"{plain}_" if RESERVED.fullmatch(plain) else plain


def label_of(scene: Any) -> str:
    """Return the name of the look, the model or the command, for the names of results."""
    settings = scene.vidtrans
    if settings.command != "stylize":
        return str(settings.command)
    return plain_name(Path(model_file(scene)).stem) if settings.look == FILE else str(settings.look)


def model_file(scene: Any) -> str:
    path = scene.vidtrans.model_file
    return bpy.path.abspath(path) if path else ""


def option_words_of(scene: Any, curves: Mapping[str, str | float] | None = None) -> list[str]:
    settings = scene.vidtrans
    values = values_of(scene, settings.command) | dict(curves or {})
    return words_of(settings.command, FIELDS[settings.command], values, settings.look, model_file(scene))


@contextmanager
def new_job() -> Iterator[tuple[Path, Path]]:
    """Yield the work folder and the folder of a new job, which is removed if the job is refused. Raises UserError."""
    work = work_folder()
    try:
        numbers = [int(path.name) for path in job_folders(work / "jobs")]
        folder = work / "jobs" / str(max(numbers, default=0) + 1)
        folder.mkdir(parents=True)
    except OSError as error:
        remedy = "choose another folder in the preferences of the add-on"
        raise UserError(f"{work}: it cannot be written ({error.strerror}) — {remedy}") from error
    try:
        yield work, folder
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def submit_strip(scene: Any, strip: Any) -> StripJob:
    path, settings, label = program(), scene.vidtrans, label_of(scene)
    option_words_of(scene)  # raises early
    source = source_of(scene, strip)
    if number := strip.get(JOB):
        earlier = StripJob.read(work_folder() / "jobs" / str(number))
        if earlier and earlier.state() in (JobState.WAITING, JobState.RUNNING):
            raise UserError(f"{strip.name}: a job for this strip is under way — cancel it first")
    with new_job() as (work, folder):
        words, steps = option_words_of(scene, curves_of_strip(scene, strip, source, folder)), []
        output = work / f"{plain_name(strip.name)}.{label}.{int(folder.name):04d}"
        if source.kind == "IMAGE":
            clip, clip_part = folder / "source", clip_pictures(scene, source)
            link_pictures([(at, source.pictures[at]) for at in range(clip_part.first, clip_part.end)], clip)
            part = source.part  # its frames have numbers, as those of pictures have no times
            words += [f"--start={part.first - clip_part.first}"] if part.first > clip_part.first else []
            words += [f"--end={part.end - clip_part.first}"] if part.end < clip_part.end else []
        else:
            output = output.with_name(output.name + movie_ending(settings.codec))
            words += [*codec_words(settings.codec), *guide_words(scene, strip, source)]
        if source.kind == "MOVIE":
            clip = source.path
            words += time_words(source.part, source.fps)
        elif source.kind == "SCENE":
            clip, start = folder / "shot" / "colour", strip.scene.frame_start
            frames = range(start + source.part.first, start + source.part.end)
            # The sequencer that shows the pictures has the view transform.
            steps.append(render_step(folder, strip.scene, frames, clip.parent, passes=(), standard_view=True))
            words.append(f"--set=picture_fps={source.fps:.6f}")
        line = command_line(path, settings.command, words, clip, output)
        steps.append(Step("Style the frames", line, str(work)))
        media = {"kind": source.kind, "path": str(source.path), "part": asdict(source.part)}
        target = target_of(scene, label, strip=strip.name, **media)
        job = StripJob.create(folder, f"{strip.name}: {label}", steps, target, output)
    strip[JOB] = job.number
    return job


def target_of(scene: Any, label: str, **more: Any) -> dict[str, Any]:
    """Return what a result is inserted for, as ``strip_results.py`` and the monitor read it."""
    return {**more, "scene": scene.name, "label": label, "blend": bpy.data.filepath}


def source_of(scene: Any, strip: Any) -> StripSource:
    settings = scene.vidtrans
    whole = settings.whole or bool(guide_of(scene))  # beside a guide, deflicker takes no part of its clip
    source = read_strip(scene, strip, settings.handle, whole=whole)
    is_padded = source.kind == "MOVIE" and source.times is None and not source.part.is_whole  # see movie_padding.py
    if is_padded and (movie_ending(settings.codec) not in PADDED or has_variable_rate(source.path)):
        return read_strip(scene, strip, settings.handle, whole=True)
    return source


def guide_of(scene: Any) -> str:
    """Return the path of the film that guides deflicker; empty without one."""
    command = scene.vidtrans.command
    return str(values_of(scene, command).get("source", "")) if command == "deflicker" else ""


def guide_words(scene: Any, strip: Any, source: StripSource) -> list[str]:
    """Return ``--start`` for a result of this add-on that deflicker guides by the film of its source strip.

    The result may be a part of the film, and begin later in it. One that is retimed is as long as the film.
    """
    film = next((one for one in all_strips(scene) if one.name == strip.get(SOURCE)), None)
    if film is None or film.type != "MOVIE" or source.times is None:
        return []
    path = absolute(film.filepath, scene.library)
    if path != Path(guide_of(scene)) or not (count := num_frames_of(path)):
        return []
    times = times_of(scene, film, count, film.fps)
    if times is None or times.is_reversed:
        return []
    first = round((source.times.start - times.start) * float(times.rate))
    return time_words(MediaPart(first, count, count), film.fps) if 0 < first < count else []


def clip_pictures(scene: Any, source: StripSource) -> MediaPart:
    """Return the pictures of a sequence that are the clip of its job.

    They are all of them where another clip (a source, a matte, a sound) has to lie beside them frame by frame.
    """
    command, part = scene.vidtrans.command, source.part
    values = values_of(scene, command)
    has_other = any(values[field.name] for field in FIELDS[command] if field.kind in ("file", "folder"))
    return MediaPart(0, part.num_frames, part.num_frames) if has_other else part


def link_pictures(pictures: Sequence[tuple[int, Path]], folder: Path) -> None:
    """Put pictures into a new folder of their own: as links, or as copies where there are none.

    They keep their names, whose numbers painted frames and mattes refer to, if the names are in the clip's order.
    ``pictures``: the index of each frame, and its file; one file may stand for several frames. Raises UserError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = [path.name for _, path in pictures]
    if len(set(names)) < len(names) or sorted(names, key=natural_key) != names:
        names = [f"{index:06d}{path.suffix.lower()}" for index, path in pictures]
    for (_, path), name in zip(pictures, names, strict=True):
        if not path.is_file():
            raise UserError(f"{path}: this picture is not there — relink the strip")
        if (folder / name).exists():
            continue
        for link in (os.link, os.symlink, shutil.copy2):
            with suppress(OSError, NotImplementedError):
                link(path, folder / name)
                break
        else:
            remedy = "free disk space, or choose another folder in the preferences"
            raise UserError(f"{folder / name}: it cannot be written — {remedy}")


def curves_of_strip(scene: Any, strip: Any, source: StripSource, folder: Path) -> dict[str, str | float]:
    """Return the values of animated sliders over the frames of a strip. Raises UserError."""
    fields = animated_fields(scene)
    if not fields:
        return {}
    clock = clock_of(scene, strip, source)
    if clock is None:
        remedy = "reset its retiming, or clear the keyframes"
        raise UserError(f"{strip.name}: {fields[0].title} is animated, and this retiming cannot be read — {remedy}")
    frames = range(source.part.first, source.part.end)
    if source.kind == "MOVIE" and has_variable_rate(source.path):
        return write_values(scene, folder, [(at / source.fps, clock(at)) for at in frames], by_time=True)
    first = 0  # the numbers are those of the clip that the command reads
    if source.kind == "SCENE":
        first = source.part.first
    elif source.kind == "IMAGE":
        first = clip_pictures(scene, source).first
    return write_values(scene, folder, [(at - first, clock(at)) for at in frames])


def animated_fields(scene: Any) -> list[Field]:
    fields = [field for field in FIELDS[scene.vidtrans.command] if field.is_curve]
    return [field for field in fields if _curve_of(scene, field) is not None or _needs_scene(scene, field)]


def _path_of(scene: Any, field: Field) -> str:
    return f"vidtrans.options_{scene.vidtrans.command}.{field.name}"


def _curve_of(scene: Any, field: Field) -> Any:
    curves = (one for one in curves_of(scene) if one.data_path == _path_of(scene, field))
    return next((one for one in curves if not one.mute and not (one.group and one.group.mute)), None)


def _needs_scene(scene: Any, field: Field) -> bool:
    """Return whether only the scene itself knows the values: of drivers, and of the NLA."""
    data, path = scene.animation_data, _path_of(scene, field)
    if data is None:
        return False
    if any(one.data_path == path and not one.mute for one in data.drivers):
        return True
    actions = [one.action for track in data.nla_tracks for one in track.strips if one.action and not track.mute]
    return bool(data.use_nla) and any(curve.data_path == path for action in actions for curve in curves_in(action))


def _values_at(scene: Any, fields: Sequence[Field], times: Sequence[float]) -> dict[str, list[float]]:
    """Return the values of each option at some frames of the scene, within its bounds, with the digits of 32 bits."""
    group = getattr(scene.vidtrans, f"options_{scene.vidtrans.command}")
    columns: dict[str, list[float]] = {field.name: [] for field in fields}
    if slow := [field for field in fields if _needs_scene(scene, field)]:
        frame, part, window = scene.frame_current, scene.frame_subframe, bpy.context.window
        other = window.scene if window and window.scene != scene else None
        try:
            if other:  # only a scene in a window changes its frame
                window.scene = scene
            for time in times:
                scene.frame_set(int(time // 1), subframe=time % 1)
                for field in slow:
                    columns[field.name].append(getattr(group, field.name))
        finally:
            scene.frame_set(frame, subframe=part)
            if other:
                window.scene = other
    for field in fields:
        values = columns[field.name] if field in slow else map(_curve_of(scene, field).evaluate, times)
        low, high = -math.inf if field.low is None else field.low, math.inf if field.high is None else field.high
        columns[field.name] = [float(f"{min(max(value, low), high):.6g}") for value in values]
    return columns


def write_values(
    scene: Any, folder: Path, frames: Sequence[tuple[float, float]], *, by_time: bool = False
) -> dict[str, str | float]:
    """Write the values of animated sliders to the folder of a job. Raises UserError.

    Args:
        scene, folder: The scene whose panel it is; ``jobs/NUMBER`` of the folder in which the command runs.
        frames: For each frame of the clip its number, or its time in s, and the scene's frame that shows it.
        by_time: The former are times.

    Returns:
        A value for each of these options: a column of the file, or a number if it does not change.
    """
    fields = animated_fields(scene)
    if not fields:
        return {}
    columns = _values_at(scene, fields, [round(time, 4) for _, time in frames])
    path, rows = folder / VALUES, zip(*columns.values(), strict=True)
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["time" if by_time else "frame", *columns])
            writer.writerows([f"{at:.9g}", *row] for (at, _), row in zip(frames, rows, strict=True))
    except OSError as error:
        raise UserError(f"{path}: it cannot be written ({error.strerror}) — free disk space") from error
    name = f"jobs/{folder.name}/{VALUES}"  # relative: curves take no path with an apostrophe
    return {key: f"{name}:{key}" if len(set(column)) > 1 else column[0] for key, column in columns.items()}


def submit_scene(scene: Any) -> StripJob:
    """Store the job that renders a scene, and gives its frames or passes to a model. Raises UserError."""
    settings, path = scene.vidtrans, program()
    if settings.command != "stylize":
        raise UserError("only Style works on a scene — choose it under Do")
    words, frames = option_words_of(scene), range(scene.frame_start, scene.frame_end + 1)
    is_model = any(word.startswith("--model=") for word in words) and settings.look == FILE
    chosen = settings.model_input
    kind = model_input(pairing_of(path, model_file(scene)) if is_model and chosen == "AUTO" else "", chosen)
    passes = {"COLOUR": [], "LABELS": ["index"], "GUIDES": chosen_passes(settings)}[kind]
    label = label_of(scene)
    with new_job() as (work, folder):
        shot = folder / "shot"
        render = render_step(folder, scene, frames, shot, passes=passes, colour=kind != "LABELS")
        output = work / f"{plain_name(scene.name)}.{label}.{int(folder.name):04d}{movie_ending(settings.codec)}"
        words = option_words_of(scene, write_values(scene, folder, [*enumerate(frames)]))
        words += [*codec_words(settings.codec), f"--set=picture_fps={float(scene_rate(scene)):.6f}"]
        clip = {"GUIDES": shot, "LABELS": shot / LABELS, "COLOUR": shot / "colour"}[kind]
        steps = [render, Step("Style the frames", command_line(path, "stylize", words, clip, output), str(work))]
        target = target_of(scene, label, kind="SHOT", first=scene.frame_start)
        return StripJob.create(folder, f"{scene.name}: {label}", steps, target, output)


def submit_passes(scene: Any) -> StripJob:
    frames = range(scene.frame_start, scene.frame_end + 1)
    with new_job() as (work, folder):
        shot = work / f"{plain_name(scene.name)}.passes.{int(folder.name):04d}"
        step = render_step(folder, scene, frames, shot, passes=chosen_passes(scene.vidtrans))
        target = target_of(scene, "passes", kind="PASSES")
        return StripJob.create(folder, f"{scene.name}: passes", [step], target, shot)


def chosen_passes(settings: Any) -> list[str]:
    return [name for name in PASSES if getattr(settings, f"pass_{name}")]


def render_step(
    folder: Path,
    scene: Any,
    frames: range,
    shot: Path,
    passes: Sequence[str],
    *,
    colour: bool = True,
    standard_view: bool = False,
) -> Step:
    """Store a copy of the file and the work, and return the step that renders a scene, the first one of its job.

    Args:
        folder, scene, frames: The folder of the job, the scene, and its frames to render.
        shot: The folder for ``colour/`` and ``passes/``.
        passes, colour: Some of ``PASSES``, and whether to write pictures.
        standard_view: Write them without the scene's view transform.

    Raises:
        UserError: The scene has no camera or lacks a pass, or the copy cannot be written.
    """
    if scene.camera is None:
        raise UserError(f"{scene.name}: the scene has no camera — add one (Shift A, Camera)")
    if "index" in passes and scene.render.engine != "CYCLES":
        remedy = "choose it under Render Engine, or leave it out"
        raise UserError(f"{scene.name}: only Cycles renders the object index — {remedy}")
    step, blend = folder / "step1", folder / "scene.blend"
    step.mkdir(parents=True, exist_ok=True)
    try:
        bpy.ops.wm.save_as_mainfile(filepath=str(blend), copy=True, compress=True)
    except RuntimeError as error:
        raise UserError(f"{blend}: the copy of the file cannot be written ({error}) — free disk space") from error
    work = {"blend": str(blend), "scene": scene.name, "frames": [frames.start, frames.stop], "shot": str(shot)}
    work |= {"step": str(step), "passes": list(passes), "colour": colour, "standard_view": standard_view}
    write_table(folder / "work.json", work)
    line = [sys.executable, str(WORKER)]  # the Python that has Blender as a module
    if bpy.app.binary_path:
        line = [bpy.app.binary_path, "--background", "--python-exit-code", "1", "--python", str(WORKER), "--"]
    return Step("Render the scene", (*line, str(folder / "work.json")), str(folder), is_vidtrans=False)
