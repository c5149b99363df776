"""What one clip shows → the same in another, which is not in step with it: frames that belong together are found."""

from __future__ import annotations

from dataclasses import dataclass

from vidtrans.core.settings import setting
from vidtrans.flow.matching import ENOUGH
from vidtrans.pairing.aligned import Aligned


@dataclass(frozen=True)
class MatchedSettings:
    """When two frames are a pair."""

    min_found: float = setting(
        ENOUGH, "share of the edges of a target's frame to be found in the source's, for a pair", low=0.0, high=1.0
    )


class Matched(Aligned):
    """As ``Aligned``, but in a dataset the input is brought to where its target shows the same."""

    name = "matched"
    version = 1
    Settings = MatchedSettings
    settings: MatchedSettings
