"""Outputs enlarged to the source's size as in a render ("delivered"), for held-out pairs stored at full size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import cv2
import numpy as np

from vidtrans.core.settings import Table
from vidtrans.data.dataset import Pair
from vidtrans.inference.engine import Engine
from vidtrans.metrics.picture_quality import PSNR_CAP, SSIM_WINDOW, detail_ratio, psnr, ssim
from vidtrans.pairing.base import Pairing
from vidtrans.pipeline.render import RenderingSettings
from vidtrans.rendering.enlarger import enlarge_frames
from vidtrans.training.training_page import DeliveredSummary
from vidtrans.training.validation import pick_evenly, render_pair
from vidtrans.video.images.picture import picture_size, read_picture, resize
from vidtrans.video.plots import centre_crop

# Number of frames of a shot that are enlarged together: the search for the network's errors uses all, as in a render.
SEARCH_FRAMES = 4
# Number of rows of crops in the report, and a crop's (width, height) in pixels: three crops fit next to each other.
REPORT_ROWS, REPORT_CROP = 4, (368, 276)

# Long side in pixels to which a region is reduced, so that fine texture averages out; maximum edge strength, in levels.
REGION_SIDE_PX, MAX_EDGE = 20, 48
MAX_PIXELS = 4_000_000  # Maximum number of pixels that a preview during training enlarges, which takes about a second.


@dataclass(frozen=True)
class DeliveredPair:
    """A held-out pair at the dataset's size and at full size; (H, W, 3) uint8, the input ``given`` is (H, W, C).

    ``given``, ``output`` and ``target`` have the dataset's size, ``delivered`` and ``full_target`` the source's.
    """

    given: np.ndarray
    output: np.ndarray
    target: np.ndarray
    delivered: np.ndarray
    full_target: np.ndarray

    @property
    def bicubic(self) -> np.ndarray:
        """Return the network's output, enlarged to full size by bicubic resizing, to compare with ``delivered``."""
        return resize(self.output, self.full_target.shape[1], self.full_target.shape[0])

    def crops(self, width: int, height: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return one region of the bicubic resize, of the delivered picture and of the target.

        It is the region in which the target has most structure, ``width`` by ``height`` pixels or less.
        """
        rows, columns = most_structured(self.full_target, width, height)
        bicubic, delivered, target = (p[rows, columns].copy() for p in (self.bicubic, self.delivered, self.full_target))
        return bicubic, delivered, target


def most_structured(picture: np.ndarray, width: int, height: int) -> tuple[slice, slice]:
    """Return (rows, columns) of the region with most structure: outlines and features rather than fine texture.

    Args:
        picture: (H, W, 3) uint8.
        width: Width of the region in pixels; a smaller picture gives a smaller region.
        height: Height of the region in pixels.
    """
    height, width = min(height, picture.shape[0]), min(width, picture.shape[1])
    scale = min(1.0, REGION_SIDE_PX / max(width, height))
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA).astype(np.float32)
    box = min(max(1, round(width * scale)), small.shape[1]), min(max(1, round(height * scale)), small.shape[0])
    spread = (cv2.blur(small * small, box) - np.square(cv2.blur(small, box))).sum(axis=2)
    edges = cv2.blur(np.minimum(np.abs(cv2.Laplacian(small, cv2.CV_32F)).mean(axis=2), MAX_EDGE), box)
    found = centre_crop(spread.clip(0) * edges, small.shape[1] - box[0] + 1, small.shape[0] - box[1] + 1)
    y, x = np.unravel_index(int(found.argmax()), found.shape)
    top = min(round(int(y) / scale), picture.shape[0] - height)
    left = min(round(int(x) / scale), picture.shape[1] - width)
    return slice(top, top + height), slice(left, left + width)


def deliver(engine: Engine, pairing: Pairing, pairs: Sequence[Pair]) -> Iterator[DeliveredPair]:
    """Yield the delivered pictures of those ``pairs`` that are stored at full size, in order, with default settings.

    They equal those of a render without temporal filter. Pairs of one shot must be consecutive in ``pairs``.
    """
    settings = RenderingSettings()
    mode = settings.upscale_for(fills_holes=pairing.fills_holes)
    for _, shot in groupby((pair for pair in pairs if pair.full), key=lambda pair: pair.shot):
        held_out = list(shot)
        for at in range(0, len(held_out), SEARCH_FRAMES):
            stored = [render_pair(engine, pairing, pair) for pair in held_out[at : at + SEARCH_FRAMES]]
            full = [pair.full for pair in held_out[at : at + SEARCH_FRAMES] if pair.full]
            outputs, sources = [output for _, output, _ in stored], [read_picture(source) for source, _ in full]
            delivered = enlarge_frames(outputs, sources, mode, settings.sharpness)
            for (given, output, target), whole, (_, other) in zip(stored, delivered, full, strict=True):
                yield DeliveredPair(given, output, target, whole, read_picture(other))


def few_at_full_size(pairs: Sequence[Pair], count: int) -> list[Pair]:
    """Return at most ``count`` evenly spaced full-size pairs; fewer if they exceed ``MAX_PIXELS`` in total."""
    full = [(pair, pair.full[1]) for pair in pairs if pair.full]
    if not full:
        return []
    width, height = picture_size(full[0][1])
    return pick_evenly([pair for pair, _ in full], max(1, min(count, MAX_PIXELS // (width * height))))


def score_pair(pair: DeliveredPair) -> Table:
    """Return PSNR in dB, SSIM, and sharpness (``detail_ratio``) of a delivered picture at full size.

    ``bicubic_psnr``: PSNR of a bicubic resize of the output. ``ssim`` is None if the picture is smaller than its
    window.
    """
    target, delivered = pair.full_target, pair.delivered
    return {
        "psnr": min(psnr(delivered, target), PSNR_CAP),
        "ssim": ssim(delivered, target) if min(target.shape[:2]) >= SSIM_WINDOW else None,
        "sharpness": detail_ratio(delivered, target),
        "bicubic_psnr": min(psnr(pair.bicubic, target), PSNR_CAP),
    }


def summarise(engine: Engine, pairing: Pairing, pairs: Sequence[Pair], step: int) -> DeliveredSummary | None:
    """Return the scores of all full-size ``pairs``, and a few crops, at training ``step``.

    None if no pair has full size.
    """
    full = [pair for pair in pairs if pair.full]
    if not full:
        return None
    cropped = {pair.target for pair in pick_evenly(full, REPORT_ROWS)}
    rows, sizes, crops = [], [], []
    for pair, made in zip(full, deliver(engine, pairing, full), strict=True):
        rows.append(score_pair(made))
        sizes.append(made.full_target.shape[1::-1])
        if pair.target in cropped:
            crops.append(made.crops(*REPORT_CROP))
    return DeliveredSummary(step, _means(rows, sizes), crops)


def _means(rows: Sequence[Table], sizes: Iterable[tuple[int, ...]]) -> Table:
    """Return a table with the number of pairs, their (width, height) if all have one size, and the mean scores."""
    found = set(sizes)
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    means = {name: None if None in c else round(float(np.mean(c)), 4) for name, c in columns.items()}
    return {"pairs": len(rows), "size": list(found.pop()) if len(found) == 1 else None} | means
