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
MIN_EXCESS, MIN_SCREEN_SHARE = 24, 0.06
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

    It is the most frequent hue among green and blue pixels, if it covers enough of the frames.
    """
    pixels = np.concatenate(
        [cv2.resize(each, (96, 54), interpolation=cv2.INTER_AREA).reshape(-1, 3) for each in frames]
    )
    best: tuple[float, Screen] | None = None
    for channel in (GREEN, BLUE):
        excess = _excess(pixels[None].astype(np.float32), channel)[0]
        chosen = pixels[excess >= MIN_EXCESS]
        if len(chosen) < MIN_SCREEN_SHARE * len(pixels):
            continue
        hues = cv2.cvtColor(chosen[None].astype(np.float32) / 255, cv2.COLOR_RGB2HSV)[0, :, 0]
        bins = (hues / 360 * HUE_BINS).astype(int) % HUE_BINS
        counts = np.bincount(bins, minlength=HUE_BINS)
        near = np.sum([np.roll(counts, shift) for shift in range(-HUE_REACH, HUE_REACH + 1)], axis=0)
        peak = int(near.argmax())
        distance = np.abs((bins - peak + HUE_BINS // 2) % HUE_BINS - HUE_BINS // 2)
        own = chosen[distance <= HUE_REACH]
        share = len(own) / len(pixels)
        if share >= MIN_SCREEN_SHARE and (best is None or share > best[0]):
            colour = np.median(own, axis=0) / 255
            best = share, Screen(channel, (float(colour[0]), float(colour[1]), float(colour[2])))
    return best[1] if best else None


def key_screen(frame: np.ndarray, screen: Screen) -> np.ndarray:
    """Return the matte, (H, W) float32 from 0 to 1, of what stands before a screen in a frame (H, W, 3) uint8."""
    height, width = frame.shape[:2]
    size = max(1, width // 2), max(1, height // 2)
    half = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
    plates = _Plates.of(half, screen)
    up = lambda x: cv2.resize(x, size, interpolation=cv2.INTER_LINEAR)
    back, fore = up(plates.screen), up(plates.figure)
    half = half.astype(np.float32)
    excess = _excess(half, screen.channel)
    rough = 1 - excess / up(plates.excess)
    smooth = cv2.blur(rough, (3, 3))
    zero = smooth <= LOW
    one = cv2.erode((smooth > HIGH).astype(np.uint8), np.ones((SIDE, SIDE), np.uint8)) > 0
    alpha = one.astype(np.float32)
    y, x = np.nonzero(~(zero | one))
    if len(y):
        alpha[y, x] = _solve(half[y, x], back[y, x], fore[y, x], plates.palette, rough[y, x])
    scale = min(height, width) / 2
    core = cv2.distanceTransform((alpha > CORE_ALPHA).astype(np.uint8), cv2.DIST_L2, 3)
    deep = cv2.distanceTransform((alpha > 0.15).astype(np.uint8), cv2.DIST_L2, 3)
    alpha = np.maximum(alpha, np.clip(core / (CORE_SHARE * scale) - 1, 0, 1)).astype(np.float32)
    alpha = np.maximum(alpha, np.clip(deep / (DEEP_SHARE * scale) - 1, 0, 1)).astype(np.float32)
    luma = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float32)
    small = cv2.resize(luma, size, interpolation=cv2.INTER_AREA)
    bx = lambda v: cv2.blur(v, (GUIDE, GUIDE))
    gain = BOOST * (bx(alpha * small) - bx(alpha) * bx(small)) / (bx(small * small) - bx(small) ** 2 + EPS)
    gain[zero | one] = 0
    big = lambda x: cv2.resize(x, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.clip(big(alpha) + big(gain) * (luma - big(small)), 0, 1)


def _solve(colours, back, fore, palette, rough):
    u = back - colours
    dot = lambda x, y: np.einsum("nk,nk->n", x, y)
    b2 = dot(back, back)
    h = back * np.sqrt(KAPPA / b2)[:, None]
    us = dot(u, h)
    uu = dot(u, u)
    uum = uu - us * us
    d = back - fore
    ds = dot(d, h)
    bs = dot(back, h)
    ub, bb = dot(u, back) - us * bs, b2 - bs * bs
    ps = h @ palette.T
    bf = back @ palette.T - bs[:, None] * ps
    ud = np.concatenate([(dot(u, d) - us * ds)[:, None], ub[:, None] - (u @ palette.T - us[:, None] * ps)], axis=1)
    dd = np.concatenate([(dot(d, d) - ds * ds)[:, None], bb[:, None] - 2 * bf + (palette * palette).sum(1) - ps * ps], axis=1)
    dd = np.maximum(dd, 100)
    a = np.clip(ud / dd, 0, 1)
    cost = uum[:, None] - 2 * a * ud + a * a * dd
    cost[:, 1:] += PENALTY * uu[:, None] + PENALTY0
    if FREE:
        a = np.concatenate([a, np.clip(rough, 0, 1)[:, None]], axis=1)
        cost = np.concatenate([cost, FREE + FREE_SHARE * uu[:, None]], axis=1)
    w = np.exp((cost.min(1, keepdims=True) - cost) / SOFT)
    return (w * a).sum(1) / w.sum(1)


KAPPA, FREE, FREE_SHARE = 0.95, 400.0, 0.0
SURE, SURE_SIDE = 0.9, 5
BOOST = 1.3
SOFT, PENALTY0 = 30.0, 0.0
DEEP_SHARE = 0.08
SIDE = 5
LOW, HIGH = 0.04, 0.9
WINDOW, PENALTY = 7, 0.0
GUIDE, EPS = 5, 9
FIG_Q, FIG_SLOPE = 0.35, 0.15
TEXTURE = 2.0
SLOPE = 0.25
BINS, COLOURS = 5, 16


@dataclass(frozen=True)
class _Plates:
    """The screen and the figure, each continued over the whole frame, (h, w, 3) float32 from 0 to 255, at a small size."""

    screen: np.ndarray
    figure: np.ndarray
    excess: np.ndarray
    palette: np.ndarray

    @classmethod
    def of(cls, frame: np.ndarray, screen: Screen) -> _Plates:
        height, width = frame.shape[:2]
        scale = min(1.0, FILL_SIDE_PX / min(height, width))
        size = max(2, round(width * scale)), max(2, round(height * scale))
        small = cv2.resize(frame, size, interpolation=cv2.INTER_AREA).astype(np.float32)
        excess, level = _excess(small, screen.channel), cv2.extractChannel(small, screen.channel)
        own = np.array(screen.colour, np.float32)[None, None]
        ratio = float(_excess(own, screen.channel)[0, 0]) / max(1e-3, screen.colour[screen.channel])
        is_screen = (excess > SCREEN_RATIO * ratio * level) & (excess > MIN_EXCESS / 2)
        # Hair before the screen has the screen's ratio, too, but it has texture and edges, unlike shadows.
        full = _excess(frame, screen.channel).astype(np.float32)
        square = cv2.resize(full * full, size, interpolation=cv2.INTER_AREA)
        mean = cv2.resize(full, size, interpolation=cv2.INTER_AREA)
        spread = np.sqrt(np.maximum(square - mean * mean, 0))
        usual = float(np.median(spread[is_screen])) if is_screen.any() else 0.0
        kernel = np.ones((3, 3), np.uint8)
        slope = cv2.morphologyEx(cv2.blur(excess, (3, 3)), cv2.MORPH_GRADIENT, kernel)
        strong = np.percentile(excess[is_screen], 75) if is_screen.any() else 1.0
        surely = is_screen & (spread < TEXTURE * usual + 2) & (slope < SLOPE * strong + usual) & (excess > 0.3 * strong)
        plate = _fill(small, cv2.erode(surely.astype(np.uint8), kernel))
        plate_excess = np.maximum(_excess(plate, screen.channel), 4)
        share = excess / plate_excess
        flat = cv2.morphologyEx(share, cv2.MORPH_GRADIENT, kernel) < FIG_SLOPE
        inner = cv2.erode(((share < FIG_Q) & flat).astype(np.uint8), kernel)
        rough = 1 - full / cv2.resize(plate_excess, full.shape[::-1])
        sure = cv2.erode((cv2.blur(rough, (3, 3)) > SURE).astype(np.uint8), np.ones((SURE_SIDE, SURE_SIDE), np.uint8))
        weight = cv2.resize(sure.astype(np.float32), size, interpolation=cv2.INTER_AREA)
        mixed = cv2.resize(frame * sure[..., None], size, interpolation=cv2.INTER_AREA).astype(np.float32)
        only = (weight == 0) & (inner > 0)
        weight[only] = 1
        mixed[only] = small[only]
        small = mixed / np.maximum(weight, 0.05)[..., None]
        inner = (weight > 0.3).astype(np.uint8)
        figure = _fill(small, weight)
        chosen = small[inner > 0]
        bins = (chosen * (BINS / 256)).astype(int) @ np.array([BINS * BINS, BINS, 1])
        counts = np.bincount(bins, minlength=BINS**3)
        sums = np.stack([np.bincount(bins, weights=chosen[:, k], minlength=BINS**3) for k in range(3)], axis=1)
        order = np.argsort(-counts, kind="stable")[:COLOURS]
        order = order[counts[order] > 0.005 * len(chosen)]
        return cls(plate, figure, plate_excess, (sums[order] / counts[order, None]).astype(np.float32))


def remove_spill(frame: np.ndarray, screen: Screen, matte=None) -> np.ndarray:
    """Return a frame (H, W, 3) uint8 or uint16 in which no pixel has more of the screen's channel than the others."""
    others = [cv2.extractChannel(frame, k) for k in range(3) if k != screen.channel]
    limit = cv2.max(*others) if screen.channel == GREEN else cv2.addWeighted(others[0], 0.5, others[1], 0.5, 0)
    clean = frame.copy()
    clean[..., screen.channel] = cv2.min(cv2.extractChannel(frame, screen.channel), limit)
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
