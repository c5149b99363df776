"""Blend the model's picture with its source: strength, colours, shading, mask, mix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vidtrans.core.options import Group, Use, option, settings_over_time
from vidtrans.pipeline.stage import PictureStage, StageSettings, Values

if TYPE_CHECKING:
    import numpy as np

USES = Use.RUN | Use.VARY | Use.DEFLICKER  # Commands that offer all options of the blend


@dataclass(frozen=True)
class BlendSettings(StageSettings):
    """Settings of the blend: the shares of the source in the result."""

    strength: str | float = option(
        1.0,
        "strength of the look: 0 shows the source, 1 the look, 2 an exaggerated look; to change it over time, "
        "give a curve: '0: 0.2, 5s: 1', '0.5 + 0.5*low', values.csv",
        Group.LOOK,
        moves=(0, 2.0),
        uses=USES | Use.STREAM | Use.LIVE,
        form="main",
    )
    mix: str | float = option(
        0.0,
        "share of the source that is mixed into the result, 0 to 1; to change it over time, give a curve",
        Group.LOOK,
        moves=(0, 1.0),
        uses=USES,
        form="more",
    )
    keep_colour: str | float = option(
        0.0,
        "share of the source's colours in the result, 0 to 1; to change it over time, give a curve",
        Group.LOOK,
        moves=(0, 1.0),
        uses=USES | Use.STREAM | Use.LIVE,
        flag_help="Keep the colours of the source. CURVE: how much of them, 0 to 1.",
        sets="1",
        form="main",
    )
    keep_shading: str | float = option(
        0.0,
        "share of the source's light and shadow that replaces that of the look, 0 to 1; to change it over time, "
        "give a curve",
        Group.LOOK,
        moves=(0, 1.0),
        uses=USES | Use.STREAM | Use.LIVE,
        flag_help="Keep the light and shadow of the source. CURVE: how much of them, 0 to 1.",
        sets="1",
        form="more",
    )


class Blend(PictureStage):
    """The stage that blends source and output, in this order: strength, colours, shading, matte, mix."""

    version = 1
    Settings = BlendSettings

    @classmethod
    def run(cls, picture: np.ndarray, source: np.ndarray, matte: np.ndarray | None, values: Values) -> np.ndarray:
        """Blend ``picture``, the model's output, with its ``source`` where the matte is white; see ``PictureStage``."""
        if matte is None and _is_neutral(values):
            return picture
        import numpy as np

        frame = source.astype(np.float32)
        full = np.iinfo(picture.dtype).max
        blended = np.clip(frame + values["strength"] * (picture - frame), 0, full)
        if colour := values["keep_colour"]:
            blended += colour * (transfer_colour(blended, frame, full) - blended)
        if shading := values["keep_shading"]:
            from vidtrans.video.images.shading import transfer_shading

            blended = transfer_shading(blended, frame, shading, full)
        share: np.ndarray | float = 1 - values["mix"]
        if matte is not None:
            share = (matte.astype(np.float32) * (share / 255))[..., None]
        result: np.ndarray = np.rint(frame + share * (blended - frame)).astype(picture.dtype)
        return result

    @classmethod
    def run_on_device(cls, picture: Any, source: Any, matte: Any, values: Values) -> Any:  # noqa: ANN401  (tensors)
        """Blend tensors on a GPU as ``run`` does, with the same order of operations; no source colours, no shading."""
        if matte is None and _is_neutral(values):
            return picture
        import torch

        from vidtrans.inference.device_pixels import bits_to_levels, to_bits

        full = 255 if picture.dtype == torch.uint8 else 65535
        frame = bits_to_levels(source).to(torch.float32)
        blended = (frame + values["strength"] * (bits_to_levels(picture).to(torch.float32) - frame)).clamp_(0, full)
        share = 1 - values["mix"]
        if matte is not None:
            share = (matte.to(torch.float32) * (share / 255))[..., None]
        return to_bits((frame + share * (blended - frame)).round_(), picture.dtype)

    @classmethod
    def has_device_form(cls, settings: StageSettings) -> bool:
        """Return whether the settings use no source colours or shading, which need OpenCV on the CPU."""
        curves = cls.curves(settings)
        return curves["keep_colour"].constant == 0 and curves["keep_shading"].constant == 0


def _is_neutral(values: Values) -> bool:
    """Return whether all values are at their defaults, with which the blend returns the model's picture."""
    return all(values[name] == getattr(BlendSettings, name) for name in settings_over_time(BlendSettings))


def transfer_colour(picture: np.ndarray, colours: np.ndarray, full: int = 255) -> np.ndarray:
    """Return the lightness of ``picture`` with the colours of ``colours``, combined in CIE Lab.

    All pictures are (H, W, 3) float32 from 0 to ``full``.

    After Gatys et al., "Preserving Color in Neural Artistic Style Transfer", 2016: luminance-only transfer.
    """
    import cv2
    import numpy as np

    scale = np.float32(1 / full)
    lab = cv2.cvtColor(colours * scale, cv2.COLOR_RGB2LAB)
    lab[..., 0] = cv2.cvtColor(picture * scale, cv2.COLOR_RGB2LAB)[..., 0]
    return np.clip(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB) * full, 0, full)
