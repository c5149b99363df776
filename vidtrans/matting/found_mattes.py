"""The mattes of one thing in all frames of a clip, found once and kept in the cache, and the confidence in them.

``SweptMattes`` follow the thing from painted frames, which divide a shot into parts. Each part has a network of its
own, which learned the painted frames at its ends, and is swept from each of them; the two mattes of a frame are
blended. So a frame that is painted later changes the two parts beside it, and no other frame. Nothing crosses a cut.
From frame to frame, the motion carries the matte, and the network corrects it. Where the network is not sure of what
the motion brought, the thing is looked for in the whole frame: it may have been covered, have left, or have moved too
far.

``ModelMattes`` are painted by a user's own model: a segmenter whose pictures are grey, white on the thing.
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
from typing import NamedTuple

import cv2
import numpy as np
import torch

from vidtrans.clips.indexing import Clip
from vidtrans.clips.sampling import read_clip_frames
from vidtrans.config.recipe import Recipe
from vidtrans.core.costs import estimate, without_result
from vidtrans.core.errors import ModelError, UsageError
from vidtrans.core.events import Progress
from vidtrans.core.files import digest_of
from vidtrans.core.settings import Size, Table, Time
from vidtrans.flow.estimator import DISMedium, grey
from vidtrans.flow.warping import halve, resize_flow, warp
from vidtrans.inference.device import CPU, resolve_precision
from vidtrans.matting.network import VERSION as LEARNING
from vidtrans.matting.network import (
    Box,
    CropWindow,
    MatteNetwork,
    PaintedThing,
    Seen,
    box_of,
    learn,
    scale_around,
    window_of,
)
from vidtrans.matting.settings import MattingSettings
from vidtrans.models.loaded_model import LoadedModel
from vidtrans.models.render_settings import ResolvedRenderSettings, classes_of
from vidtrans.perception.efficientnet_lite import EfficientNetLite
from vidtrans.pipeline.render import RenderingSettings
from vidtrans.rendering.cache_entries import infer_stage
from vidtrans.rendering.chain import FramePath
from vidtrans.rendering.plan import RenderPlan, plan_render
from vidtrans.rendering.render_job import RenderJob, estimate_render
from vidtrans.session import Context
from vidtrans.store.cache import CacheEntry, CachePin
from vidtrans.store.chunks import ChunkStore
from vidtrans.store.stages import MatteNetworkStage, MatteStage, libraries
from vidtrans.temporal.stream import filter_samples
from vidtrans.video.colour.conversion import to_uint8
from vidtrans.video.frame_format import FrameFormat

FOLLOWING, PAINTING = 1, 1  # versions of sweeps, and of the mattes of models
# What is this far from the carried matte fades out: a share of the side of the thing, and pixels besides.
REACH, REACH_PX = 0.15, 4.0
PART, PART_KEPT = 0.05, 0.3  # a separate part of less than this share is dropped, unless it was carried by this share
SEARCHED = 2.5  # squares of a window's side, that a search looks at
SIZES = (0.2, 4.0)  # a thing that is found again may have these shares of the area that it had
SURE, LOST = 0.6, 0.45  # confidence of a thing that was found again, and below which it is looked for
BLOCK = 30  # frames that are stored at once
TRIED = 3  # training steps, from which the cost is estimated
STORED = 0.05  # bytes of a pixel of a stored matte
LOADED = 3  # blocks that are kept in memory: of the sweeps from both sides, and the next one
INSIDE, POSSIBLE = 0.75, 0.25  # of a matte: what is surely in it, and what may be
COLOURED = 12  # levels of 255 between a pixel's channels, on average, from which a picture is no matte


class Followed(NamedTuple):
    """The matte of a frame, (H, W) uint8, and the confidence in it, 0 to 1."""

    matte: np.ndarray
    confidence: float


class Signals(NamedTuple):
    """Signs of a right matte, each about 0 to 1.

    ``sureness``: how far from ½ the matte is. ``agreement``: its overlap with the carried one. ``likeness``: how much
    more what is inside looks like the thing than what is outside. ``steadiness``: of its area.
    """

    sureness: float
    agreement: float
    likeness: float
    steadiness: float


# Fitted to the overlap with the truth (intersection over union), on 649 frames of four sequences of DAVIS 2016, also
# where a wall was drawn over the thing, and with networks that had learned little.
WEIGHTS, BIAS = Signals(3.2, 1.1, 1.7, 0.7), -4.2


def confidence(signals: Signals) -> float:
    """Return the confidence, 0 to 1: an estimate of the overlap with the true matte."""
    return 1 / (1 + math.exp(-BIAS - sum(w * s for w, s in zip(WEIGHTS, signals, strict=True))))


@dataclass
class Track:
    """What is known of a thing: its matte (H, W) uint8 in the last frame, and box and area when it was last seen."""

    matte: np.ndarray
    box: Box
    area: float

    @classmethod
    def of(cls, matte: np.ndarray) -> Track:
        """Return the track that begins with a matte, in which something is inside."""
        box = box_of(matte / np.float32(255))
        assert box is not None
        return cls(matte, box, float((matte >= 128).sum()))

    def state(self) -> dict[str, np.ndarray]:
        """Return the track as arrays."""
        return {"matte": self.matte, "box": np.array(self.box), "area": np.array(self.area)}

    @classmethod
    def restored(cls, state: Mapping[str, np.ndarray]) -> Track:
        """Return the track of ``state``."""
        return cls(state["matte"], Box(*map(int, state["box"])), float(state["area"]))


class Follower:
    """Follows a thing from a frame, (H, W, 3) uint8, whose ``track`` is known. ``side``: of the network's windows."""

    def __init__(self, network: MatteNetwork, frame: np.ndarray, track: Track, side: int) -> None:
        self.network, self.track, self.side = network, track, side
        self._flow, self._before = DISMedium(), halve(grey(frame))

    def advance(self, frame: np.ndarray) -> Followed:
        """Return the thing's matte in the next frame, (H, W, 3) uint8 of the same size."""
        carried = self._carried(frame)
        found = self._looked_at(frame, carried) if (carried >= 0.5).any() else None
        if found is None or found[1] < LOST:
            again = self._searched(frame)
            found = again or found
        height, width = frame.shape[:2]
        matte, sure = found or (np.zeros((height, width), np.float32), 0.0)
        rounded = np.clip(np.rint(255 * matte), 0, 255).astype(np.uint8)
        self.track.matte = rounded
        if sure >= SURE and (box := box_of(matte)) is not None:
            self.track.box, self.track.area = box, float((matte >= 0.5).sum())
        return Followed(rounded, sure)

    def _carried(self, frame: np.ndarray) -> np.ndarray:
        """Return the last matte moved to this frame, (H, W) float32 from 0 to 1."""
        now = halve(grey(frame))
        flow = resize_flow(self._flow(now, self._before), frame.shape[1], frame.shape[0])
        self._before = now
        return warp(self.track.matte.astype(np.float32) / 255, flow)

    def _looked_at(self, frame: np.ndarray, carried: np.ndarray) -> tuple[np.ndarray, float] | None:
        """Return the matte around a carried one, and the confidence in it; None where nothing is inside."""
        box = box_of(carried)
        if box is None:
            return None
        size = frame.shape[1], frame.shape[0]
        window = CropWindow.around(box, size, self.side)
        seen = self.network.see(window.take(frame), window.take(carried, border=cv2.BORDER_CONSTANT))
        matte = within_reach(window.place(seen.matte, size), carried)
        return matte, confidence(self.signals(window, seen, matte, carried))

    def signals(self, window: CropWindow, seen: Seen, matte: np.ndarray, carried: np.ndarray) -> Signals:
        """Return the signs of a right matte in a frame, (H, W) float32."""
        inside, before = matte >= 0.5, carried >= 0.5
        if not inside.any():
            return Signals(0.0, 0.0, 0.0, 0.0)
        near = window.take(matte, border=cv2.BORDER_CONSTANT)
        touched, here = near > 0.05, near >= 0.5
        sureness = float(np.abs(2 * near[touched] - 1).mean())
        overlap = float((inside & before).sum() / max(1, (inside | before).sum()))
        likeness = float((seen.likeness[here] > 0).mean()) if here.any() else 0.0
        ratio = float(inside.sum()) / max(1.0, self.track.area)
        return Signals(sureness, overlap, likeness, min(ratio, 1 / ratio))

    def _searched(self, frame: np.ndarray) -> tuple[np.ndarray, float] | None:
        """Look for the thing in the whole frame; return its matte, and the confidence; None if it is not found."""
        size = frame.shape[1], frame.shape[0]
        scale = min(scale_around(self.track.box, self.side), self.side * math.sqrt(SEARCHED / (size[0] * size[1])))
        window = CropWindow.whole(size, scale)
        seen = self.network.see(window.take(frame), None)
        promise = window.place(seen.matte * (seen.likeness > 0), size)
        count, labels, figures, _ = cv2.connectedComponentsWithStats((promise >= 0.5).astype(np.uint8))
        best: tuple[np.ndarray, float] | None = None
        least, most = (share * self.track.area for share in SIZES)
        likely = [k for k in range(1, count) if least <= figures[k, cv2.CC_STAT_AREA] <= most]
        for label in sorted(likely, key=lambda k: -figures[k, cv2.CC_STAT_AREA])[:3]:
            found = self._looked_at(frame, np.where(labels == label, promise, 0).astype(np.float32))
            if found is not None and found[1] >= SURE and (best is None or found[1] > best[1]):
                best = found
        return best


def within_reach(matte: np.ndarray, carried: np.ndarray) -> np.ndarray:
    """Return a matte, (H, W) float32, without what the carried one does not reach, and without small separate parts."""
    inside = carried >= 0.5
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
        if areas[label - 1] < PART * areas.max() and inside[part].mean() < PART_KEPT:
            kept[cv2.dilate(part.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0] = 0
    return kept


class FoundMatte(NamedTuple):
    """The matte of a frame, (h, w) float32 from 0 to 1, and the confidence in it."""

    matte: np.ndarray
    confidence: float


@dataclass(frozen=True)
class MatteSource:
    """A clip and the frames of it on which one thing is painted: mattes (h, w) uint8 at the working size, by number."""

    clip: Clip
    span: tuple[int, int]
    size: tuple[int, int]
    painted: Mapping[int, np.ndarray]

    @property
    def shots(self) -> list[range]:
        """Return the frames of each shot in the span."""
        return self.clip.shots_in(*self.span)

    def painted_key(self, keys: Sequence[int]) -> list[list[object]]:
        """Return painted frames and the digests of what is painted on them."""
        arrays = [np.ascontiguousarray(self.painted[key]) for key in keys]
        return [[key, hashlib.sha256(a.tobytes()).hexdigest()] for key, a in zip(keys, arrays, strict=True)]


class LoadedBlocks:
    """The arrays of blocks of frames, of which the latest are kept in memory. Several threads may read."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._loaded: OrderedDict[Hashable, dict[str, np.ndarray]] = OrderedDict()

    def __call__(self, block: Hashable, path_of: Callable[[], Path]) -> dict[str, np.ndarray]:
        """Return the arrays of a block; ``path_of``: its file, which is asked for only where it is not in memory."""
        with self._lock:
            if block not in self._loaded:
                self._loaded[block] = read_arrays(path_of())
                while len(self._loaded) > LOADED:
                    self._loaded.popitem(last=False)
            self._loaded.move_to_end(block)
            return self._loaded[block]


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a .npz file by name."""
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


class Sweep(NamedTuple):
    """The frames to follow, in order, from the painted frame ``key``, with the network of the frames ``learned``."""

    key: int
    frames: range
    learned: tuple[int, ...]


def blocks_of(frames: range) -> list[range]:
    """Return frames in blocks that are stored at once."""
    return [frames[first : first + BLOCK] for first in range(0, len(frames), BLOCK)]


def block_with(frame: int, frames: range) -> range:
    """Return the one of these blocks that contains a frame."""
    first = frames.index(frame) // BLOCK * BLOCK
    return frames[first : first + BLOCK]


def sweeps(keys: Sequence[int], shots: Sequence[range]) -> list[Sweep]:
    """Return the sweeps from painted frames, in order, through the shots that have some."""
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
    """The mattes of one thing. ``find`` computes what is missing; call ``close`` after use."""

    def __init__(self, source: MatteSource, settings: MattingSettings, context: Context) -> None:
        self.source, self.settings, self.context = source, settings, context
        self.sweeps = sweeps(sorted(source.painted), source.shots)
        self._of_frame: dict[int, list[Sweep]] = {}
        for sweep in self.sweeps:
            for frame in sweep.frames:
                self._of_frame.setdefault(frame, []).append(sweep)
        self._networks: dict[tuple[int, ...], MatteNetwork] = {}  # the last one, which the next sweep may use, too
        self._loaded = LoadedBlocks()  # the thread of the encoder reads, too
        self._pins: list[CachePin] = []
        self._engine = {"precision": resolve_precision("auto", CPU), "threads": torch.get_num_threads()}

    @property
    def bf16(self) -> bool:
        """Return whether networks compute in bfloat16."""
        return self._engine["precision"] == "bf16"

    def check(self) -> None:
        """Check nothing: what is painted was checked when it was read."""

    def find(self, task: str) -> None:
        """Train the networks and follow the thing through all sweeps; ``task``: in words, for progress."""
        total, done = sum(len(sweep.frames) for sweep in self.sweeps), 0
        for sweep in self.sweeps:
            entry = self._entry(sweep)
            with entry.locked(wait_for=f"another run that follows a thing in {self.source.clip.name}"):
                for _ in self._follow(sweep, ChunkStore(entry, ".npz"), task):
                    done += 1
                    self.context.report(Progress(f"following {task}", done, total))
                    self.context.stop.check()
                entry.finish({"key": sweep.key})
                self._pins.append(entry.pin())
        self._networks.clear()

    def at(self, frame: int) -> FoundMatte:
        """Return the matte of a frame, blended from the sweeps that reach it; nothing where none does."""
        if frame in self.source.painted:
            return FoundMatte(self.source.painted[frame].astype(np.float32) / 255, 1.0)
        found, shares = [], []
        for sweep in self._of_frame.get(frame, ()):
            block = block_with(frame, sweep.frames)
            arrays = self._load(sweep, block)
            at = block.index(frame)
            found.append(FoundMatte(arrays["mattes"][at].astype(np.float32) / 255, float(arrays["confidences"][at])))
            shares.append((found[-1].confidence + 1e-3) / abs(frame - sweep.key))
        if not found:
            return FoundMatte(np.zeros(self.source.size[::-1], np.float32), 0.0)
        weights = np.array(shares) / sum(shares)
        matte = sum(one.matte * np.float32(w) for one, w in zip(found, weights, strict=True))
        sure = sum(one.confidence * w for one, w in zip(found, weights, strict=True))
        return FoundMatte(np.asarray(matte, np.float32), float(sure))

    def for_key(self) -> list[str]:
        """Return the keys of the sweeps, which identify the mattes."""
        return [self._entry(sweep).key for sweep in self.sweeps]

    def cost(self) -> Table:
        """Return the estimated cost of the networks and the mattes, from a trial of a step and of a frame."""
        followed, step, frame = sum(len(sweep.frames) for sweep in self.sweeps), 0.0, 0.0
        if self.sweeps:
            [painted], moments = self.painted(list(self.source.painted)[:1]), list[float]()
            side, bf16 = self.settings.window, self.bf16
            network = learn([painted], TRIED, side, 0, bf16=bf16, after_step=lambda _: moments.append(perf_counter()))
            began = perf_counter()
            track = Track.of(np.rint(255 * painted.matte).astype(np.uint8))
            Follower(network, painted.picture, track, side).advance(painted.picture)
            step, frame = (moments[-1] - moments[0]) / (TRIED - 1), perf_counter() - began
        networks, (width, height) = len({sweep.learned for sweep in self.sweeps}), self.source.size
        seconds = networks * step * self.settings.steps + followed * frame
        return estimate(seconds, 0, STORED * width * height * followed)

    def close(self) -> None:
        """Release the cache entries, so that they may be deleted."""
        for pin in self._pins:
            pin.release()
        self._pins = []

    def _network_stage(self, learned: tuple[int, ...]) -> MatteNetworkStage:
        return MatteNetworkStage(
            source=self.source.clip.digest,
            size=list(self.source.size),
            painted=self.source.painted_key(learned),
            settings={"steps": self.settings.steps, "window": self.settings.window},
            seed=self.context.seed,
            engine=self._engine,
            method=LEARNING,
            weights=EfficientNetLite.identity(),
            libraries=libraries("av", "numpy", "opencv-python-headless", "torch"),
        )

    def _entry(self, sweep: Sweep) -> CacheEntry:
        frames = [sweep.frames.start, sweep.frames.stop, sweep.frames.step]
        stage = MatteStage(
            network=self._network_stage(sweep.learned).key, key_frame=sweep.key, frames=frames, method=FOLLOWING
        )
        return self.context.cache.entry(stage.name, stage.key)

    def _load(self, sweep: Sweep, block: range) -> dict[str, np.ndarray]:
        return self._loaded((sweep, block.start), lambda: ChunkStore(self._entry(sweep), ".npz").path(min(block)))

    def _follow(self, sweep: Sweep, store: ChunkStore, task: str) -> Iterator[None]:
        """Follow the thing through the missing blocks of a sweep; yield after each frame."""
        before: range | None = None
        for block in blocks_of(sweep.frames):
            if store.is_done(min(block)):
                yield from itertools.repeat(None, len(block))
            else:
                last, track = sweep.key, Track.of(self.source.painted[sweep.key])
                if before is not None:
                    last, track = before[-1], Track.restored(read_arrays(store.path(min(before))))
                network, found = self._network(sweep.learned, task), list[Followed]()
                with closing(self._frames(sorted([last, *block]), backwards=block.step < 0)) as frames:
                    follower = Follower(network, next(frames), track, self.settings.window)
                    for frame in frames:
                        found.append(follower.advance(frame))
                        yield
                mattes, sure = np.stack([one.matte for one in found]), np.array([one.confidence for one in found])
                arrays = {"mattes": mattes, "confidences": sure} | follower.track.state()
                with store.writing(min(block)) as path, path.open("wb") as file:
                    np.savez_compressed(file, allow_pickle=False, **arrays)
            before = block

    def _frames(self, numbers: Sequence[int], *, backwards: bool) -> Generator[np.ndarray, None, None]:
        """Yield the frames of successive numbers at the working size, (h, w, 3) uint8."""
        clip, form = self.source.clip, FrameFormat(Size(exact=self.source.size))
        with clip.reader(form, self.context.decode_threads) as reader:
            read = (frame.rgb for frame in reader.frames(numbers[0], numbers[-1] + 1, clip.index))
            yield from reversed(list(read)) if backwards else read

    def painted(self, keys: Sequence[int]) -> list[PaintedThing]:
        """Return painted frames with their mattes, at the working size."""
        frames = [next(iter(self._frames([key], backwards=False))) for key in keys]
        return [
            PaintedThing(frame, self.source.painted[key].astype(np.float32) / 255)
            for key, frame in zip(keys, frames, strict=True)
        ]

    def _network(self, learned: tuple[int, ...], task: str) -> MatteNetwork:
        """Return the network that learned the painted frames, from the cache or trained now."""
        if learned in self._networks:
            return self._networks[learned]
        stage, painted, steps = self._network_stage(learned), self.painted(learned), self.settings.steps
        entry, bf16 = self.context.cache.entry(stage.name, stage.key), self.bf16
        with entry.locked(wait_for="another run that learns the same"):
            store = ChunkStore(entry, ".npz")
            if store.is_done(0):
                network = MatteNetwork([window_of(one, self.settings.window) for one in painted], bf16=bf16)
                weights = read_arrays(store.path(0)).items()
                network.decoder.load_state_dict({name: torch.from_numpy(value) for name, value in weights})
            else:

                def after_step(number: int) -> None:
                    self.context.report(Progress(f"learning {task}", number, steps))
                    self.context.stop.check()

                network = learn(
                    painted, steps, self.settings.window, self.context.seed, bf16=bf16, after_step=after_step
                )
                with store.writing(0) as path, path.open("wb") as file:
                    arrays = {name: value.numpy() for name, value in network.decoder.state_dict().items()}
                    np.savez(file, allow_pickle=False, **arrays)
            entry.finish({"steps": steps})
        self._networks = {learned: network}
        return network


def check_segmenter(model: LoadedModel) -> None:
    """Raise UsageError for a model that cannot paint a matte of each frame."""
    model.check_renders()
    pairing, why = model.parts[0].pairing, ""
    if model.is_identity:
        why = "it paints nothing"
    elif classes_of(model):
        why = "it paints classes in colours, and a matte is grey"
    elif pairing.uses_mask or pairing.guides or pairing.extraction or model.is_recurrent:
        why = "its input is more than the frame"
    if why:
        raise UsageError(f"model '{model.name}'", why, "give a network that paints the thing white on black")


def segmenter_key(model: LoadedModel, context: Context) -> list[object]:
    """Return the values that identify a model's mattes, for the digest of a result."""
    settings = _settings(model, RenderingSettings.picture_fps, context)
    return [model.for_key(), PAINTING, settings.for_key(stills=False, masked=False)]


def _settings(model: LoadedModel, picture_fps: float, context: Context) -> ResolvedRenderSettings:
    """Return the render settings of a model's own pictures, of its own size and filtered along the motion."""
    tables: dict[str, Table] = {"rendering": {"picture_fps": picture_fps}, "encoding": {"codec": "ffv1"}}
    return ResolvedRenderSettings.of(Recipe("", tables | {"temporal": {"name": "window"}}), model, context.device)


class ModelMattes:
    """The mattes of a plan's frames, at the size at which the plan's model paints, steady along the motion.

    ``find`` computes what is missing; call ``close`` after use.
    """

    def __init__(self, plan: RenderPlan, context: Context) -> None:
        self.plan, self.context = plan, context
        self.source = MatteSource(plan.clip, (plan.first, plan.stop), plan.size, {})
        self._loaded = LoadedBlocks()  # the thread of the encoder reads, too
        self._pins: list[CachePin] = []

    @classmethod
    def of(
        cls, clip: Clip, model: LoadedModel, span: tuple[int, int], picture_fps: float, context: Context
    ) -> ModelMattes:
        """Return a model's mattes of the frames [first, stop) of a clip. Raises UsageError."""
        first, stop = (Time(frame=number) for number in span)
        end, settings = stop if span[1] < clip.index.num_frames else None, _settings(model, picture_fps, context)
        return cls(plan_render(clip, model, settings, context, (first, end), of_region=True), context)

    def check(self) -> None:
        """Raise ModelError if the model's picture of a frame, painted now, is no matte."""
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
        """Paint the mattes of all frames; ``task``: in words, for progress."""
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

    def at(self, frame: int) -> FoundMatte:
        """Return the matte of a frame, and the share of what may be in it that surely is."""
        first = block_with(frame, range(self.plan.first, self.plan.stop)).start
        arrays = self._loaded(first, lambda: ChunkStore(self._entry, ".npz").path(first))
        matte = arrays["mattes"][frame - first].astype(np.float32) / 255
        possible = int((matte > POSSIBLE).sum())
        return FoundMatte(matte, int((matte > INSIDE).sum()) / possible if possible else 1.0)

    def for_key(self) -> list[str]:
        """Return the key that identifies the mattes."""
        return [self._entry.key]

    def cost(self) -> Table:
        """Return the estimated cost of the mattes."""
        return without_result(estimate_render(self.plan, self._job.engine(), self.context))

    def close(self) -> None:
        """Release the cache entry, so that it may be deleted."""
        for pin in self._pins:
            pin.release()
        self._pins = []

    @cached_property
    def _job(self) -> RenderJob:
        return RenderJob(self.plan, self.context)

    @cached_property
    def _entry(self) -> CacheEntry:
        network = digest_of([infer_stage(self.plan, self._job.engine()).key, self.plan.settings.filter_record()])
        stage = MatteStage(network=network, key_frame=-1, frames=[self.plan.first, self.plan.stop, 1], method=PAINTING)
        return self.context.cache.entry(stage.name, stage.key)

    def _mattes(self, first: int) -> Generator[np.ndarray, None, None]:
        """Yield the mattes from a frame on, (h, w) uint8, filtered along the motion."""
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


FoundMattes = SweptMattes | ModelMattes
