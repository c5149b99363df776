"""``vidtrans demo``: pairs, training, render and comparison from the clip that ships."""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from pathlib import Path

from vidtrans.config.recipe import make_recipe
from vidtrans.files import PACKAGE, write_atomically
from vidtrans.output.target import refuse_link
from vidtrans.pipeline.compare import compare
from vidtrans.pipeline.make_dataset import make_dataset
from vidtrans.pipeline.stylize import stylize
from vidtrans.pipeline.train import train
from vidtrans.requests import CompareRequest, DemoRequest, MakeDatasetRequest, StylizeRequest, TrainRequest
from vidtrans.session import Context
from vidtrans.settings import Table
from vidtrans.store.cache_folder import FOLDER

CLIP = PACKAGE / "assets" / "flower.mp4"
LOOK = "oil"  # of those that ship
# What two minutes of two cores come to, about: a faster machine is done sooner, not better.
MOST_STEPS = 1200
RECIPE: dict[str, Table] = {"dataset": {"size": "144"}, "training": {"preview_seconds": 10.0}}


def demo(request: DemoRequest, context: Context) -> Table:
    """Teach the look of the flower that ships and render it, into a folder; return what was made.

    Stopped, it goes on where it was. Raises UsageError, Interrupted.
    """
    began = time.monotonic()
    folder = request.output or refuse_link(Path("vidtrans-demo"))
    if context.cache_dir == Path(FOLDER).absolute():
        context = replace(context, cache_dir=folder / FOLDER)  # all of it in one place
    recipe = make_recipe("edges", None, RECIPE)
    names = (
        CLIP.name,
        "flower.dataset",
        "my-flower.safetensors",
        "flower.rendered.mp4",
        "flower.oil.mp4",
        "comparison.mp4",
    )
    clip, dataset, model, render, painting, film = (refuse_link(folder / name) for name in names)
    still = refuse_link(film.with_suffix(".png"))
    if context.dry_run:
        return {"output": str(folder), "frames": 0, "seconds": 0.0, "cached": False, "dry_run": True}
    if not clip.is_file():
        with write_atomically(clip) as temporary:
            shutil.copyfile(CLIP, temporary)
    dataset_table = make_dataset(MakeDatasetRequest([clip], dataset, recipe), context)
    trained = train(TrainRequest(dataset, model, recipe, request.minutes, at_most=MOST_STEPS), context)
    rendered = stylize(StylizeRequest(clip, (str(model),), render, recipe), context)
    painted = stylize(StylizeRequest(clip, (LOOK,), painting, make_recipe(None, None, {})), context)
    labels = ("the clip", "painted from its lines by the model")
    pair = [clip, Path(rendered["output"])]
    video = compare(CompareRequest(pair, film, labels, str(model)), context)
    sheet = compare(CompareRequest(pair, still, labels, str(model)), context)
    return {
        "output": str(folder),
        "frames": rendered["frames"],
        "video": rendered["output"],
        "painting": painted["output"],
        "comparison": video["output"],
        "comparison_sheet": sheet["output"],
        "training_sheet": str(folder / "my-flower.train" / "training.png"),
        "model": str(model),
        "steps": trained["steps"],
        "held_out": trained["held_out"],
        "seconds": round(time.monotonic() - began, 3),
        "cached": all(t["cached"] for t in (dataset_table, trained, rendered, painted, video, sheet)),
    }
