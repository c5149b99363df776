"""Optical flow from the frames of a clip to its painted key frames: computed once and stored in the cache.

From each key frame the motion is tracked through its shot, to later and to earlier frames, as far as needed. Direct
flow estimation fails over a few frames, and concatenated flow drifts. So the flow from a frame to the key frame starts
as its neighbour's flow, shifted by one frame, and is then refined. The flow is stored in blocks of frames, and another
run resumes after any of them. It stays valid when a key frame is painted again or another one is added.
"""

from __future__ import annotations

import itertools
import math
import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from vidtrans.clips.indexing import Clip
from vidtrans.clips.sampling import read_clip_frames
from vidtrans.core.events import Progress
from vidtrans.core.settings import Size
from vidtrans.flow.estimator import DISMedium, grey
from vidtrans.flow.warping import blur, flow_consistency, grow, resize_flow, squared_length, warp
from vidtrans.session import Context
from vidtrans.store.cache import CacheEntry, CachePin
from vidtrans.store.chunks import ChunkStore
from vidtrans.store.stages import CarryStage, media_libraries
from vidtrans.video.frame_format import FrameFormat

MAPS_VERSION = 1  # Version of the computed flow, for cache keys
SLACK = 0.5  # Squared forward–backward error at which the trust is ½, in pixels²
TOLERANCE = 0.08 * 255  # σ of the Gaussian that turns a blurred colour difference into trust, in 8-bit levels
DIFFERENCE_SIGMA = 1.5  # σ of the blur of the colour difference, in pixels
SHORT_SIDE = 540  # Largest short side of the frames on which motion is estimated, in pixels
BLOCK_FRAMES = 30  # Number of frames in a block, whose flow is one file in the cache
NEAREST = 2  # Number of key frames on either side whose paint a frame gets
STEPS_PER_PIXEL = 32  # Quantisation of the stored flow, in steps per pixel of its grid of half the frame's size
MAX_LOADED_BLOCKS = 12  # Largest number of blocks of flow in memory
STEP_BYTES = 1 << 29  # Memory limit of the flow between neighbouring frames, in bytes


@dataclass(frozen=True)
class Guide:
    """A frame for flow estimation: ``rgb`` (H, W, 3) uint8, and the same picture in grey."""

    rgb: np.ndarray
    grey: np.ndarray

    @classmethod
    def of(cls, rgb: np.ndarray) -> Guide:
        """Create the guide, RGB and grey, of a frame (H, W, 3) uint8."""
        return cls(rgb, np.ascontiguousarray(grey(rgb)))


@dataclass(frozen=True)
class KeyFlow:
    """The ``flow`` from a frame to a key frame, (H, W, 2) in pixels, and its ``trust``, (H, W), 0 to 1; float32."""

    flow: np.ndarray
    trust: np.ndarray

    @classmethod
    def zero(cls, height: int, width: int) -> KeyFlow:
        """Return zero flow with full trust: the flow from the key frame to itself."""
        return cls(np.zeros((height, width, 2), np.float32), np.ones((height, width), np.float32))


@dataclass(frozen=True)
class Step:
    """The flow between two neighbouring frames, (H, W, 2) in pixels.

    ``onward``: from the first frame to the second. ``back``: from the second frame to the first.
    """

    onward: np.ndarray
    back: np.ndarray

    @classmethod
    def between(cls, first: Guide, second: Guide) -> Step:
        """Estimate the flow between two neighbouring frames in both directions."""
        search = DISMedium()
        return cls(search(first.grey, second.grey), search(second.grey, first.grey))

    def reversed(self) -> Step:
        """Return the step in the opposite direction, from the next frame to this one."""
        return Step(self.back, self.onward)


class MotionTracker:
    """Tracks the motion from a key frame on, frame by frame, in one direction of time.

    ``there`` and ``back``: the flow (H, W, 2), in pixels, from the current frame to the key frame, and the reverse.
    """

    def __init__(self, key: Guide, there: np.ndarray | None = None, back: np.ndarray | None = None) -> None:
        still = KeyFlow.zero(*key.grey.shape).flow
        self.there = still if there is None else there
        self.back = still if back is None else back
        self._key, self._search = key, DISMedium()

    def advance(self, here: Guide, step: Step) -> KeyFlow:
        """Return the flow from the next frame, ``here``, to the key frame; ``step``: from the last frame to it."""
        key = self._key
        self.there = self._search(here.grey, key.grey, step.back + warp(self.there, step.back))
        self.back = self._search(key.grey, here.grey, self.back + warp(step.onward, self.back))
        # Trust is high where forward and backward flow are consistent and the blurred colours are similar.
        difference = blur(cv2.subtract(here.rgb, warp(key.rgb, self.there), dtype=cv2.CV_32F), DIFFERENCE_SIGMA)
        similarity = np.exp(squared_length(difference) * np.float32(-0.5 / TOLERANCE**2 / 3))
        return KeyFlow(self.there, flow_consistency(self.there, self.back, SLACK) * similarity)


def track(key: Guide, others: Iterable[tuple[Guide, Step]]) -> Iterator[KeyFlow]:
    """Yield the flow to a key frame from each of the ``others``, the frames that follow it in one direction of time.

    Each of the ``others`` comes with the step from the frame before it, in this direction.
    """
    walker = MotionTracker(key)
    return (walker.advance(here, step) for here, step in others)


def track_both_ways(
    key: int, guides: Sequence[Guide], steps: Sequence[Step], reach: int = 0
) -> Iterator[tuple[int, KeyFlow]]:
    """Yield (frame number, flow from that frame to frame ``key``) for frames on both sides of the key frame.

    ``guides``: the frames. ``steps[n]``: the flow between n and n + 1. ``reach``: the largest distance in frames; 0 for
    all.
    """
    reach = reach or len(guides)
    after, before = range(key + 1, min(len(guides), key + reach + 1)), range(key - 1, max(-1, key - reach - 1), -1)
    yield from zip(after, track(guides[key], ((guides[n], steps[n - 1]) for n in after)), strict=True)
    yield from zip(before, track(guides[key], ((guides[n], steps[n].reversed()) for n in before)), strict=True)


@dataclass(frozen=True)
class TrackingRange:
    """The frames to track from the key frame ``key`` to frame ``last``, inclusive, in its shot [first, stop)."""

    key: int
    last: int
    first: int
    stop: int

    @property
    def blocks(self) -> list[range]:
        """Return the blocks of frames in the order of tracking.

        Blocks are divided at multiples of ``BLOCK_FRAMES``, and at the key frame.
        """
        onward = self.last > self.key
        low, high = (self.key + 1, self.stop) if onward else (self.first, self.key)
        edges = sorted({low, high, *(n for n in range(low, high) if n % BLOCK_FRAMES == 0)})
        blocks = list(itertools.starmap(range, itertools.pairwise(edges)))
        if onward:
            return [block for block in blocks if block.start <= self.last]
        return [block[::-1] for block in reversed(blocks) if block.stop > self.last]


def tracking_ranges(keys: Sequence[int], shots: Sequence[range], always: Sequence[int] = ()) -> list[TrackingRange]:
    """Return the ranges of frames to track from each of the key frames, whose numbers are in order.

    ``shots``: the frames of each. ``always``: key frames whose flow reaches every frame of the shot; the others reach
    to the second key frame after and before them.
    """
    found = []
    for shot in shots:
        counted = [key for key in keys if key in shot and key not in always]
        for key in (key for key in keys if key in shot):
            ends = [shot.stop - 1, shot.start]
            if key in counted:
                later, earlier = counted[counted.index(key) + 1 :], counted[: counted.index(key)]
                ends[0] = later[NEAREST - 1] if len(later) >= NEAREST else ends[0]
                ends[1] = earlier[-NEAREST] if len(earlier) >= NEAREST else ends[1]
            found += [TrackingRange(key, last, shot.start, shot.stop) for last in ends if last != key]
    return found


def near_keys(frame: int, keys: Sequence[int], shot: range, always: Sequence[int] = ()) -> list[int]:
    """Return the key frames whose paint a frame gets, in order: the two nearest on either side, and ``always``."""
    counted = [key for key in keys if key in shot and key not in always]
    before, after = ([key for key in counted if key < frame], [key for key in counted if key > frame])
    here = [key for key in counted if key == frame]
    return sorted([*before[-NEAREST:], *here, *after[:NEAREST], *(key for key in always if key in shot)])


def pack(flow: np.ndarray) -> np.ndarray:
    """Store a flow (H, W, 2) as int16 at half its size, rounded up, in 1/32 of a pixel of the smaller grid."""
    height, width = flow.shape[:2]
    half = resize_flow(flow, math.ceil(width / 2), math.ceil(height / 2))
    return np.clip(np.rint(half * STEPS_PER_PIXEL), -32768, 32767).astype(np.int16)


def unpack(packed: np.ndarray, width: int, height: int) -> np.ndarray:
    """Return a packed flow at another size, (height, width, 2) float32, in pixels of that size."""
    return resize_flow(packed.astype(np.float32) / STEPS_PER_PIXEL, width, height)


class _BlockStore:
    """The arrays of blocks of frames, stored in one cache entry."""

    def __init__(self, entry: CacheEntry) -> None:
        self._store = ChunkStore(entry, ".npz")

    def has(self, block: range) -> bool:
        """Return whether the block is stored."""
        return self._store.is_done(min(block))

    def save(self, block: range, **arrays: np.ndarray) -> None:
        """Store named arrays as the file of a block."""
        with self._store.writing(min(block)) as path, path.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)

    def load(self, block: range) -> dict[str, np.ndarray]:
        """Return the named arrays of a stored block."""
        with np.load(self._store.path(min(block)), allow_pickle=False) as file:
            return {name: file[name] for name in file.files}


class KeyMaps:
    """The flow from the frames [first, stop) of a clip (``span``) to the key frames ``keys``. Call ``close`` after use.

    ``always``: key frames whose flow reaches every frame of the shot. ``shots``: the frames of each shot. Raises
    MediaError if the clip cannot be read, and Interrupted; flow that is computed by then is stored.
    """

    def __init__(
        self, clip: Clip, span: tuple[int, int], keys: Sequence[int], context: Context, always: Sequence[int] = ()
    ) -> None:
        self._clip, self._context, self._keys, self._always = clip, context, sorted(keys), sorted(always)
        index = clip.index
        self._size = Size(short=min(SHORT_SIDE, index.width, index.height)).of(index.width, index.height)
        self.shots = clip.shots_in(*span)
        ranges = tracking_ranges(self._keys, self.shots, self._always)
        self._ranges = {(one.key, one.last > one.key): one for one in ranges}
        self._block_cache: OrderedDict[tuple[int, int], dict[str, np.ndarray]] = OrderedDict()
        self._steps: OrderedDict[int, tuple[np.ndarray, np.ndarray]] = OrderedDict()
        self._pins: list[CachePin] = []

    def shot_of(self, frame: int) -> range:
        """Return the shot that contains a frame, as a range of frame numbers."""
        return next(shot for shot in self.shots if frame in shot)

    @property
    def version(self) -> list[object]:
        """Return the values, besides clip and key frames, that affect the flow, for cache keys."""
        return [MAPS_VERSION, SHORT_SIDE, BLOCK_FRAMES, self._always]

    def find(self) -> None:
        """Compute and store all missing flow, and report the progress."""
        total = sum(len(block) for span in self._ranges.values() for block in span.blocks)
        done = 0
        for span in self._ranges.values():
            entry = self._entry(span)
            with entry.locked(wait_for=f"another run that follows the motion of {self._clip.name}"):
                for _ in self._track(span, _BlockStore(entry)):
                    done += 1
                    self._context.report(Progress("following the motion", done, total))
                    self._context.stop.check()
                entry.finish({"key": span.key})
                self._pins.append(entry.pin())
        self._steps.clear()

    def cost(self) -> tuple[float, float]:
        """Estimate the time in seconds and the disk use in bytes of computing all flow, from a trial on two frames."""
        count = sum(len(block) for span in self._ranges.values() for block in span.blocks)
        if not count:
            return 0.0, 0.0
        span = next(iter(self._ranges.values()))
        began = time.perf_counter()
        key = next(self._guides([span.key]))
        key_flow = MotionTracker(key).advance(*next(self._guides_with_steps(span.blocks[0][:1])))
        return (time.perf_counter() - began) * count, pack(key_flow.flow).nbytes * 1.25 * count

    def at(self, frame: int, width: int, height: int) -> list[tuple[int, KeyFlow]]:
        """Return (key frame number, flow to the key frame) for each key frame whose paint a frame gets.

        ``width`` and ``height``: the size of the flow.
        """
        found = []
        for key in near_keys(frame, self._keys, self.shot_of(frame), self._always):
            if key == frame:
                found.append((key, KeyFlow.zero(height, width)))
                continue
            span = self._ranges[key, frame > key]
            block = next(block for block in span.blocks if frame in block)
            arrays = self._load(span, block)
            at = block.index(frame)
            flow = unpack(arrays["flow"][at], width, height)
            trust = grow(arrays["trust"][at], (width, height)).astype(np.float32) / 255
            found.append((key, KeyFlow(flow, trust)))
        return found

    def close(self) -> None:
        """Release the cache entries, so that they can be deleted."""
        for pin in self._pins:
            pin.release()
        self._pins = []

    def _entry(self, span: TrackingRange) -> CacheEntry:
        """Return the cache entry of the flow of a tracking range."""
        stage = CarryStage(
            source=self._clip.digest,
            size=list(self._size),
            shot=[span.first, span.stop],
            key_frame=span.key,
            onward=span.last > span.key,
            method=MAPS_VERSION,
            libraries=media_libraries(),
        )
        return self._context.cache.entry(stage.name, stage.key)

    def _load(self, span: TrackingRange, block: range) -> dict[str, np.ndarray]:
        """Return the arrays of a block, from memory or from the cache."""
        name = (span.key, block[0])
        if name not in self._block_cache:
            self._block_cache[name] = _BlockStore(self._entry(span)).load(block)
            while len(self._block_cache) > MAX_LOADED_BLOCKS:
                self._block_cache.popitem(last=False)
        self._block_cache.move_to_end(name)
        return self._block_cache[name]

    def _track(self, span: TrackingRange, blocks: _BlockStore) -> Iterator[None]:
        """Track the motion through the blocks that are not stored; yield after each frame."""
        key: Guide | None = None
        before: range | None = None
        for block in span.blocks:
            if blocks.has(block):
                yield from itertools.repeat(None, len(block))
            else:
                key = key or next(self._guides([span.key]))
                yield from self._track_block(span, block, before, key, blocks)
            before = block

    def _track_block(
        self, span: TrackingRange, block: range, before: range | None, key: Guide, blocks: _BlockStore
    ) -> Iterator[None]:
        """Track the motion through one block of frames, and store its flow.

        Tracking continues from the stored end of the block ``before``, which is None for the block at the key frame.
        ``key``: the key frame.
        """
        width, height = self._size
        state = blocks.load(before) if before else None
        walker = MotionTracker(key)
        if state is not None:  # Start from stored, rounded flow: a resumed run is equal
            walker = MotionTracker(key, unpack(state["flow"][-1], width, height), unpack(state["back"], width, height))
        flows, trusts = [], []
        for guide, step in self._guides_with_steps(block):
            key_flow = walker.advance(guide, step)
            flows.append(pack(key_flow.flow))
            small = cv2.resize(key_flow.trust, (flows[-1].shape[1], flows[-1].shape[0]), interpolation=cv2.INTER_AREA)
            trusts.append(np.rint(255 * small).astype(np.uint8))
            yield
        blocks.save(block, flow=np.stack(flows), trust=np.stack(trusts), back=pack(walker.back))

    def _guides_with_steps(self, block: range) -> Iterator[tuple[Guide, Step]]:
        """Yield the frames of a block, in the block's order, each with the flow between it and the previous frame."""
        onward = block.step > 0
        low, high = (min(block) - 1, max(block)) if onward else (min(block), max(block) + 1)
        guides = dict(zip(range(low, high + 1), self._guides(range(low, high + 1)), strict=True))
        for number in block:
            step = self._step(min(number, number - block.step), guides)
            yield guides[number], step if onward else step.reversed()

    def _step(self, number: int, guides: dict[int, Guide]) -> Step:
        """Return the flow between a frame and the next one, which is kept in memory because several ranges use it."""
        if number not in self._steps:
            step = Step.between(guides[number], guides[number + 1])
            self._steps[number] = pack(step.onward), pack(step.back)
            if len(self._steps) * 2 * self._steps[number][0].nbytes > STEP_BYTES:
                self._steps.popitem(last=False)
        return Step(*(unpack(flow, *self._size) for flow in self._steps[number]))

    def _guides(self, numbers: Sequence[int]) -> Iterator[Guide]:
        """Yield the frames with these numbers at the size of flow estimation."""
        form = FrameFormat(Size(exact=self._size))
        for frame in read_clip_frames(self._clip, numbers, form, self._context):
            yield Guide.of(frame.rgb)
