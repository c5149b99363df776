"""Draw the conditions of a training example of a next-frame network: position, recall and view."""

from __future__ import annotations

import numpy as np

from vidtrans.data.augment import Geometry
from vidtrans.data.dataset import Pair
from vidtrans.pairing.next_frame import Told

MOST_OF_OTHERS = 0.5  # recall of frames that are only like the ones that follow: at 1, what is recalled is right


def told_position(pair: Pair) -> float | None:
    """Return the position that a network is told for a pair, as a phase; None for none."""
    return pair.nearest[0] if pair.nearest else pair.phase


def draw_told(
    pair: Pair, geometry: Geometry, frame: tuple[int, int], forget: float, rng: np.random.Generator
) -> Told | None:
    """Return what an example's network is told; None for nothing. The noise is added, and told, later.

    ``frame``: (width, height) of the pair's stored pictures. ``forget``: see ``loading.Loader``.
    """
    if (position := told_position(pair)) is None:
        return None
    recall, view = _recall(geometry, forget, rng), geometry.view(frame)
    if len(pair.nearest) > 1 and rng.random() < 0.5:
        other = pair.nearest[rng.integers(1, len(pair.nearest))]
        return Told(other, recall * MOST_OF_OTHERS * float(rng.random()), view=view)
    return Told(position, recall, view=view)


def _recall(geometry: Geometry, forget: float, rng: np.random.Generator) -> float:
    """Return 0 for pictures of exchanged colours, and for as many others; less than 1 for as many again."""
    if geometry.colours:
        return 0.0
    drawn = rng.random() if forget else 1.0
    if drawn < forget / 2:
        return 0.0
    return float(rng.random()) if drawn < forget else 1.0
