"""Render a folder with pictures of several sizes, one picture at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from vidtrans.clips.aligned_clip import match_frames
from vidtrans.clips.clip_signals import clip_clock
from vidtrans.clips.indexing import Clip, open_clip
from vidtrans.config.recipe import Recipe
from vidtrans.core.costs import add_estimates, count
from vidtrans.core.errors import BatchError, MediaError, UsageError
from vidtrans.core.mask_files import MaskFile
from vidtrans.core.settings import Table
from vidtrans.output.result import COUNTS, refuse_link
from vidtrans.pipeline.render import RenderingSettings
from vidtrans.pipeline.stage import FrameValues
from vidtrans.rendering.requested_output import OutputTarget
from vidtrans.session import Context
from vidtrans.strokes.settings import StrokesSettings
from vidtrans.video.io.encoder import picture_names
from vidtrans.video.io.encoding import EncodingSettings
from vidtrans.video.io.picture_paths import is_picture, is_picture_sequence, picture_files

# Function (picture, result path, recipe, mask) → result table, which renders one picture
RenderPicture = Callable[[Path, Path, Recipe, MaskFile | None], Table]
SUMMED_KEYS = (*COUNTS, "sound_packets")  # Keys of result tables whose values are summed over the pictures


def render_pictures(
    clip: Clip,
    output: OutputTarget,
    recipe: Recipe,
    context: Context,
    render: RenderPicture,
    span: tuple[int, int],
    mask: MaskFile | None,
) -> Table:
    """Render each picture of a folder with several picture sizes separately into ``output``; return the result table.

    ``span``: the numbers [first, stop) of the pictures; the times of key frames are picture numbers, too. Raises
    UsageError if a video was requested, BatchError if some pictures failed.
    """
    _check_sizes_allowed(clip, output.encoding, recipe)
    began = time.monotonic()
    pictures = picture_files(clip.path)[slice(*span)]
    names = picture_names(clip.index.names, range(*span), output.encoding.codec, output.pattern)
    results = [refuse_link(output.output / name) for name in names]
    masks = _masks_of(mask, clip, span, context)
    done: list[Table] = []
    failed: list[str] = []
    for picture, result, own_recipe, own_mask in zip(
        pictures, results, _recipes_of(recipe, clip, span), masks, strict=True
    ):
        context.stop.check()
        try:
            done.append(render(picture, result, own_recipe, own_mask))
        except (UsageError, MediaError) as error:
            failed.append(str(error))
    if failed:
        raise BatchError(f"{len(failed)} of {count(len(pictures), 'picture')} failed", "; ".join(failed))
    table = {
        "output": str(output.output),
        "frames": len(done),
        "model": done[0]["model"],
        "items": done,
        **{k: sum(t.get(k, 0) for t in done) for k in SUMMED_KEYS if any(k in t for t in done)},
        "seconds": round(time.monotonic() - began, 3),
        "cached": all(t.get("cached") for t in done),
    }
    if not context.dry_run:
        return table
    sums = {"chunks": sum(t["chunks"] for t in done), "working_size": done[0]["working_size"]}
    return table | sums | {"dry_run": True} | add_estimates([t for t in done if "estimate" in t])


def _check_sizes_allowed(clip: Clip, encoding: EncodingSettings, recipe: Recipe) -> None:
    """Raise UsageError if an option or a guide requires that all pictures have one size."""
    if clip.guides:
        why = "its pictures have several sizes, and a clip must have one"
        raise UsageError(str(clip.path), why, "resize them to one size")
    refuse_video(clip.path, encoding)
    if recipe.settings("rendering", RenderingSettings).source_filter:
        raise UsageError("--filter-source", f"{clip.path.name} is not a video", "filter the pictures first")


def refuse_video(folder: Path, encoding: EncodingSettings) -> None:
    """Raise UsageError if pictures of several sizes are to be written to a video."""
    if not encoding.makes_pictures:
        why = "its pictures have several sizes, and a video must have one"
        raise UsageError(str(folder), why, "resize them to one size, or give a folder name with -o")


def _recipes_of(recipe: Recipe, clip: Clip, span: tuple[int, int]) -> list[Recipe]:
    """Return the recipe of each picture: curves of blend and strokes are replaced by their values at the picture."""
    rendering = recipe.settings("rendering", RenderingSettings)
    clock = clip_clock(clip, rendering.sound)
    strokes = recipe.settings("strokes", StrokesSettings)
    tables = {"rendering": FrameValues(rendering, clock)}
    tables |= {"strokes": FrameValues(strokes, clock)} if strokes.medium else {}
    return [recipe.under({name: values(number) for name, values in tables.items()}) for number in range(*span)]


def _masks_of(mask: MaskFile | None, clip: Clip, span: tuple[int, int], context: Context) -> Sequence[MaskFile | None]:
    """Return each picture's mask: one mask for all, or one file of a folder for each. Raises UsageError for a video."""
    if mask is None or mask.terms or (is_picture(mask.path) and not is_picture_sequence(mask.path)):
        return [mask] * (span[1] - span[0])
    if not is_picture_sequence(mask.path):
        raise UsageError(str(mask.path), "a video cannot mask pictures of several sizes", "give a folder of pictures")
    steps, warning = match_frames(clip.index, open_clip(context, mask.path).index, *span)
    if warning:
        context.note(f"mask {mask.path.name}: {warning}", "warning")
    files = picture_files(mask.path)
    return [replace(mask, path=files[step], sequence=mask.path) for step in steps]
