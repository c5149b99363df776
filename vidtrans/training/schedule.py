"""Learning rates and random states as pure functions of the step: nothing to save, nothing to lose."""

from __future__ import annotations

import hashlib
import math

from vidtrans.training.settings import TrainingSettings

COSINE_FLOOR = 0.02


def learning_rate(step: int, total: int, settings: TrainingSettings) -> float:
    """Return the learning rate at ``step`` (from 0) of ``total``."""
    rate = settings.lr
    if step < settings.lr_warmup_steps:
        rate *= (step + 1) / settings.lr_warmup_steps
    if settings.lr_schedule == "cosine":
        return rate * (COSINE_FLOOR + (1 - COSINE_FLOOR) * 0.5 * (1 + math.cos(math.pi * step / total)))
    half = total // 2
    return rate if step < half else rate * (total - step) / max(1, total - half)


def step_seed(seed: int, step: int) -> int:
    """Return the seed of all random numbers of a step (dropout), the same in a resumed run."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{step}".encode()).digest()[:8], "little") >> 1
