"""The third step: a video and a model in, the stylised video with its sound out."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vidtrans.errors import BatchError, Interrupted, MediaError, UsageError, VidtransError
from vidtrans.files import digest_of, finish_replacing, plain_name
from vidtrans.model import SUFFIX
from vidtrans.pairing.base import pairing_record
from vidtrans.pipeline.context import Clip, Context, content_digest, open_clip
from vidtrans.pipeline.estimate import add_up, after
from vidtrans.pipeline.look import RenderSettings, find_look
from vidtrans.pipeline.outputs import check_parents, check_place, up_to_date
from vidtrans.pipeline.recipe import Recipe
from vidtrans.pipeline.render_job import RenderJob, at_rate, makes_folder
from vidtrans.pipeline.stages import InferStage, RenderStage
from vidtrans.rendering.matte import in_step
from vidtrans.settings import Table, Time
from vidtrans.video.encoder import CONTAINERS, EncodingSettings
from vidtrans.video.pictures import is_picture
from vidtrans.video.sequence import picture_names


def default_output(video: Path, model: str, settings: EncodingSettings) -> Path:
    """``in.x.mp4``; a picture gives a picture, a folder of pictures a folder."""
    name = Path(model).name.removesuffix(SUFFIX)
    return Path(f"{plain_name(video)}.{name}{settings.default_suffix(single=is_picture(video))}")


def stylize(
    video: Path,
    model: str,
    output: Path | None,
    recipe: Recipe,
    context: Context,
    *,
    start: Time | None = None,
    end: Time | None = None,
    mask: Path | None = None,
) -> Table:
    """Render a model onto one video, picture or folder, and return what is reported of it.

    Every frame keeps its timestamp, sound is copied packet for packet. ``mask`` says where the look is. Raises
    UsageError, MediaError, ModelError, DeviceError, Interrupted.
    """
    began = time.monotonic()
    look = find_look(model, context, recipe.look)
    settings = RenderSettings.of(recipe, look).resolved(is_still(video), output)
    output = output or default_output(video, model, settings.encoding)
    folder = makes_folder(settings.encoding, output)
    settings.encoding.check_container(output, single=not folder)
    source, guides = content_digest(context, video), look.pairing.guides
    request = digest_of(
        {
            "command": "stylize",
            "source": source,
            "model": look.digest,
            "pairing": pairing_record(look.pairing),
            "settings": settings.for_key(),
            "mask": content_digest(context, mask) if mask else "",
            "span": [str(start), str(end)],
            "device": context.device if look.path else "",
            "stages": [InferStage.id(), RenderStage.id()],
        }
    )
    sources = [p for p in (video, look.path, mask) if p]
    clip = open_clip(context, video, guides) if video.is_dir() else None
    if clip is not None and not clip.index.same_size:
        clip = at_rate(clip, settings.rendering.rate)
        return _one_by_one(clip, model, output, recipe, context, span=clip.trim(start, end), mask=mask)
    if output.name in ("", ".."):
        raise UsageError(f"-o {output}", "it is a place, not a name", "give the result a name")
    check_parents(output)
    if not context.dry_run:
        finish_replacing(output)
    held = up_to_date(context.cache, output, request, sources, context.overwrite, folder=folder)
    if held is not None:
        return held | {"output": str(output), "seconds": round(time.monotonic() - began, 3), "cached": True}
    clip = clip or open_clip(context, video, guides)
    job = RenderJob(clip, look, settings, context, start, end, mask)
    if settings.encoding.makes_pictures and not folder and not job.single:
        raise UsageError(str(output), f"one picture cannot hold {job.stop - job.first} frames", "give a folder name")
    if context.dry_run:
        return job.summary(output) | {"dry_run": True} | after(time.monotonic() - began, job.estimate())
    result = job.render(output, request)
    context.cache.trim("infer", int(context.cache_limit_gb * 1e9))
    return result | {"seconds": round(time.monotonic() - began, 3), "cached": False}


def _one_by_one(
    clip: Clip,
    model: str,
    output: Path,
    recipe: Recipe,
    context: Context,
    *,
    span: tuple[int, int],
    mask: Path | None,
) -> Table:
    """A folder of pictures of several sizes is no clip: each picture is rendered by itself, into the same folder.

    ``span``: the first picture, and the one after the last. Raises UsageError where a video was asked for, BatchError
    where some pictures failed.
    """
    if clip.guides or output.suffix.lower().lstrip(".") in CONTAINERS:
        one = "a clip of guides" if clip.guides else "a video"
        remedy = "bring them to one size" + ("" if clip.guides else ", or give a folder name with -o")
        raise UsageError(str(clip.path), f"its pictures are of several sizes, and {one} has one", remedy)
    began = time.monotonic()
    names = clip.index.names
    pictures = [clip.path / name for name in names[slice(*span)]]
    places = [output / name for name in picture_names(names, range(*span))]
    masks = _masks_of(mask, clip, span, context)
    done: list[Table] = []
    failed: list[str] = []
    for picture, place, own in zip(pictures, places, masks, strict=True):
        try:
            done.append(stylize(picture, model, place, recipe, context, mask=own))
        except (UsageError, MediaError) as error:
            failed.append(str(error))
    if failed:
        raise BatchError(f"{len(failed)} of {len(pictures)} pictures failed", "; ".join(failed))
    table = {
        "output": str(output),
        "frames": len(done),
        "model": done[0]["model"],
        "items": done,
        "seconds": round(time.monotonic() - began, 3),
        "cached": all(t.get("cached") for t in done),
    }
    if not context.dry_run:
        return table
    sums = {"chunks": sum(t["chunks"] for t in done), "working_size": done[0]["working_size"]}
    return table | sums | {"dry_run": True} | add_up([t for t in done if "estimate" in t])


def _masks_of(mask: Path | None, clip: Clip, span: tuple[int, int], context: Context) -> list[Path | None]:
    """The mask of each picture: one for all, or of a folder the one that goes with it. Raises UsageError on a video."""
    if mask is None or is_picture(mask):
        return [mask] * (span[1] - span[0])
    if not mask.is_dir():
        raise UsageError(str(mask), "a video is no mask for pictures of several sizes", "give a folder of pictures")
    held = open_clip(context, mask)
    steps, told = in_step(clip.index, held.index, *span)
    if told:
        context.note(f"mask {mask.name}: {told}", "warning")
    return [mask / held.index.names[step] for step in steps]


def is_still(video: Path) -> bool:
    """Whether a source is a picture or a folder, so that its result is one too."""
    return is_picture(video) or video.is_dir()


def plan_outputs(videos: Sequence[Path], model: str, folder: Path, settings: EncodingSettings) -> list[Path]:
    """The result of each of several clips in ``folder``; equal names are numbered.

    Raises UsageError where the folder is, or looks like, a file.
    """
    check_parents(folder)
    if (folder.exists() and not folder.is_dir()) or folder.suffix.lstrip(".") in (*CONTAINERS, "png"):
        raise UsageError(str(folder), "with several clips -o is a folder", "give a folder name")
    outputs: list[Path] = []
    for video in videos:
        encoding = settings.resolved(pictures=is_still(video), output=None)
        plain = default_output(video, model, encoding)
        ending = encoding.default_suffix(single=is_picture(video))
        name, k = plain.name, 2
        while folder / name in outputs:
            name, k = f"{plain.name.removesuffix(ending)}-{k}{ending}", k + 1
        outputs.append(folder / name)
    return outputs


def stylize_many(
    videos: Sequence[Path],
    model: str,
    output: Path | None,
    recipe: Recipe,
    context: Context,
    **options: Any,
) -> list[tuple[Path, Table | Exception]]:
    """Several clips, one after another; a failed one is named and passed over. ``output`` is then a folder."""
    encoding = recipe.settings("encoding", EncodingSettings)
    find_look(model, context, recipe.look)  # a wrong model fails once, not once a clip
    outputs = plan_outputs(videos, model, output or Path(), encoding)
    for video, place in zip(videos, outputs, strict=True):  # no clip's result may be another's source
        made = encoding.resolved(pictures=is_still(video), output=None)
        check_place(place, videos, folder=makes_folder(made, place))
    results: list[tuple[Path, Table | Exception]] = []
    for video, place in zip(videos, outputs, strict=True):
        try:
            results.append((video, stylize(video, model, place, recipe, context, **options)))
        except Interrupted:
            raise
        except VidtransError as error:
            context.note(str(error), "warning")
            results.append((video, error))
    return results
