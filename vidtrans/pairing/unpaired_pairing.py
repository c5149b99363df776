"""A frame of one domain → the same in the manner of another: two or more clips or folders, without pairs."""

from __future__ import annotations

from dataclasses import dataclass

from vidtrans.core.settings import setting
from vidtrans.pairing.base import PLAIN_OPERATORS, Pairing


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
