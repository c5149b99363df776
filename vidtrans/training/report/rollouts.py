"""What a next-frame model makes of its own frames, as the training report shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vidtrans.settings import Table
from vidtrans.training.report.curves import Words

HOLDING = {
    "nn": Words("Nearest frame", "dB", "how near the last frames come to one that was learned; noise and mush do not"),
    "drift": Words("Drift", "levels of 255", "how far the colours of the last frames lie outside of the clip's"),
    "sharpness": Words("Sharpness", "× clip", "of the last frames"),
    "m1": Words("Motion, 1 frame", "× clip", "flicker counts as motion here"),
    "m4": Words("Motion, 4 frames", "× clip", "0 is a film that has frozen"),
    "uniq": Words("Different frames", "", "how many of the learned frames its second half comes near to"),
}


@dataclass(frozen=True)
class Dreamt:
    """``scores``: the table of ``Rollouts.score``; ``strip``: (number of the frame, (H, W, 3) uint8 picture)."""

    scores: Table
    strip: Sequence[tuple[int, np.ndarray]]
