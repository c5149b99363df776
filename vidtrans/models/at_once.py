"""Models with predicted styles: a network predicts the style of each picture, and nothing is trained.

The model's file is in the cache. It is an ordinary model with one style per picture or mixture of pictures.
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
from vidtrans.models.paintings import painting_model
from vidtrans.pairing.look_pairing import condition_planes
from vidtrans.session import Context
from vidtrans.store.stages import AtOnceStage
from vidtrans.video.frame_format import FrameFormat
from vidtrans.video.images.picture import read_picture

if TYPE_CHECKING:
    from torch import Tensor

    from vidtrans.models.style_prediction import StylePrediction

GENERATOR_NAME = "predicted-style"  # Name of the generator in ``networks`` whose norms are predicted
# Short side of a frame, in pixels, at which strokes have the size that the networks were trained with
TRAINED_SIZE_PX = 288
VERSION = 8  # Version of the conversion of weights and pictures to a model file, for cache keys
MAX_LOOKS = 32  # Largest number of styles in one network
NUM_CLIP_FRAMES = 5  # Number of a clip's frames whose mean style is the style of the clip


@dataclass(frozen=True)
class StyleSource:
    """A source of a style: ``style`` computes its numbers, (N,) float32; ``digest`` identifies it in cache keys.

    The numbers are those of ``StylePrediction.style``.
    """

    digest: str
    style: Callable[[StylePrediction], Tensor]

    @classmethod
    def of_pictures(cls, digest: str, read: Callable[[], Sequence[np.ndarray]]) -> StyleSource:
        """Return a source with the mean style of pictures (H, W, 3) uint8, which are read only when needed."""
        return cls(digest, lambda prediction: prediction.style(read()))


_cached_digest = cache(digest_file)  # SHA-256 (hex) of a file, computed once per path
# Mixtures of styles with their shares, 0 to 1, by the name of the mixture
Looks = Mapping[str, Sequence[tuple[StyleSource, float]]]


def predict_model_from_pictures(
    pictures: NamedPictures, context: Context, clip: Path | None = None, changes: Mapping[str, Any] | None = None
) -> LoadedModel:
    """Return the model that renders a ``clip`` in the styles of pictures, from the cache or computed now.

    For a painting medium (oil, ink …), return the identity model with the medium's name; for a painting whose look
    ships, its model. The clip is read only if its own style is mixed with the pictures' styles. ``changes``: settings
    of the model's pairing. Raises UsageError, MediaError.
    """
    if pictures.painting:
        return load_model(str(painting_model(pictures.painting)), context, changes)
    if pictures.medium:
        return replace(load_model(IDENTITY, context, changes), name=pictures.name)
    looks = {
        name: [(_style_source(style, context, clip), share) for style, share in mixture]
        for name, mixture in pictures.looks.items()
    }
    return predict_model_from_styles(looks, context, changes)


def predict_model_from_styles(
    looks: Looks, context: Context, changes: Mapping[str, Any] | None = None, *, is_kept: bool = True
) -> LoadedModel:
    """Return a model with the styles ``looks``, cached or computed now; its file is temporary unless ``is_kept``.

    ``changes``: settings of the model's pairing that the user has changed. In a dry run the file is temporary, too.
    Raises UsageError for too many styles.
    """
    mixtures = [[(source.digest, share) for source, share in each] for each in looks.values()]
    if len(looks) > MAX_LOOKS:
        raise UsageError("--look", f"it names {len(looks)} looks", f"give up to {MAX_LOOKS} at once")
    stage = AtOnceStage(list(looks), mixtures, _cached_digest(STYLE_PREDICTION), VERSION)
    entry = context.cache.entry(stage.name, stage.key)
    file = NamedPictures(dict.fromkeys(looks, ()), "").name + SUFFIX
    if is_kept and not context.dry_run:
        with entry.locked(wait_for="another run that predicts the same looks"):
            if entry.read() is None:
                _write_model(looks, entry.folder / file)
                entry.finish({"model": file}, (file,))
            return replace(load_model(str(entry.folder / file), context, changes), hold=entry.pin())
    if is_kept and entry.read() is not None:
        return load_model(str(entry.folder / file), context, changes)
    folder = _TemporaryFolder()
    _write_model(looks, folder.path / file)
    return replace(load_model(str(folder.path / file), context, changes), hold=folder)


class _TemporaryFolder:
    """A temporary folder, deleted when this object is deleted."""

    def __init__(self) -> None:
        self.path = Path(mkdtemp(prefix="vidtrans-"))
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


def read_look_picture(path: Path, remedy: str, option: str = "--look") -> np.ndarray:
    """Return the picture that ``option`` names, without black bars, (H, W, 3) uint8. Raises MediaError."""
    try:
        picture = read_picture(path)
        return bars_of([picture]).crop(picture)
    except MediaError as error:
        raise MediaError(f"{option} {path}", error.why, remedy) from None


def read_style(path: Path, context: Context) -> np.ndarray:
    """Return a style picture, or the middle frame of a video, (H, W, 3) uint8 without black bars. Raises MediaError."""
    try:
        return read_style_picture(open_clip(context, path), context)
    except MediaError as error:
        raise MediaError(f"--look {path}", error.why, error.remedy) from None


def _style_source(style: Path | None, context: Context, clip: Path | None) -> StyleSource:
    """Return the style source of a picture or video file; for None, of ``clip``. Raises UsageError without a clip."""
    if style is not None:
        return StyleSource.of_pictures(context.cache.digest(style), lambda: [read_style(style, context)])
    if clip is None:
        raise UsageError(f"--look {CLIP}", "there is no clip, whose own style it would be", "name pictures alone")
    digest = f"{CLIP} {content_digest(context, clip)} {NUM_CLIP_FRAMES}"
    return StyleSource.of_pictures(digest, lambda: _read_spread_frames(clip, context))


def _read_spread_frames(path: Path, context: Context) -> list[np.ndarray]:
    """Return evenly spread frames of a clip, (H, W, 3) uint8, without black bars. Raises MediaError."""
    clip = open_clip(context, path)
    numbers = spread_numbers(clip.index.num_frames, NUM_CLIP_FRAMES)
    frames = [frame.rgb for frame in read_clip_frames(clip, numbers, FrameFormat(), context)]
    bars = bars_of(frames)
    return [bars.crop(frame) for frame in frames]


def _write_model(looks: Looks, output: Path) -> None:
    """Predict the styles and write a model with them to the file ``output``."""
    import torch

    from vidtrans.models.style_prediction import StylePrediction

    prediction = StylePrediction()
    styles = [
        torch.stack([share * source.style(prediction) for source, share in mixture]).sum(0)
        for mixture in looks.values()
    ]
    names = list(looks)
    record = ModelRecord(
        generator={
            "name": GENERATOR_NAME,
            "settings": {"looks": len(names), "corrects": True, "channels": prediction.channels},
        },
        pairing={"name": "look", "version": 1, "settings": {"looks": names}},
        in_channels=3 + condition_planes(len(names)),
        out_channels=3,
        size=TRAINED_SIZE_PX,
        normalisation=NORMALISATION,
        training={},
        card={"notes": "a look at once, by the networks of Magenta (Apache 2.0)"},
    )
    save_model(output, prediction.network(styles), record)
