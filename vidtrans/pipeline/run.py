"""The whole chain in one command: dataset, model, and every clip that it is applied to."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from vidtrans.model import SUFFIX
from vidtrans.pipeline import make_dataset as datasets
from vidtrans.pipeline.context import Context
from vidtrans.pipeline.make_dataset import make_dataset
from vidtrans.pipeline.outputs import check_foreign, check_place
from vidtrans.pipeline.recipe import Recipe
from vidtrans.pipeline.stylize import plan_outputs, stylize, stylize_many
from vidtrans.pipeline.train import train
from vidtrans.settings import Table
from vidtrans.video.container import probe
from vidtrans.video.encoder import EncodingSettings


def run(
    video: Path,
    apply: Sequence[Path],
    output: Path,
    recipe: Recipe,
    context: Context,
    *,
    target: Path | None = None,
    minutes: float | None = None,
) -> tuple[Table, list[tuple[Path, Table | Exception]]]:
    """Teach from ``video``, render onto each of ``apply``; every step is found again on the next run.

    The dataset and the model are left beside ``output``, under the video's name. With several clips ``output``
    is a folder. Returns what is reported of the whole, and of each clip.
    """
    began = time.monotonic()
    many = len(apply) > 1
    folder = output if many else output.parent
    dataset = folder / datasets.default_output([video])
    model = folder / f"{video.resolve().stem}{SUFFIX}"
    _check([video, *apply, *([target] if target else [])], apply, output, model, recipe, context)
    made = make_dataset([video], dataset, recipe, context, target=target)
    if context.dry_run:
        return made | {"output": str(output)}, []
    trained = train(dataset, model, recipe, context, minutes=minutes)
    if many:
        results = stylize_many(apply, str(model), output, recipe, context)
    else:
        results = [(apply[0], stylize(apply[0], str(model), output, recipe, context))]
    done = [r for _, r in results if isinstance(r, dict)]
    return {
        "output": str(output),
        "frames": sum(r["frames"] for r in done),
        "dataset": str(dataset),
        "model": str(model),
        "held_out": trained.get("held_out"),
        "seconds": round(time.monotonic() - began, 3),
        "cached": all(r["cached"] for r in (made, trained, *done)),
    }, results


def _check(
    sources: Sequence[Path], apply: Sequence[Path], output: Path, model: Path, recipe: Recipe, context: Context
) -> None:
    """Say before the training what would be wrong after it. Raises UsageError, MediaError."""
    encoding = recipe.settings("encoding", EncodingSettings)
    if len(apply) > 1:
        outputs = plan_outputs(apply, str(model), output, encoding)
    else:
        encoding.check_container(output)
        outputs = [output]
    for place in outputs:
        check_place(place, sources)
        check_foreign(context.cache, place, context.overwrite)
    for clip in apply:
        probe(clip)
