"""Paint over frames of the flower, as an artist would by hand: flat tones, outlines, the flower apart from the rest.

    vidtrans keyframes flower.mp4
    python examples/paint_frames.py flower.keyframes/*.png
    vidtrans propagate flower.mp4 --keyframes flower.keyframes

With --ladybird X,Y a ladybird is painted there instead, onto a frame of the result.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

PAPER = np.array([[24, 30, 66], [38, 92, 128], [98, 160, 176], [226, 236, 214]], np.float32)  # all but the flower
PETALS = np.array([[96, 14, 40], [214, 62, 38], [250, 158, 60], [255, 236, 180]], np.float32)
INK = np.array([26, 18, 30], np.float32)


def flat_tones(rgb: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """A picture (H, W, 3) uint8 in a few flat tones, by its brightness: (H, W, 3) float32."""
    grey = cv2.bilateralFilter(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), 9, 40, 7).astype(np.float32) / 256
    at = np.clip(grey * len(palette) * 1.25, 0, len(palette) - 1.001)
    tone, share = at.astype(int), np.clip((at - np.floor(at) - 0.5) * 8 + 0.5, 0, 1)[..., None]
    flat: np.ndarray = palette[tone] * (1 - share) + palette[np.minimum(tone + 1, len(palette) - 1)] * share
    return flat


def flower(rgb: np.ndarray) -> np.ndarray:
    """Where the flower is, (H, W) float32, 0 to 1: the largest red thing."""
    red, green, blue = (rgb[..., n].astype(np.int16) for n in range(3))
    reddish = ((red > 150) & (red - green > 90) & (red - blue > 60)).astype(np.uint8)
    mask = cv2.morphologyEx(reddish, cv2.MORPH_CLOSE, np.ones((9, 9), np.uint8))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask)
    if count < 2:
        return np.zeros(rgb.shape[:2], np.float32)
    largest = labels == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    return np.asarray(cv2.GaussianBlur(largest.astype(np.float32), (0, 0), 1.5))


def outlines(rgb: np.ndarray) -> np.ndarray:
    """How dark lines are, (H, W), 0 to 1: differences of Gaussians with a soft threshold (Winnemöller, 2011)."""
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    response = cv2.GaussianBlur(grey, (0, 0), 1.6) - 0.98 * cv2.GaussianBlur(grey, (0, 0), 2.6)
    lines: np.ndarray = np.clip(-60 * (response - 0.004), 0, 1)
    return lines


def paint(rgb: np.ndarray) -> np.ndarray:
    """Paint over a frame."""
    petals = flower(rgb)
    tones = flat_tones(rgb, PAPER) * (1 - petals[..., None]) + flat_tones(rgb, PETALS) * petals[..., None]
    edge = cv2.GaussianBlur(petals, (0, 0), 1.5)
    ink = np.maximum(outlines(rgb), np.clip(5 * edge * (1 - edge), 0, 1))[..., None]
    return np.asarray(np.clip(np.rint(tones * (1 - ink) + INK * ink), 0, 255), np.uint8)


def ladybird(rgb: np.ndarray, x: int, y: int) -> np.ndarray:
    """Paint a ladybird onto a frame of a result."""
    painted = rgb.copy()
    cv2.ellipse(painted, (x, y), (22, 17), 20, 0, 360, (226, 54, 40), -1, cv2.LINE_AA)
    cv2.ellipse(painted, (x + 18, y + 7), (9, 9), 0, 0, 360, (30, 20, 30), -1, cv2.LINE_AA)
    cv2.line(painted, (x - 20, y - 8), (x + 12, y + 4), (30, 20, 30), 2, cv2.LINE_AA)
    for dx, dy in ((-8, -9), (6, -8), (-10, 5), (4, 9)):
        cv2.circle(painted, (x + dx, y + dy), 4, (30, 20, 30), -1, cv2.LINE_AA)
    return painted


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", nargs="+", type=Path)
    parser.add_argument("--ladybird", metavar="X,Y")
    arguments = parser.parse_args()
    for path in arguments.pictures:
        if path.stem == "sheet":
            continue
        rgb = np.array(Image.open(path).convert("RGB"))
        made = ladybird(rgb, *map(int, arguments.ladybird.split(","))) if arguments.ladybird else paint(rgb)
        cv2.imwrite(str(path), made[..., ::-1])


if __name__ == "__main__":
    main()
