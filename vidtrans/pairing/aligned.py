"""Pairings whose input is the frame itself: aligned clips, pair folders, matched clips, colour grades, domains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from vidtrans.core.options import option
from vidtrans.flow.matching import ENOUGH
from vidtrans.pairing.base import PLAIN_OPERATORS, Pairing


@dataclass(frozen=True)
class AlignedSettings:
    """Settings of ``Aligned``: which half of the pictures in a pair folder is the input, and which is the target."""

    direction: str = option(
        "AtoB",
        "in folders of pairs: the input side; two clips always go from VIDEO to --target",
        choices=("AtoB", "BtoA"),
    )


class Aligned(Pairing):
    """A pairing of a frame with the corresponding picture in a second clip or folder."""

    name = "aligned"
    needs_target = True
    pointwise = True
    deep = True
    has_tensor_form = True
    operators = PLAIN_OPERATORS
    Settings: ClassVar[type] = AlignedSettings


class GradePairing(Aligned):
    """Like ``Aligned``, for colour grades: networks that map each pixel's colour; renders have the source's size."""

    name = "grade"
    at_source_size = True


@dataclass(frozen=True)
class MatchedSettings:
    """Settings of ``Matched``: the least share of a target's edges found in a source frame at which they are a pair."""

    min_found: float = option(
        ENOUGH,
        "smallest share of a target frame's edges that must be in the source frame, for a pair",
        bounds=(0.0, 1.0),
    )


class Matched(Aligned):
    """Like ``Aligned``, for two clips with different times or views: a dataset warps each input onto its target."""

    name = "matched"
    Settings = MatchedSettings
    settings: MatchedSettings


@dataclass(frozen=True)
class UnpairedSettings:
    """Settings of ``Unpaired``: the names of the domains (kinds of pictures), first the source, then the targets."""

    domains: tuple[str, ...] = option((), "names of the domains, the source first; by default the names of their files")

    def __post_init__(self) -> None:
        if self.domains and (len(self.domains) < 2 or len(set(self.domains)) != len(self.domains)):
            raise ValueError("pairing.domains needs two names or more, each once")


class Unpaired(Aligned):
    """Like ``Aligned``, but in a dataset each frame is its own target, because there are no corresponding pictures."""

    name = "unpaired"
    needs_target = False
    has_target = False
    Settings = UnpairedSettings
    settings: UnpairedSettings
