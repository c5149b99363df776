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
    0.4,
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
    short = min(height, width)
    picture = frame.astype(np.float32) / 255
    excess = _excess(picture, screen.channel)
    level = cv2.extractChannel(picture, screen.channel)
    own = np.array(screen.colour, np.float32)[None, None]
    ratio = float(_excess(own, screen.channel)[0, 0]) / max(1e-3, screen.colour[screen.channel])
    is_screen = (excess > SCREEN_RATIO * ratio * level) & (excess > MIN_EXCESS / 255 / 2)
    local = _fill(excess, is_screen, short)
    alpha = 1 - excess / np.maximum(local, 1e-3)
    # Where much of the picture is nearly the screen's, its deviations are noise.
    surely = is_screen & (alpha < 0.15)
    noise = float(np.sqrt(np.mean(np.square(alpha[surely])))) if surely.any() else 0.0
    low = min(0.15, NOISE_SIGMAS * noise)
    alpha = np.clip((alpha - low) / (SOLID - low), 0, 1)
    core = cv2.distanceTransform((alpha > CORE_ALPHA).astype(np.uint8), cv2.DIST_L2, 3)
    return np.maximum(alpha, np.clip(core / (CORE_SHARE * short) - 1, 0, 1)).astype(np.float32)


def remove_spill(frame: np.ndarray, screen: Screen) -> np.ndarray:
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
    return cv2.extractChannel(picture, channel) - cv2.max(*others)


def _fill(values: np.ndarray, known: np.ndarray, short: int) -> np.ndarray:
    """Return ``values`` (H, W), smoothed over the pixels ``known`` (H, W) bool and continued over the others.

    Pixels near others are left out, because they may be mixed with what stands before the screen.
    """
    height, width = values.shape
    radius = max(1, round(EDGE_SHARE * short))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    inner = cv2.erode(known.astype(np.uint8), kernel)
    inner = inner if inner.any() else known.astype(np.uint8)
    scale = min(1.0, FILL_SIDE_PX / short)
    size = max(2, round(width * scale)), max(2, round(height * scale))
    weight = cv2.resize(inner.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    total = cv2.resize(values * inner, size, interpolation=cv2.INTER_AREA)
    levels = [(total, weight)]
    while min(levels[-1][1].shape) > 2:
        levels.append((cv2.pyrDown(levels[-1][0]), cv2.pyrDown(levels[-1][1])))
    made = levels[-1][0] / np.maximum(levels[-1][1], 1e-6)
    for total, weight in reversed(levels[:-1]):
        made = cv2.resize(made, weight.shape[::-1], interpolation=cv2.INTER_LINEAR)
        share = np.clip(2 * weight, 0, 1)
        made = share * total / np.maximum(weight, 1e-3) + (1 - share) * made
    return cv2.resize(cv2.GaussianBlur(made, (0, 0), 1.5), (width, height), interpolation=cv2.INTER_LINEAR)
