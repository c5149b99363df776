"""Models predicted from style pictures that pages upload during a live session."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from vidtrans.core.errors import UsageError
from vidtrans.core.events import ignore_event
from vidtrans.core.settings import Table
from vidtrans.core.system import windows_name_problem
from vidtrans.flow.bars import bars_of
from vidtrans.live.live_controls import describe_models
from vidtrans.live.live_stage import LiveModel, LiveStage
from vidtrans.live.protocol import JPEG_QUALITY, decode
from vidtrans.live.stage_worker import StageChange
from vidtrans.models.at_once import StyleSource, predict_model_from_styles, read_style
from vidtrans.models.loaded_model import LoadedModel
from vidtrans.models.look_pictures import Mixture
from vidtrans.session import Context
from vidtrans.video.images.picture import encode_jpeg, resize

MAX_PICTURES = 16  # Largest number of models predicted from pictures in a session
THUMBNAIL_SIDE_PX = 96  # Side, in pixels, of the square thumbnails of style pictures
MAX_NAME_CHARS = 40  # Longest name, in characters, of a predicted model; it is made of the picture's file name


class PictureLooks:
    """The models of a session that were predicted from style pictures.

    It is used in the event loop's thread, and predicts models in another thread. ``thumbnails``: a JPEG file as a data
    URL, by model name.

    Args:
        models: The models of the session by name; new ones are added to them.
        pictures: The pictures of which models were made, by model name.
        media: The media in which the models' pictures are painted, by model name.
        open_model: Opens a model for painting; called in the thread that paints.
        context: The session's context.
    """

    def __init__(
        self,
        models: dict[str, LoadedModel],
        pictures: Mapping[str, Mixture],
        media: Mapping[str, str],
        open_model: Callable[[LoadedModel], LiveModel],
        context: Context,
    ) -> None:
        self._models, self._open_model, self._context = models, open_model, context
        self._media = media
        quiet = replace(context, report=ignore_event)  # These notes were already given when the styles were predicted
        self.thumbnails = {name: _thumbnail(_read_pictures(mixture, quiet)) for name, mixture in pictures.items()}
        self._names_by_digest: dict[str, str] = {}  # Names of the models by the SHA-256 of their files
        self._unopened: set[str] = set()  # Names of models that no stage has opened yet, which may fail
        self._lock = asyncio.Lock()

    def message(self) -> Table:
        """Return the message that describes the session's models to pages."""
        return {"type": "models", "models": describe_models(self._models, self.thumbnails, self._media)}

    async def add(self, file: bytes, name: str) -> str:
        """Predict a model with the style of a picture file, unless the session has it already; return its name.

        ``name``: the file's name. Raises UsageError if there are too many, MediaError if it is not a picture.
        """
        async with self._lock:
            digest = hashlib.sha256(file).hexdigest()
            if (existing := self._names_by_digest.get(digest)) is not None:
                return existing
            if len(self.thumbnails.keys() - self._media.keys()) >= MAX_PICTURES:
                raise UsageError(f"picture '{name}'", f"there are {MAX_PICTURES} pictures already", "remove one first")
            name = self._free_name(name)
            self._models[name], self.thumbnails[name] = await asyncio.to_thread(self._predict, file, digest, name)
            self._names_by_digest[digest] = name
            self._unopened.add(name)
            return name

    def remove(self, name: str) -> LoadedModel:
        """Remove a predicted model from the session, and return it. Raises UsageError."""
        if name not in self.thumbnails:
            raise UsageError(f"look '{name}'", "it is not the look of a picture", "choose one with a picture")
        if self._models.keys() - self._unopened <= {name}:
            raise UsageError(f"look '{name}'", "something has to be painted", "add another picture first")
        del self.thumbnails[name]
        self._unopened.discard(name)
        self._names_by_digest = {digest: other for digest, other in self._names_by_digest.items() if other != name}
        return self._models.pop(name)

    @property
    def open_models(self) -> dict[str, LoadedModel]:
        """Return the models of the session that have been opened for painting, by name."""
        return {name: model for name, model in self._models.copy().items() if name not in self._unopened}

    def opening_change(self, name: str, undo: Callable[[], None]) -> StageChange:
        """Return the change of the stage that opens model ``name`` for painting; ``undo``: called if opening fails."""

        def open_on(stage: LiveStage) -> None:
            """Open the model for painting, unless it is open or was removed meanwhile."""
            if (model := self._models.get(name)) is not None and name not in stage.models:
                stage.models[name] = self._open_model(model)
            self._unopened.discard(name)

        return StageChange(open_on, undo)

    def closing_change(self, model: LoadedModel) -> StageChange:
        """Return the change of the stage that closes a removed model, and frees its engine."""

        def close_on(stage: LiveStage) -> None:
            """Close the model, and free its engine unless another model uses it."""
            stage.close(model.name)
            if all(model.digest != other.digest for other in self._models.values()):
                for key in [key for key in self._context.engines if key[0] == model.digest]:
                    del self._context.engines[key]

        return StageChange(close_on)

    def _predict(self, file: bytes, digest: str, name: str) -> tuple[LoadedModel, str]:
        """Return a model predicted from a picture file, and its thumbnail as a data URL.

        ``digest``: the SHA-256 of the file. ``name``: the name of the model.
        """
        picture = decode(file, "picture")
        picture = bars_of([picture]).crop(picture)
        looks = {name: [(StyleSource.of_pictures(digest, lambda: [picture]), 1.0)]}
        model = predict_model_from_styles(looks, self._context, is_kept=False)
        return replace(model, name=name), _thumbnail([(picture, 1.0)])

    def _free_name(self, name: str) -> str:
        """Return an unused model name, made of the file name ``name`` and safe in file names."""
        plain = re.sub(r"[^\w ()-]+", "_", Path(name).stem)[:MAX_NAME_CHARS].strip(" -_")
        plain = "picture" if not plain or windows_name_problem(plain) else plain
        number, free = 2, plain
        while free in self._models:
            free, number = f"{plain}-{number}", number + 1
        return free


def _read_pictures(mixture: Mixture, context: Context) -> list[tuple[np.ndarray, float]]:
    """Return the style pictures of a mixture, (H, W, 3) uint8 RGB, each with its share."""
    return [(read_style(path, context), share) for path, share in mixture if path is not None]


def _thumbnail(pictures: Sequence[tuple[np.ndarray, float]]) -> str:
    """Return a square JPEG as a data URL, with a vertical band of each picture (H, W, 3), as wide as its share."""
    ends = np.rint(np.cumsum([0.0, *(share for _, share in pictures)]) * THUMBNAIL_SIDE_PX).astype(int)
    square = np.empty((THUMBNAIL_SIDE_PX, THUMBNAIL_SIDE_PX, 3), np.uint8)
    for number, (picture, _) in enumerate(pictures):
        height, width = picture.shape[:2]
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        small = resize(picture[top : top + side, left : left + side], THUMBNAIL_SIDE_PX, THUMBNAIL_SIDE_PX)
        band = slice(ends[number], ends[number + 1])
        square[:, band] = small[:, band]
    return f"data:image/jpeg;base64,{base64.b64encode(encode_jpeg(square, JPEG_QUALITY)).decode()}"
