"""Infer: the network makes the picture of each frame."""

from __future__ import annotations

from dataclasses import dataclass

from vidtrans.core.parameters import FileName, Flag, Group, Moving, Names, Use
from vidtrans.core.settings import Table, setting
from vidtrans.inference import ENGINES
from vidtrans.pipeline.stage import Stage, StageSettings

_ENGINE_NAMES = Names("vidtrans.inference:ENGINES", "engine", ("auto",))


@dataclass(frozen=True)
class InferSettings(StageSettings):
    """Settings of inference: the network's input and look, and the engine that runs it."""

    size: str = setting(
        "auto",
        "size at which the model sees frames: short side in pixels, WxH, source, trained (the one trained at), or "
        "auto, which is for looks the source's up to 720 lines (for learned ones 5/3 of the trained size), for other "
        "models the trained one, and under strokes on the source itself 400 lines; trained enlarges smaller clips, too",
        uses=Use.VARY | Use.STREAM | Use.DREAM,
        flag=Flag(Group.LOOK, ("--size",), metavar="N|WxH|auto|trained|source", form="main"),
    )
    look: str = setting(
        "",
        "which look of a model with several: its name, or, of a model of many, a number, a picture, or 'shots:7' for "
        "one in each shot; keyframes: '0: dots, 120: lines'; by itself the first one, or the middle of all; without a "
        "model: a medium (oil, watercolour, pencil …) or its TOML file, any picture, or a mixture, 'a.jpg: 0.6, "
        "b.jpg: 0.4', in which 'clip' is the clip's own style",
        uses=Use.VARY | Use.STREAM,
        flag=Flag(Group.LOOK, ("--look",), metavar="LOOK", values=FileName("look")),
    )
    stroke_size: str | float = setting(
        0.5,
        "strokes of a look from pictures: 0 fine, 1 broad; a curve too",
        moves=Moving(0, 1.0),
        uses=Use.VARY | Use.STREAM | Use.LIVE,
        flag=Flag(Group.LOOK, ("--stroke-size",), metavar="CURVE", form="more"),
    )
    engine: str = setting(
        "auto",
        "what runs the network; auto takes the fastest one that was measured",
        choices=_ENGINE_NAMES,
        uses=Use.STREAM | Use.DREAM,
        flag=Flag(Group.SPEED, ("--engine",), values=_ENGINE_NAMES, rare=True),
    )
    precision: str = setting(
        "auto",
        "auto takes bf16 where the device has it; on CUDA also fp16, or tf32: fp32 with factors rounded to 10 bits",
        choices=("auto", "fp32", "bf16", "fp16", "tf32"),
        uses=Use.STREAM | Use.DREAM,
    )
    draft_step: int = setting(
        1,
        "paint every n-th frame only, and carry the others there along the motion: quick, and softer",
        low=1,
        high=12,
        flag=Flag(Group.SPEED, ("--draft",), metavar="N", form="more"),
    )
    duplicate_threshold: float = setting(
        0.0,
        "levels of 255 by which what the network sees may differ from what it saw last, and its output is taken again",
        low=0.0,
        high=32.0,
    )

    @property
    def engine_plugin(self) -> Table:
        """Return the package of an engine that a plug-in adds, for cache keys; {} for others."""
        return ENGINES.origin(self.engine) if self.engine not in _ENGINE_NAMES.others else {}


class Infer(Stage):
    """Runs the network on each frame that is not stored yet, in batches."""

    Settings = InferSettings
