"""The requests of ``propagate``, which paints a clip like a few of its frames, and ``fix``, which corrects a result."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from vidtrans.config.recipe import Recipe
from vidtrans.core.errors import UsageError
from vidtrans.core.mask_files import MaskFile
from vidtrans.core.settings import Time

# Values of --follow, which say whether motion or a network carries the paint to other frames; see ``PropagateRequest``
FOLLOW = ("auto", "motion", "look")


@dataclass(frozen=True)
class PropagateRequest:
    """A request to paint a clip like the pictures in ``keyframes``: frames of the clip with paint over them.

    ``minutes``: training time instead of the recipe's steps; 0: no training. ``follow``: 'motion' prefers paint
    transferred along the motion, 'look' uses only the network, 'auto' measures which is better. ``mask``: a matte,
    white where paint is applied. ``preview``: also write a preview video into the training folder, next to the output.
    ``layer``: write only the paint, on a transparent background. ``first_number``: the number of the clip's first frame
    in the names of the pictures.
    """

    COMMAND: ClassVar = "propagate"

    video: Path
    keyframes: Path
    recipe: Recipe
    output: Path | None = None
    minutes: float | None = None
    follow: str = FOLLOW[0]
    preview: bool = False
    start: Time | None = None
    end: Time | None = None
    mask: MaskFile | None = None
    layer: bool = False
    first_number: int | None = None

    def __post_init__(self) -> None:
        if self.follow not in FOLLOW:
            raise UsageError(f"--follow {self.follow}", "unknown", f"use {', '.join(FOLLOW)}")
        if self.follow == "look" and self.layer:
            why = "a layer needs the motion to propagate the edges of the paint"
            raise UsageError("--layer", why, "leave out --follow look")
        if self.follow == "look" and self.minutes == 0:
            why = "it relies on the network, which --minutes 0 does not train"
            raise UsageError("--follow look", why, "leave one of them out")


@dataclass(frozen=True)
class FixRequest:
    """A request to correct a result by the pictures in ``painted``: frames of the result with paint over them.

    ``relearn``: also train the result's network on the corrected frames, and paint the whole clip again.
    ``first_number``: the number of the result's first frame in the names of the pictures. ``program``: filter graphs,
    encoders and encoder options in the result's record that the user's ffmpeg may run. ``mask``: white where
    corrections are visible.
    """

    COMMAND: ClassVar = "fix"

    render: Path
    painted: Path
    output: Path | None = None
    relearn: bool = False
    first_number: int | None = None
    program: tuple[str, ...] = ()
    mask: MaskFile | None = None
