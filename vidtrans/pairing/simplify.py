"""Rough drawing → clean lines: training draws a rough version of each clean drawing; a render takes a drawing.

After Simo-Serra, Iizuka, Sasaki and Ishikawa, "Learning to Simplify: Fully Convolutional Networks for Rough Sketch
Cleanup" (SIGGRAPH 2016). They paid artists for aligned pairs; here ``strokes.draw_roughly`` makes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vidtrans.core.options import option
from vidtrans.pairing.base import Pairing
from vidtrans.pairing.drawings import ink, ink_on, is_drawing
from vidtrans.pairing.edges import stroke_middles
from vidtrans.pairing.sketch import Sketch, SketchSettings
from vidtrans.pairing.strokes import Roughness, draw, draw_roughly, smooth, trace
from vidtrans.video.images.picture_analysis import centre_lines

GENTLEST = 0.25  # of the settings: the least rough drawing that training sees
SPUR = 16  # pixels: shorter lines found in a frame are no lines that one would draw
INKED = 160  # grey levels: what is darker is a line of a clean drawing
CALM = 2.0  # σ in pixels of the smoothing along lines that were found in a frame


@dataclass(frozen=True)
class SimplifySettings:
    """The clean lines, and how rough the drawings of training become."""

    lines: str = option(
        "auto",
        "drawn: the frames are clean line drawings; found: draw the lines found in them; auto: look at each frame",
        choices=("auto", "drawn", "found"),
    )
    width: float = option(1.6, "pixels, the width of lines that are found in a frame", bounds=(0.5, 20.0))
    sigma: float = option(1.4, "σ in pixels of the search for lines in a frame; more finds fewer", bounds=(0.3, 10.0))
    strokes: int = option(4, "how often a line is drawn over, at most", bounds=(1, 8))
    wobble: float = option(3.0, "pixels by which strokes miss the line, at most about twice as far", bounds=(0.0, 40.0))
    breaks: float = option(0.3, "share of strokes that leave a gap instead of an overlap", bounds=(0.0, 1.0))
    overshoot: float = option(10.0, "pixels that strokes run past their ends, at most", bounds=(0.0, 200.0))
    construction: int = option(6, "number of faint construction lines, at most", bounds=(0, 100))
    grain: float = option(0.8, "grain of pencil and paper: 0 is ink on smooth paper", bounds=(0.0, 1.0))


class Simplify(Pairing):
    """A drawing, dark strokes on white paper, in training drawn roughly over the clean lines.

    In three equal channels, so that a residual generator can begin with the drawing as it is.
    """

    name = "simplify"
    version = 1
    drawing_kind = "lines"
    operators_refusal = "the paper of a drawing is found first"
    Settings = SimplifySettings
    settings: SimplifySettings

    def stored(self, frame: np.ndarray) -> np.ndarray:
        """Return the clean lines of a frame, dark on white, (H, W, 3) uint8 both."""
        wanted = self.settings.lines
        if wanted == "drawn" or (wanted == "auto" and is_drawing(frame, "lines")):
            lines = 255 - ink(frame)
        else:
            pencil = Sketch(SketchSettings(sigma=self.settings.sigma)).input([frame])[..., 0]
            paths = trace(stroke_middles(ink_on(255.0, pencil)) > 0, SPUR)
            lines = draw([smooth(path, CALM) for path in paths], pencil.shape, self.settings.width)
        return _in_grey(lines)

    def input(self, frames: Sequence[np.ndarray]) -> np.ndarray:
        """Return a rough drawing's ink, dark on white, (H, W, 3) uint8 both."""
        return _in_grey(255 - ink(frames[0]))

    def training_input(self, frames: Sequence[np.ndarray], rng: np.random.Generator) -> np.ndarray:
        """Return a rough version of clean lines, (H, W, 3) uint8, as the ink found on its page, the same shape."""
        settings, share = self.settings, rng.uniform(GENTLEST, 1)
        rough = Roughness(
            strokes=settings.strokes,
            wobble=settings.wobble * share,
            breaks=settings.breaks * share,
            overshoot=settings.overshoot * share,
            construction=settings.construction,
            grain=settings.grain * rng.uniform(0, 1),
        )
        lines = frames[0][..., 0]
        page = draw_roughly(trace(centre_lines(lines < INKED)), lines.shape, rough, rng)
        return _in_grey(255 - ink_on(255.0, page))

    def drawing_input(self, picture: np.ndarray) -> np.ndarray:
        """Return the same as ``input``."""
        return self.input([picture])


def _in_grey(picture: np.ndarray) -> np.ndarray:
    """Return (H, W) uint8 as (H, W, 3)."""
    return np.repeat(picture[..., None], 3, axis=2)
