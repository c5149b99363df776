"""What a stage of a render is, and the values of its options in each frame of a clip.

Imports are light: the help of commands lists the options of stages.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from vidtrans.core.errors import UsageError
from vidtrans.core.files import digest_of
from vidtrans.core.options import moving
from vidtrans.core.settings import Table
from vidtrans.curves.curve import MovingSettings, shown_name

if TYPE_CHECKING:
    import numpy as np

    from vidtrans.curves.curve import Curve, CurveClock


Values = Mapping[str, float]  # of the options that may change over time, in one frame, by name


@dataclass(frozen=True)
class StageSettings(MovingSettings):
    """Base of the options of a stage, which are settings of the table [rendering]."""

    table: ClassVar[str] = "rendering"


class Stage:
    """Base of the stages that own options. ``Settings``: those options."""

    Settings: ClassVar[type[StageSettings]]


class PictureStage(Stage):
    """A stage that changes the finished picture of one frame, knowing nothing of other frames.

    Chunks, streams, live sessions, ``try`` and dreams within a mask run it through ``render.compose``. A stage whose
    values are all at their defaults, in a frame without a matte, returns its picture as it is.

    Attributes:
        version: Of its arithmetic, for cache keys.
    """

    version: ClassVar[int] = 1

    @classmethod
    def run(cls, picture: np.ndarray, source: np.ndarray, matte: np.ndarray | None, values: Values) -> np.ndarray:
        """Return the changed picture.

        Args:
            picture: (H, W, 3) uint8 or uint16.
            source: the frame that it was made of, of the same shape and dtype.
            matte: (H, W) uint8, white where the look is visible; None: everywhere.
            values: of all options that may change over time, in this frame.

        Returns:
            A picture of the same shape and dtype.
        """
        raise NotImplementedError

    @classmethod
    def run_on_device(cls, picture: Any, source: Any, matte: Any, values: Values) -> Any:  # noqa: ANN401  (tensors)
        """Do the same on tensors of a GPU, to the same bits; 16 bits are stored in int16. See ``has_device_form``."""
        return picture

    @classmethod
    def has_device_form(cls, settings: StageSettings) -> bool:
        """Return whether ``run_on_device`` can do what these settings ask for."""
        return cls.is_idle(settings)

    @classmethod
    def is_idle(cls, settings: StageSettings) -> bool:
        """Return whether these settings leave every picture as it is, unless there is a matte."""
        return all(curve.constant == getattr(cls.Settings, name) for name, curve in cls.curves(settings).items())

    @classmethod
    def curves(cls, settings: StageSettings) -> dict[str, Any]:
        """Return the curves of the stage's own options among all settings of [rendering], by name."""
        return {name: settings.curve(name) for name in moving(cls.Settings)}


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


class FrameValues:
    """The values in each frame of those ``settings`` that may change over time; ``names``: of these only.

    Called with a frame's number, it returns the values by name. Raises UsageError, MediaError.
    """

    def __init__(self, settings: MovingSettings, clock: CurveClock, names: Collection[str] | None = None) -> None:
        cls = type(settings)
        self.curves: dict[str, FrameCurve] = {}
        for name, bounds in moving(cls).items():
            if names is None or name in names:
                low, high = bounds.ends
                shown = shown_name(cls, name)
                self.curves[name] = FrameCurve(settings.curve(name), clock, shown, high, low)

    def __call__(self, frame: int) -> dict[str, float]:
        """Return the values in a frame, by name. Raises UsageError if one is out of bounds there."""
        return {name: curve(frame) for name, curve in self.curves.items()}

    def check(self, first: int, stop: int) -> None:
        """Raise UsageError if a value is out of bounds in any of the frames [first, stop)."""
        for curve in self.curves.values():
            curve.check(first, stop)

    def for_key(self) -> Table:
        """Return the curves for cache keys."""
        return {name: curve.for_key() for name, curve in self.curves.items()}
