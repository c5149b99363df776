"""The request of ``matte``: mattes of things of a clip, from painted frames."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from vidtrans.config.recipe import Recipe
from vidtrans.core.errors import UsageError
from vidtrans.core.settings import Time, parse_time
from vidtrans.matting.marks import Brushes


@dataclass(frozen=True)
class MatteRequest:
    """A request for mattes: painted ``frames`` (time, picture), or a folder of them, ``keyframes``.

    ``with_colours``: the clip's colours with the matte as alpha. ``suggest``: how many frames to name that are worth
    painting next. ``least_confidence``: of every frame, or the request fails.
    """

    COMMAND: ClassVar = "matte"

    video: Path
    recipe: Recipe
    frames: tuple[tuple[Time, Path], ...] = ()
    keyframes: Path | None = None
    output: Path | None = None
    brushes: Brushes = field(default_factory=Brushes)
    with_colours: bool = False
    suggest: int = 0
    least_confidence: float = 0.0
    start: Time | None = None
    end: Time | None = None
    first_number: int | None = None

    def __post_init__(self) -> None:
        if self.keyframes is None and not self.frames:
            why = "nothing says what is cut out"
            raise UsageError("matte", why, "paint over a frame, and give it: --frame 12=painted.png")


def usual_codec(*, with_colours: bool) -> str:
    """Return the codec of mattes in videos, or of things ``with_colours`` and alpha."""
    return "prores4444" if with_colours else "ffv1"


def parse_frame(text: str) -> tuple[Time, Path]:
    """Parse ``12=mask.png`` (a frame number or a time, and a picture). Raises UsageError."""
    when, equals, path = text.partition("=")
    if not equals or not path:
        raise UsageError(f"--frame {text}", "it is not FRAME=PICTURE", "as in --frame 12=mask.png")
    return parse_time(when), Path(path)
