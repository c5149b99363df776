"""How well a film holds that a model makes of its own frames.

Films and clips are lists of (H, W, 3) uint8 pictures, all of one size; ``training`` are the frames that the model
learned, in any order. No score says it all: each has a trap, and all are to be read together.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from vidtrans.metrics.picture_quality import PSNR_CAP, psnr, sharpness

HORIZONS = (1, 5, 10, 30)
ROLLOUT_FRAMES = 300  # frames of a film that all of them are told of
STRIP_FRAMES = (1, 30, 100, 300)  # frames of a strip, counted from 1
MAX_TRAINING_FRAMES = 500  # training frames that a film is compared with
END_FRAMES = 30  # frames at a film's end that are looked at for what became of it
LATE_FRAMES = slice(150, 300)  # frames in which a film that still moves goes through many pictures
SEARCH_SIDE = 16  # pixels a side at which pictures are searched
NUM_CANDIDATES = 4  # of those found are looked at in full

Pictures = Sequence[np.ndarray]


def horizons(film: Pictures, truth: Pictures) -> dict[int, float]:
    """PSNR in dB after so many frames, for each of HORIZONS that both reach.

    On slow clips the first is high for anything that hardly moves: judge at 5 and beyond, and beside ``copy_last``.
    """
    reached = min(len(film), len(truth))
    return {h: min(psnr(film[h - 1], truth[h - 1]), PSNR_CAP) for h in HORIZONS if h <= reached}


def copy_last(last: np.ndarray, truth: Pictures) -> dict[int, float]:
    """``horizons`` of a film in which the ``last`` known frame stands still."""
    return horizons([last] * len(truth), truth)


def nearest(film: Pictures, training: Pictures) -> list[int]:
    """For each frame the number of the training frame that it is most like (least squared difference)."""
    looks, known = _looks(film), _looks(training)
    apart = np.square(known).sum(1)[None] - 2 * looks @ known.T  # but for what all have in common
    found = np.argsort(apart, axis=1, kind="stable")[:, :NUM_CANDIDATES]
    return [_best(frame, training, near.tolist()) for frame, near in zip(film, found, strict=True)]


def _best(frame: np.ndarray, training: Pictures, among: list[int]) -> int:
    return max(among, key=lambda k: psnr(frame, training[k]))


def nearest_psnr(film: Pictures, training: Pictures) -> float:
    """PSNR in dB to the nearest training frame, a mean over the LAST frames: noise and mush are near to none.

    It rewards memory: one frozen training frame has the best there is, and a truthful continuation past the training
    frames a worse one.
    """
    ends = film[-END_FRAMES:]
    found = nearest(ends, training)
    return float(np.mean([min(psnr(frame, training[k]), PSNR_CAP) for frame, k in zip(ends, found, strict=True)]))


def drift(film: Pictures, training: Pictures) -> float:
    """How far the mean colour of the LAST frames lies outside of that of the training frames.

    In levels of 0 to 255, of the worst channel; 0 inside, so a clip whose colours change forgives more. A governor
    that clamps colours makes it 0: judge without.
    """
    known, ends = _colours(training), _colours(film[-END_FRAMES:])
    outside = np.maximum(0.0, np.maximum(known.min(0) - ends, ends - known.max(0)))
    return float(outside.mean(0).max())


def relative_sharpness(film: Pictures, training: Pictures) -> float:
    """Mean |Laplacian| of the LAST frames over that of the training frames; above 1 for noise as well as for detail."""
    ours, known = (float(np.mean([sharpness(p) for p in pictures])) for pictures in (film[-END_FRAMES:], training))
    return ours / max(1e-6, known)


def motion(film: Pictures, apart: int) -> float:
    """Mean |difference| of frames that lie ``apart``, in levels; 0 of a film without two such.

    Over one frame flicker passes for motion; over four it hardly does, and 0 is a film that has frozen.
    """
    pairs = list(zip(film[:-apart], film[apart:], strict=True))
    return float(np.mean([cv2.absdiff(a, b).mean() for a, b in pairs])) if pairs else 0.0


def num_distinct(film: Pictures, training: Pictures) -> int:
    """How many different training frames are the nearest ones in LATE: 1 of a film that has frozen.

    Compare it with the same count of true frames. Noise has few, too, for all of it is nearest to the same.
    """
    return len(set(nearest(film[LATE_FRAMES], training))) if len(film) > LATE_FRAMES.start else 0


def ping_pong(clip: Pictures, count: int) -> list[np.ndarray]:
    """A film of true frames: forwards through the ``clip``, back again, and so on."""
    places = max(1, 2 * (len(clip) - 1))
    return [clip[min(place % places, -place % places)] for place in range(count)]


def score_rollout(film: Pictures, training: Pictures, real: Pictures) -> dict[str, float]:
    """All scores but the horizons, rounded. ``real``: a film of true frames, which motion and ``uniq`` compare with."""
    moved = {f"m{n}": motion(film, n) / max(1e-6, motion(real, n)) for n in (1, 4)}
    rounded = {
        "nn": nearest_psnr(film, training),
        "drift": drift(film, training),
        "sharpness": relative_sharpness(film, training),
        **moved,
    }
    counts = {"uniq": num_distinct(film, training), "uniq_real": num_distinct(real, training), "frames": len(film)}
    return {name: round(value, 3) for name, value in rounded.items()} | counts


def _looks(pictures: Pictures) -> np.ndarray:
    """(N, LOOK · LOOK · 3) float32."""
    small = [cv2.resize(p, (SEARCH_SIDE, SEARCH_SIDE), interpolation=cv2.INTER_AREA) for p in pictures]
    return np.stack(small).reshape(len(small), -1).astype(np.float32) - 128


def _colours(pictures: Pictures) -> np.ndarray:
    """(N, 3) mean colours."""
    return np.stack([p.mean((0, 1), dtype=np.float64) for p in pictures])
