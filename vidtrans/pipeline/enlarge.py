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
        "Method that enlarges a smaller picture to the size of the result. With guided, the result is sharp, "
        "with the source's detail where both agree. The default auto is like guided, but steadier for "
        "networks whose texture boils. With clean, the source's detail replaces the network's fringes. With "
        "faithful, the result is only the picture, a little crisper than bicubic.",
        Group.LOOK,
        choices=MODES,
        uses=Use.RUN | Use.VARY,
        form="more",
    )
    sharpness: float = option(
        1.0,
        "share of the detail that --upscale adds to a bicubic resize, 0 to 1",
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
