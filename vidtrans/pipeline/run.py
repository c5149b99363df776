"""``vidtrans run``: dataset, model and renders in one resumable command."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from pathlib import Path

from vidtrans.batch.options import SEQUENTIAL
from vidtrans.batch.summary import Outcome
from vidtrans.data.dataset_planning import DatasetSpec, default_output
from vidtrans.errors import UsageError
from vidtrans.files import base_name
from vidtrans.models.model_file import SUFFIX
from vidtrans.output.target import refuse_link
from vidtrans.pairing.base import make_pairing
from vidtrans.pipeline.look import forecast_look, look
from vidtrans.pipeline.make_dataset import clips_for, make_dataset
from vidtrans.pipeline.run_checks import check_run, check_scene, forecast, renders
from vidtrans.pipeline.stylize import stylize
from vidtrans.pipeline.stylize_batch import stylize_batch
from vidtrans.pipeline.train import train
from vidtrans.rendering.extraction import FrameExtractor
from vidtrans.requests import LookRequest, MakeDatasetRequest, RunRequest, TrainRequest
from vidtrans.session import Context
from vidtrans.settings import Table
from vidtrans.training.settings import TrainingSettings


def run(request: RunRequest, context: Context) -> tuple[Table, list[Outcome], Path | None]:
    """Teach from a video, or from style pictures, and render that onto each of several files, folders and globs.

    Every step is found again. The dataset and the model are left beside the output, under the name of the video; those
    of a look under that of the output, and for several clips, whose output is a folder, in it, under that of the first
    picture. Returns what is reported of the whole, and of several clips how each went, and where that is written.
    """
    began = time.monotonic()
    request = replace(request, apply=clips_for(request.apply, request.recipe))
    output, many = request.output, len(request.apply) > 1
    folder = output if many else output.parent
    named_after = output if request.looks and not many else request.named_after
    dataset = refuse_link(folder / default_output([named_after]))
    model = refuse_link(folder / f"{base_name(named_after)}{SUFFIX}")
    check_run(request, model, context)
    if context.dry_run:
        table = _forecast(request, dataset, model, context)
        return table | {"output": str(output), "seconds": round(time.monotonic() - began, 3)}, [], None
    try:
        trained = _teach(request, dataset, model, context)
    except UsageError as error:
        # Dataset and model lie beside the output: another name for it would not help.
        error.remedy = re.sub(r"another( name| place)? with -o", "an -o in another folder", error.remedy)
        raise
    outcomes: list[Outcome] = []
    summary = None
    requests = renders(request, model)
    if many:
        outcomes, summary = stylize_batch(requests, output, request.batch or SEQUENTIAL, context)
        done = [outcome.table for outcome in outcomes if outcome.state == "done"]
    else:
        done = [stylize(requests[0], context)]
    table = {
        "output": str(output),
        "frames": sum(r["frames"] for r in done),
        "dataset": str(dataset),
        "model": str(model),
        "held_out": trained.get("held_out"),
        "seconds": round(time.monotonic() - began, 3),
        "cached": all(r["cached"] for r in (trained, *done)),
    }
    return table, outcomes, summary


def _teach(request: RunRequest, dataset: Path, model: Path, context: Context) -> Table:
    """Make the dataset and train the model; ``cached`` is true where both were there."""
    if request.looks:
        return look(_look_request(request, model), context)
    recipe = request.recipe
    made = make_dataset(MakeDatasetRequest(request.learned_on, dataset, recipe, request.target), context)
    if recipe.settings("training", TrainingSettings).background_plate and len(request.apply) == 1:
        check_scene(dataset, request.apply[0], model, context)
    trained = train(TrainRequest(dataset, model, recipe, request.minutes), context)
    return trained | {"cached": made["cached"] and trained["cached"]}


def _forecast(request: RunRequest, dataset: Path, model: Path, context: Context) -> Table:
    wanted = renders(request, model)
    if request.looks:
        return forecast_look(_look_request(request, model), wanted, context)
    extractor = FrameExtractor.of_pairing(make_pairing(*request.recipe.choice("pairing")), context)
    spec = DatasetSpec(request.learned_on, request.recipe, request.target, extractor=extractor)
    return forecast(spec, dataset, model, request.minutes, wanted, context)


def _look_request(request: RunRequest, model: Path) -> LookRequest:
    return LookRequest(request.looks, request.recipe, request.learned_on, model, request.minutes)
