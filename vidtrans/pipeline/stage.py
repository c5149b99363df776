"""The base classes of a render's stages, and the values of their options in each frame of a clip.

Imports are light, because the help of commands lists the options of stages.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from vidtrans.core.errors import UsageError
from vidtrans.core.files import digest_of
from vidtrans.core.options import settings_over_time
from vidtrans.core.settings import Table
from vidtrans.curves.curve import MovingSettings, option_label

if TYPE_CHECKING:
    import numpy as np

    from vidtrans.curves.curve import Curve, CurveClock


Values = Mapping[str, float]  # Values of the options that may change over time, in one frame, by option name


@dataclass(frozen=True)
class StageSettings(MovingSettings):
    """The base class of a stage's options, which are settings of the table [rendering]."""

    table: ClassVar[str] = "rendering"


class Stage:
    """The base class of a render's stages. ``Settings``: the class of the stage's options."""

    Settings: ClassVar[type[StageSettings]]


class PictureStage(Stage):
    """A stage that changes the finished picture of one frame, independently of other frames.

    Renders, streams, live sessions, the command ``try`` and dreams within a mask run the stage by ``render.compose``.
    A stage whose values are all at their defaults returns the picture unchanged, unless the frame has a matte.

    Attributes:
        version: The version of the stage's arithmetic, for cache keys.
    """

    version: ClassVar[int] = 1

    @classmethod
    def run(cls, picture: np.ndarray, source: np.ndarray, matte: np.ndarray | None, values: Values) -> np.ndarray:
        """Return the picture of a frame, changed by this stage.

        Args:
            picture: (H, W, 3) uint8 or uint16.
            source: the source frame, of the same shape and dtype.
            matte: (H, W) uint8, white where the picture is visible; None: everywhere.
            values: the values, in this frame, of all options that may change over time.

        Returns:
            A picture of the same shape and dtype.
        """
        raise NotImplementedError

    @classmethod
    def run_on_device(cls, picture: Any, source: Any, matte: Any, values: Values) -> Any:  # noqa: ANN401  (tensors)
        """Change tensors on a GPU with the same results as ``run``, bit for bit; 16-bit values are stored in int16."""
        return picture

    @classmethod
    def has_device_form(cls, settings: StageSettings) -> bool:
        """Return whether ``run_on_device`` gives the results of ``run`` with these settings."""
        return cls.is_idle(settings)

    @classmethod
    def is_idle(cls, settings: StageSettings) -> bool:
        """Return whether the stage changes no picture with these settings, if there is no matte."""
        return all(curve.constant == getattr(cls.Settings, name) for name, curve in cls.curves(settings).items())

    @classmethod
    def curves(cls, settings: StageSettings) -> dict[str, Any]:
        """Return the curves of this stage's options, by name. ``settings``: all settings of [rendering]."""
        return {name: settings.curve(name) for name in settings_over_time(cls.Settings)}


class FrameCurve:
    """A function from a frame number to the value of a ``curve``, which must be from ``low`` to ``high``.

    ``name``: the option's name in errors. Raises UsageError, MediaError.
    """

    def __init__(self, curve: Curve, clock: CurveClock, name: str, high: float, low: float = 0.0) -> None:
        self.curve, self._num_frames = curve, clock.num_frames
        self._value = curve.over(clock, name, low, high)

    def __call__(self, frame: int) -> float:
        """Return the curve's value at a frame. Raises UsageError if the value is out of bounds."""
        return self._value(frame)

    def check(self, first: int, stop: int) -> None:
        """Raise UsageError if the curve's value is out of bounds in any of the frames [first, stop)."""
        if not self.curve.is_drawn:
            for frame in range(first, stop):
                self._value(frame)

    def for_key(self) -> str:
        """Return the curve's text, for cache keys; if the curve uses signals (sound, mask), a digest of its values."""
        if not self.curve.signals:
            return str(self.curve)
        values: list[float | None] = [None] * self._num_frames
        for frame in range(self._num_frames):
            with suppress(UsageError):  # ``check`` raises for rendered frames, so this frame is not rendered
                values[frame] = self._value(frame)
        return digest_of(values)


class FrameValues:
    """A function from a frame number to the values, by name, of the ``settings`` that may change over time.

    ``names``: restrict the values to these settings. Raises UsageError, MediaError.
    """

    def __init__(self, settings: MovingSettings, clock: CurveClock, names: Collection[str] | None = None) -> None:
        cls = type(settings)
        self.curves: dict[str, FrameCurve] = {}
        for name, bounds in settings_over_time(cls).items():
            if names is None or name in names:
                low, high = bounds.ends
                label = option_label(cls, name)
                self.curves[name] = FrameCurve(settings.curve(name), clock, label, high, low)

    def __call__(self, frame: int) -> dict[str, float]:
        """Return the settings' values in a frame, by name. Raises UsageError if a value is out of bounds."""
        return {name: curve(frame) for name, curve in self.curves.items()}

    def check(self, first: int, stop: int) -> None:
        """Raise UsageError if a setting's value is out of bounds in any of the frames [first, stop)."""
        for curve in self.curves.values():
            curve.check(first, stop)

    def for_key(self) -> Table:
        """Return the text or digest of each curve by setting, for cache keys."""
        return {name: curve.for_key() for name, curve in self.curves.items()}
