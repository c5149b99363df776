"""The request of ``matte``: mattes of things of a clip, from painted frames."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from vidtrans.config.recipe import Recipe
from vidtrans.core.errors import UsageError
from vidtrans.core.settings import Time, parse_time
from vidtrans.core.system import as_found
from vidtrans.matting.marks import MATTE, Brushes
from vidtrans.models.loaded_model import LoadedModel
from vidtrans.models.render_settings import ResolvedRenderSettings
from vidtrans.session import Context
from vidtrans.strokes.settings import NO_STROKES
from vidtrans.video.io.encoding import CODECS, PICTURES, codecs_with_alpha
from vidtrans.video.io.picture_paths import is_picture_source


@dataclass(frozen=True)
class MatteRequest:
    """A request for mattes: painted ``frames`` (time, picture), a folder of them, ``keyframes``, or a ``model``.

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
    model: str = ""

    def __post_init__(self) -> None:
        is_painted = self.keyframes is not None or bool(self.frames)
        if not is_painted and not self.model:
            why = "nothing says what is cut out"
            raise UsageError("matte", why, "paint over a frame, and give it: --frame 12=painted.png")
        if self.model and (is_painted or list(self.brushes.things) != [MATTE]):
            why = "the model finds one thing by itself"
            raise UsageError("--model", why, "leave out --frame, --keyframes and --names, or leave out --model")
        if self.model and self.suggest:
            raise UsageError("--suggest", "frames are not painted with --model", "leave out one of them")

    @property
    def makes_file(self) -> bool:
        """Return whether the result is a video file: the source is one, or the output has the ending of one."""
        if self.output is None:
            return not is_picture_source(self.video)
        return bool(self.output.suffix) and self.output.suffix.lower().lstrip(".") not in PICTURES

    def settings(self, model: LoadedModel, context: Context) -> ResolvedRenderSettings:
        """Return the render settings of the results: the clip's size, lossless unless another codec is asked for.

        ``model``: the identity. Raises UsageError.
        """
        recipe, codec = self.recipe, usual_codec(with_colours=self.with_colours)
        ending = self.output.suffix.lower().lstrip(".") if self.output else CODECS[codec].containers[0]
        if "codec" not in recipe.tables.get("encoding", {}) and self.makes_file and ending in CODECS[codec].containers:
            recipe = recipe.under({"encoding": {"codec": codec}})
        recipe = recipe.under({"rendering": {"size": "source"}, "temporal": {"name": "off"}, "strokes": NO_STROKES})
        found = ResolvedRenderSettings.of(recipe, model, context.device)
        found = found.resolved(is_picture_source(self.video), self.output, context.report)
        chosen = found.encoding.codec
        if self.with_colours and chosen not in codecs_with_alpha():
            remedy = f"use --codec {' or '.join(codecs_with_alpha())}"
            raise UsageError("--with-colours", f"{chosen} keeps no transparency", remedy)
        return found


def usual_codec(*, with_colours: bool) -> str:
    """Return the codec of mattes in videos, or of things ``with_colours`` and alpha."""
    return "prores4444" if with_colours else "ffv1"


def parse_frame(text: str) -> tuple[Time, Path]:
    """Parse ``12=mask.png`` (a frame number or a time, and a picture); -3 is the number of a picture.

    Raises UsageError.
    """
    when, equals, path = text.partition("=")
    if not equals or not path:
        raise UsageError(f"--frame {text}", "it is not FRAME=PICTURE", "as in --frame 12=mask.png")
    number = re.fullmatch(r"-[0-9]{1,9}", when.strip())
    return Time(frame=int(number[0])) if number else parse_time(when), as_found(Path(path))
