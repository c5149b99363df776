"""The third step: a video and a model in, the stylised video with its sound out."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vidtrans.errors import Interrupted, UsageError, VidtransError
from vidtrans.files import digest_of
from vidtrans.model import SUFFIX
from vidtrans.pairing.base import pairing_record
from vidtrans.pipeline.context import Context, content_digest, open_clip
from vidtrans.pipeline.outputs import check_parents, check_place, up_to_date
from vidtrans.pipeline.recipe import Recipe
from vidtrans.pipeline.render_job import RenderJob, RenderSettings, find_look
from vidtrans.pipeline.stages import InferStage, RenderStage
from vidtrans.settings import Table, Time
from vidtrans.video.encoder import CONTAINERS, EncodingSettings


def default_output(video: Path, model: str, settings: EncodingSettings) -> Path:
    name = Path(model).name.removesuffix(SUFFIX)
    return Path(f"{video.resolve().stem}.{name}{settings.default_suffix()}")


def stylize(
    video: Path,
    model: str,
    output: Path | None,
    recipe: Recipe,
    context: Context,
    *,
    start: Time | None = None,
    end: Time | None = None,
) -> Table:
    """Render a model onto one video and return what is reported of it.

    Every frame keeps its timestamp, sound is copied packet for packet. Raises UsageError, MediaError, ModelError,
    DeviceError, Interrupted.
    """
    began = time.monotonic()
    look = find_look(model, context)
    settings = RenderSettings.of(recipe, look)
    output = output or default_output(video, model, settings.encoding)
    settings.encoding.check_container(output)
    request = digest_of(
        {
            "command": "stylize",
            "source": content_digest(context, video),
            "model": look.digest,
            "pairing": pairing_record(look.pairing),
            "settings": settings.for_key(),
            "span": [str(start), str(end)],
            "device": context.device if look.path else "",
            "stages": [InferStage.id(), RenderStage.id()],
        }
    )
    sources = [video, look.path] if look.path else [video]
    if (held := up_to_date(context.cache, output, request, sources, context.overwrite)) is not None:
        return held | {"output": str(output), "seconds": round(time.monotonic() - began, 3), "cached": True}
    job = RenderJob(open_clip(context, video), look, settings, context, start, end)
    if context.dry_run:
        return job.summary(output) | {"dry_run": True}
    result = job.render(output, request)
    context.cache.trim("infer", int(context.cache_limit_gb * 1e9))
    return result | {"seconds": round(time.monotonic() - began, 3), "cached": False}


def plan_outputs(videos: Sequence[Path], model: str, folder: Path, settings: EncodingSettings) -> list[Path]:
    """The result of each of several clips in ``folder``; equal names are numbered.

    Raises UsageError where the folder is, or looks like, a file.
    """
    check_parents(folder)
    if (folder.exists() and not folder.is_dir()) or folder.suffix.lstrip(".") in CONTAINERS:
        raise UsageError(str(folder), "with several clips -o is a folder", "give a folder name")
    outputs: list[Path] = []
    for video in videos:
        plain = default_output(video, model, settings).name
        name, k = plain, 2
        while folder / name in outputs:
            name, k = f"{Path(plain).stem}-{k}{Path(plain).suffix}", k + 1
        outputs.append(folder / name)
    return outputs


def stylize_many(
    videos: Sequence[Path],
    model: str,
    output: Path | None,
    recipe: Recipe,
    context: Context,
    **span: Any,
) -> list[tuple[Path, Table | Exception]]:
    """Several clips, one after another; a failed one is named and passed over. ``output`` is then a folder."""
    encoding = recipe.settings("encoding", EncodingSettings)
    find_look(model, context)  # a wrong model fails once, not once a clip
    outputs = plan_outputs(videos, model, output or Path(), encoding)
    for place in outputs:
        check_place(place, videos)  # no clip's result may be another's source
    results: list[tuple[Path, Table | Exception]] = []
    for video, place in zip(videos, outputs, strict=True):
        try:
            results.append((video, stylize(video, model, place, recipe, context, **span)))
        except Interrupted:
            raise
        except VidtransError as error:
            context.note(str(error), "warning")
            results.append((video, error))
    return results
