"""Raw frames as input: of aligned clips or pair folders, matched clips, a grade, or domains without pairs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from vidtrans.core.settings import setting
from vidtrans.flow.matching import ENOUGH
from vidtrans.pairing.base import PLAIN_OPERATORS, Pairing


@dataclass(frozen=True)
class AlignedSettings:
    """Which side is which."""

    direction: str = setting(
        "AtoB", "in pair folders: which side is the input; two clips go VIDEO → --target", choices=("AtoB", "BtoA")
    )


class Aligned(Pairing):
    """The raw frame is the input; the target comes from the second clip or folder."""

    name = "aligned"
    version = 1
    needs_target = True
    pointwise = True
    deep = True
    has_tensor_form = True
    operators = PLAIN_OPERATORS
    Settings: ClassVar[type] = AlignedSettings


class GradePairing(Aligned):
    """As ``Aligned``, but colours are single pixels' own: a render has the source's size."""

    name = "grade"
    version = 1
    at_source_size = True


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


@dataclass(frozen=True)
class UnpairedSettings:
    """The domains: the source first, then those whose manner is learned."""

    domains: tuple[str, ...] = setting((), "names of the domains, the source first; by default those of their files")

    def __post_init__(self) -> None:
        if self.domains and (len(self.domains) < 2 or len(set(self.domains)) != len(self.domains)):
            raise ValueError("pairing.domains needs two names or more, each once")


class Unpaired(Pairing):
    """The raw frame is the input. A frame of a dataset is its own target: nothing says what it should become."""

    name = "unpaired"
    version = 1
    has_target = False
    pointwise = True
    deep = True
    has_tensor_form = True
    operators = PLAIN_OPERATORS
    Settings = UnpairedSettings
    settings: UnpairedSettings
