"""The mattes of one thing in all frames of a clip, found once and kept in the cache.

Painted frames divide a shot into parts. Each part has a network of its own, which learned the painted frames at its
ends, and is swept from each of them; the two mattes of a frame are blended. So a frame that is painted later changes
the two parts beside it, and no other frame. Nothing crosses a cut.
"""

from __future__ import annotations

import itertools
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from typing import NamedTuple

import numpy as np
import torch

from vidtrans.core.events import Progress
from vidtrans.core.settings import Size
from vidtrans.inference.device import CPU, resolve_precision
from vidtrans.matting.examples import PaintedThing
from vidtrans.matting.found_mattes import FoundMatte, LoadedBlocks, MatteSource, read_arrays
from vidtrans.matting.matte_training import VERSION as LEARNING
from vidtrans.matting.matte_training import learn, window_of
from vidtrans.matting.network import MatteNetwork
from vidtrans.matting.settings import MattingSettings
from vidtrans.matting.tracking import VERSION as FOLLOWING
from vidtrans.matting.tracking import Followed, Follower, Track
from vidtrans.perception.efficientnet_lite import EfficientNetLite
from vidtrans.session import Context
from vidtrans.store.cache import CacheEntry, CachePin
from vidtrans.store.chunks import ChunkStore
from vidtrans.store.stages import MatteNetworkStage, MatteStage, libraries
from vidtrans.video.frame_format import FrameFormat

BLOCK = 30  # frames that are stored at once
LOADED = 3  # blocks that are kept in memory: of the sweeps from both sides, and the next one


class Sweep(NamedTuple):
    """The frames to follow, in order, from the painted frame ``key``, with the network of the frames ``learned``."""

    key: int
    frames: range
    learned: tuple[int, ...]

    @property
    def blocks(self) -> list[range]:
        """Return the frames in blocks that are stored at once."""
        return [self.frames[first : first + BLOCK] for first in range(0, len(self.frames), BLOCK)]

    def block_of(self, frame: int) -> range:
        """Return the block that contains a frame."""
        first = self.frames.index(frame) // BLOCK * BLOCK
        return self.frames[first : first + BLOCK]


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
        self._loaded = LoadedBlocks(LOADED)  # the thread of the encoder reads, too
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
            block = sweep.block_of(frame)
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

    def painted_key(self, keys: Sequence[int]) -> list[list[object]]:
        """Return painted frames and the digests of what is painted on them."""
        return [[key, self.source.digest(key)] for key in keys]

    def close(self) -> None:
        """Release the cache entries, so that they may be deleted."""
        for pin in self._pins:
            pin.release()
        self._pins = []

    def _network_stage(self, learned: tuple[int, ...]) -> MatteNetworkStage:
        return MatteNetworkStage(
            source=self.source.clip.digest,
            size=list(self.source.size),
            painted=self.painted_key(learned),
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
        for block in sweep.blocks:
            if store.is_done(min(block)):
                yield from itertools.repeat(None, len(block))
            else:
                track = Track.of(self.source.painted[sweep.key])
                if before is not None:
                    track = Track.restored(read_arrays(store.path(min(before))))
                last = sweep.key if before is None else before[-1]
                yield from self._follow_block(sweep, block, last, track, store, task)
            before = block

    def _follow_block(
        self, sweep: Sweep, block: range, last: int, track: Track, store: ChunkStore, task: str
    ) -> Iterator[None]:
        network = self._network(sweep.learned, task)
        found: list[Followed] = []
        with closing(self._frames(sorted([last, *block]), backwards=block.step < 0)) as frames:
            follower = Follower(network, next(frames), track, self.settings.window)
            for frame in frames:
                found.append(follower.advance(frame))
                yield
        mattes, confidences = np.stack([one.matte for one in found]), np.array([one.confidence for one in found])
        with store.writing(min(block)) as path, path.open("wb") as file:
            state = follower.track.state()
            np.savez_compressed(file, allow_pickle=False, mattes=mattes, confidences=confidences, **state)

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
                _restore(network, read_arrays(store.path(0)))
            else:

                def after_step(number: int) -> None:
                    self.context.report(Progress(f"learning {task}", number, steps))
                    self.context.stop.check()

                network = learn(
                    painted, steps, self.settings.window, self.context.seed, bf16=bf16, after_step=after_step
                )
                with store.writing(0) as path, path.open("wb") as file:
                    weights = {name: value.numpy() for name, value in network.decoder.state_dict().items()}
                    np.savez(file, allow_pickle=False, **weights)
            entry.finish({"steps": steps})
        self._networks = {learned: network}
        return network


def _restore(network: MatteNetwork, weights: Mapping[str, np.ndarray]) -> None:
    network.decoder.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
