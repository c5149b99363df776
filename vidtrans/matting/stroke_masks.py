"""Grow a mask from a few strokes: what looks like the strokes on a thing, and is joined to them.

Places are compared with those under the strokes, and with places far from them, by their colour and by features of
EfficientNet-Lite0; paths that leave the thing are long (a geodesic distance, as in Bai and Sapiro, ICCV 2007). GrabCut
(Rother et al., SIGGRAPH 2004) then finds the edge.
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

VERSION = 1
SHORT_SIDE, CUT_SIDE = 480, 240  # pixels, of the frame whose features are found, and of the one that GrabCut cuts
TAPS = (2, 4, 10)  # blocks of the network
COLOUR = 2.0  # weight of the colour beside the features of a block
COMPARED, FAR_COMPARED, NEAREST = 256, 512, 3  # places under strokes, and far from them; of which so many nearest count
COVERED = 0.25  # share of a place that strokes cover at least
FAR, LEAST_FAR, LEAST_EXTENT = 0.4, 4, 0.3  # from the strokes: share of their extent, places; share of a frame's side
CONTRAST = 16.0  # of the likeness
STEP, EDGE = 0.02, 4.0  # cost of a step, and of a change of the likeness
UNLIKE, BORDER = 0.5, 0.7  # likeness below which what is far, or at the border of the frame, is outside for certain
SURE, CUTS, BOX_CUTS = 0.85, 2, 6  # share of the distances from which on a place is certain; rounds of GrabCut
BOX = 4.0  # strokes that enclose this many times their own area are a box around the thing


class _Places(NamedTuple):
    """Places of a frame: features (N, C), and whether strokes lie on the thing or off it, (h, w) bool."""

    features: np.ndarray
    inside: np.ndarray
    outside: np.ndarray


def grown(frame: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the mask, (H, W) float32 from 0 to 1, of a thing in a frame (H, W, 3) uint8.

    ``labels``: (H, W) uint8, see ``matte_request.Strokes``; some are on the thing. A stroke that encloses an area is a
    box.
    """
    if (box := _box(labels)) is not None:
        return _cut(frame, labels, np.where(box, 0.5 + 1e-3, 0).astype(np.float32), BOX_CUTS)
    places = _places(frame, labels)
    inside, far = places.inside, _far(places.inside)
    like = _likeness(places, far)
    around = places.outside | (far & (like < UNLIKE)) | (_border(inside) & (like < BORDER))
    if not around.any():
        around = _border(inside)
    there, away = _distance(like, inside, 1 - like), _distance(like, around, like)
    share = (away / (there + away + 1e-6)).astype(np.float32)
    return _cut(frame, labels, share, CUTS)


def _box(labels: np.ndarray) -> np.ndarray | None:
    """Return the area that strokes on the thing enclose, (H, W) bool; None where they enclose none."""
    on = (labels == ON).astype(np.uint8)
    closed = cv2.morphologyEx(on, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    outlines, _ = cv2.findContours(closed, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    full = cv2.drawContours(np.zeros_like(on), outlines, -1, 1, cv2.FILLED)
    return (full > 0) & (labels != OFF) if full.sum() >= BOX * max(1, closed.sum()) else None


def _places(frame: np.ndarray, labels: np.ndarray) -> _Places:
    height, width = labels.shape
    size = Size(short=SHORT_SIDE).of(width, height)
    trunk = EfficientNetTrunk(find_weights(0), TAPS[-1]).eval()
    with torch.no_grad():
        found = trunk(to_tensor([shrink(frame, size) if size[0] < width else frame]), TAPS)
    grid = found[0].shape[-2:]
    parts = []
    for values in found:
        grown_to = F.interpolate(values, size=grid, mode="bilinear", align_corners=False)[0].numpy()
        parts.append(_normal(grown_to, 1e-4) / np.sqrt(len(grown_to)))
    small = cv2.resize(frame, grid[::-1], interpolation=cv2.INTER_AREA)
    lab = cv2.cvtColor(small, cv2.COLOR_RGB2LAB).astype(np.float32).transpose(2, 0, 1)
    parts.append(COLOUR * _normal(lab, 4.0) / np.sqrt(len(lab)))
    covered = [
        cv2.resize((labels == label).astype(np.float32), grid[::-1], interpolation=cv2.INTER_AREA)
        for label in (ON, OFF)
    ]
    inside, outside = (share > min(COVERED, float(share.max()) / 2) for share in covered)
    return _Places(np.concatenate(parts).reshape(sum(map(len, parts)), -1).T, inside, outside & ~inside)


def _normal(values: np.ndarray, least: float) -> np.ndarray:
    """Return channels (C, h, w) with mean 0 and deviation 1, or less where it is below ``least``."""
    deviation = np.maximum(values.std((1, 2), keepdims=True), least)
    normal: np.ndarray = (values - values.mean((1, 2), keepdims=True)) / deviation
    return normal


def _far(inside: np.ndarray) -> np.ndarray:
    """Return the places far from the strokes on a thing, in relation to their extent, (h, w) bool."""
    rows, columns = np.nonzero(inside)
    least = LEAST_EXTENT * min(inside.shape)
    high, wide = max(np.ptp(rows) + 1, least), max(np.ptp(columns) + 1, least)
    up, aside = (FAR * max(one, other / 2) + LEAST_FAR for one, other in ((high, wide), (wide, high)))
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


def _likeness(places: _Places, far: np.ndarray) -> np.ndarray:
    """Return how much each place looks like the thing, and not like what is around, (h, w) from 0 to 1."""
    features = places.features
    around = [_chosen(features, places.outside, COMPARED), _chosen(features, far & ~places.inside, FAR_COMPARED)]
    to_thing = _nearest(features, _chosen(features, places.inside, COMPARED))
    known = np.concatenate(around)
    to_around = _nearest(features, known) if len(known) else np.full_like(to_thing, np.median(to_thing))
    share = to_around / (to_thing + to_around)
    like = (1 / (1 + np.exp(-2 * CONTRAST * (share - 0.5)))).reshape(far.shape)
    like[places.inside], like[places.outside] = 1, 0
    return like


def _chosen(features: np.ndarray, where: np.ndarray, count: int) -> np.ndarray:
    """Return the features of at most ``count`` of the places, evenly spread."""
    found = np.flatnonzero(where)
    return features[found[:: max(1, -(-len(found) // count))]]


def _nearest(features: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return the distance of each place to the nearest of the known features, (N,)."""
    squared = np.square(features).sum(1)[:, None] - 2 * features @ known.T + np.square(known).sum(1)[None]
    count = min(NEAREST, len(known))
    nearest = np.partition(squared, count - 1, axis=1)[:, :count].mean(1)
    return np.sqrt(np.maximum(nearest, 1e-6))


def _border(inside: np.ndarray) -> np.ndarray:
    """Return the places at the border of the frame that are not beside a stroke on the thing, (h, w) bool."""
    border = np.ones_like(inside)
    border[1:-1, 1:-1] = False
    return border & (cv2.dilate(inside.astype(np.uint8), np.ones((7, 7), np.uint8)) == 0)


def _distance(like: np.ndarray, seeds: np.ndarray, cost: np.ndarray) -> np.ndarray:
    """Return the length of the shortest path of each place from the seeds, (h, w)."""
    height, width = like.shape
    numbers = np.arange(height * width).reshape(height, width)
    starts, ends, lengths = [], [], []
    for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
        one = numbers[: height - down, max(0, -right) : width - max(0, right)].ravel()
        other = numbers[down:, max(0, right) : width + min(0, right)].ravel()
        step = EDGE * np.abs(like.flat[one] - like.flat[other]) + (cost.flat[one] + cost.flat[other]) / 2 + STEP
        starts.append(one)
        ends.append(other)
        lengths.append(step * np.hypot(down, right))
    paths = (np.concatenate(lengths), (np.concatenate(starts), np.concatenate(ends)))
    graph = coo_matrix(paths, shape=(like.size, like.size)).tocsr()
    found = dijkstra(graph, directed=False, indices=np.flatnonzero(seeds), min_only=True)
    return np.asarray(found, np.float64).reshape(like.shape)


def _cut(frame: np.ndarray, labels: np.ndarray, share: np.ndarray, rounds: int) -> np.ndarray:
    """Return the mask, (H, W) float32, that GrabCut makes of shares of distances, joined to the strokes on the thing.

    ``share``: from 0, certainly around the thing, to 1, certainly on it; of any size.
    """
    height, width = labels.shape
    size = Size(short=CUT_SIDE).of(width, height)
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
    elif count > 2:  # a box around the thing
        inside = parts == 1 + np.argmax(np.bincount(parts.ravel())[1:])
    return cv2.resize(inside.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
