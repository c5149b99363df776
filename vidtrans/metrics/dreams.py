"""Score a film that is the rollout of a next-frame prediction model.

Films and clips are lists of (H, W, 3) uint8 pictures, all of one size; ``training`` are the frames on which the model
was trained, in any order. Each score alone can mislead, so read them together.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from vidtrans.metrics.picture_quality import PSNR_CAP, psnr, sharpness

HORIZONS = (1, 5, 10, 30)  # Numbers of frames after the start at which a film is compared with the true one
ROLLOUT_FRAMES = 300  # Number of a film's frames that are scored
STRIP_FRAMES = (1, 30, 100, 300)  # Numbers of the frames in a picture strip, counted from 1
MAX_TRAINING_FRAMES = 500  # Largest number of training frames with which a film is compared
END_FRAMES = 30  # Number of frames at a film's end from which drift and sharpness are measured
LATE_FRAMES = slice(150, 300)  # Frames of a film whose variety is measured
SEARCH_SIDE_PX = 16  # Side of the thumbnails in the nearest-neighbour search, in pixels
NUM_CANDIDATES = 4  # Number of nearest thumbnails whose frames are then compared at full size

Pictures = Sequence[np.ndarray]  # Pictures (H, W, 3) uint8 of one size


def horizons(film: Pictures, truth: Pictures) -> dict[int, float]:
    """Return the PSNR in dB of a film against the true film at each frame number of ``HORIZONS`` that both reach.

    On slow clips the PSNR at frame 1 is high for any nearly still film: judge from 5 on, and beside ``copy_last``.
    """
    reached = min(len(film), len(truth))
    return {h: min(psnr(film[h - 1], truth[h - 1]), PSNR_CAP) for h in HORIZONS if h <= reached}


def copy_last(last: np.ndarray, truth: Pictures) -> dict[int, float]:
    """Return the ``horizons`` of the baseline film that repeats the ``last`` known frame."""
    return horizons([last] * len(truth), truth)


def nearest(film: Pictures, training: Pictures) -> list[int]:
    """Return for each frame of a film the index of the training frame with the least squared difference."""
    small, training_frames = _thumbnails(film), _thumbnails(training)
    distances = np.square(training_frames).sum(1)[None] - 2 * small @ training_frames.T  # Without a constant per frame
    found = np.argsort(distances, axis=1, kind="stable")[:, :NUM_CANDIDATES].tolist()
    return [max(near, key=lambda k: psnr(frame, training[k])) for frame, near in zip(film, found, strict=True)]


def nearest_psnr(film: Pictures, training: Pictures) -> float:
    """Return the mean PSNR in dB of the last END_FRAMES to the nearest training frame; low for noise and blur.

    It rewards memory: a frozen training frame scores best, a truthful continuation past the training frames worse.
    """
    ends = film[-END_FRAMES:]
    found = nearest(ends, training)
    return float(np.mean([min(psnr(frame, training[k]), PSNR_CAP) for frame, k in zip(ends, found, strict=True)]))


def drift(film: Pictures, training: Pictures) -> float:
    """Return how far the mean colours of the last END_FRAMES lie outside of the training frames' range.

    In levels of 0 to 255, for the worst channel; 0 inside, so a clip with changing colours is tolerant. A drift
    correction that clamps colours makes it 0: score without one.
    """
    training_frames, ends = _mean_colours(training), _mean_colours(film[-END_FRAMES:])
    outside = np.maximum(0.0, np.maximum(training_frames.min(0) - ends, ends - training_frames.max(0)))
    return float(outside.mean(0).max())


def relative_sharpness(film: Pictures, training: Pictures) -> float:
    """Return the sharpness of the last END_FRAMES relative to training frames; noise gives values above 1."""
    ours, theirs = (float(np.mean([sharpness(p) for p in pictures])) for pictures in (film[-END_FRAMES:], training))
    return ours / max(1e-6, theirs)


def motion(film: Pictures, lag: int) -> float:
    """Return the mean absolute difference between frames ``lag`` frames apart, in 8-bit levels.

    0 if the film is too short. Over one frame flicker counts as motion; over four it hardly does, and 0 is a frozen
    film.
    """
    pairs = list(zip(film[:-lag], film[lag:], strict=True))
    return float(np.mean([cv2.absdiff(a, b).mean() for a, b in pairs])) if pairs else 0.0


def num_distinct(film: Pictures, training: Pictures) -> int:
    """Return the number of different training frames that are nearest to a film's LATE_FRAMES: 1 if it is frozen.

    Compare it with the count of true frames. Noise scores low as well, because it is always nearest to the same few
    frames.
    """
    return len(set(nearest(film[LATE_FRAMES], training))) if len(film) > LATE_FRAMES.start else 0


def ping_pong(clip: Pictures, count: int) -> list[np.ndarray]:
    """Return a true film of ``count`` frames: the ``clip`` played forwards and backwards, repeatedly."""
    places = max(1, 2 * (len(clip) - 1))
    return [clip[min(place % places, -place % places)] for place in range(count)]


def score_rollout(film: Pictures, training: Pictures, real: Pictures) -> dict[str, float]:
    """Return all scores except the horizons; ``real``: true frames, the reference for motion and variety."""
    rounded = {
        "nn": nearest_psnr(film, training),
        "drift": drift(film, training),
        "sharpness": relative_sharpness(film, training),
        **{f"m{n}": motion(film, n) / max(1e-6, motion(real, n)) for n in (1, 4)},
    }
    counts = {"uniq": num_distinct(film, training), "uniq_real": num_distinct(real, training), "frames": len(film)}
    return {name: round(value, 3) for name, value in rounded.items()} | counts


def _thumbnails(pictures: Pictures) -> np.ndarray:
    """Return pictures as vectors for the nearest-neighbour search, (N, SEARCH_SIDE² · 3) float32."""
    small = [cv2.resize(p, (SEARCH_SIDE_PX, SEARCH_SIDE_PX), interpolation=cv2.INTER_AREA) for p in pictures]
    return np.stack(small).reshape(len(small), -1).astype(np.float32) - 128


def _mean_colours(pictures: Pictures) -> np.ndarray:
    """Return the mean colour of each picture, (N, 3)."""
    return np.stack([p.mean((0, 1), dtype=np.float64) for p in pictures])
