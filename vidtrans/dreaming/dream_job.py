"""The job that renders a dream: predict the missing frames of each chunk, enlarge and encode them, join the chunks."""

from __future__ import annotations

import tempfile
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vidtrans.clips.indexing import Clip, with_picture_fps
from vidtrans.config.recipe import Recipe
from vidtrans.core.costs import TRIAL_FRAMES, estimate
from vidtrans.core.errors import UsageError
from vidtrans.core.events import Progress
from vidtrans.core.mask_files import MaskFile
from vidtrans.core.settings import Size, Table
from vidtrans.core.threads import BackgroundQueue, buffer_capacity
from vidtrans.dreaming.dream_planning import DreamPlan
from vidtrans.dreaming.predictors import first_phase
from vidtrans.dreaming.rollout import ResumableRollout, Rollout
from vidtrans.dreaming.seeds import Seed
from vidtrans.dreaming.sequencer import statistics_in
from vidtrans.flow.survey import Survey
from vidtrans.inference.engine import wrong_products_warning
from vidtrans.inference.torch_engine import to_pictures
from vidtrans.masking.found_masks import open_mask
from vidtrans.output.delivery import Delivery
from vidtrans.output.result import Result
from vidtrans.pairing.pairing_records import pairing_record
from vidtrans.pipeline.render import compose
from vidtrans.session import Context
from vidtrans.store.chunking import Chunk
from vidtrans.store.chunks import ChunkStore, ChunkWriter, StateStore
from vidtrans.store.stages import DreamStage, media_libraries
from vidtrans.upscaling import VERSION as UPSCALING
from vidtrans.upscaling import array_pictures, tensor_pictures
from vidtrans.upscaling.enlarging import enlarge_to_source
from vidtrans.video.frame_format import FrameFormat
from vidtrans.video.images.picture import resize
from vidtrans.video.io.clip import ClipIndex
from vidtrans.video.io.container import open_media
from vidtrans.video.io.encoder import SegmentWriter, picture_encoder
from vidtrans.video.io.join import StreamCopy
from vidtrans.video.io.sound import sound_zero_s

VERSION = 1  # Version of the compositing of masked dreams, for cache keys
CHUNKS_PER_STATE = 8  # Chunks between saved rollout states; a resumed dream repeats at most this many chunks
# Encoding a frame of 144x80 takes 4.1 to 4.8 ms of CPU time without a separate thread and 4.8 to 5.1 ms with one.
# The reason is Python's thread switches; for a frame of 256x256 both times are equal.
SYNCHRONOUS_PIXELS = 256 * 256  # Largest frame, in pixels, that is encoded without a separate thread


class PictureConverter:
    """Converts predicted frames of the working ``size``, (width, height), to pictures of the result.

    ``mode``: "faithful" enlarges to ``output_size`` by back-projection; "bicubic" leaves the scaling to the encoder, as
    does a size that is not smaller on both sides. ``deep``: pictures of 16 bits a channel.
    """

    def __init__(self, size: tuple[int, int], output_size: tuple[int, int], mode: str, *, deep: bool) -> None:
        self.deep, self._mode = deep, mode
        self._is_small = output_size[0] > size[0] and output_size[1] > size[1]
        self._is_enlarged = self._is_small and mode != "bicubic"
        self.picture_size = output_size if self._is_enlarged else size

    def __call__(self, frame: Tensor) -> np.ndarray:
        """Convert a frame, (3, H, W) float32 in [-1, 1], to a picture (h, w, 3) uint8, or uint16 if ``deep``."""
        if self._is_enlarged:
            # On a CPU, OpenCV enlarges several times faster than torch.
            enlarge = enlarge_opencv if frame.device.type == "cpu" else enlarge_torch
            frame = enlarge(frame, self.picture_size, self._mode)
        picture: np.ndarray = to_pictures(frame[None], deep=self.deep)[0]
        return picture

    def for_key(self) -> Table:
        """Return the upscaling mode and its version, for cache keys; {} if the encoder scales the frames."""
        return {"mode": self._mode, "version": UPSCALING} if self._is_enlarged else {}

    def tell_unused(self, recipe: Recipe, context: Context) -> None:
        """Report that the recipe's ``upscale`` setting has no effect, unless it is the default."""
        if "upscale" in recipe.tables.get("dreaming", {}) and not self._is_small:
            context.note(f"--upscale {self._mode} has no effect: frames are not smaller than the result")


def enlarge_opencv(frame: Tensor, size: tuple[int, int], mode: str) -> Tensor:
    """Enlarge a frame, (3, H, W) float32 in [-1, 1] on the CPU, to a (width, height), in an upscaling ``mode``."""
    unit = np.ascontiguousarray(frame.permute(1, 2, 0).numpy()) * np.float32(0.5) + np.float32(0.5)
    # A dream has no source picture; ``enlarge_to_source`` reads only the size of this placeholder.
    source = np.broadcast_to(np.float32(0), (size[1], size[0], 3))
    return torch.from_numpy(enlarge_to_source(array_pictures, unit, source, mode)).permute(2, 0, 1) * 2 - 1


def enlarge_torch(frame: Tensor, size: tuple[int, int], mode: str) -> Tensor:
    """Enlarge a frame, (3, H, W) float32 in [-1, 1], to a (width, height), in a ``mode``, on the frame's device."""
    source = frame.new_zeros(()).expand(1, 3, size[1], size[0])
    return enlarge_to_source(tensor_pictures, frame[None] * 0.5 + 0.5, source, mode)[0] * 2 - 1


class MaskedBackground:
    """Composites a dream, inside a mask, over the clip of its seed, which goes on after the seed frames.

    ``rate`` and ``num_frames``: frames per second, and number of frames, of the dream. ``size``: the (width, height) of
    the result. A still picture is repeated, and so is the last frame of a clip that ends. Raises
    UsageError for noise, MediaError for an unreadable mask.
    """

    def __init__(
        self, seed: Seed, mask: MaskFile, rate: Fraction, num_frames: int, size: tuple[int, int], context: Context
    ) -> None:
        if seed.clip is None:
            raise UsageError("--mask", "noise has nothing around it", "give a clip or a picture as the seed")
        # A folder of pictures as background has one picture per frame of the dream.
        self.clip = with_picture_fps(seed.clip, float(rate))
        self._size, self._threads = size, context.decode_threads
        index, last = self.clip.index, seed.frames[-1]
        times = [(p - index.pts[last]) * index.time_base for p in index.pts]
        # Number of the clip's frame for each frame of the dream, at the time of the dream's frame plus a quarter of a
        # frame, because containers round their timestamps.
        self._frames = [bisect_right(times, (n + Fraction(5, 4)) / rate) - 1 for n in range(num_frames)]
        self._mask = open_mask(mask, self.clip, 0, index.num_frames, context)
        if index.num_frames > 1 and num_frames / rate > times[-1]:
            context.warn_once(
                f"{seed.clip.name} ends {float(times[-1]):.2f} s after the seed: its last frame is seen around the "
                "rest of the dream",
                seed.clip.path,
            )

    def for_key(self) -> Table:
        """Return the properties that affect the result, for cache keys."""
        return {"version": VERSION, "clip": self.clip.digest, "first": self._frames[0], "mask": self._mask.for_key()}

    @contextmanager
    def open(self, *, deep: bool) -> Iterator[Callable[[int, np.ndarray], np.ndarray]]:
        """Yield a function (frame number, dream's picture (h, w, 3)) → frame, (H, W, 3), of the result's size.

        ``deep``: frames of 16 bits a channel.
        """
        form = FrameFormat(Size(exact=self._size), deep=deep)
        with (
            closing(self.clip.cursor(form, self._threads)) as cursor,
            closing(self._mask.mattes(self._size, self._threads)) as mattes,
        ):

            def composite(frame: int, picture: np.ndarray) -> np.ndarray:
                """Return the background's frame with the dream's picture inside the mask."""
                step = self._frames[frame]
                return compose(resize(picture, *self._size), cursor(step).rgb, matte=mattes(step))

            yield composite


class DreamJob:
    """Renders one dream to a video."""

    def __init__(self, plan: DreamPlan, context: Context) -> None:
        self.plan, self.spec, self.context = plan, plan.spec, context
        total, length = self.spec.frames, self.spec.rendering.chunk_frames
        # The number of a chunk is the frame number at which it ends (exclusive), so that a short last chunk is not
        # mistaken for the full chunk of a longer dream.
        ends = [(first, min(first + length, total)) for first in range(0, total, length)]
        self.chunks = [Chunk(stop, first, stop, 0, total) for first, stop in ends]
        self.delivery = Delivery(self._as_clip(), range(total), self.spec.encoding, pattern=plan.pattern)
        size, deep = (self.delivery.stored.width, self.delivery.stored.height), self.delivery.depth > 8
        self.pictures = PictureConverter(plan.seed.size, size, self.spec.dreaming.upscale, deep=deep)
        self.delivery.report_changes(context)
        self.num_predicted = 0
        self._phase = first_phase(plan.models.loaded_models[0], self.spec.dreaming)
        mask, rate = self.spec.mask, plan.rate
        self.background = MaskedBackground(plan.seed, mask, rate, total, size, context) if mask else None

    def _as_clip(self) -> Clip:
        """Return a clip that describes the dream's frames (times, size), for the encoder."""
        seed, rate = self.plan.seed, self.plan.rate
        index = ClipIndex(
            pts=tuple(n * rate.denominator for n in range(self.spec.frames)),
            time_base=Fraction(1, rate.numerator),
            last_duration=rate.denominator,
            width=seed.output_size[0],
            height=seed.output_size[1],
            sample_aspect_ratio=seed.sample_aspect_ratio,
            rate=rate,
            num_rebuilt_pts=0,
            num_frames_from_header=self.spec.frames,
        )
        return Clip(seed.clip.path if seed.clip else Path(seed.name), "", index, Survey((0,)))

    def render(self, result: Result) -> Table:
        """Render the missing chunks, join all chunks with the sound to the result, and return its report."""
        spec, stage = self.spec, self._stage()
        entry = self.context.cache.entry(stage.name, stage.key)
        with entry.locked():
            store = ChunkStore(entry, "." + spec.encoding.chunk_codec.segments)
            interval = CHUNKS_PER_STATE * spec.rendering.chunk_frames
            states = StateStore(entry, lambda number: number % interval == 0)
            missing = [c for c in self.chunks if not store.is_done(c.number)]
            if missing:
                self._render_chunks(store, states, missing)
            exact = self.plan.models.exact
            if exact:
                self.context.warn_once(wrong_products_warning(exact, self.plan.models(0).engine.precision))
            counts = ({"exact": exact} if exact else {}) | {
                "frames_inferred": self.num_predicted,
                "frames_encoded": sum(c.stop - c.first for c in missing),
            }

            def join(path: Path) -> Table:
                """Join the chunks with the sound in a file; return the report."""
                self.context.begin("joining")
                segments = [store.path(c.number) for c in self.chunks]
                assembly = replace(self.delivery.assembly(result.folder), copied=self._sound())
                written = assembly.write(segments, path, entry.folder, self.context)
                return self.summary(result.output) | counts | written

            table = result.write(join)
            entry.finish({"frames": spec.frames})
        return table

    def _sound(self) -> StreamCopy | None:
        """Return the part of the sound file that is copied to the result; None without sound."""
        spec, rate = self.spec, self.plan.rate
        if spec.sound is None or spec.encoding.sound == "none":
            return None
        with open_media(spec.sound) as container:
            zero_s = sound_zero_s(container, spec.sound)
        # The copied sound begins at its first packet, because packets before time 0 are needed to decode later ones.
        end_s = zero_s + spec.frames / rate
        return StreamCopy(spec.sound, end_s=end_s, shift_s=-zero_s, rate=rate, only_sound=True)

    def _render_chunks(self, store: ChunkStore, states: StateStore, missing: Sequence[Chunk]) -> None:
        """Predict and encode the missing chunks, from the nearest saved states; a separate thread encodes."""
        total, length, background = self.spec.frames, self.spec.rendering.chunk_frames, self.background
        done = total - sum(c.stop - c.first for c in missing)
        with (
            self._open_rollout() as make_rollout,
            closing(ChunkWriter(store, self.chunks, self._segment)) as writer,
            background.open(deep=self.pictures.deep) if background else nullcontext() as composite,
        ):
            rollout = ResumableRollout(make_rollout, states, self.plan.loop, self._on_step)
            is_tiny = self.delivery.stored.width * self.delivery.stored.height <= SYNCHRONOUS_PIXELS
            capacity = 0 if is_tiny else buffer_capacity(*self.pictures.picture_size)
            with closing(BackgroundQueue(capacity)) as queue:
                for chunk in missing:
                    rollout.go_to(chunk.first)
                    for frame in range(chunk.first, chunk.stop):
                        picture = self.pictures(rollout.next())
                        picture = composite(frame, picture) if composite else picture
                        queue.put(partial(writer.write, frame, picture, self.delivery.stamps(frame)[0]))
                        done += 1
                        self.context.report(Progress(f"dreaming {self.plan.seed.name}", done, total))
                        self.context.stop.check()
                    if chunk.stop % length == 0:  # No state after a short last chunk, which a longer dream lacks
                        queue.put(partial(states.save, chunk.number, rollout.state()))
                queue.finish()

    def _on_step(self) -> None:
        """Count a predicted frame, and stop if the user interrupts."""
        self.num_predicted += 1
        self.context.stop.check()

    @contextmanager
    def _open_rollout(self) -> Iterator[Callable[[], Rollout]]:
        """Yield a function that creates a rollout, positioned before the dream's first frame."""
        plan, loop, threads = self.plan, self.plan.loop, self.context.decode_threads
        seed = plan.seed.pictures(self.context, statistics_in(plan.models.loaded_models[0]))
        with plan.driver.pictures(threads) if plan.driver else nullcontext() as drive:
            controls = plan.controls.for_rollout(loop, drive)

            def make_rollout() -> Rollout:
                """Return a new rollout from the seed."""
                return Rollout(
                    seed,
                    (lambda n: plan.models(n % loop.frames)) if loop else plan.models,
                    controls,
                    first=-loop.run_in if loop else 0,
                    phase=self._phase,
                    follows=loop is None,  # In a loop, the last and the first frame have one view
                    on_restart=self._warn_restart,
                )

            yield make_rollout

    def _warn_restart(self, frame: int) -> None:
        """Warn that the rollout restarted from the seed at a frame."""
        text = f"frame {frame}: the dream drifted too far from the training frames and restarts from the seed"
        self.context.note(text, "warning")

    def _segment(self, path: Path) -> SegmentWriter:
        """Return the writer of a chunk's video segment."""
        return SegmentWriter(path, self.delivery.stored, self.spec.encoding)

    def _stage(self) -> DreamStage:
        """Return the cache stage of the dream's chunks: all properties that affect them."""
        plan, spec, loaded_models = self.plan, self.spec, self.plan.models.loaded_models
        return DreamStage(
            seed=plan.seed.for_key(self.context),
            models=[{"digest": m.digest, "pairing": pairing_record(m.pairing)} | m.padding_key for m in loaded_models],
            sequence=plan.models.for_key(),
            size=list(plan.seed.size),
            rate=str(plan.rate),
            controls=plan.controls.for_key()
            | {"drift_correction": spec.dreaming.drift_correction, "phase": self._phase}
            | ({"wandering": self.context.seed} if spec.dreaming.wanders() else {})
            | ({"around": self.background.for_key()} if self.background else {}),
            loop=plan.loop.for_key() if plan.loop else {},
            blend={"source": plan.driver.clip.digest} if plan.driver else {},
            sound=plan.controls.sound_for_key(),
            chunk_frames=spec.rendering.chunk_frames,
            encoding=spec.encoding.chunk_key(self.delivery.stored),
            picture={k: str(v) for k, v in self.delivery.stored.__dict__.items()},
            engine=plan.models(0).engine.identity_at(*plan.seed.size),
            libraries=media_libraries(),
            upscale=self.pictures.for_key(),
        )

    def estimate(self) -> Table:
        """Estimate the time, disk and memory use of the dream from a trial on its first frames."""
        spec, loop = self.spec, self.plan.loop
        encode = picture_encoder(spec.encoding.codec) if spec.encoding.makes_pictures else None
        count, unpacked = min(spec.frames, TRIAL_FRAMES), 0
        with self._open_rollout() as make_rollout, tempfile.TemporaryDirectory(prefix="vidtrans-") as place:
            rollout, path = make_rollout(), Path(place) / "segment"
            rollout.step()  # Warm-up, because the first step has one-time costs
            began = time.perf_counter()
            with closing(self._segment(path)) as segment:
                for frame in range(count):
                    picture = self.pictures(rollout.step())
                    segment.write(picture, self.delivery.stamps(frame)[0])
                    unpacked += len(encode(picture)) if encode else 0
            seconds, encoded = time.perf_counter() - began, path.stat().st_size
        scale = (spec.frames + (loop.run_in if loop else 0)) / count
        return estimate(seconds * scale, (unpacked or encoded) * scale, encoded * scale)

    def summary(self, output: Path) -> Table:
        """Return the report's entries about the dream and its inputs."""
        plan, frames, picture = self.plan, self.spec.frames, self.delivery.picture
        table: Table = {
            "output": str(output),
            "frames": frames,
            "size": [picture.width, picture.height],
            "working_size": list(plan.seed.size),
            "chunks": len(self.chunks),
            "model": ", ".join(look.name for look in plan.models.loaded_models),
            "rate": str(plan.rate),
            "duration_s": round(float(frames / plan.rate), 3),
            "codec": self.spec.encoding.codec,
            "depth": picture.depth,
        }
        if plan.loop:
            table |= {"rounds": plan.loop.rounds, "speed": round(plan.loop.speed, 4)}
        return table
