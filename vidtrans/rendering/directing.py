"""Blending of the source and the look, which is the model's output: strength, colours, shading, mask, mix."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

import cv2
import numpy as np

from vidtrans.config.rendering_settings import CURVES
from vidtrans.core.errors import UsageError
from vidtrans.core.files import digest_of
from vidtrans.core.settings import Table
from vidtrans.curves.clock import CurveClock
from vidtrans.curves.curve import Curve
from vidtrans.video.images.shading import transfer_shading

VERSION = 1


@dataclass(frozen=True)
class FrameBlend:
    """The blend values of one frame.

    ``strength``: 0 (the source) to 2; 1 is the look. ``keep_colour``: share of the source's colours, 0 to 1.
    ``keep_shading``: share of the source's light and shadow. ``mix``: share of the source, 0 to 1, that is mixed in
    last, after strength, colours, shading and mask.
    """

    strength: float = 1.0
    keep_colour: float = 0.0
    keep_shading: float = 0.0
    mix: float = 0.0

    def __call__(self, source: np.ndarray, look: np.ndarray, matte: np.ndarray | None) -> np.ndarray:
        """Blend source and look, (H, W, 3) uint8 or uint16, of equal size and dtype.

        ``matte``, (H, W) uint8, is white where the look is visible. Order: strength, colour, shading, matte, mix.
        """
        if self == FrameBlend() and matte is None:
            return look
        frame = source.astype(np.float32)
        full = np.iinfo(look.dtype).max
        blended = np.clip(frame + self.strength * (look - frame), 0, full)
        if self.keep_colour:
            blended += self.keep_colour * (transfer_colour(blended, frame, full) - blended)
        if self.keep_shading:
            blended = transfer_shading(blended, frame, self.keep_shading, full)
        share: np.ndarray | float = 1 - self.mix
        if matte is not None:
            share = (matte.astype(np.float32) * (share / 255))[..., None]
        return np.rint(frame + share * (blended - frame)).astype(look.dtype)


def transfer_colour(picture: np.ndarray, colours: np.ndarray, full: int = 255) -> np.ndarray:
    """Combine the lightness of one picture and the colours of another, in CIE Lab; (H, W, 3) float32, 0 to ``full``.

    (Gatys et al., "Preserving Color in Neural Artistic Style Transfer", 2016: luminance-only transfer.)
    """
    scale = np.float32(1 / full)
    lab = cv2.cvtColor(colours * scale, cv2.COLOR_RGB2LAB)
    lab[..., 0] = cv2.cvtColor(picture * scale, cv2.COLOR_RGB2LAB)[..., 0]
    return np.clip(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB) * full, 0, full)


class FrameCurve:
    """A curve over the frames of a clip, from ``low`` to ``high``; ``name``: of its option in errors.

    Called with a frame's number, it returns the value. Raises UsageError, MediaError.
    """

    def __init__(self, curve: Curve, clock: CurveClock, name: str, high: float, low: float = 0.0) -> None:
        self.curve, self._num_frames = curve, clock.num_frames
        self._value = curve.over(clock, name, low, high)

    def __call__(self, frame: int) -> float:
        """Return the value at a frame. Raises UsageError if it is out of bounds there."""
        return self._value(frame)

    def check(self, first: int, stop: int) -> None:
        """Raise UsageError if the value is out of bounds in any of the frames [first, stop)."""
        if not self.curve.is_drawn:
            for frame in range(first, stop):
                self._value(frame)

    def for_key(self) -> str:
        """Return the curve for cache keys: its text; of signals, which change with files, the values of all frames."""
        if not self.curve.signals:
            return str(self.curve)
        found: list[float | None] = [None] * self._num_frames
        for frame in range(self._num_frames):
            with suppress(UsageError):  # out of bounds at a frame that is not rendered, else ``check`` has raised it
                found[frame] = self._value(frame)
        return digest_of(found)


class BlendCurves:
    """The blend of each frame of a clip.

    ``always_plain``: every frame is the look alone, unblended. ``keeps_source``: some may have the source's colours or
    light.
    """

    def __init__(self, curves: Mapping[str, Curve], clock: CurveClock) -> None:
        self._values = {
            name: FrameCurve(curve, clock, "--" + name.replace("_", "-"), CURVES[name])
            for name, curve in curves.items()
        }
        self.always_plain = {n: c.constant for n, c in curves.items()} == FrameBlend().__dict__
        kept = [curves[name].constant for name in ("keep_colour", "keep_shading") if name in curves]
        self.keeps_source = any(value != 0 for value in kept)

    def __call__(self, frame: int) -> FrameBlend:
        """Return the blend values of a frame, by its number in the clip."""
        return FrameBlend(**{name: value(frame) for name, value in self._values.items()})

    def value_of(self, name: str) -> FrameCurve:
        """Return the curve of one of the blend's values."""
        return self._values[name]

    def check(self, first: int, stop: int) -> None:
        """Raise UsageError if a value is out of bounds in any of the frames [first, stop)."""
        for value in self._values.values():
            value.check(first, stop)

    def for_key(self) -> Table:
        """Return the curves for cache keys."""
        return {name: value.for_key() for name, value in self._values.items()}
