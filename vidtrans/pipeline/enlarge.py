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
        "Method that enlarges a smaller picture to the size of the result. With guided, the result is sharp: it "
        "gets the source's detail where picture and source agree. The default auto is like guided, but steadier "
        "if the network's texture flickers. With clean, the source's detail also replaces the network's fringes "
        "along edges. With faithful, the result is only the enlarged picture, a little sharper than with "
        "bicubic.",
        Group.LOOK,
        choices=MODES,
        uses=Use.RUN | Use.VARY,
        form="more",
    )
    sharpness: float = option(
        1.0,
        "share of the added detail of --upscale, from 0 (none, as with bicubic) to 1 (all)",
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
