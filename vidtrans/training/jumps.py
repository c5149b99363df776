"""Where a film goes on when the clip that it learns from ends: at the frames that are most like its last ones.

As in Schödl et al., "Video Textures" (SIGGRAPH 2000): where two moments of a clip look and move alike, what follows the
one may follow the other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np

from vidtrans.data.dataset import Pair

LOOK = 16  # pixels a side at which moments are compared
RUN = 10  # pairs that follow each other from where a jump leads, at least: else there would be nothing but jumps


def jumps(pairs: Sequence[Pair], after: Sequence[int | None], read: Callable[[Path], np.ndarray]) -> list[int | None]:
    """``after``, in which a pair that nothing follows is followed by what follows the pair most like it.

    A pair from which the end is near is no place to go to. ``read`` gives a picture, (H, W, 3).
    """
    ahead = [_run(after, index) for index in range(len(pairs))]
    landing = [index for index in range(len(pairs)) if ahead[index] > RUN]
    if not landing:
        return list(after)
    looks = {index: _look(pairs[index], read) for index in {*landing, *(i for i, k in enumerate(after) if k is None)}}
    known = np.stack([looks[index] for index in landing])
    joined = list(after)
    for index, following in enumerate(after):
        if following is None:
            joined[index] = after[landing[int(np.square(known - looks[index]).sum(1).argmin())]]
    return joined


def _run(after: Sequence[int | None], index: int) -> int:
    """How many pairs follow, up to more than RUN."""
    count, at = 0, after[index]
    while at is not None and count <= RUN:
        count, at = count + 1, after[at]
    return count


def _look(pair: Pair, read: Callable[[Path], np.ndarray]) -> np.ndarray:
    """What the network sees of the past, small: two frames tell where things go."""
    frames = [cv2.resize(read(path), (LOOK, LOOK), interpolation=cv2.INTER_AREA) for path in pair.inputs]
    return np.stack(frames).astype(np.float32).ravel()
