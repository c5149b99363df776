"""Putting filtered pictures together with the source and the mask."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vidtrans.temporal.stream import Sample
from vidtrans.video.colour.conversion import with_alpha
from vidtrans.video.images.picture import resize
from vidtrans.video.io.clip import Frame

if TYPE_CHECKING:
    from vidtrans.rendering.plan import RenderJob


class Composer:
    """Puts filtered pictures together with the source and the mask, at the size of the result, in order of frames."""

    def __init__(self, job: RenderJob, first: int, stop: int) -> None:
        self.job = job
        self.size = (job.picture.width, job.picture.height)
        threads = job.context.decode_threads
        self._sources = job.frames(self.size, first, stop) if job.composes else None
        # A pairing that looks at the mask fills it, a little beyond its edge even; nothing is left to cut out.
        cuts = job.mask if not job.pairing.uses_mask else None
        self._matte = cuts.mattes(self.size, threads, job.rendering.feather) if cuts else None
        self._inputs = job.inputs()

    def __call__(self, sample: Sample, picture: np.ndarray) -> np.ndarray:
        """The frame of the result: (H, W, 3), or 4 with alpha; the sample's own picture where nothing is composed."""
        if self._sources is None:
            return picture
        frame = next(self._sources)
        source, look = frame.rgb, resize(picture, *self.size)
        if self.job.pairing.finishes:
            shown = self._inputs([Frame(sample.index, sample.pts, sample.guide)])
            look = self.job.pairing.finish(source, look, resize(shown, *self.size))
        matte = self._matte(sample.index) if self._matte else None
        made = self.job.directions(sample.index)(source, look, matte)
        return with_alpha(made, frame.alpha) if self.job.picture.alpha else made

    def close(self) -> None:
        self._inputs.close()
        if self._matte is not None:
            self._matte.close()
        if self._sources is not None:
            self._sources.close()
