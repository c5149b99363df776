"""Flow from the frames of a clip to its key frames: computed once and stored in the cache.

From each key frame the motion is followed through its shot, to later and to earlier frames, as far as needed. Direct
flow estimation fails over a few frames, and concatenated flow drifts. So the flow from a frame to the key frame starts
as its neighbour's flow, shifted by one frame, and is then refined. The flow is stored in blocks of frames, and another
run continues after any of them. It stays valid when a key frame is painted again or another one is added.
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
from vidtrans.flow.warping import agreement, blur, grow, resize_flow, squared_length, warp
from vidtrans.session import Context
from vidtrans.store.cache import CacheEntry, CachePin
from vidtrans.store.chunks import ChunkStore
from vidtrans.store.stages import CarryStage, media_libraries
from vidtrans.video.frame_format import FrameFormat

MAPS_VERSION = 1  # of the flow that is found
SLACK = 0.5  # pixels² between a flow and the one back at which the trust is ½
TOLERANCE = 0.08 * 255  # σ of the blurred colour difference between views of the same place
AROUND = 1.5  # pixels, σ of that blur
SHORT_SIDE = 540  # pixels, at most, of the frames that motion is found on
BLOCK = 30  # frames that are stored at once
NEAREST = 2  # key frames on either side, from which a frame is painted
PRECISION = 32  # of a pixel of the stored grid, whose pixels are two of the frame's
LOADED = 12  # blocks that are kept in memory
STEP_BYTES = 1 << 29  # that steps between neighbours may fill


@dataclass(frozen=True)
class Guide:
    """A frame for flow estimation: ``rgb`` (H, W, 3) uint8, and the same in grey."""

    rgb: np.ndarray
    grey: np.ndarray

    @classmethod
    def of(cls, rgb: np.ndarray) -> Guide:
        """Return the guide of a frame (H, W, 3) uint8."""
        return cls(rgb, np.ascontiguousarray(grey(rgb)))


@dataclass(frozen=True)
class Carried:
    """The flow from a frame to a key frame: ``flow`` (H, W, 2), pixels, and ``trust`` in it (H, W), 0 to 1; float32."""

    flow: np.ndarray
    trust: np.ndarray

    @classmethod
    def nowhere(cls, height: int, width: int) -> Carried:
        """Return zero flow with full trust, for the key frame itself."""
        return cls(np.zeros((height, width, 2), np.float32), np.ones((height, width), np.float32))


@dataclass(frozen=True)
class Step:
    """The flow (H, W, 2) from a frame to the next one, ``onward``, and the reverse flow ``back``, in pixels."""

    onward: np.ndarray
    back: np.ndarray

    @classmethod
    def between(cls, first: Guide, second: Guide) -> Step:
        """Estimate the flow between two neighbouring frames."""
        search = DISMedium()
        return cls(search(first.grey, second.grey), search(second.grey, first.grey))

    def reversed(self) -> Step:
        """Return the step in the opposite direction."""
        return Step(self.back, self.onward)


class Walker:
    """Follows the motion away from a key frame, frame by frame.

    ``there`` and ``back``: the flow (H, W, 2), in pixels, from the current frame to the key frame, and the reverse.
    """

    def __init__(self, key: Guide, there: np.ndarray | None = None, back: np.ndarray | None = None) -> None:
        still = Carried.nowhere(*key.grey.shape).flow
        self.there = still if there is None else there
        self.back = still if back is None else back
        self._key, self._search = key, DISMedium()

    def advance(self, here: Guide, step: Step) -> Carried:
        """Return the flow from the next frame, ``here``, to the key frame; ``step``: the flow to ``here``."""
        key = self._key
        self.there = self._search(here.grey, key.grey, step.back + warp(self.there, step.back))
        self.back = self._search(key.grey, here.grey, self.back + warp(step.onward, self.back))
        # Trusted is what a flow and the one back agree on, where the pictures are alike without fine detail.
        difference = blur(cv2.subtract(here.rgb, warp(key.rgb, self.there), dtype=cv2.CV_32F), AROUND)
        alike = np.exp(squared_length(difference) * np.float32(-0.5 / TOLERANCE**2 / 3))
        return Carried(self.there, agreement(self.there, self.back, SLACK) * alike)


def carry(key: Guide, others: Iterable[tuple[Guide, Step]]) -> Iterator[Carried]:
    """Yield the flow to a key frame from each of the frames that lead away from it, given with the step to each."""
    walker = Walker(key)
    return (walker.advance(here, step) for here, step in others)


def carry_along(
    key: int, guides: Sequence[Guide], steps: Sequence[Step], reach: int = 0
) -> Iterator[tuple[int, Carried]]:
    """Yield (number, flow to frame ``key``) for frames on both sides of it; ``steps[n]``: the flow between n and n + 1.

    ``reach``: the largest distance in frames; 0 for all.
    """
    reach = reach or len(guides)
    after, before = range(key + 1, min(len(guides), key + reach + 1)), range(key - 1, max(-1, key - reach - 1), -1)
    yield from zip(after, carry(guides[key], ((guides[n], steps[n - 1]) for n in after)), strict=True)
    yield from zip(before, carry(guides[key], ((guides[n], steps[n].reversed()) for n in before)), strict=True)


@dataclass(frozen=True)
class Walk:
    """The frames to follow from the key frame ``key``, inside its shot [first, stop), up to and including ``last``."""

    key: int
    last: int
    first: int
    stop: int

    @property
    def blocks(self) -> list[range]:
        """Return the blocks of frames in the order of the walk, aligned with the shot."""
        onward = self.last > self.key
        low, high = (self.key + 1, self.stop) if onward else (self.first, self.key)
        edges = sorted({low, high, *(n for n in range(low, high) if n % BLOCK == 0)})
        blocks = list(itertools.starmap(range, itertools.pairwise(edges)))
        if onward:
            return [block for block in blocks if block.start <= self.last]
        return [block[::-1] for block in reversed(blocks) if block.stop > self.last]


def walks(keys: Sequence[int], shots: Sequence[range], always: Sequence[int] = ()) -> list[Walk]:
    """Return the walks from key frames, by their numbers in order, to all frames that are painted from them.

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
            found += [Walk(key, last, shot.start, shot.stop) for last in ends if last != key]
    return found


def near_keys(frame: int, keys: Sequence[int], shot: range, always: Sequence[int] = ()) -> list[int]:
    """Return the key frames from which a frame is painted, in order: the two nearest on either side, and ``always``."""
    counted = [key for key in keys if key in shot and key not in always]
    before, after = ([key for key in counted if key < frame], [key for key in counted if key > frame])
    here = [key for key in counted if key == frame]
    return sorted([*before[-NEAREST:], *here, *after[:NEAREST], *(key for key in always if key in shot)])


def pack(flow: np.ndarray) -> np.ndarray:
    """Return a flow (H, W, 2) as int16 at half its size, rounded up, in 1/32 of a pixel of that size."""
    height, width = flow.shape[:2]
    half = resize_flow(flow, math.ceil(width / 2), math.ceil(height / 2))
    return np.clip(np.rint(half * PRECISION), -32768, 32767).astype(np.int16)


def unpack(packed: np.ndarray, width: int, height: int) -> np.ndarray:
    """Return a packed flow at another size, (height, width, 2) float32, in pixels of that size."""
    return resize_flow(packed.astype(np.float32) / PRECISION, width, height)


class _Blocks:
    """Reads and writes the arrays of blocks of frames in one cache entry."""

    def __init__(self, entry: CacheEntry) -> None:
        self._store = ChunkStore(entry, ".npz")

    def has(self, block: range) -> bool:
        return self._store.is_done(min(block))

    def save(self, block: range, **arrays: np.ndarray) -> None:
        with self._store.writing(min(block)) as path, path.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)

    def load(self, block: range) -> dict[str, np.ndarray]:
        with np.load(self._store.path(min(block)), allow_pickle=False) as file:
            return {name: file[name] for name in file.files}


class KeyMaps:
    """The flow from the frames [first, stop) of a clip, of one size, to its key frames. Call ``close`` after use.

    ``always``: key frames whose flow reaches every frame of the shot. Raises MediaError if the clip cannot be read, and
    Interrupted, where the flow found so far is stored.
    """

    def __init__(
        self, clip: Clip, span: tuple[int, int], keys: Sequence[int], context: Context, always: Sequence[int] = ()
    ) -> None:
        self._clip, self._context, self._keys, self._always = clip, context, sorted(keys), sorted(always)
        index = clip.index
        self._size = Size(short=min(SHORT_SIDE, index.width, index.height)).of(index.width, index.height)
        self._shots = clip.shots_in(*span)
        self._walks = {(walk.key, walk.last > walk.key): walk for walk in walks(self._keys, self._shots, self._always)}
        self._loaded: OrderedDict[tuple[int, int], dict[str, np.ndarray]] = OrderedDict()
        self._steps: OrderedDict[int, tuple[np.ndarray, np.ndarray]] = OrderedDict()
        self._pins: list[CachePin] = []

    def shot_of(self, frame: int) -> range:
        """Return the shot that contains a frame."""
        return next(shot for shot in self._shots if frame in shot)

    @property
    def version(self) -> list[object]:
        """Return the values that affect the maps, besides the clip and the key frames."""
        return [MAPS_VERSION, SHORT_SIDE, BLOCK, self._always]

    @property
    def shots(self) -> list[range]:
        """Return the frames of each shot."""
        return self._shots

    def find(self) -> None:
        """Compute and store the missing maps."""
        total = sum(len(block) for walk in self._walks.values() for block in walk.blocks)
        done = 0
        for walk in self._walks.values():
            entry = self._entry(walk)
            with entry.locked(wait_for=f"another run that follows the motion of {self._clip.name}"):
                for _ in self._follow(walk, _Blocks(entry)):
                    done += 1
                    self._context.report(Progress("following the motion", done, total))
                    self._context.stop.check()
                entry.finish({"key": walk.key})
                self._pins.append(entry.pin())
        self._steps.clear()

    def cost(self) -> tuple[float, float]:
        """Return the cost of computing all maps, in seconds and bytes, from a trial on two frames."""
        count = sum(len(block) for walk in self._walks.values() for block in walk.blocks)
        if not count:
            return 0.0, 0.0
        walk = next(iter(self._walks.values()))
        began = time.perf_counter()
        key = next(self._guides([walk.key]))
        carried = Walker(key).advance(*next(self._with_steps(walk.blocks[0][:1])))
        return (time.perf_counter() - began) * count, pack(carried.flow).nbytes * 1.25 * count

    def at(self, frame: int, width: int, height: int) -> list[tuple[int, Carried]]:
        """Return (key frame, flow to it at a size) for each key frame from which a frame is painted."""
        found = []
        for key in near_keys(frame, self._keys, self.shot_of(frame), self._always):
            if key == frame:
                found.append((key, Carried.nowhere(height, width)))
                continue
            walk = self._walks[key, frame > key]
            block = next(block for block in walk.blocks if frame in block)
            arrays = self._load(walk, block)
            at = block.index(frame)
            flow = unpack(arrays["flow"][at], width, height)
            trust = grow(arrays["trust"][at], (width, height)).astype(np.float32) / 255
            found.append((key, Carried(flow, trust)))
        return found

    def close(self) -> None:
        """Release the cache entries, so that they may be deleted."""
        for pin in self._pins:
            pin.release()
        self._pins = []

    def _entry(self, walk: Walk) -> CacheEntry:
        stage = CarryStage(
            source=self._clip.digest,
            size=list(self._size),
            shot=[walk.first, walk.stop],
            key_frame=walk.key,
            onward=walk.last > walk.key,
            method=MAPS_VERSION,
            libraries=media_libraries(),
        )
        return self._context.cache.entry(stage.name, stage.key)

    def _load(self, walk: Walk, block: range) -> dict[str, np.ndarray]:
        name = (walk.key, block[0])
        if name not in self._loaded:
            self._loaded[name] = _Blocks(self._entry(walk)).load(block)
            while len(self._loaded) > LOADED:
                self._loaded.popitem(last=False)
        self._loaded.move_to_end(name)
        return self._loaded[name]

    def _follow(self, walk: Walk, blocks: _Blocks) -> Iterator[None]:
        """Follow the motion through the missing blocks; yield after each frame."""
        key: Guide | None = None
        before: range | None = None
        for block in walk.blocks:
            if blocks.has(block):
                yield from itertools.repeat(None, len(block))
            else:
                key = key or next(self._guides([walk.key]))
                yield from self._follow_block(walk, block, before, key, blocks)
            before = block

    def _follow_block(
        self, walk: Walk, block: range, before: range | None, key: Guide, blocks: _Blocks
    ) -> Iterator[None]:
        width, height = self._size
        state = blocks.load(before) if before else None
        walker = Walker(key)
        if state is not None:  # from the stored, rounded flow, so that a resumed run gives the same result
            walker = Walker(key, unpack(state["flow"][-1], width, height), unpack(state["back"], width, height))
        flows, trusts = [], []
        for guide, step in self._with_steps(block):
            carried = walker.advance(guide, step)
            flows.append(pack(carried.flow))
            small = cv2.resize(carried.trust, (flows[-1].shape[1], flows[-1].shape[0]), interpolation=cv2.INTER_AREA)
            trusts.append(np.rint(255 * small).astype(np.uint8))
            yield
        blocks.save(block, flow=np.stack(flows), trust=np.stack(trusts), back=pack(walker.back))

    def _with_steps(self, block: range) -> Iterator[tuple[Guide, Step]]:
        """Yield the frames of a block, in its order, each with the flow between it and the frame before it."""
        onward = block.step > 0
        low, high = (min(block) - 1, max(block)) if onward else (min(block), max(block) + 1)
        guides = dict(zip(range(low, high + 1), self._guides(range(low, high + 1)), strict=True))
        for number in block:
            step = self._step(min(number, number - block.step), guides)
            yield guides[number], step if onward else step.reversed()

    def _step(self, number: int, guides: dict[int, Guide]) -> Step:
        """Return the flow between a frame and the next, stored because several walks use it."""
        if number not in self._steps:
            step = Step.between(guides[number], guides[number + 1])
            self._steps[number] = pack(step.onward), pack(step.back)
            if len(self._steps) * 2 * self._steps[number][0].nbytes > STEP_BYTES:
                self._steps.popitem(last=False)
        return Step(*(unpack(flow, *self._size) for flow in self._steps[number]))

    def _guides(self, numbers: Sequence[int]) -> Iterator[Guide]:
        form = FrameFormat(Size(exact=self._size))
        for frame in read_clip_frames(self._clip, numbers, form, self._context):
            yield Guide.of(frame.rgb)
