"""A model made at once of pictures: their styles are predicted, nothing is trained.

The file is in the cache. It is an ordinary model with a look for each picture, or for each mixture of pictures.
"""

from __future__ import annotations

import shutil
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

import numpy as np

from vidtrans.clips.indexing import content_digest, open_clip
from vidtrans.clips.sampling import read_clip_frames, read_style_picture, spread_numbers
from vidtrans.core.errors import MediaError, UsageError
from vidtrans.core.files import digest_file
from vidtrans.flow.bars import bars_of
from vidtrans.models.formats import STYLE_PREDICTION
from vidtrans.models.loaded_model import LoadedModel, load_model
from vidtrans.models.look_pictures import CLIP, NamedPictures
from vidtrans.models.model_file import IDENTITY, SUFFIX, save_model
from vidtrans.models.model_record import NORMALISATION, ModelRecord
from vidtrans.pairing.look_pairing import condition_planes
from vidtrans.session import Context
from vidtrans.store.stages import AtOnceStage
from vidtrans.video.frame_format import FrameFormat
from vidtrans.video.images.picture import read_picture

if TYPE_CHECKING:
    from torch import Tensor

    from vidtrans.models.style_prediction import StylePrediction

GENERATOR = "predicted-style"
SIZE = 288  # lines at which its strokes are as large as in the pictures that the networks were trained on
VERSION = 7  # of what is made of the networks' weights and of pictures
MOST_LOOKS = 32  # in one network
CLIP_FRAMES = 5  # frames of a clip whose styles' mean is the clip's own


@dataclass(frozen=True)
class StyleSource:
    """A source of a style, (N,), for which ``digest`` stands in cache keys."""

    digest: str
    style: Callable[[StylePrediction], Tensor]

    @classmethod
    def of_pictures(cls, digest: str, read: Callable[[], Sequence[np.ndarray]]) -> StyleSource:
        """Return the mean style of pictures (H, W, 3) uint8, which are read when they are needed."""
        return cls(digest, lambda known: known.style(read()))


Looks = Mapping[str, Sequence[tuple[StyleSource, float]]]  # by name: the styles that are mixed, with their shares


def model_at_once(
    pictures: NamedPictures, context: Context, clip: Path | None = None, changes: Mapping[str, Any] | None = None
) -> LoadedModel:
    """Return a model with the looks of pictures, from the cache or made now; of a medium, the identity with its name.

    ``clip``: whose own style the pictures may be mixed with. ``changes``: settings of the model's pairing. Raises
    UsageError, MediaError.
    """
    if pictures.medium:
        return replace(load_model(IDENTITY, context, changes), name=pictures.name)
    looks = {
        name: [(_source(style, context, clip), share) for style, share in mixture]
        for name, mixture in pictures.looks.items()
    }
    return predicted_model(looks, context, changes)


def predicted_model(
    looks: Looks, context: Context, changes: Mapping[str, Any] | None = None, *, is_kept: bool = True
) -> LoadedModel:
    """Return a model with looks, from the cache or made now; temporary if it is not ``is_kept``, or in a dry run."""
    mixtures = [[(source.digest, share) for source, share in each] for each in looks.values()]
    if len(looks) > MOST_LOOKS:
        raise UsageError("--look", f"it names {len(looks)} looks", f"give up to {MOST_LOOKS} at once")
    stage = AtOnceStage(list(looks), mixtures, _weights_digest(), VERSION)
    entry = context.cache.entry(stage.name, stage.key)
    file = NamedPictures(dict.fromkeys(looks, ()), "").name + SUFFIX
    if is_kept and not context.dry_run:
        with entry.locked(wait_for="another run that predicts the same looks"):
            if entry.read() is None:
                _make(looks, entry.folder / file)
                entry.finish({"model": file}, (file,))
            return replace(load_model(str(entry.folder / file), context, changes), hold=entry.pin())
    if is_kept and entry.read() is not None:
        return load_model(str(entry.folder / file), context, changes)
    folder = _Folder()
    _make(looks, folder.path / file)
    return replace(load_model(str(folder.path / file), context, changes), hold=folder)


@cache
def _weights_digest() -> str:
    return digest_file(STYLE_PREDICTION)


class _Folder:
    """A temporary folder, which is deleted with this object."""

    def __init__(self) -> None:
        self.path = Path(mkdtemp(prefix="vidtrans-"))
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


def read_look(path: Path, remedy: str, option: str = "--look") -> np.ndarray:
    """Return a picture of an ``option`` without its bars, (H, W, 3) uint8. Raises MediaError with the ``remedy``."""
    try:
        picture = read_picture(path)
        return bars_of([picture]).crop(picture)
    except MediaError as error:
        raise MediaError(f"{option} {path}", error.why, remedy) from None


def read_style(path: Path, context: Context) -> np.ndarray:
    """Return a style picture, of a video its middle frame, as ``read_style_picture`` does. Raises MediaError."""
    try:
        return read_style_picture(open_clip(context, path), context)
    except MediaError as error:
        raise MediaError(f"--look {path}", error.why, error.remedy) from None


def _source(style: Path | None, context: Context, clip: Path | None) -> StyleSource:
    if style is not None:
        return StyleSource.of_pictures(context.cache.digest(style), lambda: [read_style(style, context)])
    if clip is None:
        raise UsageError(f"--look {CLIP}", "there is no clip, whose own style it would be", "name pictures alone")
    digest = f"{CLIP} {content_digest(context, clip)} {CLIP_FRAMES}"
    return StyleSource.of_pictures(digest, lambda: _frames_of(clip, context))


def _frames_of(path: Path, context: Context) -> list[np.ndarray]:
    """Return evenly spread frames of a clip, without its bars. Raises MediaError."""
    clip = open_clip(context, path)
    numbers = spread_numbers(clip.index.num_frames, CLIP_FRAMES)
    frames = [frame.rgb for frame in read_clip_frames(clip, numbers, FrameFormat(), context)]
    bars = bars_of(frames)
    return [bars.crop(frame) for frame in frames]


def _make(looks: Looks, output: Path) -> None:
    import torch

    from vidtrans.models.style_prediction import StylePrediction
    from vidtrans.networks.predicted_style import CHANNELS

    prediction = StylePrediction()
    styles = [
        torch.stack([share * source.style(prediction) for source, share in mixture]).sum(0)
        for mixture in looks.values()
    ]
    names = list(looks)
    record = ModelRecord(
        generator={"name": GENERATOR, "settings": {"looks": len(names), "corrects": True, "channels": CHANNELS}},
        pairing={"name": "look", "version": 1, "settings": {"looks": names}},
        in_channels=3 + condition_planes(len(names)),
        out_channels=3,
        size=SIZE,
        normalisation=NORMALISATION,
        training={},
        card={"notes": "a look at once, by the networks of Magenta (Apache 2.0)"},
    )
    save_model(output, prediction.network(styles), record)
