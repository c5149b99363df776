"""The settings of the temporal filters. Imports are light, because the help of commands lists the settings."""

from __future__ import annotations

from dataclasses import dataclass

from vidtrans.core.options import option
from vidtrans.flow import FLOWS


@dataclass(frozen=True)
class DeflickerSettings:
    """Settings that filters share: the strength of the correction, what counts as flicker, and the optical flow."""

    strength: float = option(1.0, "share of the correction that is applied", bounds=(0.0, 1.0))
    texture_strength: float = option(
        1.0, "share of the correction in fine texture, which can boil; 0 corrects only tones", bounds=(0.0, 1.0)
    )
    keep_source_changes: float = option(1.0, "share of the source's changes that the result keeps", bounds=(0.0, 1.0))
    texture_gain: float = option(
        1.1, "share of the texture's contrast that is restored after averaging", bounds=(0.0, 2.0)
    )
    colour_sigma: float = option(
        0.16, "σ of the source's colour difference between two views of the same place", bounds=(0.01, 1.0)
    )
    flow: str = option("dis", "optical flow method", choices=FLOWS)
    flow_size: int = option(
        540, "short side at which flow is estimated in larger pictures, in pixels; 0: full size", bounds=(0, None)
    )


@dataclass(frozen=True)
class WindowSettings(DeflickerSettings):
    """Settings of the window filter: the shared settings, and the radius of the window in frames."""

    radius: int = option(
        15,
        "number of frames on each side: 1, 3, 7, 15 or 31; other values use the next lower one; 0: no filter",
        bounds=(0, 31),
    )


@dataclass(frozen=True)
class CausalSettings(DeflickerSettings):
    """Settings of the causal filter: the shared settings, and the largest number of earlier frames in a mean."""

    history: int = option(12, "largest number of earlier frames in the average", bounds=(1, 64))


@dataclass(frozen=True)
class VoteSettings:
    """Settings of the filter ``vote`` for label maps: the radius of the window in frames, and the optical flow."""

    radius: int = option(15, "number of frames on each side that vote; 0: only the frame itself", bounds=(0, 31))
    colour_sigma: float = option(
        0.16, "σ of the source's colour difference between two views of the same place", bounds=(0.01, 1.0)
    )
    flow: str = option("dis", "optical flow method", choices=FLOWS)
    flow_size: int = option(
        540, "short side at which flow is estimated in larger pictures, in pixels; 0: full size", bounds=(0, None)
    )


@dataclass(frozen=True)
class OffSettings:
    """No settings, for ``--temporal off``."""
