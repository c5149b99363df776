"""Check renders with a model that is not trained yet, and estimate the time of its dataset, training and renders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from vidtrans.clips.indexing import open_clip
from vidtrans.config.recipe import Recipe, warn_about_programs
from vidtrans.core.costs import add_estimates
from vidtrans.core.errors import UsageError
from vidtrans.core.settings import Table
from vidtrans.data.dataset import open_dataset
from vidtrans.data.dataset_planning import DatasetSpec
from vidtrans.data.making import estimate_pictures
from vidtrans.models.loaded_model import load_extractor
from vidtrans.models.render_settings import ResolvedRenderSettings
from vidtrans.output.delivery import make_ffmpeg_job, try_ffmpeg_job
from vidtrans.output.result import check_foreign, check_place
from vidtrans.pairing.pairing_records import make_pairing
from vidtrans.rendering.picture_folders import refuse_video
from vidtrans.rendering.plan import plan_render
from vidtrans.rendering.render_job import RenderJob
from vidtrans.rendering.requested_output import is_one_picture, makes_folder
from vidtrans.rendering.scene import Scene, require_background_plate
from vidtrans.session import Context
from vidtrans.stylizing.clips import batch_items
from vidtrans.stylizing.requests import StylizeRequest
from vidtrans.training.settings import TrainingSettings
from vidtrans.video.io.encoding import EncodingSettings, PictureFormat, split_pattern
from vidtrans.video.io.picture_paths import is_picture_sequence, is_picture_source, picture_files
from vidtrans.video.io.pictures import open_reader


def forecast_chain(
    spec: DatasetSpec,
    dataset: Path,
    model: Path,
    minutes: float | None,
    renders: Sequence[StylizeRequest],
    context: Context,
) -> Table:
    """Estimate the time of a dataset, a training and renders by short trials with random weights.

    Returns the dry-run table. ``spec``: the dataset's sources and settings. ``dataset``, ``model``: output paths.
    ``minutes``: the training time; None: train for the number of steps in the settings.
    """
    from vidtrans.training.set_up import TrainingSetup
    from vidtrans.training.trials import estimate_training, find_budget, make_untrained_model

    recipe, dataset_plan = spec.recipe, spec.plan(dataset, context)
    pictures = estimate_pictures(dataset_plan)
    first = next(iter(dataset_plan.first_pictures()))[0]
    settings = recipe.settings("training", TrainingSettings)
    size = (first.shape[1], first.shape[0])
    job = TrainingSetup(dataset_plan.dataset, recipe, settings, None, context, picture_size=size)
    total = find_budget(job, minutes, "").steps if minutes else settings.steps
    untrained_model, engine = make_untrained_model(job, model, min(size))
    if (extraction := make_pairing(*recipe.choice("pairing")).extraction) is not None:
        untrained_model = replace(untrained_model, extractor=load_extractor(extraction, context))
    estimates = []
    for request in renders:
        opened = open_clip(context, request.video, untrained_model.pairing.guides)
        render = ResolvedRenderSettings.of(recipe, untrained_model, context.device).resolved(
            is_picture_source(request.video), request.output
        )
        estimates.append(RenderJob(plan_render(opened, untrained_model, render, context), context).estimate(engine))
    return {
        "dry_run": True,
        "frames": dataset_plan.plan.num_stored,
        "pairs": len(dataset_plan.dataset.pairs),
        "held_out": len(dataset_plan.dataset.role("val")),
        "steps": total,
        "dataset": str(dataset),
        "model": str(model),
        "cached": False,
        **add_estimates([pictures, estimate_training(job, total), *estimates]),
    }


def check_scene(folder: Path, clip: Path, model: Path, context: Context) -> None:
    """Raise MediaError, before training, if the clip shows another scene than the dataset's background plate."""
    dataset = open_dataset(folder)
    scene = Scene(model.stem, require_background_plate(dataset, dataset.role("train")).scene)
    opened = open_clip(context, clip, dataset.pairing.guides)
    if opened.index.same_size and not is_picture_source(clip):  # Pictures may be drawings or unrelated to each other
        scene.check_clip(opened, 0, opened.index.num_frames, context)


def check_renders(
    renders: Sequence[StylizeRequest], output: Path, sources: Sequence[Path], recipe: Recipe, context: Context
) -> None:
    """Raise UsageError or MediaError, before the training, for problems that the renders would have after it.

    ``output``: the result of one render, or the folder of several. ``sources``: the files that are read.
    """
    apply = [request.video for request in renders]
    if make_pairing(*recipe.choice("pairing")).has_conditions:
        why = "its model follows its own clip, not the frames of another"
        what = f"--preset {recipe.preset}" if recipe.preset else "pairing.position"
        raise UsageError(what, why, "use make-dataset, train and dream")
    encoding = recipe.settings("encoding", EncodingSettings)
    if renders[0].output is None:
        outputs = [item.output for item in batch_items(renders, output) if item.output]
    else:
        encoding = encoding.resolved(pictures=is_picture_source(apply[0]), output=output)
        place, pattern = split_pattern(output)
        single = bool(pattern) or not makes_folder(encoding, place)
        encoding.check_container(place / pattern, single=single)
        outputs = [place]
    for clip, place in zip(apply, outputs, strict=True):
        resolved_encoding = encoding.resolved(pictures=is_picture_source(clip), output=place)
        folder = makes_folder(resolved_encoding, place)
        if resolved_encoding.makes_pictures and not folder and not is_one_picture(clip):
            raise UsageError(str(place), f"one picture cannot hold all frames of {clip.name}", "give a folder name")
        check_place(place, sources, folder=folder)
        check_foreign(context.cache, place, context.overwrite)
    for clip, place in zip(apply, outputs, strict=True):
        _check_clip(clip, place, recipe, encoding, context)


def _check_clip(clip: Path, place: Path, recipe: Recipe, encoding: EncodingSettings, context: Context) -> None:
    """Raise UsageError, MediaError if a clip cannot be read, or its result cannot be written."""
    if is_picture_sequence(clip):  # Other requirements on a folder of pictures depend on the pairing
        if picture_files(clip) and not open_clip(context, clip).index.same_size:
            refuse_video(clip, encoding.resolved(pictures=True, output=place))
        return
    with open_reader(clip):  # Raises MediaError if the clip is not a video
        resolved_encoding = encoding.resolved(pictures=is_picture_source(clip), output=place)
        resolved_encoding.depth_for(8)
        if resolved_encoding.needs_program:
            warn_about_programs(recipe.programs, context, ("encoding",))
            picture = PictureFormat(64, 48, Fraction(1), Fraction(1, 25), Fraction(25))
            try_ffmpeg_job(make_ffmpeg_job(resolved_encoding, picture), picture, context)
