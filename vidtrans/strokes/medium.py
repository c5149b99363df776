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

    saturation: float = option(1.0, "saturation of the colours", bounds=(0, 4))
    contrast: float = option(1.0, "contrast of the tones around middle grey", bounds=(0, 4))
    brightness: float = option(0.0, "value that is added to the tones", bounds=(-1, 1))
    stretch: float = option(0.0, "share by which tones are stretched to the whole range", bounds=(0, 1))
    levels: int = option(0, "number of tone steps; 0: no steps", bounds=(0, 32))
    smooth: float = option(0.0, "σ of the smoothing of small detail; edges are kept", bounds=(0, 40))
    steady: float = option(0.0, "share of the previous picture, moved along the motion, that stays", bounds=(0, 0.95))
    clarity: float = option(0.0, "increase of small tone differences, as in eyes and mouths", bounds=(0, 4))
    lift: float = option(0.0, "amount by which middle tones become lighter; below 0: darker", bounds=(-1, 1))
    filter: str = option(
        PICTURE, "#rrggbb: use only tones, as on film behind a filter of this colour; 'picture': use colours"
    )
    shadows: str = option(PICTURE, "#rrggbb: colour of the shadows in black-and-white films; 'picture': none")
    lights: str = option(PICTURE, "#rrggbb: colour of the lights in black-and-white films; 'picture': none")
    local: float = option(0.0, "share by which bright and dark areas get the same tone", bounds=(0, 1))


@dataclass(frozen=True)
class Ground:
    """The table [ground]: the layer below the strokes."""

    colour: str = option(PICTURE, "colour of the ground, #rrggbb, or 'picture': the blurred picture")
    blur: float = option(12.0, "σ of the blur", bounds=(0, 100))


@dataclass(frozen=True)
class MediumLayer:
    """One of the tables [[layer]], from the bottom to the top: strokes of one kind, or areas that fill the picture."""

    kind: str = option(
        "strokes",
        "kind of layer: strokes of a brush, cells that fill the picture, sheets of a few colours, or a "
        "transparent wash of strokes",
        choices=KINDS,
    )
    brush: str = option(
        "bristle", "brush of the strokes: a built-in brush, or a grey PNG in the folder of the medium's file"
    )
    width: float = option(14.0, "width of a stroke or a cell", bounds=(0.5, LINES))
    length: float = option(2.6, "length of a stroke, in widths", bounds=(0.25, 60))
    spacing: float = option(0.62, "side of the squares that each contain strokes, in widths", bounds=(0.1, 20))
    crowd: int = option(2, "largest number of strokes in a square", bounds=(1, 8))
    even: float = option(0.0, "share by which strokes that are too close are pushed apart", bounds=(0, 1))
    where: str = option("everywhere", "parts of the picture that get strokes", choices=PLACES)
    level: float = option(0.2, "detail, tone, edge or colour from which strokes appear", bounds=(0, 1))
    hold: float = option(0.08, "decrease of it after which strokes disappear", bounds=(0, 1))
    fine: float = option(2.0, "σ of the search for detail or edges", bounds=(0.3, 40))
    angle: str = option(
        "form", "angle of strokes in degrees, clockwise from the horizontal, or 'form': along the picture's lines"
    )
    follow: float = option(0.5, "with an angle: share by which strokes turn to the picture's lines", bounds=(0, 1))
    across: bool = option(False, "strokes lie across the form instead of along it")
    stray: float = option(3.0, "σ of the random angle of strokes, in degrees", bounds=(0, 90))
    bend: float = option(0.8, "largest bend of a stroke along the form, in radians", bounds=(0, 2))
    clip: float = option(0.3, "colour difference at which a stroke ends; 0: strokes cross edges", bounds=(0, 3))
    stub: float = option(0.5, "smallest half length of a stroke that an edge cuts, in widths", bounds=(0.05, 4))
    blend: str = option("cover", "kind of paint: opaque (cover) or transparent (stain)", choices=("cover", "stain"))
    opacity: float = option(0.95, "opacity of a stroke", bounds=(0, 1))
    colour: str = option(PICTURE, "colour of strokes, #rrggbb, or 'picture': the picture's colours")
    tint: float = option(1.0, "with a colour: its share; the rest is the picture's colour", bounds=(0, 1))
    saturation: float = option(1.0, "saturation of the picture's colour; below 0: its complement", bounds=(-4, 4))
    blur: float = option(0.22, "blur of the picture from which colours are taken, in widths", bounds=(0, 2))
    hide: float = option(0.35, "colour difference at which a stroke is hidden and removed", bounds=(0.02, 3))
    vary_light: float = option(0.025, "variation of the lightness of strokes", bounds=(0, 1))
    vary_colour: float = option(0.01, "variation of the colour of strokes", bounds=(0, 1))
    vary_width: float = option(0.2, "variation of the width of strokes, as a share", bounds=(0, 0.9))
    vary_length: float = option(0.2, "variation of the length of strokes, as a share", bounds=(0, 0.9))
    vary_height: float = option(0.03, "variation of the height of the paint of strokes", bounds=(0, 1))
    streaks: float = option(0.1, "variation of the lightness of ridges in a stroke", bounds=(0, 2))
    grip: float = option(0.0, "depth of the paper's hollows for dry strokes", bounds=(0, 2))
    hard: float = option(2.0, "hardness of the grain's edges", bounds=(0.2, 20))
    gap: float = option(0.0, "for cells: width of the gap between them", bounds=(0, 40))
    bevel: float = option(0.0, "for cells: width of their slope", bounds=(0, 40))
    square: bool = option(False, "cells are square, and turn with the form")
    hug: float = option(0.0, "strength with which cells follow the picture's edges", bounds=(0, 20))
    inside: float = option(0.0, "share of the picture that is visible inside a cell or a wash", bounds=(0, 1))
    shadow: float = option(0.0, "for cells: length of the shadow of a cell on another cell", bounds=(0, 40))
    dark: float = option(0.4, "darkness of the shadow of cells", bounds=(0, 1))
    rim: float = option(0.0, "darkening of the edge of a wash, or of the foot of a cell's slope", bounds=(0, 8))
    rim_width: float = option(2.0, "width of the darkened edge", bounds=(0.2, 40))
    flow: float = option(0.0, "for a wash: variation of the density of the pigment", bounds=(0, 8))
    wander: float = option(
        0.0, "for a wash: distance by which its outline strays from the picture's outline", bounds=(0, 40)
    )
    margin: float = option(0.0, "width of the bare paper along the picture's sides", bounds=(0, 200))
    thick: float = option(1.0, "for strokes: height of the paint, as a multiple of the brush's height", bounds=(0, 4))
    joint: str = option(PICTURE, "for cells: colour #rrggbb of the gap between them; 'picture': the ground")
    ridge: float = option(0.0, "height of the material in the gap between cells", bounds=(0, 4))
    tilt: float = option(0.0, "for cells: strength of their tilt to the light", bounds=(0, 1))
    round: float = option(0.0, "for cells and sheets: length of the smoothing of their borders", bounds=(0, 12))
    sheets: int = option(8, "for sheets: number of colours", bounds=(2, 16))
    sheen: float = option(
        0.0, "for strokes: amount by which they are lighter where they lie across the light", bounds=(0, 1)
    )
    twist: float = option(0.0, "for cells: strength of the twist of threads; 0: no threads", bounds=(0, 1))


@dataclass(frozen=True)
class Screen:
    """One of the tables [[screen]]: an ink printed through a screen that is fixed to the paper."""

    ink: str = option("#000000", "colour of the ink, #rrggbb")
    red: float = option(0.0, "amount of ink where red is missing", bounds=(-4, 4))
    green: float = option(0.0, "amount of ink where green is missing", bounds=(-4, 4))
    blue: float = option(0.0, "amount of ink where blue is missing", bounds=(-4, 4))
    add: float = option(0.0, "constant amount of ink", bounds=(-4, 4))
    shape: str = option("dots", "pattern of the screen", choices=SHAPES)
    angle: float = option(45.0, "angle of the screen, in degrees", bounds=(-360, 360))
    pitch: float = option(5.0, "distance between dots or lines", bounds=(0.5, 200))
    right: float = option(0.0, "shift of the ink to the right", bounds=(-20, 20))
    down: float = option(0.0, "shift of the ink downwards", bounds=(-20, 20))
    hard: float = option(4.0, "hardness of edges", bounds=(0.2, 50))
    black: float = option(0.0, "share of the grey that is left to a black ink", bounds=(0, 1))
    swell: float = option(0.0, "bend of lines by the tone, in pitches", bounds=(-20, 20))
    waste: float = option(0.0, "share of the ink that the grain blocks", bounds=(0, 1))
    form: float = option(0.0, "σ of the blur of the tone that bends lines", bounds=(0, 60))
    opaque: bool = option(False, "the ink covers the inks before it")
    carried: bool = option(False, "lines move with the film instead of staying on the paper")


@dataclass(frozen=True)
class Finish:
    """The table [finish]: the paper, and the light on the paint."""

    paper: str = option("smooth", "paper whose grain is visible", choices=PAPERS)
    hollows: float = option(0.0, "darkness of the hollows of the grain", bounds=(0, 1))
    light: float = option(0.0, "strength of the light from the upper left that shows the relief", bounds=(0, 4))
    most: float = option(0.12, "largest change by this light", bounds=(0, 1))
    relief: float = option(2.6, "distance over which the relief is measured", bounds=(0.1, 20))
    pigment: float = option(0.0, "darkening of thick paint", bounds=(-4, 8))
    granulation: float = option(0.0, "amount of pigment that collects in the hollows", bounds=(0, 8))


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
