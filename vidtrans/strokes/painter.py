"""Paint the frames of a shot in order, in strokes that persist from one frame to the next.

``FrameFeatures`` computes the features of a frame: colours, directions, detail and tones, temporally stabilised. Each
``StrokeLayer`` updates its strokes from them, and ``StrokePainter`` renders all layers in bands of rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from vidtrans.core.machine import cores
from vidtrans.flow.estimator import FlowEstimator
from vidtrans.flow.warping import halve, resize_flow, warp
from vidtrans.strokes import brushes, cells, kernels
from vidtrans.strokes.medium import MAX_SIDE_PX, SHAPES, Medium, MediumLayer, Screen, angle_of, parse_ink
from vidtrans.strokes.settings import StrokesSettings
from vidtrans.video.colour.conversion import to_float, to_uint8

# Features
FLOW, FLOW_SIDE_PX = "dis", 360  # Method, and short side at which the motion is estimated, in pixels
DIRECTION_MEMORY = 0.9  # Share of the previous frame's direction field that is kept
MAX_GREY_CHROMA = 0.07  # 90th percentile of the chroma up to which a film counts as black-and-white
MIN_SPEED_PX = 0.15  # Speed, in pixels per frame, below which motion counts as noise
MAX_COLOUR_CHANGE = 0.06  # Colour difference from which less of the previous frame is kept; at twice this, nothing
LUMA = np.array([[0.299, 0.587, 0.114]], np.float32)  # Weights of red, green and blue in grey, (1, 3), as in BT.601
# Strokes
BAND_ROWS = 64  # Rows of the result that one thread-pool task paints
TURN = 0.12  # Adaptation per frame of a stroke's angle, bend and length, as a share of their difference from the target
SOFT_SLOPE = np.float32(0.05)  # Slope of a wash's placement map, per 1/480 of the side, below which its outline is soft
MIN_STROKE_PX = 1.1  # Minimum width of a stroke, in pixels of the result

Values = Mapping[str, float]  # Values, in one frame, of the settings that vary over time, by name


class FrameFeatures:
    """Computes the image features that guide strokes (directions, colours, detail), for a shot's frames in order.

    Attributes:
        picture: The picture to paint, (h, w, 3) float32 in [0, 1].
        tone: Its lightness, small detail flattened, (h, w) float32.
        lines: The direction field, cos 2θ, sin 2θ and coherence, (h/2, w/2, 3) float32.
        bent: The displacement of each screen's lines by the tone, in pitches, (n, h, w) float32.
        phases: Cos and sin of the phase by which lines moved, their displacement, the tone, (n, h/4, w/4, 4) float32.
        flow: The forward motion from the last frame, (h, w, 2) float32; (0, 0, 2) in the first frame.
    """

    def __init__(self, medium: Medium, directions: np.ndarray | None = None) -> None:
        self._medium = medium
        colour = np.array(parse_ink(medium.picture.filter) or (0, 0, 0), np.float32)
        self._weights = np.tile(colour / colour.sum(), (3, 1)) if colour.any() else None
        inks = [parse_ink(name) for name in (medium.picture.shadows, medium.picture.lights)]
        self._tints = [np.array(ink, np.float32) for ink in inks if ink] if all(inks) else None
        self._estimate = FlowEstimator(FLOW, FLOW_SIDE_PX)
        self._directions = directions
        self.reset()

    def reset(self) -> None:
        """Discard the state of all previous frames, at the start of a shot."""
        self._before: np.ndarray | None = None  # The last frame, prepared for the flow estimator
        self._tensor = self._steady = np.empty(0, np.float32)
        self._range = self._chroma = np.empty(0, np.float32)
        self.phases = np.empty(0, np.float32)
        self._detail: dict[float, np.ndarray] = {}

    def update(self, guide: np.ndarray, picture: np.ndarray) -> None:
        """Update the features for the next frame of the shot.

        ``guide``, (h, w, 3) uint8, gives the motion; ``picture``, (h, w, 3) uint8 or uint16, the rest.
        """
        self._detail = {}
        height, width = picture.shape[:2]
        if min(height, width) > MAX_SIDE_PX:
            scale = MAX_SIDE_PX / min(height, width)
            size = (max(1, round(width * scale)), max(1, round(height * scale)))
            guide, picture = (cv2.resize(one, size, interpolation=cv2.INTER_AREA) for one in (guide, picture))
            height, width = picture.shape[:2]
        self.scale = min(height, width) / 480  # Pixels per unit of length, which is 1/480 of the short side
        now = self._estimate.prepare(guide)
        back = None
        if self._before is None:
            self.flow = np.empty((0, 0, 2), np.float32)
        else:
            there = self._estimate.estimate(self._before, now)
            self.flow = resize_flow(_smooth_flow(there), width, height)
            back = -self.flow
        self._before = now
        rgb = to_float(picture).astype(np.float32, copy=False)
        self.picture = self._adjust_tones(self._stabilise(rgb, back))
        self.tone = cv2.transform(self.picture, LUMA)
        self.lines = self._direction_field(back)
        self._update_phases(back)

    def _stabilise(self, rgb: np.ndarray, back: np.ndarray | None) -> np.ndarray:
        """Blend a picture with the previous one, warped along the flow ``back``, where their colours agree."""
        share = self._medium.picture.steady
        if not share:
            return rgb
        if back is not None and len(self._steady):
            past = warp(self._steady, back)
            change = cv2.transform(cv2.absdiff(past, rgb), np.full((1, 3), 1 / 3, np.float32))
            kept = share * np.clip(2 - change / MAX_COLOUR_CHANGE, 0, 1)
            rgb = rgb + (past - rgb) * kept[..., None]
        self._steady = rgb
        return rgb

    def _adjust_tones(self, rgb: np.ndarray) -> np.ndarray:
        """Apply the medium's [picture] settings (contrast, saturation, levels …) to a picture (H, W, 3) float32."""
        params = self._medium.picture
        if self._weights is not None:
            rgb = cv2.transform(rgb, self._weights)
        if self._tints is not None:
            rgb = self._tint(rgb, *self._tints)
        if params.smooth:
            rgb = flatten(rgb, params.smooth * self.scale)
        if params.clarity:
            rgb = rgb + params.clarity * local_contrast(cv2.transform(rgb, LUMA), 5 * self.scale)[..., None]
        if params.stretch:
            grey = cv2.resize(cv2.transform(rgb, LUMA), (160, 90), interpolation=cv2.INTER_AREA)
            now = np.quantile(grey, [0.02, 0.97]).astype(np.float32)
            self._range = now if not len(self._range) else self._range * np.float32(0.95) + now * np.float32(0.05)
            low, high = self._range * np.float32(params.stretch) + np.array([0, 1 - params.stretch], np.float32)
            rgb = (rgb - low) / max(high - low, np.float32(0.1))
        if params.local:
            wide = cv2.transform(flatten(rgb, 30 * self.scale), LUMA)
            rgb = rgb + ((np.float32(0.55) - wide) * np.float32(params.local))[..., None]
        if params.saturation != 1 or params.contrast != 1 or params.brightness or params.lift:
            grey = cv2.transform(rgb, LUMA)[..., None]
            level = (grey - np.float32(0.5)) * np.float32(params.contrast) + np.float32(0.5 + params.brightness)
            level = level + np.float32(params.lift) * level * (1 - level)
            rgb = level + (rgb - grey) * np.float32(params.saturation * max(params.contrast, 1) ** 0.5)
        rgb = np.clip(rgb, 0, 1)
        if params.levels:
            grey = cv2.transform(rgb, LUMA)
            steps = np.float32(params.levels)
            place = grey * steps
            whole = np.floor(place)
            rise = np.clip((place - whole - np.float32(0.5)) * 6 + np.float32(0.5), 0, 1)  # A hard step would flicker
            rgb = np.clip(rgb * ((whole + rise) / steps / np.maximum(grey, np.float32(0.02)))[..., None], 0, 1)
        return np.ascontiguousarray(rgb, dtype=np.float32)

    def _tint(self, rgb: np.ndarray, shadows: np.ndarray, lights: np.ndarray) -> np.ndarray:
        """Tint a black-and-white picture with the medium's colours of shadows and lights; return others unchanged."""
        small = cv2.resize(rgb, (160, 90), interpolation=cv2.INTER_AREA)
        now = np.quantile(small.max(2) - small.min(2), [0.9]).astype(np.float32)
        self._chroma = now if not len(self._chroma) else self._chroma * np.float32(0.95) + now * np.float32(0.05)
        share = np.clip(2 - self._chroma / MAX_GREY_CHROMA, 0, 1)
        if not share:
            return rgb
        grey = np.clip(cv2.transform(rgb, LUMA), 0, 1)[..., None]
        tint = shadows + (lights - shadows) * grey
        return rgb + (tint - tint @ LUMA.T) * (share * (1 - np.abs(2 * grey - 1) ** 3))

    def _direction_field(self, back: np.ndarray | None) -> np.ndarray:
        """Return the direction field from structure tensors at two scales, averaged over time along the motion.

        ``back``: the flow to the previous frame, (h, w, 2) in pixels; None in the first frame.
        """
        height, width = self.tone.shape
        size = ((width + 1) // 2, (height + 1) // 2)
        small = cv2.GaussianBlur(cv2.resize(self.tone, size, interpolation=cv2.INTER_AREA), (0, 0), 0.9 * self.scale)
        x, y = cv2.Scharr(small, cv2.CV_32F, 1, 0), cv2.Scharr(small, cv2.CV_32F, 0, 1)
        # Structure tensor as double-angle components (cos, sin) and energy
        tensor = cv2.merge([x * x - y * y, 2 * x * y, x * x + y * y])
        near = cv2.GaussianBlur(tensor, (0, 0), 3.0 * self.scale)
        quarter = (max(1, size[0] // 4), max(1, size[1] // 4))
        far = cv2.GaussianBlur(cv2.resize(tensor, quarter, interpolation=cv2.INTER_AREA), (0, 0), 4.0 * self.scale)
        near += 0.08 * cv2.resize(far, size, interpolation=cv2.INTER_LINEAR)
        if back is not None and len(self._tensor):
            past = warp(self._tensor, resize_flow(back, *size))
            near = DIRECTION_MEMORY * past + (1 - DIRECTION_MEMORY) * near
        self._tensor = near
        across, aslant, energy = cv2.split(near)
        length = cv2.magnitude(across, aslant)
        coherence = length / (energy + np.float32(2e-4))
        least = np.maximum(length, np.float32(1e-12))
        lines = [-across / least, -aslant / least, coherence]  # Along the lines: perpendicular to the gradient
        if self._directions is not None:
            lines = self._blend_painted_directions(lines, size)
        return cv2.merge(lines)

    def _blend_painted_directions(self, lines: list[np.ndarray], size: tuple[int, int]) -> list[np.ndarray]:
        """Blend the direction field ``lines`` with the directions that the user painted in a picture.

        ``lines``: cos 2θ, sin 2θ and coherence. ``size``: the (width, height) of the field.
        """
        assert self._directions is not None
        grey = cv2.cvtColor(
            cv2.resize(to_uint8(self._directions), size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY
        )
        soft = cv2.GaussianBlur(grey.astype(np.float32) / 255, (0, 0), 1.2)
        x, y = cv2.Scharr(soft, cv2.CV_32F, 1, 0), cv2.Scharr(soft, cv2.CV_32F, 0, 1)
        tensor = cv2.GaussianBlur(cv2.merge([x * x - y * y, 2 * x * y]), (0, 0), 12 * self.scale)
        across, aslant = cv2.split(tensor)
        length = np.maximum(cv2.magnitude(across, aslant), np.float32(1e-12))
        share = np.clip(length / np.float32(1e-3), 0, 1)
        led = [-across / length, -aslant / length, np.ones_like(length)]
        return [one + (other - one) * share for one, other in zip(lines, led, strict=True)]

    def colours(self, blur: float) -> np.ndarray:
        """Return the picture blurred by σ = ``blur`` pixels; a wide blur is computed at half the size or less."""
        made, scale = self.picture, 1
        while blur > 1.6 and min(made.shape[:2]) >= 8:
            made = halve(made)
            blur, scale = blur / 2, scale * 2
        return cv2.GaussianBlur(made, (0, 0), blur) if blur > 0.5 else made

    def _update_phases(self, back: np.ndarray | None) -> None:
        """Displace the lines of halftone screens by the picture's tone, and move them along the motion.

        The phase by which lines differ from lines fixed to the paper is a field of unit complex numbers at a quarter of
        the size. Each frame warps and smooths it, so that lines keep about their distance; where neighbouring phases
        diverge, lines fork or end. The phase slowly returns to 0.
        """
        self.bent = np.empty((len(self._medium.screens), *self.tone.shape), np.float32)
        for n, screen in enumerate(self._medium.screens):
            blur = screen.form * self.scale
            soft = cv2.GaussianBlur(self.tone, (0, 0), blur) if blur else self.tone
            np.multiply(1 - soft, screen.swell, out=self.bent[n])
        if not any(screen.carried for screen in self._medium.screens):
            self.phases = np.ones((len(self.bent), 1, 1, 2), np.float32)
            return
        size = (max(1, self.tone.shape[1] // 4), max(1, self.tone.shape[0] // 4))
        made = np.zeros((len(self.bent), size[1], size[0], 4), np.float32)  # Cos, sin, displacement of lines, tone
        made[..., 0] = 1
        made[..., 3] = cv2.resize(self.tone, size, interpolation=cv2.INTER_AREA)
        if back is not None and len(self.phases):
            back = _reliable_flow(
                cv2.resize(back, size, interpolation=cv2.INTER_AREA), self.phases[0, ..., 3], made[0, ..., 3]
            )
        for n, screen in enumerate(self._medium.screens):
            made[n, ..., 2] = cv2.resize(self.bent[n], size, interpolation=cv2.INTER_AREA)
            if back is None or not len(self.phases) or not screen.carried:
                continue
            x, y = cv2.split(back)
            angle = math.radians(screen.angle)
            moved = (y * math.cos(angle) - x * math.sin(angle)) / (screen.pitch * self.scale)
            cos, sin, bend, _ = cv2.split(warp(self.phases[n], back / 4))
            turn = np.float32(2 * np.pi) * (moved + bend - made[n, ..., 2]).astype(np.float32)
            c, s = np.cos(turn), np.sin(turn)
            both = cv2.GaussianBlur(cv2.merge([cos * c - sin * s, cos * s + sin * c]), (0, 0), 1.5 * self.scale)
            length = np.maximum(np.hypot(both[..., 0], both[..., 1]), np.float32(1e-3))
            both /= length[..., None]
            both[..., 0] += np.float32(0.52) - np.float32(0.5) * np.minimum(length, 1)
            made[n, ..., :2] = both / np.maximum(np.hypot(both[..., 0], both[..., 1]), np.float32(1e-3))[..., None]
        self.phases = made

    def placement(self, layer: MediumLayer) -> np.ndarray:
        """Return a layer's placement map, (h, w) float32, positive where strokes live; (0, 0) means everywhere."""
        if layer.where == "everywhere":
            return np.empty((0, 0), np.float32)
        level = np.float32(layer.level)
        sigma = max(0.5, layer.fine * self.scale)
        if layer.where == "dark":
            return level - cv2.GaussianBlur(self.tone, (0, 0), sigma)
        if layer.where == "light":
            return cv2.GaussianBlur(self.tone, (0, 0), sigma) - level
        if layer.where == "edges":  # The dark side of edges, by a difference of Gaussians (Winnemöller et al. 2006)
            near, wide = (cv2.GaussianBlur(self.tone, (0, 0), width) for width in (sigma, 2.2 * sigma))
            return np.clip((wide - near) * 11, 0, 1) - level
        if layer.where == "colour":
            return cv2.GaussianBlur(self.picture.max(2) - self.picture.min(2), (0, 0), sigma) - level
        return self._detail_level(layer.fine) - level

    def detail(self, layer: MediumLayer) -> np.ndarray:
        """Return the map of detail to which a layer's strokes adapt, (h, w) float32 in [0, 1]."""
        return np.clip((self._detail_level(layer.fine) - np.float32(layer.level)) * 4, 0, 1)

    def _detail_level(self, fine: float) -> np.ndarray:
        """Return the amount, 0 to 1, of detail finer than ``fine`` units of 1/480 of the short side.

        It is the mean change of lightness, 1 for a change of 7 %.
        """
        if fine not in self._detail:
            sigma = max(0.5, fine * self.scale)
            change = cv2.absdiff(self.tone, cv2.GaussianBlur(self.tone, (0, 0), sigma))
            half = cv2.resize(
                change, ((self.tone.shape[1] + 1) // 2, (self.tone.shape[0] + 1) // 2), interpolation=cv2.INTER_AREA
            )
            mean = cv2.GaussianBlur(half, (0, 0), sigma)
            mean = cv2.resize(mean, self.tone.shape[::-1], interpolation=cv2.INTER_LINEAR)
            self._detail[fine] = np.minimum(mean * 14, np.float32(1))
        return self._detail[fine]

    def state(self) -> Mapping[str, np.ndarray]:
        """Return the state that the next frame's features depend on; {} before the first frame."""
        if self._before is None:
            return {}
        made = {"before": self._before, "tensor": self._tensor, "steady": self._steady, "range": self._range}
        return made | {"phases": self.phases, "chroma": self._chroma}

    def resume(self, state: Mapping[str, np.ndarray]) -> None:
        """Restore a state that ``state`` returned."""
        self._before, self._tensor = state["before"], state["tensor"]
        self._steady, self._range, self.phases = state["steady"], state["range"], state["phases"]
        self._chroma = state["chroma"]


def _reliable_flow(back: np.ndarray, before: np.ndarray, now: np.ndarray) -> np.ndarray:
    """Reduce a flow to 0 where it explains the change of the picture worse than no motion.

    ``back``: the flow to the previous frame, (h, w, 2), in pixels of four times the size. ``before`` and ``now``: the
    tones of both frames, (h, w).
    """
    better = cv2.absdiff(before, now) - cv2.absdiff(warp(before, back / 4), now)
    better = cv2.GaussianBlur(better, (0, 0), 2)
    moves = cv2.GaussianBlur(np.maximum(better - np.float32(0.0015), 0), (0, 0), 8)
    stands = cv2.GaussianBlur(np.maximum(-better, 0), (0, 0), 8) + np.float32(0.0006)
    return back * (moves / (moves + stands))[..., None]


def _smooth_flow(flow: np.ndarray) -> np.ndarray:
    """Smooth a flow, and set slow motion to 0, because it would make the paint tremble."""
    sigma = max(0.5, min(flow.shape[:2]) / 180)
    smooth = cv2.merge([cv2.GaussianBlur(one, (0, 0), sigma) for one in cv2.split(flow)])
    speed = cv2.magnitude(*cv2.split(smooth))
    return smooth * np.clip(speed / MIN_SPEED_PX - 1, 0, 1)[..., None]


def local_contrast(tone: np.ndarray, sigma: float) -> np.ndarray:
    """Return the local contrast of a tone (H, W) float32 within σ pixels, reduced near strong edges to avoid halos."""
    around = cv2.GaussianBlur(halve(tone) if min(tone.shape) >= 8 else tone, (0, 0), sigma / 2)
    differs = tone - cv2.resize(around, tone.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return differs / (1 + np.abs(differs) * np.float32(5))


def flatten(picture: np.ndarray, sigma: float) -> np.ndarray:
    """Remove detail below ``sigma`` pixels from a picture (H, W, 3) float32, by a guided filter (He et al. 2010)."""
    side = 2 * max(1, round(sigma)) + 1
    factor = 2 if sigma > 3 else 1
    made = picture
    if factor > 1:
        made = cv2.resize(made, (made.shape[1] // 2 or 1, made.shape[0] // 2 or 1), interpolation=cv2.INTER_AREA)
        side = 2 * max(1, round(sigma / 2)) + 1
    mean = cv2.blur(made, (side, side))
    spread = cv2.max(cv2.blur(made * made, (side, side)) - mean * mean, 0)
    total = cv2.transform(spread, np.full((1, 3), 1.0, np.float32))
    slope = (total / (total + np.float32(0.012)))[..., None]
    slope, offset = cv2.blur(slope, (side, side))[..., None], cv2.blur(mean * (1 - slope), (side, side))
    if factor > 1:
        size = (picture.shape[1], picture.shape[0])
        slope = cv2.resize(slope, size, interpolation=cv2.INTER_LINEAR)[..., None]
        offset = cv2.resize(offset, size, interpolation=cv2.INTER_LINEAR)
    return picture * slope + offset


@dataclass(frozen=True)
class LayerDrawing:
    """The inputs for rendering one layer in one frame, shared by all bands of rows.

    ``strokes`` and ``rows``: see ``kernels.draw_list``. ``params``: parameters of the kernel that renders the layer.
    ``ranks``: see ``kernels.stacking_order``.
    """

    layer: MediumLayer
    strokes: np.ndarray
    rows: np.ndarray
    params: np.ndarray
    sprites: np.ndarray  # Sprites of the brush; empty for cells and sheets
    labels: np.ndarray  # Label of the area of each guide pixel; empty for strokes
    ranks: np.ndarray
    wash: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None  # Outline, its sharpness, parameters of the wash


@dataclass(frozen=True)
class FrameInputs:
    """The inputs of one frame for updating the strokes of all layers.

    ``fields``: the image features of the frame. ``values``: the values of the settings that vary over time.
    """

    frame: int  # Number of the frame in the shot
    first: bool  # Whether it is the shot's first frame, in which new strokes do not fade in
    fields: FrameFeatures
    settings: StrokesSettings
    values: Values
    fine: np.ndarray  # Share (0 to 1) by which strokes are narrower at each position, see ``kernels.update_strokes``

    @property
    def flow(self) -> np.ndarray:
        """Return the flow since the previous frame, (h, w, 2) float32 pixels; (0, 0, 2) in the first frame."""
        return np.empty((0, 0, 2), np.float32) if self.first else self.fields.flow


class StrokeLayer:
    """The strokes, cells or sheets of one layer in a shot; ``number``: the layer's index, counted from the bottom."""

    def __init__(self, layer: MediumLayer, number: int, medium: Medium) -> None:
        self.layer, self.number = layer, number
        file, cut = medium.brushes.get(layer.brush), medium.cut.get(layer.brush)
        if layer.kind in ("strokes", "wash"):
            made = brushes.read_brush(file) if file else cut
            self._sprites = brushes.sprites(layer.brush) if made is None else made
        self._sized_sprites: tuple[tuple[int, int], np.ndarray] = ((0, 0), np.empty(0))
        self.clear(0)

    def clear(self, salt: int) -> None:
        """Remove all strokes; ``salt`` is the random seed of the new ones."""
        self._salt = (salt * 64 + self.number) * 2 + 1
        self._life = np.empty((0, kernels.LIFE_COLUMNS), np.float32)
        self._ids, self._dying, self._next = np.empty(0, np.int64), np.empty(0, np.uint8), 0
        self._labels = np.empty((0, 0), np.int32)
        self._shares = np.empty((0, 0, 0), np.float32)

    def update(self, now: FrameInputs) -> None:
        """Update the strokes, cells or sheets of the layer for the next frame."""
        layer, fields, settings, loose = self.layer, now.fields, now.settings, now.values["looseness"]
        height, width = fields.tone.shape
        wide = layer.width * fields.scale * now.values["size"]
        cell = max(1.5, wide * layer.spacing / math.sqrt(now.values["density"]))
        self._half = wide / 2
        if layer.kind == "cells":
            self._update_cells(now, cell * math.sqrt(layer.length), math.radians(layer.stray) * loose)
            return
        if layer.kind == "sheets":
            self._update_sheets(fields, first=now.first)
            return
        half, angle = wide * layer.length / 2, angle_of(layer)
        rules = _row(
            *(width, height, cell, layer.crowd, -layer.hold, layer.hide),
            *(1 - settings.lag, TURN, 1 / settings.fade, math.radians(angle or 0)),
            *(angle is not None, layer.follow, math.radians(layer.stray) * loose, half),
            *(layer.clip > 0 and loose < 3, layer.clip * loose, layer.bend, 0),
            *(min(layer.stub * wide, half), layer.across),
        )
        colours = fields.colours(layer.blur * layer.width * fields.scale * now.values["size"])
        placement = fields.placement(layer)
        if layer.even:
            grid = np.float32(cell), math.ceil(width / cell), math.ceil(height / cell)
            kernels.push_apart(self._life, self._dying, *grid, np.float32(layer.even))
        self._life, self._ids, self._dying, self._next = kernels.update_strokes(
            *(self._life, self._ids, self._dying, self._next, self._salt, now.frame),
            *(now.flow, colours, fields.lines, placement, now.fine, rules),
        )
        if layer.kind == "wash":
            self._outline = outline(placement, fields.scale) if placement.size else (placement, placement)

    def _update_cells(self, now: FrameInputs, cell: float, stray: float) -> None:
        """Update the cells for the next frame; ``cell``: size in pixels, ``stray``: σ of their angles in radians."""
        layer, fields = self.layer, now.fields
        limit = 1e6 if layer.where == "everywhere" else cells.HOLE
        rules = _row(
            *(cell, layer.square, layer.hug, limit, -layer.hold),
            *(1 - now.settings.lag, TURN * 0.4, 1 / now.settings.fade),
            *(stray, layer.even, 14, math.sqrt(layer.length)),
        )
        rgb = fields.colours(layer.blur * self._half * 2)
        if rgb.shape != fields.picture.shape:
            rgb = cv2.resize(rgb, fields.picture.shape[1::-1], interpolation=cv2.INTER_LINEAR)
        self._life, self._ids, self._dying, self._next, self._labels = cells.advance_cells(
            *(self._life, self._ids, self._dying, self._next, self._salt, now.frame),
            *(now.flow, rgb, fields.lines, fields.placement(layer), now.fine, self._labels, rules),
        )

    def _update_sheets(self, fields: FrameFeatures, *, first: bool) -> None:
        """Update the sheets: areas of a few main colours, which follow the colours of the film.

        ``first``: whether it is the shot's first frame, from which the main colours are taken.
        """
        layer, picture = self.layer, fields.picture
        if first:
            colours = cells.cluster_colours(picture, layer.sheets)
            self._life = np.zeros((len(colours), kernels.LIFE_COLUMNS), np.float32)
            self._life[:, [kernels.ALPHA, kernels.NARROW, kernels.FRONT, kernels.BACK]] = 1
            self._ids, self._dying = np.arange(len(colours)), np.zeros(len(colours), np.uint8)
        else:
            colours = self._life[:, kernels.RED : kernels.BLUE + 1]
        self._labels, self._shares = cells.label_sheets(
            picture, colours, self._shares, fields.flow, max(0.5, layer.round * fields.scale), fields.detail(layer)
        )
        if not first:
            sampled, where = picture[::2, ::2].reshape(-1, 3), self._labels[::2, ::2].reshape(-1)
            counts = np.bincount(where, minlength=len(colours))
            means = [np.bincount(where, sampled[:, k], len(colours)) / np.maximum(counts, 1) for k in range(3)]
            colours = colours + 0.04 * (np.stack(means, 1) - colours) * (counts > 50)[:, None]
        self._life[:, kernels.RED : kernels.BLUE + 1] = colours

    def drawing(self, scale: float, strength: Values, size: tuple[int, int]) -> LayerDrawing:
        """Return the inputs for rendering the layer.

        ``scale``: result pixels per guide pixel. ``strength``: the values of the settings in this frame. ``size``: the
        (width, height) of the result.
        """
        layer = self.layer
        to_guide = 1 / scale
        if layer.kind == "wash":
            scale /= 2  # A wash is soft, so its strokes are drawn at half size and composited at full size
        half = max(self._half, MIN_STROKE_PX / 2 / scale)
        ink = parse_ink(layer.colour)
        is_area = layer.kind in ("cells", "sheets")
        style = _row(
            *(1 if is_area else layer.opacity, layer.vary_light, layer.vary_colour, layer.vary_width),
            *(layer.vary_length, layer.vary_height, layer.saturation - 1, 1 if ink is None else 1 - layer.tint),
            layer.sheen,
        )
        ranks = kernels.stacking_order(self._ids, self._salt)
        order = np.arange(len(ranks)) if is_area else np.argsort(ranks, kind="stable")
        strokes, rows = kernels.draw_list(
            *(self._life, self._ids, order, self._salt, np.float32(scale), np.float32(half)),
            *(1 if is_area else len(self._sprites), style, _row(*(ink or (0, 0, 0)))),
        )
        pixels = min(size) / 480
        if is_area:
            strokes[:, 13] = [kernels.noise(self._salt, int(one), 9) for one in self._ids]
            if layer.kind == "sheets":
                ranks = np.arange(len(ranks), 0, -1, dtype=np.float32)  # The darkest sheets are on top
            labels = self._labels
            if layer.round and layer.kind == "cells":
                labels = cells.majority_filter(labels, max(1, round(layer.round / scale * pixels)))
            joint = parse_ink(layer.joint)
            params = _row(
                *(max(0.6, layer.gap * pixels / 2) if layer.gap else 0, layer.bevel * pixels, layer.inside),
                *(layer.opacity, layer.shadow * pixels, layer.dark, 1 / scale, joint is not None),
                *(*(joint or (0, 0, 0)), layer.ridge, layer.rim, layer.tilt, layer.streaks, layer.twist),
            )
            return LayerDrawing(layer, strokes, rows, params, np.empty(0), labels, ranks)
        if layer.margin and layer.kind == "strokes":
            x, y = strokes[:, 0], strokes[:, 1]
            side = np.minimum(np.minimum(x, size[0] - x), np.minimum(y, size[1] - y)) / pixels
            strokes[:, 8] *= np.clip((side - layer.margin) / 3 + 0.5, 0, 1)
        params = _row(layer.blend == "stain", layer.streaks, layer.grip * strength["paper"], layer.hard, layer.thick)
        if layer.kind == "wash":
            params[:3] = 0
        sprite_size = (round(2 * half * scale), round(2 * half * layer.length * scale))
        if self._sized_sprites[0] != sprite_size:
            self._sized_sprites = sprite_size, brushes.shrink_sprites(self._sprites, *sprite_size)
        nothing = np.empty((0, 0), np.int32)
        if layer.kind != "wash":
            return LayerDrawing(layer, strokes, rows, params, self._sized_sprites[1], nothing, ranks)
        strokes[:, 8] /= max(layer.opacity, 1e-3)  # The opacity applies to the whole wash, not to each stroke
        dry = _row(
            *(layer.opacity, layer.rim, layer.rim_width * pixels, layer.flow, layer.wander * pixels),
            *(layer.margin * pixels, layer.inside, *(ink or (0, 0, 0)), layer.tint if ink else 0),
            *(size[1], to_guide, pixels, 7 * self.number),
        )
        return LayerDrawing(layer, strokes, rows, params, self._sized_sprites[1], nothing, ranks, (*self._outline, dry))

    def state(self) -> Mapping[str, np.ndarray]:
        """Return the state that later frames of the layer depend on."""
        counter = np.array([self._next, self._salt], np.int64)
        made: dict[str, np.ndarray] = {"life": self._life, "ids": self._ids, "dying": self._dying, "next": counter}
        return made | ({"labels": self._labels, "shares": self._shares} if self._labels.size else {})

    def resume(self, state: Mapping[str, np.ndarray]) -> None:
        """Restore a state that ``state`` returned."""
        self._life, self._ids, self._dying = state["life"], state["ids"], state["dying"]
        self._next, self._salt = (int(one) for one in state["next"])
        if "labels" in state:
            self._labels, self._shares = state["labels"], state["shares"]


class StrokePainter:
    """Paints the frames of one clip, in order.

    Args:
        medium: The medium.
        settings: Changes relative to the medium's own strokes.
        size: The (width, height) of the painted pictures, which may be larger than the analysed size.
        threads: The number of threads, 0 for one per core; the picture does not depend on it.
        directions: A picture of lines along which strokes lie, (H, W, 3) uint8; None for the picture's own.
    """

    def __init__(
        self,
        medium: Medium,
        settings: StrokesSettings,
        size: tuple[int, int],
        threads: int = 0,
        directions: np.ndarray | None = None,
    ) -> None:
        self.medium, self.settings, self.size = medium, settings, size
        self._threads = threads or cores()
        self._features = FrameFeatures(medium, directions)
        self._layers = [StrokeLayer(layer, n, medium) for n, layer in enumerate(medium.layers)]
        self._inks = [(screen, parse_ink(screen.ink)) for screen in medium.screens]
        self._frame = 0  # Number of the frame in the shot
        self._salt = 0
        self._held: Callable[[], np.ndarray] | None = None  # Returns the picture that the next frames repeat
        self._workers = ThreadPoolExecutor(self._threads, "vidtrans-paint")
        self._picture_thread = ThreadPoolExecutor(1, "vidtrans-painting")  # One thread, to paint pictures in order

    def paint(
        self,
        index: int,
        guide: np.ndarray,
        picture: np.ndarray,
        values: Values,
        *,
        starts_shot: bool,
        fine: np.ndarray | None = None,
    ) -> np.ndarray:
        """Return the painted picture of the next frame, (H, W, 3) of the painter's size and the picture's dtype.

        For the parameters see ``begin``.
        """
        return self.begin(index, guide, picture, values, starts_shot=starts_shot, fine=fine)()

    def begin(
        self,
        index: int,
        guide: np.ndarray,
        picture: np.ndarray,
        values: Values,
        *,
        starts_shot: bool,
        fine: np.ndarray | None = None,
    ) -> Callable[[], np.ndarray]:
        """Update the strokes for the next frame; return a function that waits for its picture, painted in a thread.

        Args:
            index: The frame's number in its clip; the index of a shot's first frame seeds the strokes.
            guide: The source, whose motion moves the strokes, (h, w, 3) uint8.
            picture: The picture to paint, (h, w, 3) uint8 or uint16.
            values: The values of ``settings.CURVES``, by name.
            starts_shot: Whether the canvas is empty before this frame.
            fine: A mask, white where strokes are fine, (h, w) uint8; None for equal strokes everywhere.
        """
        settings, fields = self.settings, self._features
        if starts_shot:
            fields.reset()
            self._frame, self._salt, self._held = 0, index, None
        first = starts_shot or (settings.boil > 0 and self._frame % settings.boil == 0)
        fields.update(guide, picture)
        if first:
            for layer in self._layers:
                layer.clear(self._salt * 4096 + (self._frame // settings.boil if settings.boil else 0))
        share = np.empty((0, 0), np.float32)
        if fine is not None:
            share = cv2.resize(fine, fields.tone.shape[::-1], interpolation=cv2.INTER_AREA).astype(np.float32) / 255
        now = FrameInputs(self._frame, first, fields, settings, values, share)
        run = map if self._threads == 1 else self._workers.map
        list(run(lambda layer: layer.update(now), self._layers))
        repeats = self._held is not None and self._frame % settings.on
        self._frame += 1
        if repeats:
            assert self._held is not None
            return self._held
        paint = self._paint_later(values, picture.dtype)
        if self._threads == 1:
            made = paint()
            painted = lambda: made  # noqa: E731
        else:
            painted = self._picture_thread.submit(paint).result
        self._held = painted if settings.on > 1 else None
        return painted

    def _paint_later(self, values: Values, dtype: np.dtype) -> Callable[[], np.ndarray]:
        """Return a function that paints the current strokes, even while they are updated for the next frame."""
        fields, finish, (width, height) = self._features, self.medium.finish, self.size
        scale = width / fields.tone.shape[1]
        pixels = min(self.size) / 480
        drawing = [layer.drawing(scale, values, self.size) for layer in self._layers][::-1]
        widths = (max(one.params[0] + one.params[1], 1.6 * one.params[4]) for one in drawing if one.labels.size)
        reach = max((math.ceil(width) + 3 for width in widths), default=0)
        ink = parse_ink(self.medium.ground.colour)
        ground = _row([ink]) if ink else fields.colours(self.medium.ground.blur * fields.scale)
        grain = brushes.paper(finish.paper, round(pixels, 3))
        rough = brushes.paper("rough", round(pixels, 3))
        step = max(1, round(finish.relief * pixels))
        params = _row(
            *(finish.light * values["light"] * 0.5, step, finish.most * max(1, values["light"])),
            *(finish.pigment, finish.granulation * values["paper"], min(1, finish.hollows * values["paper"])),
            *(ground.shape[1] / width, ground.shape[0] / height, np.iinfo(dtype).max),
        )
        inks = _row(*(_ink_row(*one, pixels) for one in self._inks)).reshape(-1, 17)
        picture, bent, phases = fields.picture, fields.bent, fields.phases
        out = np.empty((height, width, 3), dtype)

        def paint_band(top: int) -> None:
            """Paint the band of ``BAND_ROWS`` rows that begins at row ``top``."""
            rows = min(BAND_ROWS, height - top)
            begin, stop = max(0, top - step), min(height, top + rows + step)
            paint = np.zeros((stop - begin, width, 4), np.float32)
            bare = np.ones((stop - begin, width), np.float32)
            stain = np.ones((stop - begin, width, 3), np.float32)
            for one in drawing:
                if one.labels.size:
                    labels = np.empty((stop - begin + 2 * reach, width), np.int32)
                    cells.enlarge_labels(labels, begin - reach, one.labels, np.float32(1 / scale))
                    distance = cells.border_distance(labels, reach)
                    cells.render_areas(
                        *(paint, bare, begin, labels, distance, reach, one.strokes, one.ranks),
                        *(picture, rough, one.params),
                    )
                elif one.wash:
                    far, crisp, how_dry = one.wash
                    wet_top, half = begin // 2 - 1, ((stop - begin) // 2 + 3, (width + 1) // 2 + 1)
                    wet, dry = np.zeros((*half, 4), np.float32), np.ones(half, np.float32)
                    if far.size:
                        kernels.mask_wash(dry, wet_top, far, how_dry)
                    kernels.rasterise(wet, dry, stain, wet_top, one.strokes, one.rows, one.sprites, grain, one.params)
                    kernels.render_wash(stain, begin, wet, dry, wet_top, far, crisp, picture, grain, how_dry)
                else:
                    kernels.rasterise(paint, bare, stain, begin, one.strokes, one.rows, one.sprites, grain, one.params)
            if len(inks):
                kernels.print_inks(stain, begin, picture, bent, phases, grain, inks, _row(1 / scale))
            kernels.composite(out[top : top + rows], paint, bare, stain, top - begin, top, ground, grain, params)

        def paint() -> np.ndarray:
            """Paint all bands, in parallel if there are several threads, and return the picture."""
            run = map if self._threads == 1 else self._workers.map
            list(run(paint_band, range(0, height, BAND_ROWS)))
            return out

        return paint

    def state(self) -> Mapping[str, np.ndarray]:
        """Return the state from which ``resume`` continues; {} at the start of a shot."""
        fields = self._features.state()
        if not fields:
            return {}
        made: dict[str, np.ndarray] = {"frame": np.array([self._frame, self._salt], np.int64)} | {
            f"fields.{name}": one for name, one in fields.items()
        }
        for layer in self._layers:
            made |= {f"{layer.number}.{name}": one for name, one in layer.state().items()}
        return made | ({"held": self._held()} if self._held is not None else {})

    def resume(self, state: Mapping[str, np.ndarray]) -> None:
        """Continue exactly from a state that ``state`` returned; an empty one is the start of a shot."""
        self._features.reset()
        held = state.get("held")
        self._held = None if held is None else lambda: held
        if not state:
            return
        self._frame, self._salt = (int(one) for one in state["frame"])
        self._features.resume({name[7:]: one for name, one in state.items() if name.startswith("fields.")})
        for layer in self._layers:
            start = f"{layer.number}."
            layer.resume({name[len(start) :]: one for name, one in state.items() if name.startswith(start)})


def outline(placement: np.ndarray, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the signed distance, positive inside, to the zero contour of a plane (h, w), and its sharpness.

    ``scale``: pixels per 1/480 of the short side, the unit of the distance. Where the plane hardly changes, the
    outline is soft, because a sharp one would jump with its noise.
    """
    steep = cv2.magnitude(*(cv2.Scharr(placement, cv2.CV_32F, *axis, scale=scale / 32) for axis in ((1, 0), (0, 1))))
    return placement / np.maximum(steep, SOFT_SLOPE), np.minimum(steep / SOFT_SLOPE, 1)


def _row(*values: Any) -> np.ndarray:  # noqa: ANN401  (numbers or rows)
    """Return numbers or rows as a float32 array, the form of the kernels' parameters."""
    return np.array(values, np.float32)


def _ink_row(screen: Screen, ink: tuple[float, float, float] | None, pixels: float) -> list[float]:
    """Return an ink's parameters for ``kernels.print_inks``; ``pixels``: result pixels per 1/480 of the short side."""
    return [
        *(ink or (0.0, 0.0, 0.0)),
        *(screen.red, screen.green, screen.blue, screen.add),
        math.radians(screen.angle),
        *(screen.pitch * pixels, screen.right * pixels, screen.down * pixels),
        SHAPES.index(screen.shape),
        screen.hard * (pixels if screen.shape in ("dots", "lines", "hatching") else 1),
        *(screen.black, screen.carried, screen.waste, screen.opaque),
    ]
