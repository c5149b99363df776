"""A picture → its counterpart: two aligned clips, or the pair folders of other tools."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from vidtrans.core.settings import setting
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
