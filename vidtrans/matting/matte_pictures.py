"""The pictures of a result: the matte of one thing, grey, or what it cuts out, with alpha."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np

from vidtrans.core.settings import Table
from vidtrans.flow.scaling import grow
from vidtrans.matting.found_mattes import FoundMattes
from vidtrans.matting.matte_edges import VERSION as EDGES
from vidtrans.matting.matte_edges import at_working_size, cut_out, finished, refined
from vidtrans.matting.settings import MattingSettings
from vidtrans.upscaling import VERSION as UPSCALING


class MattePainter:
    """Paints the matte of a thing, in frames of the clip's own size; see ``MattePaint``."""

    def __init__(self, paint: MattePaint) -> None:
        self._paint = paint

    def __call__(self, frame: int, output: np.ndarray, source: np.ndarray) -> np.ndarray:
        """Return the matte of a frame as a grey picture of the output's shape and dtype."""
        full = np.iinfo(output.dtype).max
        grey = np.rint(full * self.matte(frame, source)).astype(output.dtype)
        return cv2.merge([grey, grey, grey])

    def lift(
        self,
        frame: int,
        picture: np.ndarray,
        source: np.ndarray,
        matte: np.ndarray | None = None,
        working_size: tuple[int, int] | None = None,
    ) -> np.ndarray:
        """Return what the matte cuts out of a frame, ``source``: (H, W, 4) of its dtype."""
        del picture, matte, working_size
        return cut_out(source, self.matte(frame, source))

    def matte(self, frame: int, source: np.ndarray) -> np.ndarray:
        """Return the matte, (H, W) float32 from 0 to 1, of a frame, (H, W, 3) uint8 or uint16.

        The mattes of several things share what lies between them.
        """
        settings, whole = self._paint.settings, (source.shape[1], source.shape[0])
        exact = {name: pictures.get(frame) for name, pictures in self._paint.exact.items()}
        own = exact.pop(self._paint.name, None)
        if own is not None:
            matte = own.astype(np.float32) / 255
        else:
            found = {name: mattes.at(frame).matte for name, mattes in self._paint.mattes.items()}
            small = found[self._paint.name] / np.maximum(sum(found.values()), 1)
            if settings.edge == "refined":
                matte = refined(small, at_working_size(source, small.shape[::-1]), source)
            else:
                matte = grow(small, whole) if small.shape[::-1] != whole else small
        matte = finished(matte, settings.grow, settings.feather)
        for other in exact.values() if own is None else ():
            if other is not None:
                matte = np.minimum(matte, 1 - other.astype(np.float32) / 255)
        return np.clip(matte, 0, 1)


@dataclass(frozen=True)
class MattePaint:
    """The mattes of the things of a clip, of which ``name`` is shown.

    Attributes:
        mattes: Of each thing, by name.
        exact: Painted mattes (H, W) uint8 at the clip's own size, by thing and frame.
        layer: Whether the result has the colours of the clip, with the matte as alpha.
    """

    mattes: Mapping[str, FoundMattes]
    exact: Mapping[str, Mapping[int, np.ndarray]]
    name: str
    settings: MattingSettings
    layer: bool = False

    def painter(self, size: tuple[int, int]) -> MattePainter:
        """Return the painter; mattes are made at the size of the frames that it gets, which is ``size``."""
        del size
        return MattePainter(self)

    def for_key(self) -> Table:
        """Return the properties that affect the result, for its cache key."""
        edge = {name: getattr(self.settings, name) for name in ("edge", "feather", "grow")}
        keys = {
            name: [mattes.for_key(), mattes.painted_key(sorted(mattes.source.painted))]
            for name, mattes in self.mattes.items()
        }
        exact = {
            name: [[frame, hashlib.sha256(matte.tobytes()).hexdigest()] for frame, matte in pictures.items()]
            for name, pictures in self.exact.items()
        }
        version = [EDGES, UPSCALING]
        return {"version": version, "mattes": keys, "exact": exact, "name": self.name, "edge": edge}
