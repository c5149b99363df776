"""What one clip shows → the same in another, which is not in step with it: frames that belong together are found."""

from __future__ import annotations

from dataclasses import dataclass

from vidtrans.flow.matching import ENOUGH
from vidtrans.pairing.base import PLAIN_OPERATORS, Pairing
from vidtrans.settings import setting


@dataclass(frozen=True)
class MatchedSettings:
    """When two frames are a pair."""

    min_found: float = setting(
        ENOUGH, "share of a target's frame that must be found in the source for both to be a pair", low=0.0, high=1.0
    )


class Matched(Pairing):
    """The raw frame is the input. In a dataset it is brought to where its target shows the same."""

    name = "matched"
    version = 1
    needs_target = True
    pointwise = True
    deep = True
    has_tensor_form = True
    operators = PLAIN_OPERATORS
    Settings = MatchedSettings
    settings: MatchedSettings
