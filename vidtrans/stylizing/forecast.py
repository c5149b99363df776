"""The cost of a dataset, a training and renders, before there is a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from vidtrans.clips.indexing import open_clip
from vidtrans.core.costs import add_up
from vidtrans.core.settings import Table
from vidtrans.data.dataset_planning import DatasetSpec
from vidtrans.data.making import estimate_pictures
from vidtrans.models.loaded_model import load_extractor
from vidtrans.models.render_settings import ResolvedRenderSettings
from vidtrans.pairing.base import make_pairing
from vidtrans.rendering.render_job import RenderJob
from vidtrans.rendering.render_planning import plan_render
from vidtrans.session import Context
from vidtrans.stylizing.requested_render import StylizeRequest
from vidtrans.training.settings import TrainingSettings
from vidtrans.video.io.pictures import is_picture_source


def forecast_chain(
    wanted: DatasetSpec,
    dataset: Path,
    model: Path,
    minutes: float | None,
    renders: Sequence[StylizeRequest],
    context: Context,
) -> Table:
    """Return what the whole chain would take: each step is tried for a moment, the model with random weights."""
    from vidtrans.training.set_up import TrainingSetup
    from vidtrans.training.trials import estimate_training, find_steps, untrained

    recipe, planned = wanted.recipe, wanted.plan(dataset, context)
    pictures = estimate_pictures(planned.first_pictures(), planned.plan.num_stored)
    first = next(iter(planned.first_pictures()))[0]
    settings = recipe.settings("training", TrainingSettings)
    size = (first.shape[1], first.shape[0])
    job = TrainingSetup(planned.dataset, recipe, settings, None, context, picture_size=size)
    total = find_steps(job, minutes, "") if minutes else settings.steps
    look, engine = untrained(job, model, min(size))
    if (extraction := make_pairing(*recipe.choice("pairing")).extraction) is not None:
        look = replace(look, extractor=load_extractor(extraction, context))
    estimates = []
    for one in renders:
        opened = open_clip(context, one.video, look.pairing.guides)
        render = ResolvedRenderSettings.of(recipe, look, context.device).resolved(
            is_picture_source(one.video), one.output
        )
        estimates.append(RenderJob(plan_render(opened, look, render, context), context).estimate(engine))
    return {
        "dry_run": True,
        "frames": planned.plan.num_stored,
        "pairs": len(planned.dataset.pairs),
        "held_out": len(planned.dataset.role("val")),
        "steps": total,
        "dataset": str(dataset),
        "model": str(model),
        "cached": False,
        **add_up([pictures, estimate_training(job, total), *estimates]),
    }
