"""``vidtrans look``: pictures in, a model that paints in their manner out."""

from __future__ import annotations

import time
from pathlib import Path

from vidtrans.clips.indexing import Clip, open_clip
from vidtrans.clips.sampling import read_clip_frames
from vidtrans.errors import UsageError
from vidtrans.files import PACKAGE, base_name
from vidtrans.output.target import refuse_link
from vidtrans.pipeline.make_dataset import clips_for, make_dataset
from vidtrans.pipeline.train import train
from vidtrans.requests import MODEL_SUFFIX, LookRequest, MakeDatasetRequest, TrainRequest
from vidtrans.session import Context
from vidtrans.settings import Table
from vidtrans.video.frame_format import DEFAULT_FORMAT

CLIP = PACKAGE / "assets" / "flower.mp4"  # what is learned on where no clip is given
FOLDER = "looks"  # of the dataset, with the style pictures


def look(request: LookRequest, context: Context) -> Table:
    """Teach a painter the manner of pictures on the frames of clips, and return what is reported of it.

    Stopped, it goes on where it was. Raises UsageError, MediaError, DeviceError, Interrupted.
    """
    began = time.monotonic()
    names = _names(request.pictures)
    output = request.output or refuse_link(Path(f"{names[0]}{MODEL_SUFFIX}"))
    dataset = refuse_link(output.with_suffix(".dataset"))
    clips = clips_for(request.on, request.recipe) if request.on else [CLIP]
    paths = [dataset / FOLDER / f"{name}.png" for name in names]
    recipe = request.recipe.under(
        {
            "pairing": {"name": "look", "looks": names},
            "generator": {"looks": len(names)},
            "training": {"look_pictures": [str(path) for path in paths]},
        }
    )
    styles = [open_clip(context, picture) for picture in request.pictures]  # before hours are spent on the others
    made = make_dataset(MakeDatasetRequest(clips, dataset, recipe), context)
    if context.dry_run:
        return made | {"output": str(output), "looks": names, "seconds": round(time.monotonic() - began, 3)}
    if not request.on:
        context.note("no clip was given with --on: it learns on the one that ships, for clips of any kind")
    for style, path in zip(styles, paths, strict=True):
        _store(style, path, context)
    trained = train(TrainRequest(dataset, output, recipe, request.minutes, fresh=request.fresh), context)
    both = {"dataset": str(dataset), "looks": names, "seconds": round(time.monotonic() - began, 3)}
    return trained | both | {"cached": trained["cached"] and made["cached"]}


def _names(pictures: tuple[Path, ...]) -> list[str]:
    """Return the names of looks, those of their pictures. Raises UsageError where two are alike."""
    names = [base_name(picture) for picture in pictures]
    if twice := next((name for name in names if names.count(name) > 1), ""):
        raise UsageError(f"look '{twice}'", "two pictures have this name", "rename one of them")
    return names


def _store(style: Clip, path: Path, context: Context) -> None:
    """Write a style picture, of a video its middle frame, unless it is there."""
    import numpy as np

    from vidtrans.video.images.picture import read_picture, write_picture

    (frame,) = read_clip_frames(style, [style.index.num_frames // 2], DEFAULT_FORMAT, context)
    stored = read_picture(path) if path.is_file() else None
    if stored is None or not np.array_equal(stored, frame.rgb):
        write_picture(path, frame.rgb)
