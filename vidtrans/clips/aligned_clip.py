"""A clip whose motion guides the filter of another: the source of something that a different tool has processed.

The guides of a ``Clip`` are something else: pictures that stand beside a frame, for a network to see.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, replace

import numpy as np

from vidtrans.clips.indexing import Clip
from vidtrans.clips.matte import same_shape
from vidtrans.session import Context
from vidtrans.settings import Size, Table
from vidtrans.video.frame_format import FrameFormat


@dataclass(frozen=True)
class AlignedClip:
    """``steps[i]`` is the guide's frame for frame i; None where it has none, and the frame guides itself."""

    clip: Clip
    steps: tuple[int | None, ...]

    def shots(self) -> tuple[int, ...]:
        """The first frames of the shots that the guided clip has by its guide's cuts."""
        starts = np.zeros(self.clip.index.num_frames, bool)
        starts[list(self.clip.shots)] = True
        shot = np.cumsum(starts)
        keys = [None if step is None else int(shot[step]) for step in self.steps]
        return tuple(i for i, key in enumerate(keys) if i == 0 or key != keys[i - 1])

    def for_key(self) -> Table:
        """What decides a result."""
        return {"source": self.clip.digest, "steps": list(self.steps)}

    def pictures(
        self, size: tuple[int, int], start: int, stop: int, context: Context
    ) -> Generator[np.ndarray | None, None, None]:
        """For the frames [start, stop) (H, W, 3) uint8 at a (width, height), or None."""
        with closing(self.clip.cursor(FrameFormat(Size(exact=size)), context.decode_threads)) as follow:
            for step in self.steps[start:stop]:
                yield None if step is None else follow(step).rgb

    def warn_mismatch(self, guided: Clip, context: Context) -> None:
        """Say what had to be reconciled."""
        own, guide = guided.index, self.clip.index
        lacking = sum(step is None for step in self.steps)
        if lacking:
            first = self.steps.index(None)
            told = f"it ends before {guided.path.name}: from frame {first} on that guides itself"
            context.warn_once(f"{self.clip.path.name}: {told}", self.clip.path)
        if not same_shape(own, guide):
            told = f"it is {guide.width}x{guide.height} and {guided.path.name} {own.width}x{own.height}: stretched"
            context.warn_once(f"{self.clip.path.name}: {told}", self.clip.path)


def with_shots_of(guided: Clip, guide: AlignedClip) -> Clip:
    """A clip with its shots where its guide has them: its own flicker may look like cuts."""
    return replace(guided, survey=replace(guided.survey, shots=guide.shots()))
