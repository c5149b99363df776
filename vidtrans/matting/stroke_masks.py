"""Grow the whole mask of an object from a few painted strokes.

Positions are compared with those under the strokes, and with positions far from them, by their colour and by features
of EfficientNet-Lite0. A geodesic distance, which is long across the object's border (Bai and Sapiro, ICCV 2007), gives
a first mask. GrabCut (Rother et al., SIGGRAPH 2004) then finds the edge.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import torch
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import dijkstra
from torch.nn import functional as F

from vidtrans.core.settings import Size
from vidtrans.flow.warping import shrink
from vidtrans.matting.matte_request import OFF, ON
from vidtrans.matting.network import to_tensor
from vidtrans.perception.efficientnet_lite import EfficientNetTrunk, find_weights

VERSION = 1  # Version of the grown masks, for digests
SHORT_SIDE_PX, GRABCUT_SIDE_PX = 480, 240  # Short side of the frame for the features, and of the one for GrabCut
TAPS = (2, 4, 10)  # Indices of the EfficientNet blocks whose outputs are the features
COLOUR_WEIGHT = 2.0  # Weight of the colour relative to the features of one EfficientNet block
MAX_STROKE_SAMPLES, MAX_FAR_SAMPLES = 256, 512  # Reference positions under strokes, and far from them
NUM_NEIGHBOURS = 3  # Number of nearest reference positions whose distances in feature space are averaged
MIN_COVERAGE = 0.25  # Share of a grid position's area that strokes must cover to label it
# A position is far from strokes beyond FAR times their extent (at least MIN_EXTENT of the short side) plus FAR_MARGIN
FAR, FAR_MARGIN, MIN_EXTENT = 0.4, 4, 0.3
LIKENESS_SLOPE = 16.0  # Slope of the sigmoid that maps the relative feature distance to the likeness
STEP_COST, EDGE_COST = 0.02, 4.0  # Path cost of a step, and of a change of the likeness
UNLIKE, BORDER_UNLIKE = 0.5, 0.7  # Likeness below which a far position, or one at the border, is surely outside
SURE, STROKE_ROUNDS, BOX_ROUNDS = 0.85, 2, 6  # Share of distances above which a position is sure; rounds of GrabCut
BOX_AREA = 4.0  # Enclosed area, relative to the strokes' own, from which strokes count as a box around the object


class _Positions(NamedTuple):
    """The grid positions of a frame: features (N, C), and masks of the strokes on and off the object, (h, w) bool."""

    features: np.ndarray
    inside: np.ndarray
    outside: np.ndarray


def grow_mask(frame: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the mask, (H, W) float32 in [0, 1], of the object that strokes mark in a frame (H, W, 3) uint8.

    ``labels``: (H, W) uint8, see ``matte_request.Strokes``, with at least one pixel on the object. A stroke that
    encloses an area is a bounding box.
    """
    if (box := _enclosed_area(labels)) is not None:
        return _grab_cut(frame, labels, np.where(box, 0.5 + 1e-3, 0).astype(np.float32), BOX_ROUNDS)
    positions = _window_grid(frame, labels)
    inside, far = positions.inside, _far_positions(positions.inside)
    like = _likeness(positions, far)
    around = positions.outside | (far & (like < UNLIKE)) | (_border_positions(inside) & (like < BORDER_UNLIKE))
    if not around.any():
        around = _border_positions(inside)
    to_inside, to_around = _distance(like, inside, 1 - like), _distance(like, around, like)
    share = (to_around / (to_inside + to_around + 1e-6)).astype(np.float32)
    return _grab_cut(frame, labels, share, STROKE_ROUNDS)


def _enclosed_area(labels: np.ndarray) -> np.ndarray | None:
    """Return the area enclosed by strokes on the object, (H, W) bool; None without such an area."""
    on = (labels == ON).astype(np.uint8)
    closed = cv2.morphologyEx(on, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    outlines, _ = cv2.findContours(closed, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    full = cv2.drawContours(np.zeros_like(on), outlines, -1, 1, cv2.FILLED)
    return (full > 0) & (labels != OFF) if full.sum() >= BOX_AREA * max(1, closed.sum()) else None


def _window_grid(frame: np.ndarray, labels: np.ndarray) -> _Positions:
    """Return the features and the stroke masks of a frame's grid positions."""
    height, width = labels.shape
    size = Size(short=SHORT_SIDE_PX).of(width, height)
    trunk = EfficientNetTrunk(find_weights(0), TAPS[-1]).eval()
    with torch.no_grad():
        found = trunk(to_tensor([shrink(frame, size) if size[0] < width else frame]), TAPS)
    grid = found[0].shape[-2:]
    parts = []
    for values in found:
        grown_to = F.interpolate(values, size=grid, mode="bilinear", align_corners=False)[0].numpy()
        parts.append(_standardise(grown_to, 1e-4) / np.sqrt(len(grown_to)))
    small = cv2.resize(frame, grid[::-1], interpolation=cv2.INTER_AREA)
    lab = cv2.cvtColor(small, cv2.COLOR_RGB2LAB).astype(np.float32).transpose(2, 0, 1)
    parts.append(COLOUR_WEIGHT * _standardise(lab, 4.0) / np.sqrt(len(lab)))
    covered = [
        cv2.resize((labels == label).astype(np.float32), grid[::-1], interpolation=cv2.INTER_AREA)
        for label in (ON, OFF)
    ]
    inside, outside = (share > min(MIN_COVERAGE, float(share.max()) / 2) for share in covered)
    return _Positions(np.concatenate(parts).reshape(sum(map(len, parts)), -1).T, inside, outside & ~inside)


def _standardise(values: np.ndarray, least: float) -> np.ndarray:
    """Standardise each channel of (C, h, w); the standard deviation counts as at least ``least``."""
    deviation = np.maximum(values.std((1, 2), keepdims=True), least)
    normal: np.ndarray = (values - values.mean((1, 2), keepdims=True)) / deviation
    return normal


def _far_positions(inside: np.ndarray) -> np.ndarray:
    """Return the positions far from the strokes on the object (``inside``), relative to their extent, (h, w) bool."""
    rows, columns = np.nonzero(inside)
    least = MIN_EXTENT * min(inside.shape)
    high, wide = max(np.ptp(rows) + 1, least), max(np.ptp(columns) + 1, least)
    up, aside = (FAR * max(one, other / 2) + FAR_MARGIN for one, other in ((high, wide), (wide, high)))
    if np.ptp(rows) + 1 < least:
        up += (least - np.ptp(rows)) / 2
    if np.ptp(columns) + 1 < least:
        aside += (least - np.ptp(columns)) / 2
    far = np.ones_like(inside)
    far[
        max(0, int(rows.min() - up)) : int(rows.max() + up) + 1,
        max(0, int(columns.min() - aside)) : int(columns.max() + aside) + 1,
    ] = False
    return far


def _likeness(positions: _Positions, far: np.ndarray) -> np.ndarray:
    """Return each position's similarity to the object relative to the surroundings, (h, w) in [0, 1].

    The surroundings are the strokes off the object, and the positions ``far`` from the strokes on it.
    """
    features = positions.features
    around = [
        _sample(features, positions.outside, MAX_STROKE_SAMPLES),
        _sample(features, far & ~positions.inside, MAX_FAR_SAMPLES),
    ]
    to_thing = _nearest_distance(features, _sample(features, positions.inside, MAX_STROKE_SAMPLES))
    known = np.concatenate(around)
    to_around = _nearest_distance(features, known) if len(known) else np.full_like(to_thing, np.median(to_thing))
    share = to_around / (to_thing + to_around)
    like = (1 / (1 + np.exp(-2 * LIKENESS_SLOPE * (share - 0.5)))).reshape(far.shape)
    like[positions.inside], like[positions.outside] = 1, 0
    return like


def _sample(features: np.ndarray, where: np.ndarray, count: int) -> np.ndarray:
    """Return the features at up to ``count`` of the positions ``where``, evenly spaced."""
    found = np.flatnonzero(where)
    return features[found[:: max(1, -(-len(found) // count))]]


def _nearest_distance(features: np.ndarray, references: np.ndarray) -> np.ndarray:
    """Return each position's mean feature distance to its nearest reference features, (N,)."""
    squared = np.square(features).sum(1)[:, None] - 2 * features @ references.T + np.square(references).sum(1)[None]
    count = min(NUM_NEIGHBOURS, len(references))
    nearest = np.partition(squared, count - 1, axis=1)[:, :count].mean(1)
    return np.sqrt(np.maximum(nearest, 1e-6))


def _border_positions(inside: np.ndarray) -> np.ndarray:
    """Return the positions at the frame's border that are not next to a stroke on the object, (h, w) bool."""
    border = np.ones_like(inside)
    border[1:-1, 1:-1] = False
    return border & (cv2.dilate(inside.astype(np.uint8), np.ones((7, 7), np.uint8)) == 0)


def _distance(like: np.ndarray, seeds: np.ndarray, cost: np.ndarray) -> np.ndarray:
    """Return the length of the shortest path from the positions ``seeds`` to each position, (h, w).

    A step costs ``STEP_COST``, the mean ``cost`` of its two positions, and ``EDGE_COST`` times the change of ``like``.
    """
    height, width = like.shape
    numbers = np.arange(height * width).reshape(height, width)
    starts, ends, lengths = [], [], []
    for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
        one = numbers[: height - down, max(0, -right) : width - max(0, right)].ravel()
        other = numbers[down:, max(0, right) : width + min(0, right)].ravel()
        step = (
            EDGE_COST * np.abs(like.flat[one] - like.flat[other]) + (cost.flat[one] + cost.flat[other]) / 2 + STEP_COST
        )
        starts.append(one)
        ends.append(other)
        lengths.append(step * np.hypot(down, right))
    paths = (np.concatenate(lengths), (np.concatenate(starts), np.concatenate(ends)))
    graph = coo_matrix(paths, shape=(like.size, like.size)).tocsr()
    found = dijkstra(graph, directed=False, indices=np.flatnonzero(seeds), min_only=True)
    return np.asarray(found, np.float64).reshape(like.shape)


def _grab_cut(frame: np.ndarray, labels: np.ndarray, share: np.ndarray, rounds: int) -> np.ndarray:
    """Segment the object with GrabCut, and keep the components that touch its strokes; return (H, W) float32.

    ``share``: the initial estimate, from 0 (surely outside) to 1 (surely on the object); of any size.
    """
    height, width = labels.shape
    size = Size(short=GRABCUT_SIDE_PX).of(width, height)
    picture = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)[..., ::-1].copy()
    share = cv2.resize(share, size, interpolation=cv2.INTER_LINEAR)
    guess = np.where(share > 0.5, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    guess[share > SURE], guess[share < 1 - SURE] = cv2.GC_FGD, cv2.GC_BGD
    inside = np.isin(guess, (cv2.GC_FGD, cv2.GC_PR_FGD))
    if inside.any() and not inside.all():
        cv2.setRNGSeed(0)
        models = np.zeros((1, 65)), np.zeros((1, 65))
        cv2.grabCut(picture, guess, None, *models, rounds, cv2.GC_INIT_WITH_MASK)
        inside = np.isin(guess, (cv2.GC_FGD, cv2.GC_PR_FGD))
    if not inside.any():
        inside = share > 0.5
    count, parts = cv2.connectedComponents(inside.astype(np.uint8))
    on = cv2.resize((labels == ON).astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0.1
    joined = np.unique(parts[on & inside])
    if len(joined):
        inside &= np.isin(parts, joined)
    elif count > 2:  # Box around the object
        inside = parts == 1 + np.argmax(np.bincount(parts.ravel())[1:])
    return cv2.resize(inside.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
