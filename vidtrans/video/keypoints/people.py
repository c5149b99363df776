"""Keypoints over time: people followed from frame to frame, gaps filled, jitter smoothed, bodies fitted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from itertools import pairwise

import numpy as np

from vidtrans.video.keypoints.layouts import ANKLES, BODY, NOSE

FARTHEST = 0.6  # of a body's height: what has moved further since the frame before is another person
STAGE = 0.08  # of a body's height: ankles that move less up and down the picture are of one who stays, or lifts a foot
BEYOND = 0.25  # share of the way by which one may stand further away, or nearer
EDGE = 0.1  # share of the way from the farthest to the nearest place within which a height is measured
MAX_PEOPLE = 32


@dataclass(frozen=True)
class BodyPlace:
    """The place and size of a performer in the picture, in pixels, for the pose normalisation of ``fit``.

    ``x``: the middle of all places; ``far``, ``near``: the height in the picture of the ankles at the back and at the
    front of the stage; ``far_tall``, ``near_tall``: how tall the performer is there.
    """

    x: float
    far: float
    near: float
    far_tall: float
    near_tall: float

    @classmethod
    def of(cls, person: np.ndarray) -> BodyPlace | None:
        """Measure a person's track, (T, POINTS, 3); None where no frame shows two heights of a body.

        Without ankles in any frame, the lowest points of the body stand for them, and the highest ones for the nose.
        """
        body = person[:, :BODY]
        seen = ~np.isnan(body[..., 0]).all(axis=1)
        body = body[seen]
        feet = _lowest(body[:, ANKLES, 1])
        heads = body[:, NOSE, 1]
        if np.isnan(feet - heads).all():
            feet, heads = _lowest(body[..., 1]), -_lowest(-body[..., 1])
        tall = feet - heads
        usable = tall > 1
        if not usable.any():
            return None
        feet, tall, body = feet[usable], tall[usable], body[usable]
        far, near = (float(n) for n in np.percentile(feet, (5, 95)))
        if near - far < STAGE * float(np.median(tall)):
            far = near
        reach = EDGE * (near - far) + 0.01 * float(np.median(tall))
        far_tall, near_tall = (float(np.percentile(tall[at], 90)) for at in (feet <= far + reach, feet >= near - reach))
        x = float(np.median(np.nanmean(body[..., 0], axis=1)))
        return cls(x, far, near, far_tall, near_tall)

    def __str__(self) -> str:
        return "_".join(f"{value:g}" for value in astuple(self))

    def rounded(self) -> BodyPlace:
        """Return the place in tenths of a pixel, as a model file keeps it."""
        return BodyPlace(*(round(value, 1) for value in astuple(self)))


def _lowest(values: np.ndarray) -> np.ndarray:
    """Return the highest values over the last axis, the lowest places in a picture; NaN where all are NaN."""
    found = np.where(np.isnan(values), -np.inf, values).max(axis=-1)
    return np.where(np.isinf(found), np.nan, found)


def follow(frames: Sequence[Sequence[np.ndarray]]) -> np.ndarray:
    """Return the tracks of people, (people, T, POINTS, 3), NaN where one is not seen, those seen longest first.

    Each person of a frame, (POINTS, 3), belongs to the track whose last points are nearest; lists of detectors have no
    order. After ``MAX_PEOPLE`` tracks, further people are left out.
    """
    tracks: list[dict[int, np.ndarray]] = []
    for number, people in enumerate(frames):
        pairs = sorted(
            (_distance(track[max(track)], person), t, p)
            for t, track in enumerate(tracks)
            for p, person in enumerate(people)
        )
        open_tracks, waiting = set(range(len(tracks))), set(range(len(people)))
        for distance, t, p in pairs:
            if distance <= FARTHEST and t in open_tracks and p in waiting:
                tracks[t][number] = people[p]
                open_tracks.discard(t)
                waiting.discard(p)
        tracks += [{number: people[p]} for p in sorted(waiting)][: MAX_PEOPLE - len(tracks)]
    tracks.sort(key=len, reverse=True)
    found = np.full((len(tracks), len(frames), *people_shape(frames)), np.nan)
    for t, track in enumerate(tracks):
        for number, person in track.items():
            found[t, number] = person
    return found


def people_shape(frames: Sequence[Sequence[np.ndarray]]) -> tuple[int, ...]:
    """Return the shape of a person's points, of the first person."""
    return next(person.shape for people in frames for person in people)


def _distance(a: np.ndarray, b: np.ndarray) -> float:
    """Return the mean distance of the points that both people have, in heights of a body; infinite for none."""
    both = ~np.isnan(a[:, 0]) & ~np.isnan(b[:, 0])
    if not both.any():
        return float("inf")
    tall = float(np.ptp(a[both, :2], axis=0).max()) + float(np.ptp(b[both, :2], axis=0).max())
    return float(np.hypot(*(a - b)[both, :2].T).mean()) / max(tall / 2, 1e-6)


def fill_gaps(person: np.ndarray, numbers: np.ndarray, longest: int) -> np.ndarray:
    """Return a track, (T, POINTS, 3), in which points are interpolated where they are missing for a few frames.

    ``numbers``: the frames' numbers, (T,); ``longest``: how many frames a point may be missing.
    """
    filled = person.copy()
    for point in range(person.shape[1]):
        known = np.flatnonzero(~np.isnan(person[:, point, 0]))
        for before, after in pairwise(known):
            if after - before > 1 and numbers[after] - numbers[before] <= longest + 1:
                inside = slice(before + 1, after)
                for c in range(3):
                    ends = person[[before, after], point, c]
                    filled[inside, point, c] = np.interp(numbers[inside], numbers[[before, after]], ends)
    return filled


def smooth_motion(person: np.ndarray, sigma: float) -> np.ndarray:
    """Return a track, (T, POINTS, 3), with x and y smoothed over time by a Gaussian of ``sigma`` frames."""
    if sigma <= 0:
        return person
    reach = int(np.ceil(3 * sigma))
    known = ~np.isnan(person[..., :1])
    values = np.where(known, person[..., :2], 0)
    total, weights = np.zeros_like(values), np.zeros_like(known, float)
    for step in range(-reach, reach + 1):
        weight = float(np.exp(-0.5 * (step / sigma) ** 2))
        here = slice(max(0, -step), len(person) - max(0, step))
        there = slice(max(0, step), len(person) - max(0, -step))
        if here.start < len(person) and there.start < len(person):
            total[here] += weight * values[there]
            weights[here] += weight * known[there]
    smoothed = person.copy()
    smoothed[..., :2] = np.where(known, total / np.maximum(weights, 1e-9), np.nan)
    return smoothed


def fit(people: np.ndarray, own: BodyPlace, other: BodyPlace) -> np.ndarray:
    """Return tracks, (people, T, POINTS, 3), with a performer's place and size brought to another's.

    The global pose normalisation of Chan et al., "Everybody Dance Now" (ICCV 2019), with one scale and one shift for
    each frame: both are interpolated between the back and the front of the stage by the ankles of the first person.
    """
    feet = _lowest(people[0][:, ANKLES, 1])
    known = ~np.isnan(feet)
    if own.near > own.far and known.any():
        feet = np.interp(np.arange(len(feet)), np.flatnonzero(known), feet[known])
        depth = np.clip((feet - own.far) / (own.near - own.far), -BEYOND, 1 + BEYOND)
    else:
        depth = np.full(len(feet), 0.5)
    scale = (1 - depth) * other.far_tall / own.far_tall + depth * other.near_tall / own.near_tall
    ground = other.far + depth * (other.near - other.far)
    standing = own.far + depth * (own.near - own.far)
    moved = people.copy()
    moved[..., 0] = other.x + (people[..., 0] - own.x) * scale[:, None]
    moved[..., 1] = ground[:, None] + (people[..., 1] - standing[:, None]) * scale[:, None]
    return moved
