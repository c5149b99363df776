"""The cost of mattes, from a short trial."""

from __future__ import annotations

import time

import numpy as np

from vidtrans.core.costs import estimate
from vidtrans.core.settings import Table
from vidtrans.matting.matte_training import learn
from vidtrans.matting.swept_mattes import SweptMattes
from vidtrans.matting.tracking import Follower, Track

TRIED = 3  # training steps
STORED = 0.05  # bytes of a pixel of a stored matte


def cost_of(mattes: SweptMattes) -> Table:
    """Return the estimated cost of the networks and the mattes of a thing."""
    step, frame = _trial(mattes) if mattes.sweeps else (0.0, 0.0)
    networks = len({sweep.learned for sweep in mattes.sweeps})
    followed = sum(len(sweep.frames) for sweep in mattes.sweeps)
    width, height = mattes.source.size
    seconds = networks * step * mattes.settings.steps + followed * frame
    return estimate(seconds, 0, STORED * width * height * followed)


def _trial(mattes: SweptMattes) -> tuple[float, float]:
    """Return the seconds of a training step and of a frame."""
    [painted], moments = mattes.painted(list(mattes.source.painted)[:1]), list[float]()
    side = mattes.settings.window
    network = learn(
        [painted], TRIED, side, 0, bf16=mattes.bf16, after_step=lambda _: moments.append(time.perf_counter())
    )
    began = time.perf_counter()
    track = Track.of(np.rint(255 * painted.matte).astype(np.uint8))
    Follower(network, painted.picture, track, side).advance(painted.picture)
    return (moments[-1] - moments[0]) / (TRIED - 1), time.perf_counter() - began
