"""The Python API: the commands as functions, with plain arguments.

Each returns the table that ``--json`` prints. ``settings`` are tables as in a preset, say
``{"training": {"lr": 4e-4}}``; other keyword arguments make the ``Context`` (``device``, ``seed``, ``cache_dir``,
``overwrite``, ``report`` …).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vidtrans.config.recipe import dataset_recipe, render_recipe
from vidtrans.dreaming.predictors import NOISE
from vidtrans.errors import BatchError, UsageError
from vidtrans.metrics import SCORING_FLOW
from vidtrans.pipeline import ablate as _ablate
from vidtrans.pipeline import deflicker as _steady
from vidtrans.pipeline import dream as _dream
from vidtrans.pipeline import evaluate as _evaluate
from vidtrans.pipeline import make_dataset as _make
from vidtrans.pipeline import probe as _probe
from vidtrans.pipeline import run as _run
from vidtrans.pipeline import stylize as _stylize
from vidtrans.pipeline import train as _train
from vidtrans.session import Context
from vidtrans.settings import Table, parse_time

Paths = str | Path | Sequence[str | Path]


def _paths(given: Paths) -> list[Path]:
    return [Path(given)] if isinstance(given, str | Path) else [Path(p) for p in given]


def _path(given: str | Path | None) -> Path | None:
    return None if given is None else Path(given)


def _with_steps(settings: dict[str, Table] | None, steps: int | None, minutes: float | None) -> dict[str, Table]:
    tables = dict(settings or {})
    if steps is not None and minutes is not None:
        raise UsageError("steps and minutes", "both say when to stop", "give one of them")
    if steps is not None:
        tables["training"] = {**tables.get("training", {}), "steps": steps}
    return tables


def probe(video: str | Path, **options: Any) -> Table:
    """``vidtrans probe``: what a clip holds, its ``cuts`` and ``findings``, and ``warnings`` about what is unusual."""
    return _probe.probe(Path(video), Context(**options))


def make_dataset(
    videos: Paths,
    output: str | Path | None = None,
    *,
    pairing: str | None = None,
    preset: str | None = None,
    target: str | Path | None = None,
    start: str | None = None,
    end: str | None = None,
    restore: bool = False,
    settings: dict[str, Table] | None = None,
    **options: Any,
) -> Table:
    """``vidtrans make-dataset``: videos (or a folder of pairs) → a dataset folder."""
    tables = dict(settings or {})
    if pairing:
        tables["pairing"] = {"name": pairing, **tables.get("pairing", {})}
    return _make.make_dataset(
        _paths(videos),
        _path(output),
        dataset_recipe(preset, tables),
        Context(**options),
        target=_path(target),
        start=parse_time(start) if start else None,
        end=parse_time(end) if end else None,
        restore=restore,
    )


def train(
    dataset: str | Path,
    output: str | Path | None = None,
    *,
    preset: str | None = None,
    steps: int | None = None,
    minutes: float | None = None,
    start_from: str | None = None,
    fresh: bool = False,
    settings: dict[str, Table] | None = None,
    **options: Any,
) -> Table:
    """``vidtrans train``: a dataset → a model file."""
    recipe = _train.train_recipe(Path(dataset), preset, _with_steps(settings, steps, minutes))
    return _train.train(
        Path(dataset),
        _path(output),
        recipe,
        Context(**options),
        minutes=minutes,
        start_from=start_from,
        fresh=fresh,
    )


def ablate(
    dataset: str | Path,
    kind: str,
    output: str | Path | None = None,
    *,
    preset: str | None = None,
    steps: int | None = None,
    minutes: float | None = None,
    settings: dict[str, Table] | None = None,
    **options: Any,
) -> Table:
    """``vidtrans train --ablate KIND``: a dataset → a folder of models, a picture of them, and their scores."""
    recipe = _train.train_recipe(Path(dataset), preset, _with_steps(settings, steps, minutes))
    return _ablate.ablate(Path(dataset), kind, _path(output), recipe, Context(**options), minutes=minutes)


def stylize(
    video: str | Path,
    model: str | Path,
    output: str | Path | None = None,
    *,
    preset: str | None = None,
    start: str | None = None,
    end: str | None = None,
    mask: str | Path | None = None,
    score: bool = False,
    settings: dict[str, Table] | None = None,
    **options: Any,
) -> Table:
    """``vidtrans stylize``: one video (picture, folder) and a model → the stylised video, with its sound.

    ``settings`` may say ``{"rendering": {"strength": "0: 0, 120: 1"}}``, and change the model's ``pairing``.
    """
    recipe, context = render_recipe(preset, dict(settings or {})), Context(**options)
    return _stylize.stylize(
        Path(video),
        str(model),
        _path(output),
        recipe,
        context,
        start=parse_time(start) if start else None,
        end=parse_time(end) if end else None,
        mask=_path(mask),
        score=score,
    )


def steady(
    processed: str | Path,
    source: str | Path | None = None,
    output: str | Path | None = None,
    *,
    preset: str | None = None,
    start: str | None = None,
    settings: dict[str, Table] | None = None,
    **options: Any,
) -> Table:
    """``vidtrans steady``: the flicker taken out of what any tool has made of ``source``.

    ``settings`` may say ``{"temporal": {"name": "window", "radius": 7}}``.
    """
    recipe, context = _steady.steady_recipe(preset, dict(settings or {})), Context(**options)
    return _steady.steady(
        Path(processed),
        _path(source),
        _path(output),
        recipe,
        context,
        start=parse_time(start) if start else None,
    )


def dream(
    source: str | Path,
    model: Paths,
    output: str | Path | None = None,
    *,
    frames: int,
    preset: str | None = None,
    start: str | None = None,
    blend: str | Path | None = None,
    sound: str | Path | None = None,
    settings: dict[str, Table] | None = None,
    **options: Any,
) -> Table:
    """``vidtrans dream``: a video, a picture or "noise", and one or more models that predict frames → a dream.

    ``settings`` may say ``{"dreaming": {"zoom": "1.01 + 0.02*low"}}``; ``seed`` is that of the noise.
    """
    recipe, context = _dream.dream_recipe(preset, dict(settings or {})), Context(**options)
    return _dream.dream(
        None if source == NOISE else Path(source),
        [str(path) for path in _paths(model)],
        _path(output),
        frames,
        recipe,
        context,
        start=parse_time(start) if start else None,
        blend=_path(blend),
        sound=_path(sound),
    )


def evaluate(
    output: str | Path,
    source: str | Path,
    *,
    per_frame: str | Path | None = None,
    reference: str | Path | None = None,
    result: str | Path | None = None,
    flow: str = SCORING_FLOW,
    start: str | None = None,
    dream: bool = False,
    **options: Any,
) -> Table:
    """``vidtrans evaluate``: scores of a render. ``result``: a plot (.png), or a table of every frame (.json).

    ``dream``: it is a dream, ``source`` the clip that its model learned.
    """
    return _evaluate.evaluate(
        Path(output),
        Path(source),
        Context(**options),
        per_frame=_path(per_frame),
        reference=_path(reference),
        result=_path(result),
        flow=flow,
        start=parse_time(start) if start else None,
        dream=dream,
    )


def run(
    video: str | Path,
    apply: Paths,
    output: str | Path,
    *,
    preset: str | None = None,
    target: str | Path | None = None,
    steps: int | None = None,
    minutes: float | None = None,
    settings: dict[str, Table] | None = None,
    **options: Any,
) -> Table:
    """``vidtrans run``: dataset, model and every clip it is applied to. Raises BatchError where some failed."""
    recipe, context = dataset_recipe(preset, _with_steps(settings, steps, minutes)), Context(**options)
    table, outcomes, _ = _run.run(
        Path(video),
        _paths(apply),
        Path(output),
        recipe,
        context,
        target=_path(target),
        minutes=minutes,
    )
    failed = [outcome.error for outcome in outcomes if outcome.state == "failed"]
    if failed:
        raise BatchError(f"{len(failed)} of {len(outcomes)} clips failed", "; ".join(failed))
    return table
