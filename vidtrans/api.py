"""The Python API: the commands as functions, with plain arguments.

Each builds the command's request (``vidtrans.requests``) and returns the table that ``--json`` prints. ``settings`` are
tables as in a preset, say ``{"training": {"lr": 4e-4}}``; times are written as on the command line. ``options`` are
fields of the ``Context``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TypedDict, Unpack

from vidtrans import requests
from vidtrans.batch.executors import AUTO
from vidtrans.batch.options import BatchOptions
from vidtrans.config.recipe import (
    dataset_recipe,
    look_recipe,
    painted_recipe,
    render_recipe,
    unpaired_recipe,
)
from vidtrans.data.folder import train_recipe
from vidtrans.errors import BatchError, UsageError
from vidtrans.events import Report, Stop
from vidtrans.pipeline import ablate as _ablate
from vidtrans.pipeline import fix as _fix
from vidtrans.pipeline import look as _look
from vidtrans.pipeline import make_dataset as _make_dataset
from vidtrans.pipeline import propagate as _propagate
from vidtrans.pipeline import run as _run
from vidtrans.pipeline import stylize as _stylize
from vidtrans.pipeline import stylize_parts as _stylize_parts
from vidtrans.pipeline import train as _train
from vidtrans.session import Context
from vidtrans.settings import Table, Time, parse_time
from vidtrans.store.chunking import Part
from vidtrans.training.sweeps import Sweep, sweep_variants

PathLike = str | Path
Paths = PathLike | Sequence[PathLike]
Settings = Mapping[str, Table]


class ContextOptions(TypedDict, total=False):
    """What every function takes besides its own arguments: fields of the ``Context``."""

    cache_dir: Path
    device: str
    seed: int
    overwrite: bool
    dry_run: bool
    allow_damaged: bool
    decode_threads: int
    decoder: str
    cache_limit_gb: float
    report: Report
    stop: Stop


def make_dataset(
    videos: Paths,
    output: PathLike | None = None,
    *,
    pairing: str | None = None,
    preset: str | None = None,
    target: PathLike | None = None,
    start: str | None = None,
    end: str | None = None,
    restore: bool = False,
    unpaired: Paths = (),
    settings: Settings | None = None,
    **options: Unpack[ContextOptions],
) -> Table:
    """``vidtrans make-dataset``: videos (or a folder of pairs) → a dataset folder.

    ``unpaired``: clips or folders, each of them another domain than the videos, without pairs.
    """
    tables = dict(settings or {})
    if pairing:
        tables["pairing"] = {"name": pairing, **tables.get("pairing", {})}
    recipe = unpaired_recipe(preset, tables) if unpaired else dataset_recipe(preset, tables)
    others = _paths(unpaired) if unpaired else ()
    request = requests.MakeDatasetRequest(
        _paths(videos), _path(output), recipe, _path(target), _time(start), _time(end), restore, others
    )
    return _make_dataset.make_dataset(request, Context(**options))


def train(
    dataset: PathLike,
    output: PathLike | None = None,
    *,
    preset: str | None = None,
    steps: int | None = None,
    minutes: float | None = None,
    start_from: str | None = None,
    fresh: bool = False,
    embed: bool = False,
    settings: Settings | None = None,
    **options: Unpack[ContextOptions],
) -> Table:
    """``vidtrans train``: a dataset → a model file."""
    recipe = train_recipe(Path(dataset), preset, _with_steps(settings, steps, minutes))
    request = requests.TrainRequest(
        Path(dataset), _path(output), recipe, minutes, start_from=start_from, fresh=fresh, embed=embed
    )
    return _train.train(request, Context(**options))


def ablate(
    dataset: PathLike,
    kind: str,
    output: PathLike | None = None,
    *,
    preset: str | None = None,
    steps: int | None = None,
    minutes: float | None = None,
    jobs: int | None = None,
    executor: str = AUTO,
    settings: Settings | None = None,
    **options: Unpack[ContextOptions],
) -> Table:
    """``vidtrans train --ablate KIND``: a dataset → a folder of models, a picture of them, and their scores.

    Raises BatchError where some trainings failed, when all others are done and the picture shows them.
    """
    recipe = train_recipe(Path(dataset), preset, _with_steps(settings, steps, minutes))
    batch = BatchOptions(jobs, executor=executor)
    request = requests.AblateRequest(Path(dataset), kind, _path(output), recipe, minutes, batch=batch)
    return _ablation(request, Context(**options))


def sweep(
    dataset: PathLike,
    values: Sweep,
    output: PathLike | None = None,
    *,
    preset: str | None = None,
    steps: int | None = None,
    minutes: float | None = None,
    jobs: int | None = None,
    executor: str = AUTO,
    settings: Settings | None = None,
    **options: Unpack[ContextOptions],
) -> Table:
    """``vidtrans train --sweep``: as ``ablate``, with a training for each combination of settings' values.

    ``values`` may be ``{"training.lambda_l1": [50, 100], "seed": [0, 1]}``. Raises BatchError as ``ablate`` does.
    """
    if "seed" in values and "seed" in options:
        raise UsageError("sweep: seed", "it is also given one value for all", "leave the other out")
    tables, batch = _with_steps(settings, steps, minutes), BatchOptions(jobs, executor=executor)
    make_recipe = partial(train_recipe, Path(dataset), preset)
    variants = sweep_variants(values, tables, make_recipe)
    request = requests.AblateRequest(Path(dataset), "", _path(output), make_recipe(tables), minutes, variants, batch)
    return _ablation(request, Context(**options))


def _ablation(request: requests.AblateRequest, context: Context) -> Table:
    table = _ablate.ablate(request, context)
    if failed := table["failed"]:
        trained = len(failed) + len(table["rows"])
        errors = "; ".join(f"{name}: {error}" for name, error in failed.items())
        raise BatchError(f"{len(failed)} of {trained} trainings failed", errors)
    return table


def stylize(
    video: PathLike,
    model: Paths,
    output: PathLike | None = None,
    *,
    preset: str | None = None,
    start: str | None = None,
    end: str | None = None,
    mask: PathLike | None = None,
    score: bool = False,
    chunk: str | None = None,
    join: bool = False,
    settings: Settings | None = None,
    **options: Unpack[ContextOptions],
) -> Table:
    """``vidtrans stylize``: one video (picture, folder) and a model → the stylised video, with its sound.

    Of several models each paints what the one before it has painted.
    ``settings`` may say ``{"rendering": {"strength": "0: 0, 120: 1"}}``, and change the model's ``pairing``. ``chunk``:
    of the clip only the part "3/8", into the cache; ``join``: the result of the parts, if none is missing.
    """
    recipe, models = render_recipe(preset, settings or {}), tuple(str(path) for path in _paths(model))
    request = requests.StylizeRequest(
        Path(video), models, _path(output), recipe, _time(start), _time(end), _path(mask), score
    )
    if chunk or join:
        return _stylize_parts.stylize_part(request, Part.parse(chunk) if chunk else None, Context(**options), join=join)
    return _stylize.stylize(request, Context(**options))


def look(
    pictures: Paths,
    output: PathLike | None = None,
    *,
    on: Paths = (),
    preset: str | None = None,
    steps: int | None = None,
    minutes: float | None = None,
    fresh: bool = False,
    optimise: bool = False,
    settings: Settings | None = None,
    **options: Unpack[ContextOptions],
) -> Table:
    """``vidtrans look``: one or more pictures → a model that paints in their manner, learned ``on`` clips.

    ``optimise``: a model that learns nothing, and optimises each frame when it renders.
    """
    recipe = look_recipe(preset, _with_steps(settings, steps, minutes))
    request = requests.LookRequest(
        tuple(_paths(pictures)), recipe, tuple(_paths(on)), _path(output), minutes, fresh, optimise
    )
    return _look.look(request, Context(**options))


def propagate(
    video: PathLike,
    keyframes: PathLike,
    output: PathLike | None = None,
    *,
    preset: str | None = None,
    steps: int | None = None,
    minutes: float | None = None,
    follow: str = requests.FOLLOW[0],
    preview: bool = False,
    start: str | None = None,
    end: str | None = None,
    mask: PathLike | None = None,
    layer: bool = False,
    settings: Settings | None = None,
    **options: Unpack[ContextOptions],
) -> Table:
    """``vidtrans propagate``: a clip and a folder of frames of it that were painted over → the whole clip painted.

    ``minutes`` 0 trains no network, and carries paint along the motion alone.
    """
    recipe = painted_recipe(preset, _with_steps(settings, steps, minutes))
    span = _time(start), _time(end)
    request = requests.PropagateRequest(
        Path(video), Path(keyframes), recipe, _path(output), minutes, follow, preview, *span, _path(mask), layer
    )
    return _propagate.propagate(request, Context(**options))


def fix(
    render: PathLike,
    painted: PathLike,
    output: PathLike | None = None,
    *,
    relearn: bool = False,
    **options: Unpack[ContextOptions],
) -> Table:
    """``vidtrans fix``: a result, and a folder of frames of it that were painted over → the result, corrected.

    ``relearn``: its network learns the corrected frames, too, and all of it is painted anew.
    """
    return _fix.fix(requests.FixRequest(Path(render), Path(painted), _path(output), relearn), Context(**options))


def run(
    video: PathLike | None,
    apply: Paths,
    output: PathLike,
    *,
    looks: Paths = (),
    preset: str | None = None,
    target: PathLike | None = None,
    steps: int | None = None,
    minutes: float | None = None,
    settings: Settings | None = None,
    **options: Unpack[ContextOptions],
) -> Table:
    """``vidtrans run``: dataset, model and every clip it is applied to. Raises BatchError where some failed.

    ``looks``: style pictures to learn from, as ``look`` does, on the video, or where that is None on ``apply``.
    """
    pictures = tuple(_paths(looks))
    recipe = (look_recipe if pictures else dataset_recipe)(preset, _with_steps(settings, steps, minutes))
    request = requests.RunRequest(_path(video), _paths(apply), Path(output), recipe, _path(target), pictures, minutes)
    table, outcomes, _ = _run.run(request, Context(**options))
    failed = [outcome.error for outcome in outcomes if outcome.state == "failed"]
    if failed:
        raise BatchError(f"{len(failed)} of {len(outcomes)} clips failed", "; ".join(failed))
    return table


def _paths(given: Paths) -> list[Path]:
    return [Path(given)] if isinstance(given, str | Path) else [Path(p) for p in given]


def _path(given: PathLike | None) -> Path | None:
    return None if given is None else Path(given)


def _time(given: str | None) -> Time | None:
    return parse_time(given) if given else None


def _with_steps(settings: Settings | None, steps: int | None, minutes: float | None) -> dict[str, Table]:
    tables = dict(settings or {})
    if steps is not None and minutes is not None:
        raise UsageError("steps and minutes", "both say when to stop", "give one of them")
    if steps is not None:
        tables["training"] = {**tables.get("training", {}), "steps": steps}
    return tables
