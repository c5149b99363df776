"""What is asked for: a clip that is painted like a few of its frames, a result that is corrected."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from vidtrans.config.recipe import Recipe
from vidtrans.core.errors import UsageError
from vidtrans.core.settings import Time

FOLLOW = ("auto", "motion", "look")


@dataclass(frozen=True)
class PropagateRequest:
    """A clip painted like the pictures in the folder ``keyframes``, each of which is one of its frames, painted over.

    ``minutes``: of training, in place of the recipe's steps; 0 for none. ``follow``: what is relied on, paint that is
    carried along the motion or the network. ``mask``: where the paint is. ``preview``: also write a film of what there
    is so far, beside the output. ``layer``: the paint alone, transparent where nothing is painted.
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
    mask: Path | None = None
    layer: bool = False

    def __post_init__(self) -> None:
        if self.follow not in FOLLOW:
            raise UsageError(f"--follow {self.follow}", "unknown", f"use {', '.join(FOLLOW)}")
        if self.follow == "look" and self.layer:
            why = "where paint ends is carried along the motion, which this leaves out"
            raise UsageError("--layer", why, "leave --follow look out")
        if self.follow == "look" and self.minutes == 0:
            why = "the look is what the network learns, and --minutes 0 leaves it out"
            raise UsageError("--follow look", why, "leave one of them out")


@dataclass(frozen=True)
class FixRequest:
    """A result made anew where frames of it were painted over: the pictures in the folder ``painted``.

    ``relearn``: its network learns the corrected frames, too, and all of it is painted anew.
    """

    COMMAND: ClassVar = "fix"

    render: Path
    painted: Path
    output: Path | None = None
    relearn: bool = False
