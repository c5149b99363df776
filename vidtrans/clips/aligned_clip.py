"""A clip whose motion guides the filter of another: the source of a clip that a different tool has processed.

The guides of a ``Clip`` are something else: pictures beside a frame that are input of a network.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, replace

import numpy as np

from vidtrans.clips.indexing import Clip
from vidtrans.clips.mask import same_shape
from vidtrans.core.settings import Size, Table
from vidtrans.session import Context
from vidtrans.video.frame_format import FrameFormat


@dataclass(frozen=True)
class AlignedClip:
    """A guide: ``steps[i]`` is its frame for frame i; None where it has none, and the frame guides itself."""

    clip: Clip
    steps: tuple[int | None, ...]

    def shots(self) -> tuple[int, ...]:
        """Return the first frames of the shots that the guided clip has by its guide's cuts."""
        keys = [None if step is None else bisect_right(self.clip.shots, step) for step in self.steps]
        return tuple(i for i, key in enumerate(keys) if i == 0 or key != keys[i - 1])

    def for_key(self) -> Table:
        """Return what decides a result."""
        return {"source": self.clip.digest, "steps": list(self.steps)}

    def pictures(
        self, size: tuple[int, int], start: int, stop: int, context: Context
    ) -> Generator[np.ndarray | None, None, None]:
        """Yield for the frames [start, stop) (H, W, 3) uint8 at a (width, height), or None."""
        with closing(self.clip.cursor(FrameFormat(Size(exact=size)), context.decode_threads)) as frame_of:
            for step in self.steps[start:stop]:
                yield None if step is None else frame_of(step).rgb

    def warn_mismatch(self, guided: Clip, context: Context) -> None:
        """Warn where the guide is shorter or of another shape."""
        own, guide, path = guided.index, self.clip.index, self.clip.path
        if None in self.steps:
            first = self.steps.index(None)
            context.warn_once(
                f"{path.name}: it ends before {guided.path.name}: from frame {first} on that guides itself", path
            )
        if not same_shape(own, guide):
            sizes = f"it is {guide.width}x{guide.height} and {guided.path.name} {own.width}x{own.height}"
            context.warn_once(f"{path.name}: {sizes}: stretched", path)


def with_shots_of(guided: Clip, guide: AlignedClip) -> Clip:
    """Return a clip with its shots where its guide has them: its own flicker may look like cuts."""
    return replace(guided, survey=replace(guided.survey, shots=guide.shots()))
