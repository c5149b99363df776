"""What a next-frame model makes of its own frames, as the training report shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vidtrans.settings import Table
from vidtrans.training.report.curves import ScoreLabel

HOLDING = {
    "nn": ScoreLabel("Nearest frame", "dB", "closeness of the last frames to the nearest training frame"),
    "drift": ScoreLabel("Drift", "levels of 255", "how far the colours of the last frames lie outside of the clip's"),
    "sharpness": ScoreLabel("Sharpness", "× clip", "of the last frames"),
    "m1": ScoreLabel("Motion, 1 frame", "× clip", "flicker counts as motion here"),
    "m4": ScoreLabel("Motion, 4 frames", "× clip", "0 is a film that has frozen"),
    "uniq": ScoreLabel("Different frames", "", "how many of the learned frames its second half comes near to"),
}


@dataclass(frozen=True)
class RolloutSummary:
    """``scores``: the table of ``Rollouts.score``; ``strip``: (number of the frame, (H, W, 3) uint8 picture)."""

    scores: Table
    strip: Sequence[tuple[int, np.ndarray]]
