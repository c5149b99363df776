"""The schema of a painting medium (oil, pencil …): the tables of its TOML file.

Lengths are in lines of a picture of 480 lines, so that a medium looks the same at every size.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from vidtrans.core.errors import UsageError
from vidtrans.core.options import option

MAX_SIDE_PX = 400  # Largest short side of the analysed picture, in pixels: finer detail is smaller than a stroke
VERSION = 2  # Version of the painted pictures, for cache keys
PICTURE = "picture"  # Value of a colour setting that means the colour of the source picture at each position
LINES = 480  # Unit of all lengths: 1/480 of the picture's short side
KINDS = ("strokes", "cells", "sheets", "wash")  # Kinds of layers
# Names of the procedural brushes
BRUSHES = ("bristle", "knife", "flat", "wash", "chalk", "graphite", "nib", "dab", "crayon", "glow")
PAPERS = ("smooth", "fine", "rough", "canvas", "laid", "pitted", "tooth")  # Names of the papers by their grain
PLACES = ("everywhere", "detail", "dark", "light", "edges", "colour")  # Parts of the picture that can get strokes
SHAPES = ("dots", "lines", "grain", "flat", "hatching")  # Shapes of a halftone screen


@dataclass(frozen=True)
class MediumPicture:
    """The table [picture]: adjustments of the picture before it is painted."""

    saturation: float = option(1.0, "of the colours", bounds=(0, 4))
    contrast: float = option(1.0, "of the tones, around the middle", bounds=(0, 4))
    brightness: float = option(0.0, "added to the tones", bounds=(-1, 1))
    stretch: float = option(0.0, "share by which tones are stretched to the whole range", bounds=(0, 1))
    levels: int = option(0, "steps that tones are divided into; 0: none", bounds=(0, 32))
    smooth: float = option(0.0, "σ over which small detail is flattened, edges kept", bounds=(0, 40))
    steady: float = option(0.0, "share of the picture before, along the motion, that stays", bounds=(0, 0.95))
    clarity: float = option(0.0, "how far small differences of tone are raised: eyes, mouths", bounds=(0, 4))
    lift: float = option(0.0, "how far middle tones are made lighter; below 0: darker", bounds=(-1, 1))
    filter: str = option(PICTURE, "#rrggbb: tones alone are seen, as on film behind this filter; 'picture': colours")
    shadows: str = option(PICTURE, "#rrggbb that the shadows of black-and-white films get; 'picture': none")
    lights: str = option(PICTURE, "#rrggbb that their lights get; 'picture': none")
    local: float = option(0.0, "share by which bright and dark areas are brought to one tone", bounds=(0, 1))


@dataclass(frozen=True)
class Ground:
    """The table [ground]: the layer below the strokes."""

    colour: str = option(PICTURE, "a colour, #rrggbb, or 'picture': the picture's own, blurred")
    blur: float = option(12.0, "σ of the blur", bounds=(0, 100))


@dataclass(frozen=True)
class MediumLayer:
    """One of the tables [[layer]], from the bottom to the top: strokes of one kind, or areas that fill the picture."""

    kind: str = option(
        "strokes",
        "strokes of a brush, cells that fill the picture, sheets of a few colours, or a transparent wash of strokes",
        choices=KINDS,
    )
    brush: str = option("bristle", "of the strokes: one made by a rule, or a grey PNG beside the medium's file")
    width: float = option(14.0, "of a stroke, or of a cell", bounds=(0.5, LINES))
    length: float = option(2.6, "of a stroke, in widths", bounds=(0.25, 60))
    spacing: float = option(0.62, "side of the squares that each hold a stroke, in widths", bounds=(0.1, 20))
    crowd: int = option(2, "strokes that a square holds at most", bounds=(1, 8))
    even: float = option(0.0, "share by which strokes too near to each other are pushed apart", bounds=(0, 1))
    where: str = option("everywhere", "where strokes live", choices=PLACES)
    level: float = option(0.2, "of the detail, tone, edge or colour from which they live", bounds=(0, 1))
    hold: float = option(0.08, "how far that may fall back before they die", bounds=(0, 1))
    fine: float = option(2.0, "σ at which detail or edges are looked for", bounds=(0.3, 40))
    angle: str = option("form", "degrees, counted clockwise from the horizontal, or 'form': along the picture's lines")
    follow: float = option(0.5, "with an angle: share by which the picture's lines turn it", bounds=(0, 1))
    across: bool = option(False, "strokes lie across the form, not along it")
    stray: float = option(3.0, "σ of the angle, in degrees", bounds=(0, 90))
    bend: float = option(0.8, "greatest bend of a stroke along the form, in radians", bounds=(0, 2))
    clip: float = option(0.3, "difference of colour at which a stroke ends; 0: it runs over edges", bounds=(0, 3))
    stub: float = option(0.5, "least half length of a stroke that an edge cuts, in widths", bounds=(0.05, 4))
    blend: str = option("cover", "opaque paint covers, transparent paint stains", choices=("cover", "stain"))
    opacity: float = option(0.95, "of a stroke", bounds=(0, 1))
    colour: str = option(PICTURE, "#rrggbb, or 'picture'")
    tint: float = option(1.0, "with a colour: share of it, the rest is the picture's", bounds=(0, 1))
    saturation: float = option(1.0, "of the picture's colour; below 0: its complement", bounds=(-4, 4))
    blur: float = option(0.22, "of the picture that colours come from, in widths", bounds=(0, 2))
    hide: float = option(0.35, "difference of colour at which a stroke is hidden, and dies", bounds=(0.02, 3))
    vary_light: float = option(0.025, "how far the strokes' lightness differs", bounds=(0, 1))
    vary_colour: float = option(0.01, "how far their colours differ", bounds=(0, 1))
    vary_width: float = option(0.2, "share by which widths differ", bounds=(0, 0.9))
    vary_length: float = option(0.2, "share by which lengths differ", bounds=(0, 0.9))
    vary_height: float = option(0.03, "how far the height of their paint differs", bounds=(0, 1))
    streaks: float = option(0.1, "how far ridges differ in lightness", bounds=(0, 2))
    grip: float = option(0.0, "how deep the paper's hollows are for a dry mark", bounds=(0, 2))
    hard: float = option(2.0, "hardness of the grain's edges", bounds=(0.2, 20))
    gap: float = option(0.0, "of cells: the width of what is between them", bounds=(0, 40))
    bevel: float = option(0.0, "of cells: the width of their slope", bounds=(0, 40))
    square: bool = option(False, "cells are square, turned with the form")
    hug: float = option(0.0, "how closely cells keep to the picture's edges", bounds=(0, 20))
    inside: float = option(0.0, "share of the picture that is seen inside a cell or a wash", bounds=(0, 1))
    shadow: float = option(0.0, "of cells: length of the shadow that one throws on another", bounds=(0, 40))
    dark: float = option(0.4, "darkness of that shadow", bounds=(0, 1))
    rim: float = option(0.0, "how much darker the edge of a wash, or the foot of a cell's slope, is", bounds=(0, 8))
    rim_width: float = option(2.0, "width of that edge", bounds=(0.2, 40))
    flow: float = option(0.0, "of a wash: how far the density of its pigment differs inside", bounds=(0, 8))
    wander: float = option(0.0, "of a wash: how far its outline strays from the picture's", bounds=(0, 40))
    margin: float = option(0.0, "width of the paper left bare along the picture's sides", bounds=(0, 200))
    thick: float = option(1.0, "of a stroke: the height of its paint, times that of the brush", bounds=(0, 4))
    joint: str = option(PICTURE, "of cells: #rrggbb of what is between them; 'picture': the ground")
    ridge: float = option(0.0, "height of what is between them", bounds=(0, 4))
    tilt: float = option(0.0, "of cells: how far they are tilted to the light", bounds=(0, 1))
    round: float = option(0.0, "of cells and sheets: length over which their borders are smoothed", bounds=(0, 12))
    sheets: int = option(8, "of sheets: number of colours", bounds=(2, 16))
    sheen: float = option(0.0, "of strokes: how much lighter they are where they lie across the light", bounds=(0, 1))
    twist: float = option(0.0, "of cells: threads, twisted so far; 0: none", bounds=(0, 1))


@dataclass(frozen=True)
class Screen:
    """One of the tables [[screen]]: an ink printed through a screen that is fixed to the paper."""

    ink: str = option("#000000", "#rrggbb")
    red: float = option(0.0, "amount of ink for what is missing of red", bounds=(-4, 4))
    green: float = option(0.0, "… of green", bounds=(-4, 4))
    blue: float = option(0.0, "… of blue", bounds=(-4, 4))
    add: float = option(0.0, "amount that is added", bounds=(-4, 4))
    shape: str = option("dots", "of the screen", choices=SHAPES)
    angle: float = option(45.0, "degrees", bounds=(-360, 360))
    pitch: float = option(5.0, "distance of dots or lines", bounds=(0.5, 200))
    right: float = option(0.0, "shift of this ink", bounds=(-20, 20))
    down: float = option(0.0, "shift of this ink", bounds=(-20, 20))
    hard: float = option(4.0, "hardness of edges", bounds=(0.2, 50))
    black: float = option(0.0, "share of the grey that is left to a black ink", bounds=(0, 1))
    swell: float = option(0.0, "how far the tone bends lines, in pitches", bounds=(-20, 20))
    waste: float = option(0.0, "share of the ink that the grain keeps off", bounds=(0, 1))
    form: float = option(0.0, "σ of the blur of the tone that bends lines", bounds=(0, 60))
    opaque: bool = option(False, "the ink covers those before it")
    carried: bool = option(False, "lines move with the film, in place of being fixed to the paper")


@dataclass(frozen=True)
class Finish:
    """The table [finish]: the paper, and the light on the paint."""

    paper: str = option("smooth", "whose grain shows", choices=PAPERS)
    hollows: float = option(0.0, "how dark the grain's hollows are", bounds=(0, 1))
    light: float = option(0.0, "how strongly light from the upper left shows the relief", bounds=(0, 4))
    most: float = option(0.12, "greatest change by this light", bounds=(0, 1))
    relief: float = option(2.6, "distance over which relief is measured", bounds=(0.1, 20))
    pigment: float = option(0.0, "how far paint that lies thicker is darker", bounds=(-4, 8))
    granulation: float = option(0.0, "how far pigment gathers in the hollows", bounds=(0, 8))


@dataclass(frozen=True)
class Medium:
    """A painting medium (oil, pencil …) that was read from a file.

    Attributes:
        digest: The digest of everything that affects its pictures.
        brushes: The file of each brush, by its name in a layer.
        cut: The sprites of brushes that were cut from a painting, by name.
    """

    name: str
    digest: str
    summary: str
    picture: MediumPicture
    ground: Ground
    layers: tuple[MediumLayer, ...]
    screens: tuple[Screen, ...]
    finish: Finish
    brushes: Mapping[str, Path]
    cut: Mapping[str, np.ndarray] = field(default_factory=dict)


def parse_ink(text: str) -> tuple[float, float, float] | None:
    """Parse the colour '#rrggbb' to red, green and blue in [0, 1]; None for 'picture'. Raises UsageError."""
    if text == PICTURE:
        return None
    if not re.fullmatch(r"#[0-9a-fA-F]{6}", text):
        raise UsageError(f"colour '{text}'", "not a colour", "write #rrggbb, as in '#f4f1e8', or 'picture'")
    red, green, blue = (int(text[at : at + 2], 16) / 255 for at in (1, 3, 5))
    return red, green, blue


def angle_of(layer: MediumLayer) -> float | None:
    """Return the angle setting of a layer in degrees; None if strokes follow the picture's lines. Raises UsageError."""
    if layer.angle == "form":
        return None
    try:
        return float(layer.angle) % 180
    except ValueError:
        raise UsageError(f"angle '{layer.angle}'", "not an angle", "write degrees, or 'form'") from None
