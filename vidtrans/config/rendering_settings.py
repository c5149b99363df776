"""The settings of a render."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from vidtrans.core.parameters import FileName, Flag, Group, Moving, Names
from vidtrans.core.settings import SMALLEST_SIDE, Table, setting, to_table
from vidtrans.curves.curve import Curve, files_in, parse_curve, with_other_files
from vidtrans.inference import ENGINES
from vidtrans.upscaling import MEASURED, MODES

_ENGINE_NAMES = Names("vidtrans.inference:ENGINES", "engine", ("auto",))
CURVES = {"strength": 2.0, "keep_colour": 1.0, "keep_shading": 1.0, "mix": 1.0}  # of the blend, each from 0 to this
STROKES = 1.0  # the largest stroke size
FEATHER, SOFTEST = "rendering.mask_feather", 500.0  # pixels

# What commands without a model, or without a source's frames, read of the table [rendering].
DEFLICKER_READS = (
    *("strength", "mix", "keep_colour", "keep_shading", "mask_feather", "sound"),
    *("picture_fps", "cuts", "chunk_frames"),
)
DREAM_READS = ("size", "picture_fps", "chunk_frames", "engine", "precision")
LIVE_READS = ("size", "strength", "keep_colour", "keep_shading", "look", "stroke_size", "engine", "precision")


def look_named(tables: Mapping[str, Table]) -> str:
    """Return the ``rendering.look`` of a recipe's tables, unchecked; '' without one."""
    return str(tables.get("rendering", {}).get("look", ""))


def with_files_at(table: Table, change: Callable[[Path], str]) -> Table:
    """Return a table [rendering] with ``change(path)`` in place of each file that curves hear or read."""
    moving = [key for key in (*CURVES, "stroke_size", "mask_feather") if isinstance(table.get(key), str)]
    found = dict(table) | {key: with_other_files(table[key], change) for key in moving}
    if files_in(str(table.get("look", ""))):
        found["look"] = with_other_files(table["look"], change)
    return found | ({"sound": change(Path(table["sound"]))} if table.get("sound") else {})


@dataclass(frozen=True)
class RenderingSettings:
    """Settings of a render: working size, chunks, precision, and the strength and place of the style over time."""

    size: str = setting(
        "auto",
        "size at which the model sees frames: short side in pixels, WxH, source, trained (the one trained at), or "
        "auto, which is for looks the source's up to 720 lines (for learned ones 5/3 of the trained size), for other "
        "models the trained one, and under strokes on the source itself 400 lines; trained enlarges smaller clips, too",
        flag=Flag(Group.LOOK, ("--size",), metavar="N|WxH|auto|trained|source"),
    )
    upscale: str = setting(
        "auto",
        "how a smaller picture comes to the size of the result: guided (sharp, with the source's detail where both "
        "agree), auto (the same, calmer for networks whose own fine texture boils), clean (the source's detail instead "
        "of the network's fringes), faithful (nothing but the picture, a little crisper than bicubic), or bicubic",
        choices=MODES,
        flag=Flag(Group.LOOK, ("--upscale",)),
    )
    sharpness: float = setting(
        1.0,
        "how much of the detail that --upscale adds to a bicubic resize is shown, 0 to 1",
        low=0,
        high=1,
        flag=Flag(Group.LOOK, ("--sharpness",), metavar="X"),
    )
    strength: str | float = setting(
        1.0,
        "0 is the source, 1 the look, 2 twice as far; a curve: '0: 0.2, 5s: 1', '0.5 + 0.5*low', values.csv",
        flag=Flag(Group.LOOK, ("--strength",), metavar="CURVE", values=Moving(0, CURVES["strength"])),
    )
    mix: str | float = setting(
        0.0,
        "share of the source laid over the result, 0 to 1; a curve too",
        flag=Flag(Group.LOOK, ("--mix",), metavar="CURVE", values=Moving(0, CURVES["mix"])),
    )
    keep_colour: str | float = setting(
        0.0,
        "share of the source's own colours that is kept, 0 to 1; a curve too",
        flag=Flag(
            Group.LOOK,
            ("--keep-colour",),
            metavar="[CURVE]",
            help="Keep the source's own colours.",
            sets="1",
            values=Moving(0, CURVES["keep_colour"]),
        ),
    )
    keep_shading: str | float = setting(
        0.0,
        "share of the source's own light and shadow that replaces the look's, 0 to 1; a curve too",
        flag=Flag(
            Group.LOOK,
            ("--keep-shading",),
            metavar="[CURVE]",
            help="Keep the source's own light and shadow.",
            sets="1",
            values=Moving(0, CURVES["keep_shading"]),
        ),
    )
    look: str = setting(
        "",
        "which look of a model with several: its name, or, of a model of many, a number, a picture, or 'shots:7' for "
        "one in each shot; keyframes: '0: dots, 120: lines'; by itself the first one, or the middle of all; without a "
        "model: a medium (oil, watercolour, pencil …) or its TOML file, any picture, or a mixture, 'a.jpg: 0.6, "
        "b.jpg: 0.4', in which 'clip' is the clip's own style",
        flag=Flag(Group.LOOK, ("--look",), metavar="LOOK", values=FileName("look")),
    )
    stroke_size: str | float = setting(
        0.5,
        "strokes of a look from pictures: 0 fine, 1 broad; a curve too",
        flag=Flag(Group.LOOK, ("--stroke-size",), metavar="CURVE", values=Moving(0, STROKES)),
    )
    sound: str = setting(
        "",
        "the sound that curves hear, from the clip's first frame on; by itself the clip's own",
        flag=Flag(Group.LOOK, ("--sound",), metavar="FILE", access="path"),
    )
    mask_feather: str | float = setting(
        0.0, "σ in pixels of the result by which the mask's edge is softened, 0 to 500; a curve too"
    )
    drawing: str = setting(
        "auto",
        "the source is a drawing, its lines are taken as they are; auto looks at pictures, never at videos",
        choices=("auto", "yes", "no"),
        flag=Flag(Group.INPUT, ("--drawn",), rare=True),
    )
    picture_fps: float = setting(25.0, "frames a second where pictures become a video", low=0.1, high=1000.0)
    cuts: str = setting(
        "auto",
        "where shots begin, across which nothing is averaged: auto, off, or a file: a frame or a time on each line, a "
        "CSV of PySceneDetect, or the timeline of the clip (EDL, OTIO)",
        flag=Flag(Group.TIME, ("--cuts",), metavar="auto|off|FILE", access="path", rare=True),
    )
    source_filter: str = setting(
        "",
        "a filter graph of your own ffmpeg, laid over the source before the model sees it",
        flag=Flag(Group.INPUT, ("--filter-source",), metavar="GRAPH", access="program", rare=True),
    )
    chunk_frames: int = setting(60, "frames saved at once; a crash costs at most these", low=1, high=100_000)
    engine: str = setting(
        "auto",
        "what runs the network; auto takes the fastest one that was measured",
        choices=_ENGINE_NAMES,
        flag=Flag(Group.SPEED, ("--engine",), values=_ENGINE_NAMES, rare=True),
    )
    draft_step: int = setting(
        1,
        "paint every n-th frame only, and carry the others there along the motion: quick, and softer",
        low=1,
        high=12,
        flag=Flag(Group.SPEED, ("--draft",), metavar="N"),
    )
    duplicate_threshold: float = setting(
        0.0,
        "levels of 255 by which what the network sees may differ from what it saw last, and its output is taken again",
        low=0.0,
        high=32.0,
    )
    precision: str = setting(
        "auto",
        "auto takes bf16 where the device has it; on CUDA also fp16, or tf32: fp32 with factors rounded to 10 bits",
        choices=("auto", "fp32", "bf16", "fp16", "tf32"),
    )

    def __post_init__(self) -> None:
        self.curves(), self.stroke_curve(), self.feather_curve()

    def stroke_curve(self) -> Curve:
        """Return ``stroke_size`` over time, as a curve. Raises UsageError."""
        return parse_curve(self.stroke_size, "--stroke-size", 0.0, STROKES)

    def feather_curve(self) -> Curve:
        """Return ``mask_feather`` over time, as a curve. Raises UsageError."""
        return parse_curve(self.mask_feather, FEATHER, 0.0, SOFTEST)

    def curve(self, name: str) -> Curve:
        """Return the value of one of ``CURVES`` over time. Raises UsageError."""
        return parse_curve(getattr(self, name), "--" + name.replace("_", "-"), 0.0, CURVES[name])

    def curves(self) -> dict[str, Curve]:
        """Return the curves of ``CURVES``, by name. Raises UsageError."""
        return {name: self.curve(name) for name in CURVES}

    def curve_files(self) -> list[Path]:
        """Return the files that curves read: a sound, and files of values. Raises UsageError."""
        curves = [*self.curves().values(), self.stroke_curve(), self.feather_curve()]
        found = [self.sound] if self.sound else []
        found += [file for curve in curves for file in curve.files]
        found += files_in(self.look)  # of shares that move
        return [Path(file) for file in dict.fromkeys(found)]

    def upscale_for(self, *, fills_holes: bool) -> str:
        """Return ``upscale``, or for a model that fills holes one without the source, which would show in them."""
        return "faithful" if fills_holes and self.upscale in MEASURED else self.upscale

    def for_extractor(self, size: int) -> RenderingSettings:
        """Return the settings of the network that makes the input of a model which is rendered with these settings.

        ``size``: the short side in pixels of its frames; 0: its own.
        """
        side = str(max(size, SMALLEST_SIDE)) if size else "auto"
        return RenderingSettings(
            size=side, chunk_frames=self.chunk_frames, engine=self.engine, precision=self.precision
        )

    def for_key(self) -> Table:
        """Return the settings that affect the output, for cache keys; equal curves have equal texts.

        Not what curves hear or read: the keys of renders have the values that come of it.
        """
        moving = self.curves() | {"stroke_size": self.stroke_curve(), "mask_feather": self.feather_curve()}
        curves = {name: str(curve) for name, curve in moving.items()}
        return to_table(self) | curves | {"sound": ""} | self.engine_plugin

    @property
    def engine_plugin(self) -> Table:
        """Return the package of an engine that a plug-in adds, for cache keys; {} for others."""
        return ENGINES.origin(self.engine) if self.engine not in _ENGINE_NAMES.others else {}
