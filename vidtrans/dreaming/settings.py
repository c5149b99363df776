"""Settings of a rollout: camera, clock, models, driving video and drift correction."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from vidtrans.core.parameters import Flag, Group, Moving
from vidtrans.core.settings import Table, setting, to_table
from vidtrans.curves.curve import Curve, parse_curve
from vidtrans.dreaming.steering import ANIMATED, Steering, names_file, parse_steering
from vidtrans.pairing import LARGEST_ZOOM

NO_MOVE = {"zoom": 1.0, "rotate": 0.0, "pan_x": 0.0, "pan_y": 0.0, "hue": 0.0}  # a camera that does nothing
DOES_NOTHING = NO_MOVE | {"speed": 1.0, "recall": 1.0, "wander": 0.0}
# Measured: best of four for models that drift, and no loss for others: docs/guides/dreaming/drift.md.
DRIFT_CORRECTION = 0.5


def flag_of(name: str) -> str:
    """Return the command-line flag of a setting."""
    return "--" + name.replace("_", "-")


@dataclass(frozen=True)
class DreamingSettings:
    """Settings of camera and colour between frames, clock, model sequence, driving video and drift correction."""

    zoom: str | float = setting(
        1.0,
        "zoom factor per frame; a number, an expression or keyframes",
        flag=Flag(Group.CAMERA, ("--zoom",), metavar="VALUE", values=Moving(*ANIMATED["zoom"]), form="main"),
    )
    rotate: str | float = setting(
        0.0,
        "rotation per frame in degrees, anticlockwise",
        flag=Flag(Group.CAMERA, ("--rotate",), metavar="VALUE", values=Moving(*ANIMATED["rotate"]), form="main"),
    )
    pan_x: str | float = setting(
        0.0,
        "shift to the right per frame, as a share of the width",
        flag=Flag(Group.CAMERA, ("--pan-x",), metavar="VALUE", values=Moving(*ANIMATED["pan_x"]), form="main"),
    )
    pan_y: str | float = setting(
        0.0,
        "shift down per frame, as a share of the height",
        flag=Flag(Group.CAMERA, ("--pan-y",), metavar="VALUE", values=Moving(*ANIMATED["pan_y"]), form="main"),
    )
    hue: str | float = setting(
        0.0,
        "hue rotation per frame in degrees",
        flag=Flag(Group.CAMERA, ("--hue",), metavar="VALUE", values=Moving(*ANIMATED["hue"]), form="main"),
    )
    speed: str | float = setting(
        1.0,
        "clock speed, for a model with a clock: 1 as in its clip, 0 still, -1 backwards",
        flag=Flag(Group.CAMERA, ("--speed",), metavar="VALUE", values=Moving(*ANIMATED["speed"]), form="more"),
    )
    start_position: float | None = setting(
        None,
        "start position in the clip, for a model with a clock: 0 the start, 1 the end; none: after the seed, taken as "
        "the clip's start",
        low=0.0,
        high=1.0,
        flag=Flag(Group.CAMERA, ("--position",)),
    )
    start_zoom: float | None = setting(
        None,
        "how much the middle of the frames is enlarged at the start, for room to move in; none: as the model learned",
        low=1.0,
        high=LARGEST_ZOOM,
        flag=Flag(Group.CAMERA, ("--start-zoom",)),
    )
    steer: str = setting(
        "",
        "commands at moments, '0: left, 4s: right+zoom', or a file of them, such as the live page records",
        flag=Flag(Group.CAMERA, ("--steer",), metavar="SCRIPT|FILE", access="path"),
    )
    goto: int | None = setting(
        None,
        "number of the shot to which the dream walks through frames that fit, for a model that keeps frames of several",
        low=1,
        flag=Flag(Group.CAMERA, ("--goto",), metavar="SHOT"),
    )
    actions: str = setting(
        "",
        "a CSV table of what happens in the model's clip, whose words --steer can use",
        flag=Flag(Group.CAMERA, ("--actions",), metavar="CSV", access="path"),
    )
    recall: str | float = setting(
        1.0,
        "how far a model goes by the frames of its clip that it keeps: 1 as it learned, 0 not at all",
        flag=Flag(Group.LOOK, ("--recall",), metavar="VALUE", values=Moving(*ANIMATED["recall"])),
    )
    wander: str | float = setting(
        0.0,
        "how soon a model that keeps frames leaves their order: 0 at the end of a shot, 1 after a few frames",
        flag=Flag(Group.LOOK, ("--wander",), metavar="VALUE", values=Moving(*ANIMATED["wander"])),
    )
    loop: bool = setting(
        False,
        "make the last frame lead back into the first, for a model with a clock",
        flag=Flag(Group.CAMERA, ("--loop",), form="more"),
    )
    blend_amount: str | float = setting(
        0.5,
        "share of the driving video in the fed-back frame, 0 to 1",
        flag=Flag(Group.INPUT, ("--blend-amount",), metavar="VALUE", values=Moving(*ANIMATED["blend_amount"])),
    )
    drift_correction: float = setting(
        DRIFT_CORRECTION,
        "strength of the correction towards the training frames, 0 to 1",
        low=0.0,
        high=1.0,
        flag=Flag(Group.LOOK, ("--drift-correction",), form="more"),
    )
    frames_per_model: int | None = setting(
        None,
        "frames per model, with several models; none: each model takes one equal turn",
        low=1,
        high=1_000_000,
        flag=Flag(Group.LOOK, ("--every",), form="more"),
    )
    morph: bool = setting(
        False,
        "morph from model to model by interpolating their weights",
        flag=Flag(Group.LOOK, ("--morph",), form="more"),
    )

    upscale: str = setting(
        "faithful",
        "how a smaller picture comes to the size of the result: faithful (nothing but the picture, a little crisper) "
        "or bicubic",
        choices=("faithful", "bicubic"),
        flag=Flag(Group.LOOK, ("--upscale",)),
    )

    def __post_init__(self) -> None:
        self.curves()
        if not names_file(self.steer):  # a file is read when it is used
            self.steering()

    def curves(self) -> dict[str, Curve]:
        """Return all animated values. Raises UsageError."""
        return {name: parse_curve(getattr(self, name), flag_of(name), *ANIMATED[name]) for name in ANIMATED}

    def steering(self) -> Steering:
        """Return what is steered; a file is read once. Raises UsageError."""
        return self._steering

    @cached_property
    def _steering(self) -> Steering:
        return parse_steering(self.steer)

    def changes(self, *names: str) -> bool:
        """Return whether one of these controls may do something in any frame."""
        curves, steered = self.curves(), self.steering().controls
        return any(name in steered or curves[name].constant != DOES_NOTHING[name] for name in names)

    @property
    def files(self) -> list[Path]:
        """Return the files that are read: a script, a table, values of curves."""
        script = [Path(self.steer)] if names_file(self.steer) else []
        return [*script, *([Path(self.actions)] if self.actions else []), *self.curve_files]

    @property
    def curve_files(self) -> list[Path]:
        """Return the files of values that curves read."""
        return list(dict.fromkeys(Path(file) for curve in self.curves().values() for file in curve.files))

    @property
    def actions_digest(self) -> str:
        """Return the SHA-256 (hex) of the table of actions; empty without one."""
        path = Path(self.actions)
        return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""

    @property
    def goals(self) -> set[int | str]:
        """Return the shots and actions to which a dream goes at some time."""
        return self.steering().goals | ({self.goto} if self.goto is not None else set())

    @property
    def needs_actions(self) -> bool:
        """Return whether an action is steered to, or a table of them is given, which may be wrong."""
        return bool(self.actions) or any(isinstance(goal, str) for goal in self.goals)

    def moves(self) -> bool:
        """Return whether the camera may move in any frame."""
        return self.changes(*(name for name in NO_MOVE if name != "hue"))

    def colours(self) -> bool:
        """Return whether hues may change in any frame."""
        return self.changes("hue")

    def wanders(self) -> bool:
        """Return whether chance, and so the seed of random numbers, has a part in a pointer's way."""
        return self.changes("wander")

    def for_key(self) -> Table:
        """Return the settings for cache keys, with normalised expressions."""
        curves = {name: str(curve) for name, curve in self.curves().items()}
        return to_table(self) | curves | {"steer": self.steering().text, "actions": self.actions_digest}
