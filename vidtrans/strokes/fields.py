"""What a painter sees of a frame: its colours, lines, detail and tones, steadied along the motion."""

from __future__ import annotations

import math
from collections.abc import Mapping

import cv2
import numpy as np

from vidtrans.flow.estimator import FlowEstimator
from vidtrans.flow.warping import halve, resize_flow, warp
from vidtrans.strokes.medium import SEEN, Medium, MediumLayer, parse_ink
from vidtrans.video.colour.conversion import to_uint8, unit

FLOW, FLOW_SIZE = "dis", 360  # method, and short side at which the motion is estimated
KEPT = 0.9  # share of the direction field that stays from frame to frame
COLOURLESS = 0.07  # chroma that nine tenths of a black-and-white film do not reach
STILL = 0.15  # pixels a frame: motion below it is noise
ALONG = 0.06  # difference of colour beyond which a place has changed, so that nothing of its past is kept
LUMA = np.array([[0.299, 0.587, 0.114]], np.float32)


class Fields:
    """The fields of the frames of a shot, in order.

    Attributes:
        picture: (h, w, 3) float32 in [0, 1]: what is painted.
        tone: (h, w) float32: its lightness, small detail flattened.
        lines: (h/2, w/2, 3) float32: the direction field, cos 2θ, sin 2θ and coherence.
        bent: (n, h, w) float32: by how much of their distance the tone bends each screen's lines.
        phases: (n, h/4, w/4, 4) float32: cos and sin of a turn by which lines are carried, their bend, the tone.
        flow: (h, w, 2) float32: the motion since the last frame, where each pixel of the last went; (0, 0, 2) at first.
    """

    def __init__(self, medium: Medium, directions: np.ndarray | None = None) -> None:
        self._medium = medium
        colour = np.array(parse_ink(medium.picture.filter) or (0, 0, 0), np.float32)
        self._weights = np.tile(colour / colour.sum(), (3, 1)) if colour.any() else None  # of the tones
        inks = [parse_ink(name) for name in (medium.picture.shadows, medium.picture.lights)]
        self._tints = [np.array(ink, np.float32) for ink in inks if ink] if all(inks) else None
        self._estimate = FlowEstimator(FLOW, FLOW_SIZE)
        self._directions = directions
        self.forget()

    def forget(self) -> None:
        """Begin a shot."""
        self._before: np.ndarray | None = None  # the last frame, prepared for the estimate of motion
        self._tensor = self._steady = np.empty(0, np.float32)
        self._range = self._chroma = np.empty(0, np.float32)
        self.phases = np.empty(0, np.float32)
        self._detail: dict[float, np.ndarray] = {}

    def see(self, guide: np.ndarray, picture: np.ndarray) -> None:
        """Look at the next frame: ``guide`` (h, w, 3) uint8 moves, ``picture`` (h, w, 3) uint8 or uint16 is painted."""
        self._detail = {}
        height, width = picture.shape[:2]
        if min(height, width) > SEEN:
            scale = SEEN / min(height, width)
            size = (max(1, round(width * scale)), max(1, round(height * scale)))
            guide, picture = (cv2.resize(one, size, interpolation=cv2.INTER_AREA) for one in (guide, picture))
            height, width = picture.shape[:2]
        self.scale = min(height, width) / 480  # pixels for a line of 480
        now = self._estimate.prepare(guide)
        back = None
        if self._before is None:
            self.flow = np.empty((0, 0, 2), np.float32)
        else:
            there = self._estimate.estimate(self._before, now)
            self.flow = resize_flow(_calm(there), width, height)
            back = -self.flow
        self._before = now
        seen = unit(picture).astype(np.float32, copy=False)
        self.picture = self._adjusted(self._steadied(seen, back))
        self.tone = cv2.transform(self.picture, LUMA)
        self.lines = self._directed(back)
        self._carry(back)

    def _steadied(self, seen: np.ndarray, back: np.ndarray | None) -> np.ndarray:
        share = self._medium.picture.steady
        if not share:
            return seen
        if back is not None and len(self._steady):
            past = warp(self._steady, back)
            change = cv2.transform(cv2.absdiff(past, seen), np.full((1, 3), 1 / 3, np.float32))
            kept = share * np.clip(2 - change / ALONG, 0, 1)
            seen = seen + (past - seen) * kept[..., None]
        self._steady = seen
        return seen

    def _adjusted(self, seen: np.ndarray) -> np.ndarray:
        """Return the picture in the medium's tones and colours."""
        how = self._medium.picture
        if self._weights is not None:
            seen = cv2.transform(seen, self._weights)
        if self._tints is not None:
            seen = self._tinted(seen, *self._tints)
        if how.smooth:
            seen = flatten(seen, how.smooth * self.scale)
        if how.clarity:
            seen = seen + how.clarity * raised(cv2.transform(seen, LUMA), 5 * self.scale)[..., None]
        if how.stretch:
            grey = cv2.resize(cv2.transform(seen, LUMA), (160, 90), interpolation=cv2.INTER_AREA)
            now = np.quantile(grey, [0.02, 0.97]).astype(np.float32)
            self._range = now if not len(self._range) else self._range * np.float32(0.95) + now * np.float32(0.05)
            low, high = self._range * np.float32(how.stretch) + np.array([0, 1 - how.stretch], np.float32)
            seen = (seen - low) / max(high - low, np.float32(0.1))
        if how.local:
            wide = cv2.transform(flatten(seen, 30 * self.scale), LUMA)
            seen = seen + ((np.float32(0.55) - wide) * np.float32(how.local))[..., None]
        if how.saturation != 1 or how.contrast != 1 or how.brightness or how.lift:
            grey = cv2.transform(seen, LUMA)[..., None]
            level = (grey - np.float32(0.5)) * np.float32(how.contrast) + np.float32(0.5 + how.brightness)
            level = level + np.float32(how.lift) * level * (1 - level)
            seen = level + (seen - grey) * np.float32(how.saturation * max(how.contrast, 1) ** 0.5)
        seen = np.clip(seen, 0, 1)
        if how.levels:
            grey = cv2.transform(seen, LUMA)
            steps = np.float32(how.levels)
            place = grey * steps
            whole = np.floor(place)
            rise = np.clip((place - whole - np.float32(0.5)) * 6 + np.float32(0.5), 0, 1)  # soft, or it flickers
            seen = np.clip(seen * ((whole + rise) / steps / np.maximum(grey, np.float32(0.02)))[..., None], 0, 1)
        return np.ascontiguousarray(seen, dtype=np.float32)

    def _tinted(self, seen: np.ndarray, shadows: np.ndarray, lights: np.ndarray) -> np.ndarray:
        """Return a picture without colours with those of its medium in shadows and lights; others as they are."""
        small = cv2.resize(seen, (160, 90), interpolation=cv2.INTER_AREA)
        now = np.quantile(small.max(2) - small.min(2), [0.9]).astype(np.float32)
        self._chroma = now if not len(self._chroma) else self._chroma * np.float32(0.95) + now * np.float32(0.05)
        share = np.clip(2 - self._chroma / COLOURLESS, 0, 1)
        if not share:
            return seen
        grey = np.clip(cv2.transform(seen, LUMA), 0, 1)[..., None]
        tint = shadows + (lights - shadows) * grey
        return seen + (tint - tint @ LUMA.T) * (share * (1 - np.abs(2 * grey - 1) ** 3))

    def _directed(self, back: np.ndarray | None) -> np.ndarray:
        """Return the direction field, from the structure tensor at two scales, steadied along the motion."""
        height, width = self.tone.shape
        size = ((width + 1) // 2, (height + 1) // 2)
        small = cv2.GaussianBlur(cv2.resize(self.tone, size, interpolation=cv2.INTER_AREA), (0, 0), 0.9 * self.scale)
        x, y = cv2.Scharr(small, cv2.CV_32F, 1, 0), cv2.Scharr(small, cv2.CV_32F, 0, 1)
        # In place of xx, xy, yy: their combinations that turn by twice the angle, and the energy.
        tensor = cv2.merge([x * x - y * y, 2 * x * y, x * x + y * y])
        near = cv2.GaussianBlur(tensor, (0, 0), 3.0 * self.scale)
        quarter = (max(1, size[0] // 4), max(1, size[1] // 4))
        far = cv2.GaussianBlur(cv2.resize(tensor, quarter, interpolation=cv2.INTER_AREA), (0, 0), 4.0 * self.scale)
        near += 0.08 * cv2.resize(far, size, interpolation=cv2.INTER_LINEAR)
        if back is not None and len(self._tensor):
            past = warp(self._tensor, resize_flow(back, *size))
            near = KEPT * past + (1 - KEPT) * near
        self._tensor = near
        across, aslant, energy = cv2.split(near)
        length = cv2.magnitude(across, aslant)
        coherence = length / (energy + np.float32(2e-4))
        least = np.maximum(length, np.float32(1e-12))
        lines = [-across / least, -aslant / least, coherence]  # along the lines, so across the gradient
        if self._directions is not None:
            lines = self._led(lines, size)
        return cv2.merge(lines)

    def _led(self, lines: list[np.ndarray], size: tuple[int, int]) -> list[np.ndarray]:
        """Return the direction field, led by the painted lines where there are any."""
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
        """Return the picture blurred by σ = ``blur`` pixels, at half its size or less if that is wide."""
        made, scale = self.picture, 1
        while blur > 1.6 and min(made.shape[:2]) >= 8:
            made = halve(made)
            blur, scale = blur / 2, scale * 2
        return cv2.GaussianBlur(made, (0, 0), blur) if blur > 0.5 else made

    def _carry(self, back: np.ndarray | None) -> None:
        """Bend the lines of screens by the tone, and carry them along the motion.

        The phase by which lines differ from those fixed to the paper and bent by the tone is a field of complex numbers
        of length 1 at a quarter of the size. Each frame moves and smooths it, so that lines keep about their distance;
        where neighbours disagree, because they moved apart, lines fork or end. Slowly it returns to 0.
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
        made = np.zeros((len(self.bent), size[1], size[0], 4), np.float32)  # cos, sin, the bend of lines, tone
        made[..., 0] = 1
        made[..., 3] = cv2.resize(self.tone, size, interpolation=cv2.INTER_AREA)
        if back is not None and len(self.phases):
            back = _certain(
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

    def want(self, layer: MediumLayer) -> np.ndarray:
        """Return where a layer's strokes live, (h, w) float32, above 0; (0, 0) for everywhere."""
        if layer.where == "everywhere":
            return np.empty((0, 0), np.float32)
        level = np.float32(layer.level)
        sigma = max(0.5, layer.fine * self.scale)
        if layer.where == "dark":
            return level - cv2.GaussianBlur(self.tone, (0, 0), sigma)
        if layer.where == "light":
            return cv2.GaussianBlur(self.tone, (0, 0), sigma) - level
        if layer.where == "edges":  # their dark side, by a difference of Gaussians (Winnemöller et al. 2006)
            near, wide = (cv2.GaussianBlur(self.tone, (0, 0), width) for width in (sigma, 2.2 * sigma))
            return np.clip((wide - near) * 11, 0, 1) - level
        if layer.where == "colour":
            return cv2.GaussianBlur(self.picture.max(2) - self.picture.min(2), (0, 0), sigma) - level
        return self._detailed(layer.fine) - level

    def detail(self, layer: MediumLayer) -> np.ndarray:
        """Return how far a place has the detail that a layer looks for, (h, w) float32 in [0, 1]."""
        return np.clip((self._detailed(layer.fine) - np.float32(layer.level)) * 4, 0, 1)

    def _detailed(self, fine: float) -> np.ndarray:
        """Return the detail finer than about ``fine`` lines, 0 to 1: the mean change of lightness, 1 for 7 % of it."""
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
        """Return what the next frame's fields depend on."""
        if self._before is None:
            return {}
        made = {"before": self._before, "tensor": self._tensor, "steady": self._steady, "range": self._range}
        return made | {"phases": self.phases, "chroma": self._chroma}

    def resume(self, state: Mapping[str, np.ndarray]) -> None:
        """Continue from a ``state``."""
        self._before, self._tensor = state["before"], state["tensor"]
        self._steady, self._range, self.phases = state["steady"], state["range"], state["phases"]
        self._chroma = state["chroma"]


def _certain(back: np.ndarray, before: np.ndarray, now: np.ndarray) -> np.ndarray:
    """Return the motion (h, w, 2), in pixels of four times the size, where it explains the picture better than none."""
    better = cv2.absdiff(before, now) - cv2.absdiff(warp(before, back / 4), now)
    better = cv2.GaussianBlur(better, (0, 0), 2)
    moves = cv2.GaussianBlur(np.maximum(better - np.float32(0.0015), 0), (0, 0), 8)
    stands = cv2.GaussianBlur(np.maximum(-better, 0), (0, 0), 8) + np.float32(0.0006)
    return back * (moves / (moves + stands))[..., None]


def _calm(flow: np.ndarray) -> np.ndarray:
    """Return a flow in which neighbours move together, and what hardly moves stands still, or paint trembles."""
    sigma = max(0.5, min(flow.shape[:2]) / 180)
    smooth = cv2.merge([cv2.GaussianBlur(one, (0, 0), sigma) for one in cv2.split(flow)])
    speed = cv2.magnitude(*cv2.split(smooth))
    return smooth * np.clip(speed / STILL - 1, 0, 1)[..., None]


def raised(tone: np.ndarray, sigma: float) -> np.ndarray:
    """Return how far a tone (H, W) float32 differs from what is around it within σ pixels; less so beside edges."""
    around = cv2.GaussianBlur(halve(tone) if min(tone.shape) >= 8 else tone, (0, 0), sigma / 2)
    differs = tone - cv2.resize(around, tone.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return differs / (1 + np.abs(differs) * np.float32(5))


def flatten(picture: np.ndarray, sigma: float) -> np.ndarray:
    """Return a picture (H, W, 3) float32 without detail below ``sigma`` pixels, by a guided filter (He et al. 2010)."""
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
