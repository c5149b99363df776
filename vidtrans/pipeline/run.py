"""The whole chain in one command: dataset, model, and every clip that it is applied to."""

from __future__ import annotations

import time
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from vidtrans.batch.jobs import ALONE, Options
from vidtrans.batch.summary import Outcome
from vidtrans.clips.indexing import open_clip
from vidtrans.config.programs import tell_programs
from vidtrans.config.recipe import Recipe
from vidtrans.data.dataset import open_dataset
from vidtrans.data.planning import Request, default_output
from vidtrans.errors import UsageError
from vidtrans.files import base_name
from vidtrans.models.loaded_model import RenderSettings
from vidtrans.models.model_file import SUFFIX
from vidtrans.output.assembling import pass_of, try_pass
from vidtrans.output.target import check_foreign, check_place, refuse_link
from vidtrans.pairing import PAIRINGS
from vidtrans.pairing.base import make_pairing
from vidtrans.pipeline.make_dataset import clips_for, make_dataset
from vidtrans.pipeline.stylize import is_one_picture, stylize
from vidtrans.pipeline.stylize_batch import Wish, plan, stylize_batch
from vidtrans.pipeline.train import check_minutes, train
from vidtrans.rendering.cost import add_up, estimate_pictures
from vidtrans.rendering.job import RenderJob
from vidtrans.rendering.picture_folders import refuse_video
from vidtrans.rendering.planning import makes_folder, plan_render
from vidtrans.rendering.scene import Scene, plate_of
from vidtrans.session import Context
from vidtrans.settings import Table
from vidtrans.training.settings import TrainingSettings
from vidtrans.video.io.encoding import EncodingSettings, PictureFormat, split_pattern
from vidtrans.video.io.pictures import is_picture_sequence, is_picture_source, open_reader, picture_files


def run(
    video: Path,
    apply: Sequence[Path],
    output: Path,
    recipe: Recipe,
    context: Context,
    *,
    target: Path | None = None,
    minutes: float | None = None,
    batch: Options = ALONE,
) -> tuple[Table, list[Outcome], Path | None]:
    """Teach from ``video``, render onto each of ``apply``, files, folders and globs; every step is found again.

    The dataset and the model are left beside ``output``, under the video's name. With several clips ``output``
    is a folder. Returns what is reported of the whole, and of several clips how each went, and where that is written.
    """
    began = time.monotonic()
    check_minutes(minutes)
    apply = clips_for(apply, recipe)
    many = len(apply) > 1
    folder = output if many else output.parent
    dataset = refuse_link(folder / default_output([video]))
    model = refuse_link(folder / f"{base_name(video)}{SUFFIX}")
    _check([video, *apply, *([target] if target else [])], apply, output, model, recipe, context)
    if context.dry_run:
        table = forecast(video, apply, output, dataset, model, recipe, context, target=target, minutes=minutes)
        return table | {"output": str(output), "seconds": round(time.monotonic() - began, 3)}, [], None
    try:
        made = make_dataset([video], dataset, recipe, context, target=target)
        if recipe.settings("training", TrainingSettings).plate and not many:
            _check_scene(dataset, apply[0], model, context)
        trained = train(dataset, model, recipe, context, minutes=minutes)
    except UsageError as error:
        # Dataset and model lie beside the output: another name for it would not help.
        error.remedy = error.remedy.replace("another name with -o", "an -o in another folder")
        raise
    outcomes: list[Outcome] = []
    summary = None
    if many:
        wishes = [Wish(clip, str(model), recipe) for clip in apply]
        outcomes, summary = stylize_batch(wishes, output, batch, context)
        done = [outcome.table for outcome in outcomes if outcome.state == "done"]
    else:
        done = [stylize(apply[0], str(model), output, recipe, context)]
    return (
        {
            "output": str(output),
            "frames": sum(r["frames"] for r in done),
            "dataset": str(dataset),
            "model": str(model),
            "held_out": trained.get("held_out"),
            "seconds": round(time.monotonic() - began, 3),
            "cached": all(r["cached"] for r in (made, trained, *done)),
        },
        outcomes,
        summary,
    )


def _check_scene(folder: Path, clip: Path, model: Path, context: Context) -> None:
    """Raises MediaError where the clip is of another scene than the plate, before that is learned for minutes."""
    dataset = open_dataset(folder)
    scene = Scene(model.stem, plate_of(dataset, dataset.role("train")).scene)
    opened = open_clip(context, clip, dataset.pairing.guides)
    if opened.index.same_size and not is_picture_source(clip):  # pictures may be drawings, or each of its own
        scene.check_clip(opened, 0, opened.index.num_frames, context)


def forecast(
    video: Path,
    apply: Sequence[Path],
    output: Path,
    dataset: Path,
    model: Path,
    recipe: Recipe,
    context: Context,
    *,
    target: Path | None,
    minutes: float | None,
) -> Table:
    """What the whole chain would take: each step is tried for a moment, the model with weights that know nothing."""
    from vidtrans.training.job import TrainJob
    from vidtrans.training.trial import estimate_training, untrained

    planned = Request([video], recipe, target).plan(dataset, context)
    pictures = estimate_pictures(planned.first_pictures(), planned.plan.num_stored)
    first = next(iter(planned.first_pictures()))[0]
    settings = recipe.settings("training", TrainingSettings)
    size = (first.shape[1], first.shape[0])
    job = TrainJob(planned.dataset, recipe, settings, None, context, picture_size=size)
    total = job.steps_for(minutes, "") if minutes else settings.steps
    look, engine = untrained(job, model, min(size))
    renders = []
    for clip in apply:
        opened = open_clip(context, clip, look.pairing.guides)
        render = RenderSettings.of(recipe, look, context.device)
        render = render.resolved(is_picture_source(clip), output if len(apply) == 1 else None)
        renders.append(RenderJob(plan_render(opened, look, render, context), context).estimate(engine))
    held_out = len(planned.dataset.role("held-out"))
    return {
        "dry_run": True,
        "frames": planned.plan.num_stored,
        "pairs": len(planned.dataset.pairs),
        "held_out": held_out,
        "steps": total,
        "dataset": str(dataset),
        "model": str(model),
        "cached": False,
        **add_up([pictures, estimate_training(job, total), *renders]),
    }


def _check(
    sources: Sequence[Path], apply: Sequence[Path], output: Path, model: Path, recipe: Recipe, context: Context
) -> None:
    """Say before the training what would be wrong after it. Raises UsageError, MediaError."""
    if make_pairing(PAIRINGS, *recipe.choice("pairing")).has_clock:
        why = "its model goes by a clock of its own, and not by the frames of a clip"
        what = f"--preset {recipe.preset}" if recipe.preset else "pairing.clock"
        raise UsageError(what, why, "use make-dataset, train and dream")
    encoding = recipe.settings("encoding", EncodingSettings)
    if len(apply) > 1:
        wishes = [Wish(clip, str(model), recipe) for clip in apply]
        outputs = [item.output for item in plan(wishes, output) if item.output]
    else:
        encoding = encoding.resolved(pictures=is_picture_source(apply[0]), output=output)
        place, pattern = split_pattern(output)
        single = bool(pattern) or not makes_folder(encoding, place)
        encoding.check_container(place / pattern, single=single)
        outputs = [place]
    for clip, place in zip(apply, outputs, strict=True):
        made = encoding.resolved(pictures=is_picture_source(clip), output=place)
        folder = makes_folder(made, place)
        if made.makes_pictures and not folder and not is_one_picture(clip):
            raise UsageError(str(place), f"one picture cannot hold all frames of {clip.name}", "give a folder name")
        check_place(place, sources, folder=folder)
        check_foreign(context.cache, place, context.overwrite)
    for clip, place in zip(apply, outputs, strict=True):
        if is_picture_sequence(clip):  # what else a folder has to hold depends on the pairing
            if picture_files(clip) and not open_clip(context, clip).index.same_size:
                refuse_video(clip, encoding.resolved(pictures=True, output=place))
            continue
        with open_reader(clip):  # raises where it is none
            made = encoding.resolved(pictures=is_picture_source(clip), output=place)
            made.depth_for(8)
            if made.needs_program:
                tell_programs(recipe.programs, context, ("encoding",))
                picture = PictureFormat(64, 48, Fraction(1), Fraction(1, 25), Fraction(25))
                try_pass(pass_of(made, picture), picture, context)
