"""The stage that enlarges the model's pictures to the size of the result."""

from __future__ import annotations

from dataclasses import dataclass

from vidtrans.core.options import Group, Use, option
from vidtrans.pipeline.stage import Stage, StageSettings
from vidtrans.upscaling import MEASURED, MODES


@dataclass(frozen=True)
class EnlargeSettings(StageSettings):
    """Settings of the upscaling of pictures to the size of the result."""

    upscale: str = option(
        "auto",
        "how a smaller picture comes to the size of the result: guided (sharp, with the source's detail where both "
        "agree), auto (the same, calmer for networks whose own fine texture boils), clean (the source's detail instead "
        "of the network's fringes), faithful (nothing but the picture, a little crisper than bicubic), or bicubic",
        Group.LOOK,
        choices=MODES,
        uses=Use.RUN | Use.VARY,
        form="more",
    )
    sharpness: float = option(
        1.0,
        "how much of the detail that --upscale adds to a bicubic resize is shown, 0 to 1",
        Group.LOOK,
        metavar="X",
        bounds=(0, 1),
        uses=Use.RUN | Use.VARY,
        form="more",
    )

    def upscale_for(self, *, fills_holes: bool) -> str:
        """Return the upscaling mode; for a model that fills holes, a mode that uses no source detail in them."""
        return "faithful" if fills_holes and self.upscale in MEASURED else self.upscale


class Enlarge(Stage):
    """The stage that enlarges each picture along the edges of its source."""

    Settings = EnlargeSettings
