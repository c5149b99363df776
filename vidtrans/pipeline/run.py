"""``vidtrans run``: dataset, model and renders in one resumable command."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from pathlib import Path

from vidtrans.batch.jobs import SEQUENTIAL
from vidtrans.batch.summary import Outcome
from vidtrans.data.dataset_planning import default_output
from vidtrans.errors import UsageError
from vidtrans.files import base_name
from vidtrans.models.model_file import SUFFIX
from vidtrans.output.target import refuse_link
from vidtrans.pipeline.make_dataset import clips_for, make_dataset
from vidtrans.pipeline.run_checks import check_run, check_scene, forecast, renders
from vidtrans.pipeline.stylize import stylize
from vidtrans.pipeline.stylize_batch import stylize_batch
from vidtrans.pipeline.train import train
from vidtrans.requests import MakeDatasetRequest, RunRequest, TrainRequest
from vidtrans.session import Context
from vidtrans.settings import Table
from vidtrans.training.settings import TrainingSettings


def run(request: RunRequest, context: Context) -> tuple[Table, list[Outcome], Path | None]:
    """Teach from a video, render onto each of several files, folders and globs; every step is found again.

    The dataset and the model are left beside the output, under the video's name. With several clips the output is a
    folder. Returns what is reported of the whole, and of several clips how each went, and where that is written.
    """
    began = time.monotonic()
    request = replace(request, apply=clips_for(request.apply, request.recipe))
    recipe, output, many = request.recipe, request.output, len(request.apply) > 1
    folder = output if many else output.parent
    dataset = refuse_link(folder / default_output([request.video]))
    model = refuse_link(folder / f"{base_name(request.video)}{SUFFIX}")
    check_run(request, model, context)
    if context.dry_run:
        table = forecast(request, dataset, model, context)
        return table | {"output": str(output), "seconds": round(time.monotonic() - began, 3)}, [], None
    try:
        dataset_table = make_dataset(MakeDatasetRequest([request.video], dataset, recipe, request.target), context)
        if recipe.settings("training", TrainingSettings).background_plate and not many:
            check_scene(dataset, request.apply[0], model, context)
        trained = train(TrainRequest(dataset, model, recipe, request.minutes), context)
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
        "cached": all(r["cached"] for r in (dataset_table, trained, *done)),
    }
    return table, outcomes, summary
