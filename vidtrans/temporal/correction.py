"""What the filters have in common: their settings, the correction of low frequencies, and how a frame takes it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vidtrans.flow import FLOWS
from vidtrans.settings import setting
from vidtrans.temporal.detail import LOW
from vidtrans.temporal.trajectories import blurred, grown, shrunk

SURE = 0.5  # share of all frames that could be averaged that suffices to be sure of low frequencies
AROUND = 8  # grid pixels over which the correction is taken from around


@dataclass(frozen=True)
class SteadySettings:
    """How much a filter may change, and what it takes for flicker."""

    strength: float = setting(1.0, "share of the correction that is applied", low=0.0, high=1.0)
    boil: float = setting(1.0, "share of it in fine texture, which may boil; 0 steadies tones only", low=0.0, high=1.0)
    follow: float = setting(1.0, "how far changes that the source explains are kept", low=0.0, high=1.0)
    contrast: float = setting(1.1, "how much of the texture that averaging pales is given back", low=0.0, high=2.0)
    tolerance: float = setting(0.16, "σ of the source's colour difference that is the same place", low=0.01, high=1.0)
    flow: str = setting("dis", "flow method", choices=tuple(FLOWS))
    flow_size: int = setting(540, "short side at which flow is estimated in larger pictures; 0: their own", low=0)


def low_correction(change: np.ndarray, others: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """The correction on the grid, of which low frequencies are taken: (h, w, 3) float32 in [−1, 1].

    ``change``: (h, w, 4), by how much the average of the look (RGB) and of the guide (luma) differ from the frame;
    ``slope`` (h, w) of the look over the guide; ``others`` (h, w): the share, 0 to 1, that other frames have in the
    average. Where that is small the correction is what it is around: lighting flickers in places, too, that were
    hidden a moment ago.
    """
    wanted = change[..., :3] - slope[..., None] * change[..., 3:]
    others = np.clip(others, 0, 1)
    height, width = others.shape
    size = (max(1, width // AROUND), max(1, height // AROUND))
    near, weight = (blurred(shrunk(x, size), 1) for x in (wanted * others[..., None], others))
    around = grown(near / (weight[..., None] + 0.002), (width, height))
    lacking = 1 - np.clip(others / SURE, 0, 1)
    return wanted + lacking[..., None] * (around - wanted)


def corrected(output: np.ndarray, low: np.ndarray, fine: np.ndarray, settings: SteadySettings) -> np.ndarray:
    """A frame with its corrections, of its dtype: ``low`` on the grid, ``fine`` (H, W, 3) at full size."""
    height, width = output.shape[:2]
    correction = grown(blurred(low, LOW), (width, height))
    if settings.boil:
        correction += settings.boil * fine
    full = np.iinfo(output.dtype).max
    correction *= full * settings.strength
    correction += output
    return np.clip(np.rint(correction, out=correction), 0, full, out=correction).astype(output.dtype)
