"""A dream within a mask, over the clip that it began from, which goes on around it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from fractions import Fraction

import numpy as np

from vidtrans.clips.indexing import with_picture_fps
from vidtrans.clips.masks import Mask
from vidtrans.core.errors import UsageError
from vidtrans.core.mask_files import MaskFile
from vidtrans.core.settings import Size, Table
from vidtrans.dreaming.seeds import Seed
from vidtrans.pipeline.render import compose
from vidtrans.session import Context
from vidtrans.video.frame_format import FrameFormat
from vidtrans.video.images.picture import resize

VERSION = 1
Around = Callable[[int, np.ndarray], np.ndarray]


class Surroundings:
    """The clip of a seed as it goes on after the seed, and the mask within which the dream is seen.

    ``size``: the (width, height) of the result; ``deep``: of 16 bits a channel. A picture stands still, and the last
    frame of a clip that ends is repeated. Raises UsageError for noise, MediaError for an unreadable mask.
    """

    def __init__(
        self, seed: Seed, mask: MaskFile, rate: Fraction, num_frames: int, size: tuple[int, int], context: Context
    ) -> None:
        if seed.clip is None:
            raise UsageError("--mask", "noise has nothing around it", "give a clip or a picture as the seed")
        # Of pictures, each dream's frame has the next one around it.
        self.clip = with_picture_fps(seed.clip, float(rate))
        self._size, self._threads = size, context.decode_threads
        index, last = self.clip.index, seed.frames[-1]
        times = [(p - index.pts[last]) * index.time_base for p in index.pts]
        # A little later than the exact time, because containers round theirs.
        self._steps = [bisect_right(times, (n + Fraction(5, 4)) / rate) - 1 for n in range(num_frames)]
        self._mask = Mask.open(mask, self.clip, 0, index.num_frames, context)
        if index.num_frames > 1 and num_frames / rate > times[-1]:
            context.warn_once(
                f"{seed.clip.name} ends {float(times[-1]):.2f} s after the seed: its last frame is seen around the "
                "rest of the dream",
                seed.clip.path,
            )

    def for_key(self) -> Table:
        """Return the values that identify the clip, its frames and the mask, for cache keys."""
        return {"version": VERSION, "clip": self.clip.digest, "first": self._steps[0], "mask": self._mask.for_key()}

    @contextmanager
    def opened(self, *, deep: bool) -> Iterator[Around]:
        """Return a function that puts a dream's picture, (h, w, 3), by its number into its frame, (H, W, 3)."""
        form = FrameFormat(Size(exact=self._size), deep=deep)
        with (
            closing(self.clip.cursor(form, self._threads)) as cursor,
            closing(self._mask.mattes(self._size, self._threads)) as mattes,
        ):

            def around(frame: int, picture: np.ndarray) -> np.ndarray:
                step = self._steps[frame]
                return compose(resize(picture, *self._size), cursor(step).rgb, matte=mattes(step))

            yield around
