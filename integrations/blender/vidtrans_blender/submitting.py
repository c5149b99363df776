"""Make jobs of strips and scenes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import bpy

from .animation import animated_fields, write_values
from .command_lines import (
    FILE,
    codec_words,
    model_input,
    movie_ending,
    shot_source,
    strip_line,
    words_of,
)
from .faults import UserError
from .held_movies import PADDED, has_variable_rate
from .jobs import JobState, Step, StripJob
from .media_parts import MediaPart, frame_words, time_words
from .places import link_pictures, new_number, plain_name, work_folder
from .preferences import preference, program
from .programs import pairing_of
from .properties import FIELDS, values_of
from .scene_renders import check_scene, render_step, shown_frames
from .sequencer import all_strips
from .strip_results import JOB, SOURCE
from .strip_sources import StripSource, absolute, clock_of, num_frames_of, read_strip, scene_rate, times_of


def label_of(scene: Any) -> str:  # noqa: ANN401  (types of Blender)
    """Return a word for what is done: the name of the look, the model or the command."""
    settings = scene.vidtrans
    if settings.command != "stylize":
        return str(settings.command)
    return plain_name(Path(model_file(scene)).stem) if settings.look == FILE else str(settings.look)


def model_file(scene: Any) -> str:  # noqa: ANN401
    """Return the absolute path of the chosen model file; empty if none is."""
    path = scene.vidtrans.model_file
    return bpy.path.abspath(path) if path else ""


def model_words_of(scene: Any, changing: Mapping[str, str | float] | None = None) -> list[str]:  # noqa: ANN401
    """Return the words of the model and the options. ``changing``: values of animated sliders. Raises UserError."""
    settings = scene.vidtrans
    values = values_of(scene, settings.command) | dict(changing or {})
    return words_of(settings.command, FIELDS[settings.command], values, settings.look, model_file(scene))


@contextmanager
def new_job() -> Iterator[tuple[Path, Path, int]]:
    """Yield the work folder, the folder of a new job, and its number; the folder is removed if the job is refused.

    Raises:
        UserError: The file was never saved, or the folder cannot be written.
    """
    work = work_folder(bpy.data.filepath, preference("folder"))
    try:
        number = new_number(work / "jobs")
        folder = work / "jobs" / str(number)
        folder.mkdir(parents=True)
    except OSError as error:
        remedy = "choose another folder in the preferences of the add-on"
        raise UserError(f"{work}: it cannot be written ({error.strerror}) — {remedy}") from error
    try:
        yield work, folder, number
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def refuse_second_job(strip: Any) -> None:  # noqa: ANN401
    """Raise UserError if a job of a strip is waiting or running."""
    number = strip.get(JOB)
    jobs = work_folder(bpy.data.filepath, preference("folder")) / "jobs"
    earlier = StripJob.read(jobs / str(number)) if number else None
    if earlier and earlier.state() in (JobState.WAITING, JobState.RUNNING):
        raise UserError(f"{strip.name}: a job for this strip is under way — cancel it first")


def guide_of(scene: Any) -> str:  # noqa: ANN401
    """Return the path of the film that guides deflicker; empty without one."""
    command = scene.vidtrans.command
    return str(values_of(scene, command).get("source", "")) if command == "deflicker" else ""


def guide_words(scene: Any, strip: Any, source: StripSource) -> list[str]:  # noqa: ANN401
    """Return ``--start`` for a result of this add-on that deflicker guides by the film of its source strip.

    The result may be a part of the film, and begin later in it. One that is retimed is as long as the film.
    """
    film = next((one for one in all_strips(scene.sequence_editor) if one.name == strip.get(SOURCE)), None)
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


def source_of(scene: Any, strip: Any) -> StripSource:  # noqa: ANN401
    """Return the source of a strip, with the scene's settings. Raises UserError."""
    settings = scene.vidtrans
    whole = settings.whole or bool(guide_of(scene))  # beside a guide, deflicker takes no part of its clip
    source = read_strip(scene, strip, settings.handle, whole=whole)
    if source.is_padded and (movie_ending(settings.codec) not in PADDED or has_variable_rate(source.path)):
        return read_strip(scene, strip, settings.handle, whole=True)
    return source


def submit_strip(scene: Any, strip: Any) -> StripJob:  # noqa: ANN401
    """Store the job of a strip, with the scene's settings. Raises UserError."""
    path = program()
    model_words_of(scene)  # raises early
    source = source_of(scene, strip)
    refuse_second_job(strip)
    with new_job() as (work, folder, number):
        made = _strip_job(scene, strip, source, path, work, folder)
    strip[JOB] = number
    return made


def _strip_job(scene: Any, strip: Any, source: StripSource, path: Path, work: Path, job: Path) -> StripJob:  # noqa: ANN401
    settings, label = scene.vidtrans, label_of(scene)
    words = model_words_of(scene, _changing(scene, strip, source, job))
    output = work / f"{plain_name(strip.name)}.{label}.{int(job.name):04d}"
    steps = []
    if source.kind == "SCENE":
        steps.append(_render_strip(job, strip, source))
    if source.kind == "IMAGE":
        taken = taken_pictures(scene, source)
        link_pictures([(at, source.pictures[at]) for at in range(taken.first, taken.end)], job / "source")
        words += frame_words(source.part, taken)
        line = strip_line(path, settings.command, job / "source", output, options=words)
    else:
        output = output.with_name(output.name + movie_ending(settings.codec))
        words += [*codec_words(settings.codec), *guide_words(scene, strip, source)]
        if source.kind == "MOVIE":
            line = strip_line(
                path, settings.command, source.path, output, options=words, part=source.part, fps=source.fps
            )
        else:
            words.append(f"--set=picture_fps={source.fps:.6f}")
            line = strip_line(path, settings.command, job / "shot" / "colour", output, options=words)
    steps.append(Step("Style the frames", line, str(work)))
    target = {**source.table(), "strip": strip.name, "scene": scene.name, "label": label, "blend": bpy.data.filepath}
    return StripJob.create(job, f"{strip.name}: {label}", steps, target, output)


def taken_pictures(scene: Any, source: StripSource) -> MediaPart:  # noqa: ANN401
    """Return the pictures of a sequence that are the clip of its job.

    They are all of them where another clip (a source, a matte, a sound) has to lie beside them frame by frame.
    """
    command, part = scene.vidtrans.command, source.part
    values = values_of(scene, command)
    has_other = any(values[field.name] for field in FIELDS[command] if field.kind in ("file", "folder"))
    return MediaPart(0, part.num_frames, part.num_frames) if has_other else part


def _changing(scene: Any, strip: Any, source: StripSource, job: Path) -> dict[str, str | float]:  # noqa: ANN401
    """Return the values of animated sliders over the frames of a strip. Raises UserError."""
    command = scene.vidtrans.command
    fields = animated_fields(scene, command)
    if not fields:
        return {}
    clock = clock_of(scene, strip, source)
    if clock is None:
        remedy = "reset its retiming, or clear the keyframes"
        raise UserError(f"{strip.name}: {fields[0].title} is animated, and this retiming cannot be read — {remedy}")
    frames, is_movie = range(source.part.first, source.part.end), source.kind == "MOVIE"
    if is_movie and has_variable_rate(source.path):
        return write_values(scene, command, job, [(at / source.fps, clock(at)) for at in frames], by_time=True)
    first = 0  # the numbers are those of the clip that the command reads
    if source.kind == "SCENE":
        first = source.part.first
    elif source.kind == "IMAGE":
        first = taken_pictures(scene, source).first
    return write_values(scene, command, job, [(at - first, clock(at)) for at in frames])


def _render_strip(job: Path, strip: Any, source: StripSource) -> Step:  # noqa: ANN401
    """Return the step that renders the scene of a scene strip."""
    start = strip.scene.frame_start
    frames = (start + source.part.first, start + source.part.end)
    return render_step(job, strip.scene, frames, job / "shot", passes=(), colour=True, standard_view=True)


def chosen_passes(settings: Any) -> list[str]:  # noqa: ANN401
    """Return the passes that are ticked."""
    return [name for name in ("depth", "normal", "index") if getattr(settings, f"pass_{name}")]


def submit_scene(scene: Any) -> StripJob:  # noqa: ANN401
    """Store the job that renders a scene, and gives its frames or passes to a model. Raises UserError."""
    settings, path = scene.vidtrans, program()
    if settings.command != "stylize":
        raise UserError("only Style works on a scene — choose it under Do")
    words, frames = model_words_of(scene), range(*shown_frames(scene))
    is_model = any(word.startswith("--model=") for word in words) and settings.look == FILE
    wanted = settings.model_input
    kind = model_input(pairing_of(path, model_file(scene)) if is_model and wanted == "AUTO" else "", wanted)
    passes = {"COLOUR": [], "LABELS": ["index"], "GUIDES": chosen_passes(settings)}[kind]
    check_scene(scene, passes)
    label = label_of(scene)
    with new_job() as (work, job, number):
        shot, first_last = job / "shot", (frames.start, frames.stop)
        render = render_step(job, scene, first_last, shot, passes=passes, colour=kind != "LABELS", standard_view=False)
        output = work / f"{plain_name(scene.name)}.{label}.{number:04d}{movie_ending(settings.codec)}"
        words = model_words_of(scene, write_values(scene, "stylize", job, [*enumerate(frames)]))
        words += [*codec_words(settings.codec), f"--set=picture_fps={float(scene_rate(scene)):.6f}"]
        line = strip_line(path, "stylize", Path(shot_source(shot, kind)), output, options=words)
        target = {"kind": "SHOT", "scene": scene.name, "first": scene.frame_start, "label": label}
        steps = [render, Step("Style the frames", line, str(work))]
        target["blend"] = bpy.data.filepath
        return StripJob.create(job, f"{scene.name}: {label}", steps, target, output)


def submit_passes(scene: Any) -> StripJob:  # noqa: ANN401
    """Store the job that renders the passes of a scene, to train a model with. Raises UserError."""
    passes = chosen_passes(scene.vidtrans)
    check_scene(scene, passes)
    with new_job() as (work, job, number):
        shot = work / f"{plain_name(scene.name)}.passes.{number:04d}"
        step = render_step(job, scene, shown_frames(scene), shot, passes=passes, colour=True, standard_view=False)
        target = {"kind": "PASSES", "scene": scene.name, "label": "passes", "blend": bpy.data.filepath}
        return StripJob.create(job, f"{scene.name}: passes", [step], target, shot)
