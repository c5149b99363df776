"""Settings of a rollout: camera, clock, models, driving video and drift correction."""

from __future__ import annotations

from dataclasses import dataclass

from vidtrans.core.expressions import Animation, parse_animation
from vidtrans.core.parameters import Flag, Group
from vidtrans.core.settings import Table, setting, to_table

# The values that may be animated, and their bounds.
ANIMATED = {
    "zoom": (0.25, 4.0),
    "rotate": (-360.0, 360.0),
    "pan_x": (-1.0, 1.0),
    "pan_y": (-1.0, 1.0),
    "hue": (-360.0, 360.0),
    "speed": (-1000.0, 1000.0),
    "blend_amount": (0.0, 1.0),
}
NO_MOVE = {"zoom": 1.0, "rotate": 0.0, "pan_x": 0.0, "pan_y": 0.0, "hue": 0.0}  # a camera that does nothing
# Measured: best of four where a model drifts, and nothing lost where it does not: docs/guides/dreaming.md.
DRIFT_CORRECTION = 0.5


def flag_of(name: str) -> str:
    """Return the flag of a setting."""
    return "--" + name.replace("_", "-")


@dataclass(frozen=True)
class DreamingSettings:
    """Camera and colour between two frames, the clock, several models, a driving video, and drift correction."""

    zoom: str | float = setting(
        1.0,
        "how many times larger the picture gets each frame; an expression, or keyframes",
        flag=Flag(Group.CAMERA, ("--zoom",), metavar="VALUE"),
    )
    rotate: str | float = setting(
        0.0, "degrees that it turns each frame, anticlockwise", flag=Flag(Group.CAMERA, ("--rotate",), metavar="VALUE")
    )
    pan_x: str | float = setting(
        0.0,
        "share of its width by which it moves to the right each frame",
        flag=Flag(Group.CAMERA, ("--pan-x",), metavar="VALUE"),
    )
    pan_y: str | float = setting(
        0.0,
        "share of its height by which it moves down each frame",
        flag=Flag(Group.CAMERA, ("--pan-y",), metavar="VALUE"),
    )
    hue: str | float = setting(
        0.0, "degrees by which all hues turn each frame", flag=Flag(Group.CAMERA, ("--hue",), metavar="VALUE")
    )
    speed: str | float = setting(
        1.0,
        "of a model with a clock: 1 is the clip's own, 0 stands, -1 goes backwards",
        flag=Flag(Group.CAMERA, ("--speed",), metavar="VALUE"),
    )
    start_position: float | None = setting(
        None,
        "of a model with a clock: where on its clip it begins, 0 the start, 1 the end; none: after the seed, as if "
        "that were the clip's start",
        low=0.0,
        high=1.0,
        flag=Flag(Group.CAMERA, ("--position",)),
    )
    loop: bool = setting(
        False,
        "of a model with a clock: the last frame leads back into the first",
        flag=Flag(Group.CAMERA, ("--loop",)),
    )
    blend_amount: str | float = setting(
        0.5,
        "share of the driving video in what is fed back, 0 to 1",
        flag=Flag(Group.INPUT, ("--blend-amount",), metavar="VALUE"),
    )
    drift_correction: float = setting(
        DRIFT_CORRECTION,
        "strength of the correction towards the training frames, 0 to 1",
        low=0.0,
        high=1.0,
        flag=Flag(Group.LOOK, ("--drift-correction",)),
    )
    frames_per_model: int | None = setting(
        None,
        "frames that each of several models dreams; none: all come in turn once",
        low=1,
        high=1_000_000,
        flag=Flag(Group.LOOK, ("--every",)),
    )
    morph: bool = setting(
        False, "several models pass into one another, their weights are mixed", flag=Flag(Group.LOOK, ("--morph",))
    )

    def __post_init__(self) -> None:
        self.animations()

    def animations(self) -> dict[str, Animation]:
        """Return all values that may change. Raises UsageError."""
        return {name: parse_animation(getattr(self, name), flag_of(name)) for name in ANIMATED}

    def moves(self) -> bool:
        """Return whether the camera may move."""
        animations = self.animations()
        return any(animations[name].constant != NO_MOVE[name] for name in NO_MOVE if name != "hue")

    def colours(self) -> bool:
        """Return whether hues may turn."""
        return self.animations()["hue"].constant != NO_MOVE["hue"]

    def for_key(self) -> Table:
        """Return the settings that decide the result; expressions are normalised."""
        return to_table(self) | {name: str(animation) for name, animation in self.animations().items()}
