"""Compose the result's pictures: the filtered output with the source and the mask, at full size."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from functools import partial
from typing import TypeVar

import numpy as np

from vidtrans.core.concurrency.threads import WAITING, StepClock
from vidtrans.pairing.base import Pairing
from vidtrans.rendering.chunk_log import ENCODE
from vidtrans.rendering.directing import FrameBlend
from vidtrans.rendering.enlarger import Enlarger
from vidtrans.rendering.plan import RenderPlan
from vidtrans.temporal.stream import Sample
from vidtrans.video.colour.conversion import with_alpha
from vidtrans.video.images.picture import resize
from vidtrans.video.io.clip import Frame

T = TypeVar("T")


def finish(
    pairing: Pairing | None,
    blend: FrameBlend,
    source: np.ndarray,
    picture: np.ndarray,
    model_input: np.ndarray | None = None,
    matte: np.ndarray | None = None,
) -> np.ndarray:
    """Restore the source content that the pairing keeps in a model's picture, and blend it with the source.

    Args:
        pairing: None if the picture has what it keeps.
        source: the frame at the size of the result, (H, W, 3) uint8 or uint16.
        picture: the model's output, of the source's size and dtype.
        model_input: the network's input; needed only if ``pairing.finishes``.
        matte: (H, W) uint8, white where the output is visible.

    Returns:
        (H, W, 3), of the source's dtype.
    """
    if pairing is not None and pairing.finishes:
        assert model_input is not None
        height, width = source.shape[:2]
        picture = pairing.finish(source, picture, resize(model_input, width, height))
    return blend(source, picture, matte)


class Composer:
    """A composer of the result's pictures, for frames in order. Close it after use.

    ``enlarge`` brings the filtered pictures to the size of the result. With a ``clock`` frames are read and enlarged in
    threads, whose time it counts as a part of encoding.
    """

    def __init__(self, plan: RenderPlan, frames: range, enlarge: Enlarger, clock: StepClock | None = None) -> None:
        self.plan, self._enlarge = plan, enlarge
        size = (plan.picture.width, plan.picture.height)
        # A pairing that uses the mask fills it, even a little beyond its edge; nothing is left to cut out.
        mask = plan.mask if not plan.pairing.uses_mask else None
        with ExitStack() as stack:
            reader = stack.enter_context(plan.clip.reader(plan.form(size), plan.threads))
            self._sources = stack.enter_context(closing(reader.frames(frames.start, frames.stop, plan.clip.index)))
            self._inputs = stack.enter_context(closing(plan.inputs()))
            self._mattes = mask.mattes(size, plan.threads, plan.feather) if mask else None
            if self._mattes is not None:
                stack.enter_context(closing(self._mattes))
            self._painter = plan.paint.painter(size) if plan.paint and plan.paint.layer else None
            self._clock = clock or StepClock()
            self._reading = self._enlarging = None
            if clock is not None:
                # Frames are read in order, in one thread, and enlarged in several.
                self._enlarging = ThreadPoolExecutor(enlarge.threads, "vidtrans-enlarge")
                self._reading = ThreadPoolExecutor(1, "vidtrans-compose")
                for pool in (self._enlarging, self._reading):
                    stack.callback(pool.shutdown, cancel_futures=True)
            self._open = stack.pop_all()

    @classmethod
    def opened(
        cls, plan: RenderPlan, frames: range, enlarge: Enlarger, stack: ExitStack, clock: StepClock | None = None
    ) -> Composer | None:
        """Return the composer of frames, which the ``stack`` closes; None if a plan needs none."""
        if not plan.is_composed:
            return None
        return stack.enter_context(closing(cls(plan, frames, enlarge, clock)))

    def __call__(self, sample: Sample, picture: np.ndarray) -> np.ndarray:
        """Return the frame of a sample from its filtered picture: see ``begin``."""
        return self.begin(sample, lambda: picture)()

    def begin(self, sample: Sample, arrive: Callable[[], np.ndarray]) -> Callable[[], np.ndarray]:
        """Return a call that composes the frame of a sample. ``arrive``: a call that returns its filtered picture.

        The frame is (H, W, 3), or (H, W, 4) with alpha. Frames are to be begun in order, and then composed in order.
        """
        if self._reading is None:
            return lambda: self._begin(sample, arrive)()
        begun = self._reading.submit(self._begin, sample, arrive)
        return lambda: self._awaited(begun.result)()

    def _begin(self, sample: Sample, arrive: Callable[[], np.ndarray]) -> Callable[[], np.ndarray]:
        """Read what belongs to a sample, begin to enlarge its picture, and return a call that composes the frame."""
        plan = self.plan
        with self._clock.step(ENCODE):
            frame, picture = next(self._sources), arrive()
            guide = sample.guide if sample.host_guide is None else sample.host_guide
            model_input = self._inputs([Frame(sample.index, sample.pts, guide)]) if plan.finishes else None
            matte = self._mattes(sample.index) if self._mattes else None
        enlarged = partial(self._enlarged, sample.index, picture, frame.rgb)
        if self._enlarging is not None:
            enlarged = partial(self._awaited, self._enlarging.submit(enlarged).result)

        def composed() -> np.ndarray:
            pairing = plan.pairing if plan.finishes else None
            result = finish(pairing, plan.directions(sample.index), frame.rgb, enlarged(), model_input, matte)
            if self._painter is not None:
                return self._painter.lift(sample.index, result, frame.rgb, matte, plan.size)
            return with_alpha(result, frame.alpha) if plan.picture.alpha else result

        return composed

    def _enlarged(self, index: int, picture: np.ndarray, source: np.ndarray) -> np.ndarray:
        with self._clock.step(ENCODE):
            return self._enlarge(index, picture, source)

    def _awaited(self, result: Callable[[], T]) -> T:
        """Return a result of another thread; the wait is no part of a step."""
        with self._clock.step(WAITING):
            return result()

    def close(self) -> None:
        """Close the source and mask files, after the frames that were begun."""
        self._open.close()
