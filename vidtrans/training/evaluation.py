"""What is shown and scored of a generator while it trains and when it is done."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from zlib import crc32

import cv2
import numpy as np

from vidtrans.data.dataset import Pair
from vidtrans.inference.engine import Engine
from vidtrans.metrics.picture import SSIM_WINDOW, l1, psnr, sharpness, ssim
from vidtrans.pairing.base import Pairing
from vidtrans.settings import Table
from vidtrans.video.picture import read_picture, write_picture

SHEET_ROWS = 4
SHEET_HEIGHT = 192
MAX_SCORED = 64


def evenly(pairs: Sequence[Pair], count: int) -> list[Pair]:
    """At most ``count`` pairs, spread over all."""
    if len(pairs) <= count:
        return list(pairs)
    return [pairs[(2 * k + 1) * len(pairs) // (2 * count)] for k in range(count)]


def shown_of(pairing: Pairing, pair: Pair) -> np.ndarray:
    """What the network sees of a pair: noise and holes are drawn, the same for a pair every time."""
    rng = np.random.Generator(np.random.Philox(key=crc32(pair.target.name.encode())))
    return pairing.taught([read_picture(p) for p in pair.inputs], rng)


def apply(engine: Engine, pairing: Pairing, pair: Pair) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(input, output, target) of one pair at its stored size, uint8; the output as it would be rendered."""
    shown, target = shown_of(pairing, pair), read_picture(pair.target)
    output = engine(shown[None])[0]
    # What a frame's own input puts back is known of the target too.
    return shown, pairing.finish(target, output, shown) if pairing.finishes else output, target


def score(engine: Engine, pairing: Pairing, pairs: Sequence[Pair]) -> Table:
    """Mean L1 (0 to 1), PSNR in dB, SSIM, and sharpness relative to the targets', over held-out pairs.

    SSIM is None where a picture is smaller than its window.
    """
    rows = []
    for pair in evenly(pairs, MAX_SCORED):
        _, output, target = apply(engine, pairing, pair)
        similar = ssim(output, target) if min(target.shape[:2]) >= SSIM_WINDOW else None
        relative = sharpness(output) / max(sharpness(target), 1e-6)
        rows.append((l1(output, target), min(psnr(output, target), 99.0), similar, relative))
    names = ("l1", "psnr", "ssim", "sharpness")
    columns = dict(zip(names, zip(*rows, strict=True), strict=True))
    means = {n: None if None in column else round(float(np.mean(column)), 4) for n, column in columns.items()}
    return {"pairs": len(rows)} | means


def preview_sheet(engine: Engine, pairing: Pairing, pairs: Sequence[Pair], title: str, path: Path) -> None:
    """Write a sheet of a few pairs: input | output | target."""
    rows = []
    for pair in evenly(pairs, SHEET_ROWS):
        rows.append([_thumbnail(visible(p)) for p in apply(engine, pairing, pair)])
    width = max(sum(c.shape[1] for c in row) for row in rows)
    lines = [_label(width, title)]
    for row in rows:
        line = np.hstack(row)
        lines.append(np.pad(line, ((0, 4), (0, width - line.shape[1]), (0, 0))))
    write_picture(path, np.vstack(lines))


def visible(shown: np.ndarray) -> np.ndarray:
    """A network's input as a picture: grey from its first channel, or its last three (the latest frame)."""
    return shown[..., -3:] if shown.shape[2] >= 3 else np.repeat(shown[..., :1], 3, axis=2)


def _thumbnail(picture: np.ndarray) -> np.ndarray:
    scale = SHEET_HEIGHT / picture.shape[0]
    size = (max(1, round(picture.shape[1] * scale)), SHEET_HEIGHT)
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return cv2.resize(np.ascontiguousarray(picture), size, interpolation=method)


def _label(width: int, text: str) -> np.ndarray:
    band = np.zeros((24, width, 3), np.uint8)
    return cv2.putText(band, text, (6, 17), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (230, 230, 230), 1, cv2.LINE_AA)
