"""Masks of colours and of brightness, and mattes of what stands before a green or blue screen.

A pixel before a screen is mixed: colour = α figure + (1 - α) screen (Smith and Blinn, "Blue Screen Matting", SIGGRAPH
1996). Both colours are estimated at each place: the screen, with its uneven light and soft shadows, from the smooth
areas of its hue; the figure from what surely shows it, nearby and as a palette of the whole frame. α is the mean of
what these candidates give, weighted by how well each explains the pixel (after Chuang et al., "A Bayesian Approach to
Digital Matting", CVPR 2001).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np

from vidtrans.video.colour.conversion import to_uint8

VERSION = 2  # Version of keys and of masks of colours, for cache keys
GREEN, BLUE = 1, 2  # Channels of screens
# Search for a screen: (width, height) of the samples; least excess of its channel, of 255; least share of the pixels
# and of the upper border; least ratio of the excess to the level
SEARCH_SIZE = (96, 54)
MIN_EXCESS, MIN_SCREEN_SHARE, MIN_BORDER, MIN_RATIO = 24, 0.1, 0.3, 0.3
HUE_BINS, HUE_REACH = 36, 1  # Bins of the histogram of hues; bins on either side of the most frequent one
# Largest deviations of the share MOST of a screen's pixels from the median: of the ratio, relative, and of the hue, in
# degrees; largest median difference of a pixel and its neighbours, relative
MOST, MAX_RATIO_SPREAD, MAX_HUE_SPREAD, MAX_GRAIN = 0.8, 0.13, 6.0, 0.015
FILL_SIDE_PX = 180  # Short side at which the screen and the figure are continued over the frame
# Pixels from which the screen is estimated: least ratio of excess to level, as a share of the screen's; largest spread
# within a block, in those of the screen's noise; largest slope, and least excess, as shares of the screen's
SPREAD_PX, SPREAD_LEVELS = 5, 3.0
SCREEN_RATIO, SCREEN_SPREAD, SCREEN_SLOPE, DARKEST = 0.8, 2.0, 0.35, 0.3
# Areas that are the figure's although they have some of the screen's colour: largest excess and slope, as shares
FIGURE_EXCESS, FIGURE_SLOPE = 0.65, 0.08
# Opaque pixels: largest excess, as a share of the screen's, at this distance around, of the short side
SOLID_EXCESS, SOLID_DEPTH = 0.05, 0.0045
PURE_SIDE_PX = 5  # Window in which all pixels are opaque around one that shows the figure's colour
NOISE = 0.04  # Alpha, of the mean of 3 × 3 pixels, that is the screen's noise
BINS, COLOURS, MIN_COLOUR_SHARE = 5, 10, 0.005  # Bins of a channel, and the most frequent ones, which form the palette
# The share of deviations along the screen's own colour that is explained by shadows, and not by the figure
SHADOW = 0.9
# In squared levels: the cost of alpha by the excess alone; differences of costs that change weights by a factor of e
FREE_COST, SOFTNESS = 400.0, 30.0
HOLE_SCREEN = 0.1  # Alpha, in an enclosed area, by which it shows the screen
HOLE_ALPHA, HOLE_DEPTH = 0.5, 0.02  # What is this deep, of the short side, inside what is opaquer than this is opaque
# Window of the guided filter, in pixels of the half size; its ε, in squared levels; gain that offsets blurred colours
GUIDE_PX, GUIDE_NOISE, SHARPNESS = 5, 9.0, 1.3
SPILL_LIMIT = 0.8  # Largest level without spill: 1 for that of the larger of the other channels, 0 for their mean
EMPTY, UNMIX_ALPHA = 0.02, 0.25  # Alpha that is none; alpha whose colours are half of the pixel's, half of the plate's
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
    small = np.stack([cv2.resize(each, SEARCH_SIZE, interpolation=cv2.INTER_AREA) for each in frames]).astype(
        np.float32
    )
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
    short, size = min(height, width), (max(1, width // 2), max(1, height // 2))
    half = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
    excess = _excess(half.astype(np.float32), screen.channel)
    luma, small = (cv2.cvtColor(each, cv2.COLOR_RGB2GRAY).astype(np.float32) for each in (frame, half))
    plates = _Plates.of(half, excess, cv2.max(_spread(excess), _spread(small)), screen)
    rough = 1 - excess * cv2.resize(1 / plates.excess, size)
    mean = cv2.blur(rough, (3, 3))
    side = 2 * round(SOLID_DEPTH * short) + 1
    is_solid = cv2.erode((mean > 1 - SOLID_EXCESS).astype(np.uint8), np.ones((side, side), np.uint8))
    alpha = is_solid.astype(np.float32)
    is_unknown = (mean > NOISE) & (is_solid == 0)
    pixels = np.flatnonzero(is_unknown)
    if len(pixels):
        alpha.reshape(-1)[pixels] = plates.alpha(half, rough, pixels)
    alpha[_is_enclosed(alpha, mean)] = 1
    depth = cv2.distanceTransform((alpha > HOLE_ALPHA).astype(np.uint8), cv2.DIST_L2, 3)
    alpha = np.maximum(alpha, np.clip(depth / max(1.0, HOLE_DEPTH * short / 2) - 1, 0, 1))
    window = (GUIDE_PX, GUIDE_PX)
    mean, mean_luma = cv2.blur(alpha, window), cv2.blur(small, window)
    covariance = cv2.blur(alpha * small, window) - mean * mean_luma
    variance = cv2.blur(small * small, window) - mean_luma * mean_luma
    gain = SHARPNESS * covariance / (variance + GUIDE_NOISE) * is_unknown
    gain, offset = (cv2.resize(each, (width, height)) for each in (gain, alpha - gain * small))
    return np.clip(cv2.add(cv2.multiply(gain, luma), offset), 0, 1)


@dataclass(frozen=True)
class _Plates:
    """The colours of which a frame's pixels are mixtures.

    Attributes:
        screen: The screen, and
        figure: the figure, each continued over the whole frame, (h, w, 3) float32 from 0 to 255.
        palette: The figure's most frequent colours, (n, 3) float32.
        excess: The excess of the screen's channel over the others in the screen, (h, w), above 0.
    """

    screen: np.ndarray
    figure: np.ndarray
    palette: np.ndarray
    excess: np.ndarray

    @classmethod
    def of(cls, frame: np.ndarray, excess: np.ndarray, spread: np.ndarray, screen: Screen) -> _Plates:
        """Estimate them from a frame (H, W, 3) uint8, its ``excess``, and the ``spread`` at each pixel, (H, W)."""
        height, width = frame.shape[:2]
        size, kernel = _small_size(width, height), np.ones((3, 3), np.uint8)
        small = cv2.resize(frame, size, interpolation=cv2.INTER_AREA).astype(np.float32)
        plate = _screen_plate(small, cv2.resize(spread, size, interpolation=cv2.INTER_AREA), screen)
        local = np.maximum(_excess(plate, screen.channel), 4)
        share = _excess(small, screen.channel) / local
        is_flat = cv2.morphologyEx(share, cv2.MORPH_GRADIENT, kernel) < FIGURE_SLOPE
        is_tinted = cv2.erode(((share < FIGURE_EXCESS) & is_flat).astype(np.uint8), kernel)
        pure = (cv2.blur(excess, (3, 3)) < SOLID_EXCESS * cv2.resize(local, (width, height))).astype(np.uint8)
        colours, weight = _masked(frame, cv2.erode(pure, np.ones((PURE_SIDE_PX, PURE_SIDE_PX), np.uint8)), size)
        only_tinted = (weight == 0) & (is_tinted > 0)
        colours[only_tinted], weight[only_tinted] = small[only_tinted], 1
        return cls(plate, _fill(colours, weight), _palette(colours[weight > 0.3]), local)

    def alpha(self, frame: np.ndarray, rough: np.ndarray, pixels: np.ndarray) -> np.ndarray:
        """Return the alpha, float32, of some ``pixels``, by number, of a frame (H, W, 3) uint8.

        ``rough``: the alpha by the excess alone, (H, W).
        """
        size = frame.shape[1], frame.shape[0]
        screen, figure = (cv2.resize(each, size, interpolation=cv2.INTER_LINEAR) for each in (self.screen, self.figure))
        seen, back, near = (
            np.ascontiguousarray(np.take(each.reshape(-1, 3), pixels, axis=0).T, np.float32)
            for each in (frame, screen, figure)
        )
        axis = back / np.sqrt(np.maximum(_dot(back, back), 1))
        shrink = np.float32(1 - np.sqrt(1 - SHADOW))

        def without_shadow(way: np.ndarray) -> np.ndarray:
            """Return differences of colours, (3, n), with less of those along the screen's own colour."""
            return way - shrink * _dot(way, axis) * axis

        away = without_shadow(back - seen)
        alphas, costs = [np.clip(rough.reshape(-1)[pixels], 0, 1)], [np.full(len(pixels), FREE_COST, np.float32)]
        for figure in (near, *self.palette[..., None]):
            way = without_shadow(back - figure)
            alpha = np.clip(_dot(away, way) / np.maximum(_dot(way, way), 100), 0, 1)
            left = away - alpha * way
            alphas.append(alpha)
            costs.append(_dot(left, left))
        cost = np.stack(costs)
        weights = cv2.exp((cost.min(axis=0) - cost) / SOFTNESS)
        return (weights * np.stack(alphas)).sum(axis=0) / weights.sum(axis=0)


def _is_enclosed(alpha: np.ndarray, rough: np.ndarray) -> np.ndarray:
    """Return where areas that are not opaque are enclosed and nowhere the screen, (H, W) bool: colours like its own."""
    count, labels = cv2.connectedComponents((alpha < 1 - EMPTY).astype(np.uint8), connectivity=8)
    shows_screen = np.bincount(labels[rough < HOLE_SCREEN], minlength=count) > 0
    shows_screen[0] = True
    return np.logical_not(shows_screen)[labels]


def _screen_plate(small: np.ndarray, spread: np.ndarray, screen: Screen) -> np.ndarray:
    """Return the screen continued over a reduced frame (h, w, 3) float32; ``spread``: of the pixels at a place, (h, w).

    Dark hair before the screen has the screen's hue, as shadows have, but it has texture and edges, unlike them.
    """
    kernel = np.ones((3, 3), np.uint8)
    own, level = _excess(small, screen.channel), cv2.extractChannel(small, screen.channel)
    is_screen = (own > SCREEN_RATIO * screen.ratio * level) & (own > MIN_EXCESS / 2)
    if not is_screen.any():
        return np.full_like(small, 255 * np.array(screen.colour, np.float32))
    usual, strong = float(np.median(spread[is_screen])), float(np.percentile(own[is_screen], 75))
    slope = cv2.morphologyEx(cv2.blur(own, (3, 3)), cv2.MORPH_GRADIENT, kernel)
    is_smooth = (spread < SCREEN_SPREAD * usual + SPREAD_LEVELS) & (slope < SCREEN_SLOPE * strong + usual)
    surely = cv2.erode((is_screen & is_smooth & (own > DARKEST * strong)).astype(np.uint8), kernel)
    return _fill(small, (surely if surely.any() else is_screen).astype(np.float32))


def _spread(values: np.ndarray) -> np.ndarray:
    """Return the standard deviation of values, (H, W) float32, around each pixel."""
    mean = cv2.blur(values, (SPREAD_PX, SPREAD_PX))
    return cv2.sqrt(cv2.max(cv2.blur(values * values, (SPREAD_PX, SPREAD_PX)) - mean * mean, 0))


def _palette(colours: np.ndarray) -> np.ndarray:
    """Return the means of the most frequent bins of colours (n, 3) from 0 to 255, (m, 3) float32."""
    bins = (colours * (BINS / 256)).astype(int) @ np.array([BINS * BINS, BINS, 1])
    counts = np.bincount(bins, minlength=BINS**3)
    order = np.argsort(-counts, kind="stable")[:COLOURS]
    order = order[counts[order] > MIN_COLOUR_SHARE * len(colours)]
    sums = [np.bincount(bins, weights=colours[:, k], minlength=BINS**3)[order] for k in range(3)]
    return np.stack([each / counts[order] for each in sums], axis=1).astype(np.float32)


def _dot(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the scalar products of the columns of two arrays (3, n)."""
    return np.einsum("kn,kn->n", one, other)


def remove_spill(frame: np.ndarray, screen: Screen, matte: np.ndarray | None = None) -> np.ndarray:
    """Return a frame (H, W, 3) uint8 or uint16 without the screen's light on what stands before it.

    With a ``matte``, (H, W) float32 from 0 to 1, the screen is also taken out of mixed pixels, and the figure's colours
    are continued where the matte is empty.
    """
    clean = frame.copy() if matte is None else _unmixed(frame, matte)
    own = screen.channel
    others = [cv2.extractChannel(clean, k) for k in range(3) if k != own]
    limit = cv2.addWeighted(cv2.max(*others), (1 + SPILL_LIMIT) / 2, cv2.min(*others), (1 - SPILL_LIMIT) / 2, 0)
    spill = cv2.subtract(cv2.extractChannel(clean, own), limit)
    at = np.nonzero(spill)
    # The screen's light adds its whole colour: take away as much of it as brings its channel down to the limit.
    light = np.array(screen.colour, np.float32)
    low, high = sorted(float(light[k]) for k in range(3) if k != own)
    light /= max(0.1, float(light[own]) - (high * (1 + SPILL_LIMIT) + low * (1 - SPILL_LIMIT)) / 2)
    clean[at] = np.maximum(np.rint(clean[at] - spill[at][:, None] * light), 0).astype(frame.dtype)
    return clean


def _unmixed(frame: np.ndarray, matte: np.ndarray) -> np.ndarray:
    """Return a frame whose mixed pixels have the figure's colours, nearby ones where there is little of it."""
    height, width = matte.shape
    size = _small_size(width, height)
    plates = []
    for known in (matte < EMPTY, matte > 1 - EMPTY):
        mask = cv2.erode(known.astype(np.uint8), np.ones((3, 3), np.uint8))
        plates.append(_fill(*_masked(frame, mask, size)))
    clean = cv2.resize(np.rint(plates[1]).astype(frame.dtype), (width, height), interpolation=cv2.INTER_LINEAR)
    y, x = np.nonzero((matte > 0) & (matte < 1))
    alpha, near = matte[y, x, None], clean[y, x].astype(np.float32)
    cv2.copyTo(frame, (matte > 0).astype(np.uint8), clean)
    behind = plates[0][y * size[1] // height, x * size[0] // width]
    alone = np.clip(behind + (frame[y, x] - behind) / np.maximum(alpha, 0.05), 0, np.iinfo(frame.dtype).max)
    share = alpha * alpha / (alpha * alpha + UNMIX_ALPHA * UNMIX_ALPHA)
    clean[y, x] = np.rint(near + share * (alone - near)).astype(frame.dtype)
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


def _small_size(width: int, height: int) -> tuple[int, int]:
    """Return the (width, height) at which the screen and the figure are continued."""
    scale = min(1.0, FILL_SIDE_PX / min(height, width))
    return max(2, round(width * scale)), max(2, round(height * scale))


def _masked(frame: np.ndarray, mask: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Reduce what a mask (H, W) uint8 shows of a frame to a (width, height); return it and its share, float32."""
    weight = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    total = cv2.resize(cv2.bitwise_and(frame, frame, mask=mask), size, interpolation=cv2.INTER_AREA)
    return total / np.maximum(weight, 0.05)[..., None], weight


def _fill(values: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return ``values`` (h, w, 3) float32, smoothed by the ``weight`` (h, w) float32 and continued where that is 0."""
    levels = [(values * weight[..., None], weight)]
    while min(levels[-1][1].shape) > 2:
        levels.append((cv2.pyrDown(levels[-1][0]), cv2.pyrDown(levels[-1][1])))
    made = levels[-1][0] / np.maximum(levels[-1][1], 1e-6)[..., None]
    for total, weight in reversed(levels[:-1]):
        made = cv2.resize(made, weight.shape[::-1], interpolation=cv2.INTER_LINEAR)
        share = np.clip(2 * weight, 0, 1)[..., None]
        made += share * (total / np.maximum(weight, 1e-3)[..., None] - made)
    return cv2.GaussianBlur(made, (0, 0), 1.5)
