"""Settings of a dream's rollout: camera, clock, model sequence, driving video and drift correction."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from vidtrans.core.options import Form, Group, option
from vidtrans.core.settings import Table, to_table
from vidtrans.curves.curve import Curve, parse_curve
from vidtrans.dreaming.steering import ANIMATED, Steering, names_file, parse_steering
from vidtrans.pairing import LARGEST_ZOOM

NO_MOVE = {"zoom": 1.0, "rotate": 0.0, "pan_x": 0.0, "pan_y": 0.0, "hue": 0.0}  # Settings of a camera that stands still
NEUTRAL_VALUES = NO_MOVE | {"speed": 1.0, "recall": 1.0, "wander": 0.0}  # Values of controls that have no effect
# Default strength: the best of four for models that drift, harmless for others (docs/guides/dreaming/drift.md)
DRIFT_CORRECTION = 0.5


def flag_of(name: str) -> str:
    """Return the command-line option of a setting."""
    return "--" + name.replace("_", "-")


def _curve(default: float, name: str, help: str, group: Group = Group.CAMERA, form: Form = "") -> Any:  # noqa: ANN401
    """Declare an option whose value may vary over time, within the bounds of ``ANIMATED`` for its name."""
    return option(default, help, group, metavar="VALUE", moves=ANIMATED[name], form=form)


@dataclass(frozen=True)
class DreamingSettings:
    """Settings of camera and colour between frames, clock, model sequence, driving video and drift correction."""

    zoom: str | float = _curve(1.0, "zoom", "zoom factor per frame: a number, an expression or keyframes", form="main")
    rotate: str | float = _curve(0.0, "rotate", "rotation per frame in degrees, anticlockwise", form="main")
    pan_x: str | float = _curve(0.0, "pan_x", "shift to the right per frame, as a share of the width", form="main")
    pan_y: str | float = _curve(0.0, "pan_y", "shift down per frame, as a share of the height", form="main")
    hue: str | float = _curve(0.0, "hue", "hue rotation per frame in degrees", form="main")
    speed: str | float = _curve(
        1.0,
        "speed",
        "clock speed, for a model with a clock: 1 is the speed of its clip, 0 still, -1 backwards",
        form="more",
    )
    start_position: float | None = option(
        None,
        "Start position in the clip, for a model with a clock: 0 is the start, 1 the end. With none, the "
        "dream starts after the seed, as if the seed were the start of the clip.",
        Group.CAMERA,
        ("--position",),
        bounds=(0.0, 1.0),
    )
    start_zoom: float | None = option(
        None,
        "enlargement of the middle of the frames at the start, which leaves room for camera moves; none: as "
        "in training",
        Group.CAMERA,
        bounds=(1.0, LARGEST_ZOOM),
    )
    steer: str = option(
        "",
        "camera commands at given times, as in '0: left, 4s: right+zoom', or a file of commands, such as a "
        "recording of the live page",
        Group.CAMERA,
        metavar="SCRIPT|FILE",
        access="path",
    )
    goto: int | None = option(
        None,
        "number of the target shot: the dream moves to it through similar frames; for a model that keeps "
        "frames of several shots",
        Group.CAMERA,
        metavar="SHOT",
        bounds=(1, None),
    )
    actions: str = option(
        "",
        "a CSV table of the actions in the model's clip; --steer can use its words",
        Group.CAMERA,
        metavar="CSV",
        access="path",
    )
    recall: str | float = _curve(
        1.0,
        "recall",
        "how closely a model follows the frames of its clip that it keeps: 1 as in training, 0 not at all",
        Group.LOOK,
    )
    wander: str | float = _curve(
        0.0,
        "wander",
        "for a model that keeps frames: how soon it leaves their order; 0 at the end of a shot, 1 after a few frames",
        Group.LOOK,
    )
    loop: bool = option(
        False, "make the last frame lead back into the first, for a model with a clock", Group.CAMERA, form="more"
    )
    blend_amount: str | float = _curve(
        0.5, "blend_amount", "share of the driving video in the model's input, 0 to 1", Group.INPUT
    )
    drift_correction: float = option(
        DRIFT_CORRECTION,
        "strength of the correction towards the training frames, 0 to 1",
        Group.LOOK,
        bounds=(0.0, 1.0),
        form="more",
    )
    frames_per_model: int | None = option(
        None,
        "number of frames for each model, with several models; none: each model gets one equal part",
        Group.LOOK,
        ("--every",),
        bounds=(1, 1_000_000),
        form="more",
    )
    morph: bool = option(False, "morph from model to model by interpolating their weights", Group.LOOK, form="more")

    upscale: str = option(
        "faithful",
        "upscaling of a smaller picture to the size of the result: faithful (only the model's picture, a "
        "little crisper than bicubic) or bicubic",
        Group.LOOK,
        choices=("faithful", "bicubic"),
    )

    def __post_init__(self) -> None:
        self.curves()
        if not names_file(self.steer):  # A script is checked now; a file is read on first use
            self.steering()

    def curves(self) -> dict[str, Curve]:
        """Return the curve of each control that may vary over time. Raises UsageError."""
        return {name: parse_curve(getattr(self, name), flag_of(name), *ANIMATED[name]) for name in ANIMATED}

    def steering(self) -> Steering:
        """Return the parsed steering script; a file is read only once. Raises UsageError."""
        return self._steering

    @cached_property
    def _steering(self) -> Steering:
        """Parse the steering script, or the file that is given in its place."""
        return parse_steering(self.steer)

    def changes(self, *names: str) -> bool:
        """Return whether any of the named controls has an effect in any frame."""
        curves, steered = self.curves(), self.steering().controls
        return any(name in steered or curves[name].constant != NEUTRAL_VALUES[name] for name in names)

    @property
    def files(self) -> list[Path]:
        """Return the input files: steering script, table of actions, and value files of curves."""
        script = [Path(self.steer)] if names_file(self.steer) else []
        return [*script, *([Path(self.actions)] if self.actions else []), *self.curve_files]

    @property
    def curve_files(self) -> list[Path]:
        """Return the value files of all curves, without repetitions."""
        return list(dict.fromkeys(Path(file) for curve in self.curves().values() for file in curve.files))

    @property
    def actions_digest(self) -> str:
        """Return the SHA-256 (hex) of the table of actions; '' without a table."""
        path = Path(self.actions)
        return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""

    @property
    def goals(self) -> set[int | str]:
        """Return all shots (numbers) and actions (names) to which the pointer is steered."""
        return self.steering().goals | ({self.goto} if self.goto is not None else set())

    @property
    def needs_actions(self) -> bool:
        """Return whether an action is a steering goal, or a table of actions is given and has to be checked."""
        return bool(self.actions) or any(isinstance(goal, str) for goal in self.goals)

    def moves(self) -> bool:
        """Return whether the camera may move in any frame."""
        return self.changes(*(name for name in NO_MOVE if name != "hue"))

    def colours(self) -> bool:
        """Return whether hues may change in any frame."""
        return self.changes("hue")

    def wanders(self) -> bool:
        """Return whether the path of the pointer depends on the random seed."""
        return self.changes("wander")

    def for_key(self) -> Table:
        """Return the settings that affect the result, for cache keys."""
        curves = {name: str(curve) for name, curve in self.curves().items()}
        return to_table(self) | curves | {"steer": self.steering().text, "actions": self.actions_digest}
