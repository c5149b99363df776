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
        "Working size: the size at which the model sees frames. Values: short side in pixels, WxH, source, "
        "trained or auto. With trained, it is the size in training, and smaller clips are enlarged, except for "
        "looks. For looks, auto is the source's size; frames above 720 lines (for trained looks: usually 480) "
        "are shrunk to that size. For other models, auto is trained. For strokes without a model, auto is at "
        "most 400 lines.",
        Group.LOOK,
        metavar="N|WxH|auto|trained|source",
        uses=Use.VARY | Use.STREAM | Use.DREAM,
        form="main",
    )
    look: str = option(
        "",
        "Look to use. Without a model: a medium (oil, watercolour, pencil …), its TOML file, a bundled painting "
        "(starry-night …), any picture, or a mixture: 'a.jpg: 0.6, b.jpg: 0.4'. In a mixture, 'clip' is the "
        "clip's own style. With a model of several looks: the name of a look; the default is the first. With a "
        "model that makes looks from numbers: a number, a picture, or 'shots:7' for a random look in each shot; "
        "the default is the average look. Keyframes change the look: '0: dots, 120: lines'.",
        Group.LOOK,
        uses=Use.VARY | Use.STREAM,
        file="look",
    )
    stroke_size: str | float = option(
        0.5,
        "stroke size of a look from pictures: 0 is fine, 1 is broad; to change it over time, give a curve",
        Group.LOOK,
        moves=(0, 1.0),
        uses=Use.VARY | Use.STREAM | Use.LIVE,
        form="more",
    )
    engine: str = option(
        "auto",
        "engine that runs the network; auto: the fastest measured engine",
        Group.SPEED,
        choices=_ENGINE_NAMES,
        uses=Use.STREAM | Use.DREAM,
        rare=True,
    )
    precision: str = option(
        "auto",
        "Number format of the network. auto: bf16 if the device supports it. On CUDA also: fp16, or tf32 "
        "(fp32 with factors rounded to 10 bits).",
        choices=("auto", "fp32", "bf16", "fp16", "tf32"),
        uses=Use.STREAM | Use.DREAM,
    )
    draft_step: int = option(
        1,
        "paint only every n-th frame, and carry the paint to the others along the motion: faster, but softer",
        Group.SPEED,
        ("--draft",),
        bounds=(1, 12),
        form="more",
    )
    duplicate_threshold: float = option(
        0.0,
        "largest difference between two inputs of the network, in levels of 255, at which the previous output "
        "is used again",
        bounds=(0.0, 32.0),
    )

    @property
    def engine_plugin(self) -> Table:
        """Return the package of the plug-in that provides the engine, for cache keys; {} for a built-in engine."""
        return ENGINES.origin(self.engine) if self.engine not in _ENGINE_NAMES.others else {}


class Infer(Stage):
    """The stage that runs the network, in batches, on each frame whose output is not stored."""

    Settings = InferSettings
