"""Masks of colours and of brightness, and mattes of what stands before a green or blue screen.

A screen is keyed by colour differences (Smith and Blinn, "Blue Screen Matting", SIGGRAPH 1996, and Vlahos's bound): how
much more of the screen's channel a pixel has than of the others, relative to the screen at its place. The screen at
each place is estimated from the frame, so that uneven light and soft shadows do not matter.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np

from vidtrans.video.colour.conversion import to_uint8

VERSION = 1  # Version of keys and of masks of colours, for cache keys
GREEN, BLUE = 1, 2  # Channels of screens
# Search for a screen: least excess of its channel, of 255, and least share of the pixels of the sampled frames
MIN_EXCESS, MIN_SCREEN_SHARE = 24, 0.1
SEARCH_SIZE = (96, 54)  # Width and height at which a screen is searched for
# Least ratio of a screen's excess to its level, and least share of the upper border
MIN_RATIO, MIN_BORDER = 0.3, 0.3
# Largest deviations of MOST of the screen's pixels from its median: of the ratio, relative, and of the hue, in degrees;
# and the largest median difference to the neighbours, relative
MOST, MAX_RATIO_SPREAD, MAX_HUE_SPREAD, MAX_GRAIN = 0.8, 0.13, 6.0, 0.015
HUE_BINS, HUE_REACH = 36, 1  # Bins of the histogram of hues; bins on either side of the most frequent one
# A pixel belongs to the screen if its ratio of excess to level is at least this share of the screen's.
SCREEN_RATIO = 0.8
EDGE_SHARE = 0.012  # Distance from what stands before the screen at which the screen is sampled, of the short side
FILL_SIDE_PX = 180  # Short side at which the screen is estimated where something stands before it
CORE_SHARE, CORE_ALPHA = (
    0.015,
    0.75,
)  # Distance from the screen, of the short side, and alpha, from which holes are filled
NOISE_SIGMAS = 2.5  # Standard deviations of the screen's noise that count as screen
SOLID = 0.93  # Alpha that counts as opaque, before noise of what stands before the screen
SOFT_EDGE = 0.35  # Range of a soft edge, as a share of a colour's tolerance
LUMA_EDGE = 0.04  # Range of the soft edge of a range of brightness


@dataclass(frozen=True)
class Screen:
    """A screen: the ``channel`` that it has most of, and its mean ``colour``, RGB from 0 to 1."""

    channel: int
    colour: tuple[float, float, float]

    @property
    def ratio(self) -> float:
        """Return the excess of the screen's channel over the others, as a share of the channel."""
        rest = max(self.colour[k] for k in range(3) if k != self.channel)
        return (self.colour[self.channel] - rest) / max(1e-3, self.colour[self.channel])

    @classmethod
    def of_colour(cls, text: str) -> Screen | None:
        """Return the screen of a colour '#rrggbb'; None if that is neither green nor blue."""
        colour = np.array([int(text[n : n + 2], 16) for n in (1, 3, 5)], np.float32) / 255
        channel = int(colour.argmax())
        rest = max(float(colour[k]) for k in range(3) if k != channel)
        if channel not in (GREEN, BLUE) or float(colour[channel]) - rest < MIN_EXCESS / 255:
            return None
        return cls(channel, (float(colour[0]), float(colour[1]), float(colour[2])))


def find_screen(frames: Iterable[np.ndarray]) -> Screen | None:
    """Find the green or blue screen of frames (H, W, 3) uint8; None if there is none.

    It is the most frequent hue among green and blue pixels, if it covers enough of the frames and of their border, and
    is as even as cloth or paint: shadows change neither its hue nor its saturation. Lawns, leaves and skies do.
    """
    small = np.stack([cv2.resize(each, SEARCH_SIZE, interpolation=cv2.INTER_AREA) for each in frames]).astype(np.float32)
    pixels = small.reshape(1, -1, 3)  # One row, so that all frames are one picture
    hue = cv2.cvtColor(pixels / 255, cv2.COLOR_RGB2HSV)[..., 0].reshape(small.shape[:3])
    best: tuple[float, Screen] | None = None
    for channel in (GREEN, BLUE):
        excess = _excess(pixels, channel).reshape(hue.shape)
        level = np.maximum(small[..., channel], 1)
        is_own = excess >= MIN_EXCESS
        if is_own.mean() < MIN_SCREEN_SHARE:
            continue
        bins = (hue[is_own] / 360 * HUE_BINS).astype(int) % HUE_BINS
        counts = np.bincount(bins, minlength=HUE_BINS)
        near = np.sum([np.roll(counts, shift) for shift in range(-HUE_REACH, HUE_REACH + 1)], axis=0)
        distance = np.abs((bins - int(near.argmax()) + HUE_BINS // 2) % HUE_BINS - HUE_BINS // 2)
        is_own[is_own] = distance <= HUE_REACH
        share = float(is_own.mean())
        ratio = (excess / level)[is_own]
        typical = float(np.median(ratio))
        grain = np.stack([np.abs(one - cv2.blur(one, (3, 3))) for one in small[..., channel]]) / level
        upper = is_own[:, : SEARCH_SIZE[1] // 2]
        border = np.concatenate([is_own[:, 0].ravel(), upper[..., 0].ravel(), upper[..., -1].ravel()]).mean()
        is_even = (
            np.quantile(np.abs(ratio - typical), MOST) < MAX_RATIO_SPREAD * typical
            and np.quantile(np.abs(hue[is_own] - np.median(hue[is_own])), MOST) < MAX_HUE_SPREAD
            and float(np.median(grain[is_own])) < MAX_GRAIN
        )
        if share < MIN_SCREEN_SHARE or typical < MIN_RATIO or border < MIN_BORDER or not is_even:
            continue
        if best is None or share > best[0]:
            colour = np.median(small[is_own], axis=0) / 255
            best = share, Screen(channel, (float(colour[0]), float(colour[1]), float(colour[2])))
    return best[1] if best else None


def key_screen(frame: np.ndarray, screen: Screen) -> np.ndarray:
    """Return the matte, (H, W) float32 from 0 to 1, of what stands before a screen in a frame (H, W, 3) uint8.

    It is solved at half the size, at which most videos keep their colours, and enlarged along the brightness by a fast
    guided filter (He and Sun, 2015).
    """
    height, width = frame.shape[:2]
    size = max(1, width // 2), max(1, height // 2)
    half = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
    excess = _excess(half.astype(np.float32), screen.channel)
    plates = _Plates.of(half, excess, screen)
    rough = 1 - excess * cv2.resize(1 / np.maximum(_excess(plates.screen, screen.channel), 4), size)
    mean = cv2.blur(rough, (3, 3))
    side = 2 * round(SOLID_DEPTH * min(height, width)) + 1
    is_figure = cv2.erode((mean > 1 - SOLID_EXCESS).astype(np.uint8), np.ones((side, side), np.uint8))
    alpha = is_figure.astype(np.float32)
    unknown = (mean > NOISE) & (is_figure == 0)
    y, x = np.nonzero(unknown)
    if len(y):
        back, fore = (cv2.resize(plate, size, interpolation=cv2.INTER_LINEAR) for plate in (plates.screen, plates.figure))
        at = y * size[0] + x
        taken = [np.take(each.reshape(-1, 3), at, axis=0) for each in (half, back, fore)]
        alpha[y, x] = _solve(taken[0].astype(np.float32), *taken[1:], plates.palette, rough[y, x])
    depth = cv2.distanceTransform((alpha > HOLE_ALPHA).astype(np.uint8), cv2.DIST_L2, 3)
    alpha = np.maximum(alpha, np.clip(depth * (2 / (HOLE_DEPTH * min(height, width))) - 1, 0, 1))
    luma, small = (cv2.cvtColor(each, cv2.COLOR_RGB2GRAY).astype(np.float32) for each in (frame, half))
    means = [cv2.blur(each, (GUIDE_PX, GUIDE_PX)) for each in (alpha, small, alpha * small, small * small)]
    gain = SHARPNESS * (means[2] - means[0] * means[1]) / (means[3] - means[1] * means[1] + GUIDE_NOISE)
    gain *= unknown
    gain, offset = (cv2.resize(each, (width, height)) for each in (gain, alpha - gain * small))
    return np.clip(cv2.add(cv2.multiply(gain, luma), offset), 0, 1)


SOLID_DEPTH, SOLID_EXCESS, NOISE = 0.0045, 0.05, 0.04
HOLE_ALPHA, HOLE_DEPTH = 0.5, 0.02
GUIDE_PX, GUIDE_NOISE, SHARPNESS = 5, 9, 1.3
SHADOW, FREE, SOFT = 0.9, 400.0, 30.0
FIGURE_EXCESS, FIGURE_SLOPE, SCREEN_SLOPE, SCREEN_SPREAD, DARKEST = 0.35, 0.15, 0.35, 2.0, 0.3
BINS, COLOURS = 5, 10


def _solve(colours, back, fore, palette, rough):
    def dot(one, other):
        return np.einsum("nk,nk->n", one, other)

    ways = back * np.sqrt(SHADOW / np.maximum(dot(back, back), 1))[:, None]
    away, way = back - colours, back - fore
    away_s, way_s, back_s, palette_s = dot(away, ways), dot(way, ways), dot(back, ways), ways @ palette.T
    away2, back2 = dot(away, away) - away_s**2, dot(back, back) - back_s**2
    n, count = len(colours), len(palette)
    along, length = np.empty((n, count + 1), np.float32), np.empty((n, count + 1), np.float32)
    along[:, 0], length[:, 0] = dot(away, way) - away_s * way_s, dot(way, way) - way_s**2
    along[:, 1:] = (dot(away, back) - away_s * back_s)[:, None] - away @ palette.T + away_s[:, None] * palette_s
    length[:, 1:] = back2[:, None] - 2 * (back @ palette.T - back_s[:, None] * palette_s) - palette_s**2
    length[:, 1:] += (palette**2).sum(axis=1)
    alphas, costs = np.empty((n, count + 2), np.float32), np.empty((n, count + 2), np.float32)
    alpha = np.clip(along / np.maximum(length, 100), 0, 1, out=alphas[:, :-1])
    np.add(alpha * (alpha * np.maximum(length, 100) - 2 * along), away2[:, None], out=costs[:, :-1])
    alphas[:, -1], costs[:, -1] = np.clip(rough, 0, 1), FREE
    weights = cv2.exp((costs.min(axis=1, keepdims=True) - costs) / SOFT)
    return dot(weights, alphas) / weights.sum(axis=1)


@dataclass(frozen=True)
class _Plates:
    """The screen and the figure, each continued over the whole frame, (h, w, 3) float32 from 0 to 255, at a small size."""

    screen: np.ndarray
    figure: np.ndarray
    palette: np.ndarray

    @classmethod
    def of(cls, frame: np.ndarray, excess, screen: Screen) -> _Plates:
        height, width = frame.shape[:2]
        scale = min(1.0, FILL_SIDE_PX / min(height, width))
        size = max(2, round(width * scale)), max(2, round(height * scale))
        kernel = np.ones((3, 3), np.uint8)
        small = cv2.resize(frame, size, interpolation=cv2.INTER_AREA).astype(np.float32)
        own, level = _excess(small, screen.channel), cv2.extractChannel(small, screen.channel)
        ratio = screen.ratio
        is_screen = (own > SCREEN_RATIO * ratio * level) & (own > MIN_EXCESS / 2)
        # Hair before the screen has the screen's ratio, too, but it has texture and edges, unlike shadows.
        square, mean = (cv2.resize(each, size, interpolation=cv2.INTER_AREA) for each in (excess * excess, excess))
        spread = np.sqrt(np.maximum(square - mean * mean, 0))
        usual, strong = 0.0, 1.0
        if is_screen.any():
            usual, strong = float(np.median(spread[is_screen])), float(np.percentile(own[is_screen], 75))
        slope = cv2.morphologyEx(cv2.blur(own, (3, 3)), cv2.MORPH_GRADIENT, kernel)
        is_flat = (spread < SCREEN_SPREAD * usual + 2) & (slope < SCREEN_SLOPE * strong + usual)
        plate = _fill(small, cv2.erode((is_screen & is_flat & (own > DARKEST * strong)).astype(np.float32), kernel))
        local = np.maximum(_excess(plate, screen.channel), 4)
        share = own / local
        is_flat = cv2.morphologyEx(share, cv2.MORPH_GRADIENT, kernel) < FIGURE_SLOPE
        inner = cv2.erode(((share < FIGURE_EXCESS) & is_flat).astype(np.uint8), kernel)
        sure = (cv2.blur(excess, (3, 3)) < SOLID_EXCESS * cv2.resize(local, (width, height))).astype(np.uint8)
        sure = cv2.erode(sure, np.ones((5, 5), np.uint8))
        weight = cv2.resize(sure.astype(np.float32), size, interpolation=cv2.INTER_AREA)
        mixed = cv2.resize(cv2.bitwise_and(frame, frame, mask=sure), size, interpolation=cv2.INTER_AREA)
        only = (weight == 0) & (inner > 0)
        weight[only] = 1
        colours = np.where(only[..., None], small, mixed / np.maximum(weight, 0.05)[..., None])
        figure = _fill(colours, weight)
        chosen = colours[weight > 0.3]
        bins = (chosen * (BINS / 256)).astype(int) @ np.array([BINS * BINS, BINS, 1])
        counts = np.bincount(bins, minlength=BINS**3)
        sums = np.stack([np.bincount(bins, weights=chosen[:, k], minlength=BINS**3) for k in range(3)], axis=1)
        order = np.argsort(-counts, kind="stable")[:COLOURS]
        order = order[counts[order] > 0.005 * len(chosen)]
        return cls(plate, figure, (sums[order] / counts[order, None]).astype(np.float32))


def remove_spill(frame: np.ndarray, screen: Screen, matte: np.ndarray | None = None) -> np.ndarray:
    """Return a frame (H, W, 3) uint8 or uint16 without the screen's light on what stands before it.

    With a ``matte``, (H, W) float32 from 0 to 1, what is left of the screen in mixed pixels is taken away, too, and the
    figure's colours are continued where the matte is empty.
    """
    full = 65535.0 if frame.dtype == np.uint16 else 255.0
    clean = frame.astype(np.float32)
    if matte is not None:
        clean = _unmixed(clean, matte)
    own = screen.channel
    first, second = (cv2.extractChannel(clean, k) for k in range(3) if k != own)
    most, mean = cv2.max(first, second), cv2.addWeighted(first, 0.5, second, 0.5, 0)
    limit = cv2.addWeighted(most, LIMIT, mean, 1 - LIMIT, 0)
    light = np.array(screen.colour, np.float32)
    rest = [float(light[k]) for k in range(3) if k != own]
    step = float(light[own]) - LIMIT * max(rest) - (1 - LIMIT) * sum(rest) / 2
    spill = cv2.max(cv2.subtract(cv2.extractChannel(clean, own), limit), 0) / step
    clean -= spill[..., None] * light
    return np.clip(np.rint(clean), 0, full).astype(frame.dtype)


LIMIT = 0.6
UNMIX_ALPHA = 0.25


def _unmixed(frame, matte):
    height, width = matte.shape
    scale = min(1.0, FILL_SIDE_PX / min(height, width))
    size = max(2, round(width * scale)), max(2, round(height * scale))
    filled = []
    for known in (matte < 0.01, matte > 0.98):
        mask = cv2.erode(known.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(np.float32)
        weight = cv2.resize(mask, size, interpolation=cv2.INTER_AREA)
        total = cv2.resize(frame * mask[..., None], size, interpolation=cv2.INTER_AREA)
        filled.append(_fill(total / np.maximum(weight, 1e-3)[..., None], weight))
    back, fore = (cv2.resize(each, (width, height), interpolation=cv2.INTER_LINEAR) for each in filled)
    clean = np.where((matte < 0.5)[..., None], fore, frame)
    y, x = np.nonzero((matte > 0) & (matte < 1))
    alpha = matte[y, x, None]
    behind, own = back[y, x], fore[y, x]
    seen = behind + (frame[y, x] - behind) / np.maximum(alpha, 0.05)
    share = alpha**2 / (alpha**2 + UNMIX_ALPHA**2)
    clean[y, x] = own + share * (np.clip(seen, 0, None) - own)
    return clean


def colour_matte(frame: np.ndarray, colour: str, tolerance: float) -> np.ndarray:
    """Return the matte, (H, W) float32 from 0 to 1, of a colour '#rrggbb' in a frame (H, W, 3) uint8 or uint16.

    ``tolerance``: the distance, in CIELAB units, up to which a pixel is inside; beyond it lies a soft edge.
    """
    rgb = np.array([[[int(colour[n : n + 2], 16) for n in (1, 3, 5)]]], np.float32) / 255
    lab = cv2.cvtColor(cv2.GaussianBlur(to_uint8(frame), (0, 0), 0.7).astype(np.float32) / 255, cv2.COLOR_RGB2Lab)
    away = np.linalg.norm(lab - cv2.cvtColor(rgb, cv2.COLOR_RGB2Lab), axis=2)
    soft = max(SOFT_EDGE * tolerance, 1.0)
    return np.clip((tolerance + soft - away) / soft, 0, 1).astype(np.float32)


def luma_matte(frame: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return the matte, (H, W) float32 from 0 to 1, of the brightness from ``low`` to ``high``, 0 to 1, in a frame."""
    luma = cv2.cvtColor(to_uint8(frame), cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    rise = np.clip((luma - low) / LUMA_EDGE + 0.5, 0, 1) if low > 0 else np.ones_like(luma)
    fall = np.clip((high - luma) / LUMA_EDGE + 0.5, 0, 1) if high < 1 else np.ones_like(luma)
    return np.minimum(rise, fall)


def _excess(picture: np.ndarray, channel: int) -> np.ndarray:
    """Return how much more of a channel the pixels of a picture (H, W, 3) have than of both others, (H, W)."""
    others = [cv2.extractChannel(picture, k) for k in range(3) if k != channel]
    return cv2.subtract(cv2.extractChannel(picture, channel), cv2.max(*others))


def _fill(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return ``values`` (h, w, 3) float32, smoothed over the pixels ``known`` (h, w) uint8 and continued over the others."""
    weight = known.astype(np.float32)
    levels = [(values * weight[..., None], weight)]
    while min(levels[-1][1].shape) > 2:
        levels.append((cv2.pyrDown(levels[-1][0]), cv2.pyrDown(levels[-1][1])))
    made = levels[-1][0] / np.maximum(levels[-1][1], 1e-6)[..., None]
    for total, weight in reversed(levels[:-1]):
        made = cv2.resize(made, weight.shape[::-1], interpolation=cv2.INTER_LINEAR)
        share = np.clip(2 * weight, 0, 1)[..., None]
        made += share * (total / np.maximum(weight, 1e-3)[..., None] - made)
    return cv2.GaussianBlur(made, (0, 0), 1.5)
