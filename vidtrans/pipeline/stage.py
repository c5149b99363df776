"""What a stage of a render is. Imports are light: the help of commands lists the options of stages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from vidtrans.core.options import moving
from vidtrans.curves.moving_settings import MovingSettings

if TYPE_CHECKING:
    import numpy as np

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
