"""The stage that runs the network on each frame."""

from __future__ import annotations

from dataclasses import dataclass

from vidtrans.core.options import Group, Names, Use, option
from vidtrans.core.settings import Table
from vidtrans.inference import ENGINES
from vidtrans.pipeline.stage import Stage, StageSettings

# Names of the inference engines that the option accepts
_ENGINE_NAMES = Names("vidtrans.inference:ENGINES", "engine", ("auto",))


@dataclass(frozen=True)
class InferSettings(StageSettings):
    """Settings of inference: the network's input size and style, and the engine that runs it."""

    size: str = option(
        "auto",
        "size at which the model sees frames: short side in pixels, WxH, source, trained (the one trained at), or "
        "auto, which is for looks the source's up to 720 lines (for learned ones 5/3 of the trained size), for other "
        "models the trained one, and under strokes on the source itself 400 lines; trained enlarges smaller clips, too",
        Group.LOOK,
        metavar="N|WxH|auto|trained|source",
        uses=Use.VARY | Use.STREAM | Use.DREAM,
        form="main",
    )
    look: str = option(
        "",
        "which look of a model with several: its name, or, of a model of many, a number, a picture, or 'shots:7' for "
        "one in each shot; keyframes: '0: dots, 120: lines'; by itself the first one, or the middle of all; without a "
        "model: a medium (oil, watercolour, pencil …) or its TOML file, a painting that ships (starry-night …), any "
        "picture, or a mixture, 'a.jpg: 0.6, b.jpg: 0.4', in which 'clip' is the clip's own style",
        Group.LOOK,
        uses=Use.VARY | Use.STREAM,
        file="look",
    )
    stroke_size: str | float = option(
        0.5,
        "strokes of a look from pictures: 0 fine, 1 broad; a curve too",
        Group.LOOK,
        moves=(0, 1.0),
        uses=Use.VARY | Use.STREAM | Use.LIVE,
        form="more",
    )
    engine: str = option(
        "auto",
        "what runs the network; auto takes the fastest one that was measured",
        Group.SPEED,
        choices=_ENGINE_NAMES,
        uses=Use.STREAM | Use.DREAM,
        rare=True,
    )
    precision: str = option(
        "auto",
        "auto takes bf16 where the device has it; on CUDA also fp16, or tf32: fp32 with factors rounded to 10 bits",
        choices=("auto", "fp32", "bf16", "fp16", "tf32"),
        uses=Use.STREAM | Use.DREAM,
    )
    draft_step: int = option(
        1,
        "paint every n-th frame only, and carry the others there along the motion: quick, and softer",
        Group.SPEED,
        ("--draft",),
        bounds=(1, 12),
        form="more",
    )
    duplicate_threshold: float = option(
        0.0,
        "levels of 255 by which what the network sees may differ from what it saw last, and its output is taken again",
        bounds=(0.0, 32.0),
    )

    @property
    def engine_plugin(self) -> Table:
        """Return the package of the plug-in that provides the engine, for cache keys; {} for a built-in engine."""
        return ENGINES.origin(self.engine) if self.engine not in _ENGINE_NAMES.others else {}


class Infer(Stage):
    """The stage that runs the network, in batches, on each frame whose output is not stored."""

    Settings = InferSettings
