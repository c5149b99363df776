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
    import_recipe,
    look_recipe,
    painted_recipe,
    render_recipe,
    unpaired_recipe,
)
from vidtrans.config.rendering_settings import DEFLICKER_READS, DREAM_READS, LIVE_READS
from vidtrans.data.folder import train_recipe
from vidtrans.dreaming.predictors import NOISE
from vidtrans.errors import BatchError, UsageError
from vidtrans.events import Report, Stop
from vidtrans.metrics import SCORING_FLOW
from vidtrans.pipeline import ablate as _ablate
from vidtrans.pipeline import batch_report as _batch_report
from vidtrans.pipeline import deflicker as _deflicker
from vidtrans.pipeline import dream as _dream
from vidtrans.pipeline import evaluate as _evaluate
from vidtrans.pipeline import fix as _fix
from vidtrans.pipeline import grade as _grade
from vidtrans.pipeline import keyframes as _keyframes
from vidtrans.pipeline import live as _live
from vidtrans.pipeline import look as _look
from vidtrans.pipeline import make_dataset as _make_dataset
from vidtrans.pipeline import model_export as _model_export
from vidtrans.pipeline import model_import as _model_import
from vidtrans.pipeline import probe as _probe
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


def probe(video: PathLike, **options: Unpack[ContextOptions]) -> Table:
    """``vidtrans probe``: what a clip holds, its ``cuts`` and ``findings``, and ``warnings`` about what is unusual."""
    return _probe.probe(requests.ProbeRequest(Path(video)), Context(**options))


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


def batch_report(
    folder: PathLike = ".",
    output: PathLike | None = None,
    *,
    hours: float = requests.REPORT_HOURS,
    **options: Unpack[ContextOptions],
) -> Table:
    """``vidtrans batch report``: a page of what was rendered in the last ``hours`` into ``folder``, and by whom."""
    request = requests.BatchReportRequest(Path(folder), _path(output), hours)
    return _batch_report.report_batch(request, Context(**options))


def deflicker(
    processed: PathLike,
    source: PathLike | None = None,
    output: PathLike | None = None,
    *,
    preset: str | None = None,
    start: str | None = None,
    settings: Settings | None = None,
    **options: Unpack[ContextOptions],
) -> Table:
    """``vidtrans deflicker``: take the flicker out of what any tool has made of ``source``.

    ``settings`` may say ``{"temporal": {"name": "window", "radius": 7}}``.
    """
    recipe = render_recipe(preset, settings or {}, "deflicker", DEFLICKER_READS)
    request = requests.DeflickerRequest(Path(processed), _path(source), _path(output), recipe, _time(start))
    return _deflicker.deflicker(request, Context(**options))


def dream(
    source: PathLike,
    model: Paths,
    output: PathLike | None = None,
    *,
    frames: int,
    preset: str | None = None,
    start: str | None = None,
    blend: PathLike | None = None,
    sound: PathLike | None = None,
    settings: Settings | None = None,
    **options: Unpack[ContextOptions],
) -> Table:
    """``vidtrans dream``: a video, a picture or "noise", and one or more models that predict frames → a dream.

    ``settings`` may say ``{"dreaming": {"zoom": "1.01 + 0.02*low"}}``; ``seed`` is that of the noise.
    """
    recipe = render_recipe(preset, settings or {}, "dream", DREAM_READS)
    seed, models = None if source == NOISE else Path(source), [str(path) for path in _paths(model)]
    request = requests.DreamRequest(
        seed, models, _path(output), frames, recipe, _time(start), _path(blend), _path(sound)
    )
    return _dream.dream(request, Context(**options))


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


def serve_live(
    models: Paths,
    output: PathLike | None = None,
    *,
    preset: str | None = None,
    host: str = requests.LOOPBACK[0],
    port: int = requests.PORT,
    allow_network: bool = False,
    https: bool = False,
    token: str = "",
    kiosk: bool = False,
    open_page: bool = False,
    settings: Settings | None = None,
    **options: Unpack[ContextOptions],
) -> Table:
    """``vidtrans live``: models that paint what a page, a camera or a program sends, until ``stop`` is requested.

    ``output``: the folder of recordings. The links are reported as notes, so give a ``report``. Other work can go on
    beside it where it is called in a thread of its own. (``vidtrans.live`` is the package with the server.)
    """
    recipe = render_recipe(preset, settings or {}, "live", LIVE_READS)
    names = [str(path) for path in _paths(models)]
    access = host, port, allow_network, https, token
    request = requests.LiveRequest(names, recipe, _path(output), *access, kiosk=kiosk, open_page=open_page)
    return _live.live(request, Context(**options))


def keyframes(
    video: PathLike,
    output: PathLike | None = None,
    *,
    count: int | None = None,
    start: str | None = None,
    end: str | None = None,
    cuts: str = "auto",
    **options: Unpack[ContextOptions],
) -> Table:
    """``vidtrans keyframes``: a clip → a folder with the frames of it that are best painted."""
    request = requests.KeyframesRequest(Path(video), _path(output), count, _time(start), _time(end), cuts)
    return _keyframes.keyframes(request, Context(**options))


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


def grade(
    before: PathLike,
    after: PathLike,
    output: PathLike | None = None,
    *,
    unpaired: bool = False,
    size: int = requests.CUBE_SIZE,
    method: str | None = None,
    **options: Unpack[ContextOptions],
) -> Table:
    """``vidtrans grade``: pictures or clips before and after a colour grade → a model, or a ``.cube`` table."""
    request = requests.GradeRequest(Path(before), Path(after), _path(output), unpaired, size, method)
    return _grade.grade(request, Context(**options))


def import_model(
    model: PathLike,
    output: PathLike | None = None,
    *,
    pairing: str | None = None,
    size: int | None = None,
    norms: str = "",
    calibrate: PathLike | None = None,
    invert: bool | None = None,
    bgr: bool | None = None,
    value_range: str = "",
    layout: str = "",
    trust: bool = False,
    embed: bool = False,
    settings: Settings | None = None,
    **options: Unpack[ContextOptions],
) -> Table:
    """``vidtrans model import``: a model of another tool, a file or the folder of a training → a model file.

    ``value_range``: what its pictures' numbers are, as ``--range`` says it. ``settings`` may hold a ``card``.
    """
    tables = dict(settings or {})
    if pairing:
        tables["pairing"] = {"name": pairing, **tables.get("pairing", {})}
    taken = invert, bgr, value_range, layout
    request = requests.ImportRequest(
        Path(model), _path(output), import_recipe(None, tables), size, norms, _path(calibrate), *taken, trust, embed
    )
    return _model_import.import_model(request, Context(**options))


def export_model(
    model: PathLike,
    format: str,
    output: PathLike | None = None,
    *,
    whole: bool = False,
    look: str = "",
    stroke_size: float | None = None,
    **options: Unpack[ContextOptions],
) -> Table:
    """``vidtrans model export``: a model → a file for other programs, compared with it before it gets its name.

    ``whole``: RGB in, RGB out, with the pairing inside; then ``look`` and ``stroke_size`` say which look it paints.
    """
    request = requests.ExportRequest(str(model), format, _path(output), whole, look, stroke_size)
    return _model_export.export_model(request, Context(**options))


def evaluate(
    output: PathLike,
    source: PathLike,
    *,
    per_frame: PathLike | None = None,
    reference: PathLike | None = None,
    result: PathLike | None = None,
    flow: str = SCORING_FLOW,
    start: str | None = None,
    end: str | None = None,
    dream: bool = False,
    **options: Unpack[ContextOptions],
) -> Table:
    """``vidtrans evaluate``: scores of a render. ``result``: a plot (.png), or a table of every frame (.json).

    ``dream``: it is a dream, ``source`` the clip that its model learned.
    """
    clips = Path(output), Path(source), _path(per_frame), _path(reference), _path(result)
    request = requests.EvaluateRequest(*clips, flow, _time(start), _time(end), dream)
    return _evaluate.evaluate(request, Context(**options))


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
