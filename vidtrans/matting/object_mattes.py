"""Compute the mattes of one object in all frames of a clip, with a confidence for each frame, and cache them.

``SweptMattes`` track the object from the painted frames, which divide a shot into segments. Each segment has its own
network, trained on the painted frames at its ends, and is tracked from each end; the two mattes of a frame are blended.
A frame that is painted later therefore changes the two segments beside it, and no other frame. Nothing crosses a cut.
From frame to frame, the matte is warped along the optical flow, and the network corrects it. Where the confidence is
low, the object is searched for in the whole frame: it may have been occluded, have left, or have moved too far.

``ModelMattes`` come from a user's own model: a segmenter whose pictures are grey, white on the object.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections import OrderedDict
from collections.abc import Callable, Generator, Hashable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import Lock
from time import perf_counter
from typing import NamedTuple, Protocol

import cv2
import numpy as np
import torch

from vidtrans.clips.indexing import Clip
from vidtrans.clips.sampling import read_clip_frames
from vidtrans.config.recipe import Recipe
from vidtrans.core.costs import estimate, without_output_bytes
from vidtrans.core.errors import ModelError, UsageError
from vidtrans.core.events import Progress
from vidtrans.core.files import digest_of
from vidtrans.core.settings import Size, Table, Time
from vidtrans.flow.estimator import DISMedium, grey
from vidtrans.flow.warping import halve, resize_flow, warp
from vidtrans.inference.device import CPU, resolve_precision
from vidtrans.matting.network import VERSION as NETWORK_VERSION
from vidtrans.matting.network import (
    Box,
    CropWindow,
    MatteNetwork,
    MattePrediction,
    PaintedObject,
    box_of,
    crop_painted,
    scale_around,
    train_network,
)
from vidtrans.matting.settings import MattingSettings
from vidtrans.models.loaded_model import LoadedModel
from vidtrans.models.render_settings import ResolvedRenderSettings, output_classes
from vidtrans.perception.efficientnet_lite import EfficientNetLite
from vidtrans.pipeline.render import RenderingSettings
from vidtrans.rendering.cache_entries import infer_stage
from vidtrans.rendering.chain import FramePath
from vidtrans.rendering.plan import plan_render
from vidtrans.rendering.render_job import RenderJob, estimate_render
from vidtrans.session import Context
from vidtrans.store.cache import CacheEntry, CachePin
from vidtrans.store.chunks import ChunkStore
from vidtrans.store.stages import MatteNetworkStage, MatteStage, libraries
from vidtrans.temporal.stream import filter_samples
from vidtrans.video.colour.conversion import to_uint8
from vidtrans.video.frame_format import FrameFormat

SWEEP_VERSION, MODEL_MATTE_VERSION = 1, 1  # Versions of tracked mattes and of a model's mattes, for cache keys
# Distance from the warped matte at which a new matte fades out: a share of the object's side, plus pixels.
REACH, REACH_PX = 0.15, 4.0
# An island below MIN_ISLAND_SHARE of the largest is dropped, unless MIN_WARPED_SHARE of it is in the warped matte.
MIN_ISLAND_SHARE, MIN_WARPED_SHARE = 0.05, 0.3
SEARCH_AREA = 2.5  # Area of the scaled frame in a search for a lost object, relative to the window's area
AREA_RATIOS = (0.2, 4.0)  # Range of the area of an object found by a search, relative to its last known area
SURE, LOST = 0.6, 0.45  # Least confidence for an accepted search result; confidence below which a search begins
BLOCK_FRAMES = 30  # Number of frames in a block, whose mattes are one file in the cache
TRIAL_STEPS = 3  # Number of training steps in the trial that estimates time and disk use
STORED_BYTES_PER_PIXEL = 0.05  # Compressed size of a matte, for the estimate of disk use
MAX_LOADED_BLOCKS = 3  # Largest number of blocks in memory: one for each of two sweeps of a frame, and the next block
INSIDE, POSSIBLE = 0.75, 0.25  # Matte values above which a pixel is surely, and possibly, inside the object
COLOURED = 12  # Mean difference of a pixel's channels, of 255, above which a model's output is not a matte


class TrackedFrame(NamedTuple):
    """The matte of a frame, (H, W) uint8, and the confidence in it, 0 to 1.

    ``joints``: those of a person, (n, 3): x and y in pixels, and a score from 0 to 1; None if they are not wanted.
    """

    matte: np.ndarray
    confidence: float
    joints: np.ndarray | None = None


class Signals(NamedTuple):
    """Measures of the plausibility of a matte, each about 0 to 1.

    Attributes:
        sureness: Mean distance of the matte from 0.5, doubled.
        agreement: Overlap (IoU) with the warped matte.
        likeness: Share of the inside that is more similar to the object than to its surroundings.
        steadiness: Ratio of the smaller to the larger of the object's area and its last known area.
    """

    sureness: float
    agreement: float
    likeness: float
    steadiness: float


# The fit used 649 frames of four DAVIS 2016 sequences, also with a wall over the object and briefly trained networks.
# Coefficients of a logistic regression of the IoU with the true matte
WEIGHTS, BIAS = Signals(3.2, 1.1, 1.7, 0.7), -4.2


def confidence(signals: Signals) -> float:
    """Return the confidence, 0 to 1: an estimate of the matte's IoU with the true matte."""
    return 1 / (1 + math.exp(-BIAS - sum(w * s for w, s in zip(WEIGHTS, signals, strict=True))))


@dataclass
class Track:
    """The state of a tracked object: its last matte (H, W) uint8, and its bounding box and area when last seen."""

    matte: np.ndarray
    box: Box
    area: float

    @classmethod
    def of(cls, matte: np.ndarray) -> Track:
        """Return the track that begins with a matte; the matte must not be empty."""
        box = box_of(matte / np.float32(255))
        assert box is not None
        return cls(matte, box, float((matte >= 128).sum()))

    def state(self) -> dict[str, np.ndarray]:
        """Return the track as named arrays, to store it."""
        return {"matte": self.matte, "box": np.array(self.box), "area": np.array(self.area)}

    @classmethod
    def from_state(cls, state: Mapping[str, np.ndarray]) -> Track:
        """Return the track that ``state`` stored."""
        return cls(state["matte"], Box(*map(int, state["box"])), float(state["area"]))


class ObjectTracker:
    """Tracks one object through the frames, from a ``frame`` (H, W, 3) uint8 in which its state, ``track``, is known.

    ``side``: of the network's windows, in pixels.
    """

    def __init__(self, network: MatteNetwork, frame: np.ndarray, track: Track, side: int) -> None:
        self.network, self.track, self.side = network, track, side
        self._flow, self._previous = DISMedium(), halve(grey(frame))

    def state(self) -> dict[str, np.ndarray]:
        """Return the object's state as named arrays."""
        return self.track.state()

    def advance(self, frame: np.ndarray) -> TrackedFrame:
        """Return the object's matte, with its confidence, in the next ``frame``, (H, W, 3) uint8 of the same size."""
        warped = self._warp_matte(frame)
        found = self._correct(frame, warped) if (warped >= 0.5).any() else None
        if found is None or found[1] < LOST:
            again = self._search(frame)
            found = again or found
        height, width = frame.shape[:2]
        matte, sure = found or (np.zeros((height, width), np.float32), 0.0)
        rounded = np.clip(np.rint(255 * matte), 0, 255).astype(np.uint8)
        self.track.matte = rounded
        if sure >= SURE and (box := box_of(matte)) is not None:
            self.track.box, self.track.area = box, float((matte >= 0.5).sum())
        return TrackedFrame(rounded, sure)

    def _warp_matte(self, frame: np.ndarray) -> np.ndarray:
        """Return the last frame's matte, warped along the flow to this frame, (H, W) float32 in [0, 1]."""
        now = halve(grey(frame))
        flow = resize_flow(self._flow(now, self._previous), frame.shape[1], frame.shape[0])
        self._previous = now
        return warp(self.track.matte.astype(np.float32) / 255, flow)

    def _correct(self, frame: np.ndarray, warped: np.ndarray) -> tuple[np.ndarray, float] | None:
        """Return the network's matte in a window around the warped matte, and its confidence.

        Return None where the warped matte is empty.
        """
        box = box_of(warped)
        if box is None:
            return None
        size = frame.shape[1], frame.shape[0]
        window = CropWindow.around(box, size, self.side)
        prediction = self.network.predict(window.crop(frame), window.crop(warped, border=cv2.BORDER_CONSTANT))
        matte = limit_to_reach(window.paste(prediction.matte, size), warped)
        return matte, confidence(self.signals(window, prediction, matte, warped))

    def signals(
        self, window: CropWindow, prediction: MattePrediction, matte: np.ndarray, warped: np.ndarray
    ) -> Signals:
        """Return the plausibility measures of a frame's matte, (H, W) float32.

        ``prediction``: the network's output in ``window``. ``warped``: the previous matte, warped to the frame.
        """
        inside, before = matte >= 0.5, warped >= 0.5
        if not inside.any():
            return Signals(0.0, 0.0, 0.0, 0.0)
        near = window.crop(matte, border=cv2.BORDER_CONSTANT)
        covered, here = near > 0.05, near >= 0.5
        sureness = float(np.abs(2 * near[covered] - 1).mean())
        overlap = float((inside & before).sum() / max(1, (inside | before).sum()))
        likeness = float((prediction.likeness[here] > 0).mean()) if here.any() else 0.0
        ratio = float(inside.sum()) / max(1.0, self.track.area)
        return Signals(sureness, overlap, likeness, min(ratio, 1 / ratio))

    def _search(self, frame: np.ndarray) -> tuple[np.ndarray, float] | None:
        """Search for the object in the whole frame; return its matte and confidence, or None if it is not found."""
        size = frame.shape[1], frame.shape[0]
        scale = min(scale_around(self.track.box, self.side), self.side * math.sqrt(SEARCH_AREA / (size[0] * size[1])))
        window = CropWindow.whole(size, scale)
        prediction = self.network.predict(window.crop(frame), None)
        candidates = window.paste(prediction.matte * (prediction.likeness > 0), size)
        count, labels, figures, _ = cv2.connectedComponentsWithStats((candidates >= 0.5).astype(np.uint8))
        best: tuple[np.ndarray, float] | None = None
        least, most = (share * self.track.area for share in AREA_RATIOS)
        plausible = [k for k in range(1, count) if least <= figures[k, cv2.CC_STAT_AREA] <= most]
        for label in sorted(plausible, key=lambda k: -figures[k, cv2.CC_STAT_AREA])[:3]:
            found = self._correct(frame, np.where(labels == label, candidates, 0).astype(np.float32))
            if found is not None and found[1] >= SURE and (best is None or found[1] > best[1]):
                best = found
        return best


class Tracker(Protocol):
    """The interface of trackers."""

    def state(self) -> dict[str, np.ndarray]:
        """Return the state after the last frame as named arrays, to store it."""

    def advance(self, frame: np.ndarray) -> TrackedFrame:
        """Return the object's matte, with its confidence, in the next ``frame``, (H, W, 3) uint8."""


def limit_to_reach(matte: np.ndarray, warped: np.ndarray) -> np.ndarray:
    """Remove areas far from the warped matte, and small islands, from a matte, (H, W) float32."""
    inside = warped >= 0.5
    area = int(inside.sum())
    if not area:
        return matte
    away = cv2.distanceTransform((~inside).astype(np.uint8), cv2.DIST_L2, 3)
    reach = REACH * math.sqrt(area) + REACH_PX
    kept: np.ndarray = matte * np.clip(2 - away / reach, 0, 1)
    count, labels, figures, _ = cv2.connectedComponentsWithStats((kept >= 0.5).astype(np.uint8))
    areas = figures[1:, cv2.CC_STAT_AREA]
    for label in range(1, count) if count > 2 else ():
        part = labels == label
        if areas[label - 1] < MIN_ISLAND_SHARE * areas.max() and inside[part].mean() < MIN_WARPED_SHARE:
            kept[cv2.dilate(part.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0] = 0
    return kept


class ScoredMatte(NamedTuple):
    """The matte of a frame, (h, w) float32 from 0 to 1, and its confidence, 0 to 1."""

    matte: np.ndarray
    confidence: float


@dataclass(frozen=True)
class MatteSource:
    """A clip with the painted mattes of one object.

    Attributes:
        clip: The clip.
        span: The range [first, stop) of frames.
        size: The working size, (width, height).
        painted: The painted mattes, (h, w) uint8 at the working size, by frame number.
    """

    clip: Clip
    span: tuple[int, int]
    size: tuple[int, int]
    painted: Mapping[int, np.ndarray]

    @property
    def shots(self) -> list[range]:
        """Return the shots of the span, as ranges of frame numbers."""
        return self.clip.shots_in(*self.span)

    def painted_key(self, keys: Sequence[int]) -> list[list[object]]:
        """Return the frame numbers ``keys`` with the SHA-256 digests of their painted mattes, for cache keys."""
        arrays = [np.ascontiguousarray(self.painted[key]) for key in keys]
        return [[key, hashlib.sha256(a.tobytes()).hexdigest()] for key, a in zip(keys, arrays, strict=True)]


class BlockCache:
    """A thread-safe LRU cache of the arrays of frame blocks."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._arrays: OrderedDict[Hashable, dict[str, np.ndarray]] = OrderedDict()

    def __call__(self, block: Hashable, path_of: Callable[[], Path]) -> dict[str, np.ndarray]:
        """Return the arrays of a block; ``path_of`` returns its file, and is called only if it is not in memory."""
        with self._lock:
            if block not in self._arrays:
                self._arrays[block] = read_arrays(path_of())
                while len(self._arrays) > MAX_LOADED_BLOCKS:
                    self._arrays.popitem(last=False)
            self._arrays.move_to_end(block)
            return self._arrays[block]


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Return the named arrays of an .npz file."""
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


class Sweep(NamedTuple):
    """One pass of tracking: the frames, in order, into which the object is tracked from the painted frame ``key``.

    ``training_keys``: the painted frames on which the network of this pass is trained.
    """

    key: int
    frames: range
    training_keys: tuple[int, ...]


def blocks_of(frames: range) -> list[range]:
    """Divide frames into the blocks that are stored in one file each."""
    return [frames[first : first + BLOCK_FRAMES] for first in range(0, len(frames), BLOCK_FRAMES)]


def block_with(frame: int, frames: range) -> range:
    """Return the block, of ``blocks_of``, that contains a frame."""
    first = frames.index(frame) // BLOCK_FRAMES * BLOCK_FRAMES
    return frames[first : first + BLOCK_FRAMES]


def sweeps(keys: Sequence[int], shots: Sequence[range]) -> list[Sweep]:
    """Return the sweeps from the painted frames ``keys``, in order, through the shots that have painted frames."""
    found = []
    for shot in shots:
        inside = [key for key in keys if key in shot]
        if not inside:
            continue
        found.append(Sweep(inside[0], range(inside[0] - 1, shot.start - 1, -1), (inside[0],)))
        for one, other in itertools.pairwise(inside):
            both = (one, other)
            found += [Sweep(one, range(one + 1, other), both), Sweep(other, range(other - 1, one, -1), both)]
        found.append(Sweep(inside[-1], range(inside[-1] + 1, shot.stop), (inside[-1],)))
    return [sweep for sweep in found if len(sweep.frames)]


class SweptMattes:
    """The mattes of one object, tracked from painted frames. Call ``find`` before ``at``, and ``close`` at the end."""

    def __init__(self, source: MatteSource, settings: MattingSettings, context: Context) -> None:
        self.source, self.settings, self.context = source, settings, context
        self.sweeps = sweeps(sorted(source.painted), source.shots)
        self._of_frame: dict[int, list[Sweep]] = {}
        for sweep in self.sweeps:
            for frame in sweep.frames:
                self._of_frame.setdefault(frame, []).append(sweep)
        self._networks: dict[tuple[int, ...], MatteNetwork] = {}  # Only the last one; the next sweep may use it
        self._block_cache = BlockCache()
        self._pins: list[CachePin] = []
        self._engine = {"precision": resolve_precision("auto", CPU), "threads": torch.get_num_threads()}

    @property
    def bf16(self) -> bool:
        """Return whether the network computes in bfloat16."""
        return self._engine["precision"] == "bf16"

    def find(self, task: str) -> None:
        """Train the networks and track the object through all sweeps; ``task`` names the object in progress reports.

        ``task``: the object's name in progress reports.
        """
        total, done = sum(len(sweep.frames) for sweep in self.sweeps), 0
        for sweep in self.sweeps:
            entry = self._entry(sweep)
            with entry.locked(wait_for=f"another run that follows a thing in {self.source.clip.name}"):
                for _ in self._track_blocks(sweep, ChunkStore(entry, ".npz"), task):
                    done += 1
                    self.context.report(Progress(f"following {task}", done, total))
                    self.context.stop.check()
                entry.finish({"key": sweep.key})
                self._pins.append(entry.pin())
        self._networks.clear()

    def at(self, frame: int) -> ScoredMatte:
        """Return the matte of a frame, blended from the sweeps that include the frame; an empty matte if none does."""
        if frame in self.source.painted:
            return ScoredMatte(self.source.painted[frame].astype(np.float32) / 255, 1.0)
        found, shares = [], []
        for sweep in self._of_frame.get(frame, ()):
            block = block_with(frame, sweep.frames)
            arrays = self._load(sweep, block)
            at = block.index(frame)
            found.append(ScoredMatte(arrays["mattes"][at].astype(np.float32) / 255, float(arrays["confidences"][at])))
            shares.append((found[-1].confidence + 1e-3) / abs(frame - sweep.key))
        if not found:
            return ScoredMatte(np.zeros(self.source.size[::-1], np.float32), 0.0)
        weights = np.array(shares) / sum(shares)
        matte = sum(one.matte * np.float32(w) for one, w in zip(found, weights, strict=True))
        sure = sum(one.confidence * w for one, w in zip(found, weights, strict=True))
        return ScoredMatte(np.asarray(matte, np.float32), float(sure))

    def stored(self, frame: int, name: str) -> np.ndarray | None:
        """Return what the first sweep through a frame stored under a ``name``; None for a painted frame."""
        for sweep in self._of_frame.get(frame, ()):
            block = block_with(frame, sweep.frames)
            found: np.ndarray = self._load(sweep, block)[name][block.index(frame)]
            return found
        return None

    def for_key(self) -> list[str]:
        """Return the keys of the cache entries of all sweeps, for cache keys of renders."""
        return [self._entry(sweep).key for sweep in self.sweeps]

    def cost(self) -> Table:
        """Estimate the time and disk use of training and tracking, from a trial of a few steps and one frame."""
        followed, step, frame = sum(len(sweep.frames) for sweep in self.sweeps), 0.0, 0.0
        if self.sweeps:
            [painted], moments = self.painted(list(self.source.painted)[:1]), list[float]()
            side, bf16 = self.settings.window, self.bf16
            network = train_network(
                [painted], TRIAL_STEPS, side, 0, bf16=bf16, after_step=lambda _: moments.append(perf_counter())
            )
            began = perf_counter()
            track = Track.of(np.rint(255 * painted.matte).astype(np.uint8))
            ObjectTracker(network, painted.picture, track, side).advance(painted.picture)
            step, frame = (moments[-1] - moments[0]) / (TRIAL_STEPS - 1), perf_counter() - began
        networks, (width, height) = len({sweep.training_keys for sweep in self.sweeps}), self.source.size
        seconds = networks * step * self.settings.steps + followed * frame
        return estimate(seconds, 0, STORED_BYTES_PER_PIXEL * width * height * followed)

    def close(self) -> None:
        """Release the cache entries, so that they can be deleted."""
        for pin in self._pins:
            pin.release()
        self._pins = []

    def _network_stage(self, training_keys: tuple[int, ...]) -> MatteNetworkStage:
        """Return the cache stage of the network trained on the painted frames ``training_keys``."""
        return MatteNetworkStage(
            source=self.source.clip.digest,
            size=list(self.source.size),
            painted=self.source.painted_key(training_keys),
            settings={"steps": self.settings.steps, "window": self.settings.window},
            seed=self.context.seed,
            engine=self._engine,
            method=NETWORK_VERSION,
            weights=EfficientNetLite.identity(),
            libraries=libraries("av", "numpy", "opencv-python-headless", "torch"),
        )

    def _entry(self, sweep: Sweep) -> CacheEntry:
        """Return the cache entry of a sweep's mattes."""
        frames = [sweep.frames.start, sweep.frames.stop, sweep.frames.step]
        stage = MatteStage(
            network=self._network_stage(sweep.training_keys).key,
            key_frame=sweep.key,
            frames=frames,
            method=SWEEP_VERSION,
        )
        return self.context.cache.entry(stage.name, stage.key)

    def _load(self, sweep: Sweep, block: range) -> dict[str, np.ndarray]:
        """Return the arrays of a sweep's block, from memory or from the cache."""
        return self._block_cache((sweep, block.start), lambda: ChunkStore(self._entry(sweep), ".npz").path(min(block)))

    def _track_blocks(self, sweep: Sweep, store: ChunkStore, task: str) -> Iterator[None]:
        """Track the object through the blocks of a sweep that are not stored; yield after each frame."""
        before: range | None = None
        for block in blocks_of(sweep.frames):
            if store.is_done(min(block)):
                yield from itertools.repeat(None, len(block))
            else:
                last, state = sweep.key, None
                if before is not None:
                    last, state = before[-1], read_arrays(store.path(min(before)))
                found = list[TrackedFrame]()
                with closing(self._frames(sorted([last, *block]), backwards=block.step < 0)) as frames:
                    follower = self._tracker(sweep, next(frames), state, task)
                    for frame in frames:
                        found.append(follower.advance(frame))
                        yield
                mattes, sure = np.stack([one.matte for one in found]), np.array([one.confidence for one in found])
                arrays = {"mattes": mattes, "confidences": sure} | follower.state()
                if found[0].joints is not None:
                    arrays["joints"] = np.stack([one.joints for one in found if one.joints is not None])
                with store.writing(min(block)) as path, path.open("wb") as file:
                    np.savez_compressed(file, allow_pickle=False, **arrays)
            before = block

    def _tracker(self, sweep: Sweep, frame: np.ndarray, state: Mapping[str, np.ndarray] | None, task: str) -> Tracker:
        """Return the tracker of a sweep from a ``frame`` (h, w, 3).

        ``state``: what the tracker of the block before it stored; None at the painted frame.
        """
        network = self._network(sweep.training_keys, task)
        return ObjectTracker(network, frame, self._track(sweep, state), self.settings.window)

    def _track(self, sweep: Sweep, state: Mapping[str, np.ndarray] | None) -> Track:
        """Return the object's stored state, or that of the painted frame."""
        return Track.of(self.source.painted[sweep.key]) if state is None else Track.from_state(state)

    def _frames(self, numbers: Sequence[int], *, backwards: bool) -> Generator[np.ndarray, None, None]:
        """Yield the frames with consecutive ``numbers`` at the working size, (h, w, 3) uint8."""
        clip, form = self.source.clip, FrameFormat(Size(exact=self.source.size))
        with clip.reader(form, self.context.decode_threads) as reader:
            read = (frame.rgb for frame in reader.frames(numbers[0], numbers[-1] + 1, clip.index))
            yield from reversed(list(read)) if backwards else read

    def painted(self, keys: Sequence[int]) -> list[PaintedObject]:
        """Return the painted frames with the numbers ``keys``, and their mattes, at the working size."""
        frames = [next(iter(self._frames([key], backwards=False))) for key in keys]
        return [
            PaintedObject(frame, self.source.painted[key].astype(np.float32) / 255)
            for key, frame in zip(keys, frames, strict=True)
        ]

    def _network(self, training_keys: tuple[int, ...], task: str) -> MatteNetwork:
        """Return the network trained on the painted frames ``training_keys``, from the cache or newly trained."""
        if training_keys in self._networks:
            return self._networks[training_keys]
        stage, painted, steps = self._network_stage(training_keys), self.painted(training_keys), self.settings.steps
        entry, bf16 = self.context.cache.entry(stage.name, stage.key), self.bf16
        with entry.locked(wait_for="another run that learns the same"):
            store = ChunkStore(entry, ".npz")
            if store.is_done(0):
                network = MatteNetwork([crop_painted(one, self.settings.window) for one in painted], bf16=bf16)
                weights = read_arrays(store.path(0)).items()
                network.decoder.load_state_dict({name: torch.from_numpy(value) for name, value in weights})
            else:

                def after_step(number: int) -> None:
                    """Report the number of done training steps, and stop if the user interrupts."""
                    self.context.report(Progress(f"learning {task}", number, steps))
                    self.context.stop.check()

                network = train_network(
                    painted, steps, self.settings.window, self.context.seed, bf16=bf16, after_step=after_step
                )
                with store.writing(0) as path, path.open("wb") as file:
                    arrays = {name: value.numpy() for name, value in network.decoder.state_dict().items()}
                    np.savez(file, allow_pickle=False, **arrays)
            entry.finish({"steps": steps})
        self._networks = {training_keys: network}
        return network


class ObjectMattes(Protocol):
    """The interface of the mattes of one object. Call ``find`` before ``at``, and ``close`` after use."""

    @property
    def source(self) -> MatteSource: ...

    def find(self, task: str) -> None:
        """Compute the mattes of all frames; ``task`` names the object in progress reports."""

    def at(self, frame: int) -> ScoredMatte:
        """Return the matte of a frame, and its confidence."""

    def for_key(self) -> list[str]:
        """Return the keys of the mattes' cache entries, for cache keys of renders."""

    def cost(self) -> Table:
        """Estimate the time and disk use of ``find``."""

    def close(self) -> None:
        """Release the cache entries, so that they can be deleted."""


def check_segmenter(model: LoadedModel) -> None:
    """Raise UsageError for a model that cannot segment each frame into a matte."""
    model.check_renders()
    pairing, why = model.parts[0].pairing, ""
    if model.is_identity:
        why = "it paints nothing"
    elif output_classes(model):
        why = "it paints classes in colours, and a matte is grey"
    elif pairing.uses_mask or pairing.guides or pairing.extraction or model.is_recurrent:
        why = "its input is more than the frame"
    if why:
        raise UsageError(f"model '{model.name}'", why, "give a network that paints the thing white on black")


def segmenter_key(model: LoadedModel, context: Context) -> list[object]:
    """Return the properties of a segmentation model and its render that affect mattes, for cache keys."""
    settings = _settings(model, RenderingSettings.picture_fps, context)
    return [model.for_key(), MODEL_MATTE_VERSION, settings.for_key(stills=False, masked=False)]


def _settings(model: LoadedModel, picture_fps: float, context: Context) -> ResolvedRenderSettings:
    """Return the render settings of a model's mattes: the model's own size, temporal filter, lossless codec."""
    tables: dict[str, Table] = {"rendering": {"picture_fps": picture_fps}, "encoding": {"codec": "ffv1"}}
    return ResolvedRenderSettings.of(Recipe("", tables | {"temporal": {"name": "window"}}), model, context.device)


class ModelMattes:
    """A segmentation model's mattes of the clip's frames [first, stop) (``span``), temporally filtered, at its size.

    ``picture_fps``: frames per second of a folder of pictures. Call ``find`` before ``at``, and ``close`` after use.
    Raises UsageError.
    """

    def __init__(
        self, clip: Clip, model: LoadedModel, span: tuple[int, int], picture_fps: float, context: Context
    ) -> None:
        first, stop = (Time(frame=number) for number in span)
        end, settings = stop if span[1] < clip.index.num_frames else None, _settings(model, picture_fps, context)
        self.plan = plan = plan_render(clip, model, settings, context, (first, end), of_region=True)
        self.context, self.source = context, MatteSource(plan.clip, (plan.first, plan.stop), plan.size, {})
        self._block_cache = BlockCache()
        self._pins: list[CachePin] = []

    def check(self) -> None:
        """Raise ModelError if the model's output for the middle frame is coloured, because then it is no matte."""
        plan, engine = self.plan, self._job.engine()
        middle = (plan.first + plan.stop) // 2
        with closing(FramePath(plan, engine).renderer()) as renderer:
            frames = read_clip_frames(plan.clip, [middle], plan.form(plan.size), self.context)
            prepared = [renderer.prepare(frame, (middle, middle + 1)) for frame in frames]
            [sample] = renderer.stream(prepared)
        picture = to_uint8(sample.output)
        if (picture.max(2).astype(np.int16) - picture.min(2)).mean() > COLOURED:
            why, name = "its pictures are coloured, and a matte is grey", plan.model.name
            raise ModelError(f"model '{name}'", why, "give a network that paints the thing white on black")

    def find(self, task: str) -> None:
        """Render the mattes of all frames; ``task`` names the object in progress reports."""
        store, blocks = ChunkStore(self._entry, ".npz"), blocks_of(range(self.plan.first, self.plan.stop))
        with self._entry.locked(wait_for=f"another run that cuts something out of {self.plan.clip.name}"):
            done = [store.is_done(block.start) for block in blocks]
            if not all(done):
                first = blocks[done.index(False)].start
                with closing(self._mattes(first)) as mattes:
                    for block in blocks[done.index(False) :]:
                        rows = []
                        for frame in block:
                            rows.append(next(mattes))
                            done_frames = frame - self.plan.first + 1
                            self.context.report(Progress(f"cutting out {task}", done_frames, self.plan.num_frames))
                            self.context.stop.check()
                        with store.writing(block.start) as path, path.open("wb") as file:
                            np.savez_compressed(file, allow_pickle=False, mattes=np.stack(rows))
            self._job.finish_raw(self._job.engine())
            self._entry.finish({"frames": self.plan.num_frames})
            self._pins.append(self._entry.pin())

    def at(self, frame: int) -> ScoredMatte:
        """Return the matte of a frame and its confidence.

        The confidence is the share of the possibly inside pixels that are surely inside.
        """
        first = block_with(frame, range(self.plan.first, self.plan.stop)).start
        arrays = self._block_cache(first, lambda: ChunkStore(self._entry, ".npz").path(first))
        matte = arrays["mattes"][frame - first].astype(np.float32) / 255
        possible = int((matte > POSSIBLE).sum())
        return ScoredMatte(matte, int((matte > INSIDE).sum()) / possible if possible else 1.0)

    def for_key(self) -> list[str]:
        """Return the key of the mattes' cache entry, for cache keys of renders."""
        return [self._entry.key]

    def cost(self) -> Table:
        """Estimate the time and disk use of rendering the mattes."""
        return without_output_bytes(estimate_render(self.plan, self._job.engine(), self.context))

    def close(self) -> None:
        """Release the cache entries, so that they can be deleted."""
        for pin in self._pins:
            pin.release()
        self._pins = []

    @cached_property
    def _job(self) -> RenderJob:
        """Return the render job of the model's mattes."""
        return RenderJob(self.plan, self.context)

    @cached_property
    def _entry(self) -> CacheEntry:
        """Return the cache entry of the mattes."""
        network = digest_of([infer_stage(self.plan, self._job.engine()).key, self.plan.settings.filter_record()])
        stage = MatteStage(
            network=network, key_frame=-1, frames=[self.plan.first, self.plan.stop, 1], method=MODEL_MATTE_VERSION
        )
        return self.context.cache.entry(stage.name, stage.key)

    def _mattes(self, first: int) -> Generator[np.ndarray, None, None]:
        """Yield the mattes from frame ``first`` on, (h, w) uint8, temporally filtered."""
        plan, job, engine = self.plan, self._job, self._job.engine()
        method, wanted = plan.settings.make_filter(), range(first, plan.stop)
        shot = next(shot for shot in self.source.shots if first in shot)
        with ExitStack() as stack:
            for raw in job.raw_entries(engine):
                stack.enter_context(raw.locked(wait_for=f"another run that renders {plan.clip.name}"))
            lo = max(shot.start, first - method.radius)
            samples = job.chain(engine).outputs(stack, lo, plan.stop)
            for _, picture in filter_samples(samples, method, wanted, plan.held_frames):
                yield cv2.cvtColor(to_uint8(picture), cv2.COLOR_RGB2GRAY)
