"""Make jobs of strips and scenes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy

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
from .places import link_pictures, new_number, plain_name, work_folder
from .preferences import preference, program
from .programs import pairing_of
from .properties import FIELDS, values_of
from .scene_renders import check_scene, render_step, shown_frames
from .strip_results import JOB
from .strip_sources import StripSource, read_strip, scene_rate


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


def model_words_of(scene: Any) -> list[str]:  # noqa: ANN401
    """Return the words of the model and the options. Raises UserError."""
    settings = scene.vidtrans
    values = values_of(scene, settings.command)
    return words_of(settings.command, FIELDS[settings.command], values, settings.look, model_file(scene))


def new_folder() -> tuple[Path, int]:
    """Return the work folder, and the number of the next job. Raises UserError if the file was never saved."""
    work = work_folder(bpy.data.filepath, preference("folder"))
    number = new_number(work / "jobs")
    try:
        (work / "jobs" / str(number)).mkdir(parents=True)
    except OSError as error:
        raise UserError(
            f"{work}: it cannot be written ({error.strerror}) — choose another folder in the preferences"
        ) from error
    return work, number


def refuse_second_job(strip: Any) -> None:  # noqa: ANN401
    """Raise UserError if a job of a strip is waiting or running."""
    number = strip.get(JOB)
    jobs = work_folder(bpy.data.filepath, preference("folder")) / "jobs"
    earlier = StripJob.read(jobs / str(number)) if number else None
    if earlier and earlier.state() in (JobState.WAITING, JobState.RUNNING):
        raise UserError(f"{strip.name}: a job for this strip is under way — cancel it first")


def submit_strip(scene: Any, strip: Any) -> StripJob:  # noqa: ANN401
    """Store the job of a strip, with the scene's settings. Raises UserError."""
    settings, path, words = scene.vidtrans, program(), model_words_of(scene)
    source = read_strip(scene, strip, settings.handle, whole=settings.whole)
    if source.is_padded and (movie_ending(settings.codec) not in PADDED or has_variable_rate(source.path)):
        source = read_strip(scene, strip, settings.handle, whole=True)
    refuse_second_job(strip)
    work, number = new_folder()
    job, label = work / "jobs" / str(number), label_of(scene)
    output = work / f"{plain_name(strip.name)}.{label}.{number:04d}"
    steps = []
    if source.kind == "SCENE":
        steps.append(_render_strip(job, strip, source))
    if source.kind == "IMAGE":
        pictures = [(at, source.pictures[at]) for at in range(source.part.first, source.part.end)]
        link_pictures(pictures, job / "source")
        line = strip_line(path, settings.command, job / "source", output, options=words)
    else:
        output = output.with_name(output.name + movie_ending(settings.codec))
        words += codec_words(settings.codec)
        if source.kind == "MOVIE":
            line = strip_line(
                path, settings.command, source.path, output, options=words, part=source.part, fps=source.fps
            )
        else:
            words.append(f"--set=picture_fps={source.fps:.6f}")
            line = strip_line(path, settings.command, job / "shot" / "colour", output, options=words)
    steps.append(Step("Style the frames", line, str(work)))
    target = {**source.table(), "strip": strip.name, "scene": scene.name, "label": label, "blend": bpy.data.filepath}
    made = StripJob.create(job, f"{strip.name}: {label}", steps, target, output)
    strip[JOB] = number
    return made


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
    words, first_last = model_words_of(scene), shown_frames(scene)
    is_model = any(word.startswith("--model=") for word in words) and settings.look == FILE
    wanted = settings.model_input
    kind = model_input(pairing_of(path, model_file(scene)) if is_model and wanted == "AUTO" else "", wanted)
    passes = {"COLOUR": [], "LABELS": ["index"], "GUIDES": chosen_passes(settings)}[kind]
    check_scene(scene, passes)
    work, number = new_folder()
    job, label = work / "jobs" / str(number), label_of(scene)
    shot = job / "shot"
    render = render_step(job, scene, first_last, shot, passes=passes, colour=kind != "LABELS", standard_view=False)
    output = work / f"{plain_name(scene.name)}.{label}.{number:04d}{movie_ending(settings.codec)}"
    words += [*codec_words(settings.codec), f"--set=picture_fps={float(scene_rate(scene)):.6f}"]
    line = strip_line(path, "stylize", Path(shot_source(shot, kind)), output, options=words)
    target = {
        "kind": "SHOT",
        "scene": scene.name,
        "first": scene.frame_start,
        "label": label,
        "blend": bpy.data.filepath,
    }
    steps = [render, Step("Style the frames", line, str(work))]
    return StripJob.create(job, f"{scene.name}: {label}", steps, target, output)


def submit_passes(scene: Any) -> StripJob:  # noqa: ANN401
    """Store the job that renders the passes of a scene, to train a model with. Raises UserError."""
    passes = chosen_passes(scene.vidtrans)
    check_scene(scene, passes)
    work, number = new_folder()
    job, shot = work / "jobs" / str(number), work / f"{plain_name(scene.name)}.passes.{number:04d}"
    step = render_step(job, scene, shown_frames(scene), shot, passes=passes, colour=True, standard_view=False)
    target = {"kind": "PASSES", "scene": scene.name, "label": "passes", "blend": bpy.data.filepath}
    return StripJob.create(job, f"{scene.name}: passes", [step], target, shot)
