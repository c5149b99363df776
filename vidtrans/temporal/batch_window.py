"""The window filter in torch, for batches of frames on a GPU.

The module ``window`` explains the arithmetic. Only the order differs: each stage is computed once per frame, for a
whole batch, as soon as the later frames that the stage needs were added. The batch size depends on the free memory and
does not affect the result.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from functools import lru_cache

import numpy as np
import torch

from vidtrans.core.errors import is_out_of_memory
from vidtrans.core.machine import release_cached_memory
from vidtrans.flow.warping import grid_size
from vidtrans.temporal.along_motion import STATISTICS_RADIUS
from vidtrans.temporal.batch_motion import (
    BACKWARD,
    FLOW,
    FORWARD,
    POSITIONS,
    TRUST,
    BatchDetail,
    BatchFlow,
    BatchTracker,
    Neighbours,
    apply_corrections,
    evenness,
    load_batch_flow,
    low_correction,
    neighbours,
    write_picture,
)
from vidtrans.temporal.settings import WindowSettings
from vidtrans.temporal.stream import Sample
from vidtrans.temporal.tensor_operations import (
    Picture,
    RollingBuffer,
    Size,
    from_batch,
    grow,
    interior,
    ratio,
    repeat_border,
    sample_along,
    sample_along_flow,
    shrink,
    to_batch,
)
from vidtrans.temporal.window import FULL_LEVELS

BATCH = 16  # Largest number of frames in a batch; if memory is low, batches are smaller


class ShotStages:
    """The window filter of one shot, as stages that fill buffers; the shot's frames are numbered from 0.

    Buffers: "raw" (the model's output), "prepared" and "guide" (the input, for the flow and on the grid), "motion 1", …
    (the motion by step), "level 0", … (averages at full size), "low 0", … (averages on the grid), "share 0", …
    (fractions of a full window), "bands", "energy", and "fine" with "lacking" (the fine correction and its slope).
    """

    def __init__(self, settings: WindowSettings, tracker: BatchTracker, size: Size, full: int, device: torch.device):
        """``size``: (height, width) of the pictures; ``full``: the model output's largest value, 255 or 65535."""
        self._settings, self._tracker, self._size, self._full = settings, tracker, size, full
        self._grid: Size = grid_size(*size)[::-1]
        self._levels = len(tracker.steps)
        self._top = min(FULL_LEVELS, self._levels)
        self._detail = BatchDetail(settings, size, self._grid, tracker.steps[:2])
        self.buffers = self._make_buffers(device)
        self.num_done = 0  # Number of frames whose pictures were returned

    def _make_buffers(self, device: torch.device) -> dict[str, RollingBuffer]:
        """Create the empty buffers, by name; see the class."""
        padded, grid = (4, self._size[0] + 2, self._size[1] + 2), self._grid
        raw = RollingBuffer(*self._size, 3, dtype=torch.uint8 if self._full == 255 else torch.int16, device=device)
        made = {"raw": raw, **self._tracker.buffers(device)}
        made |= {f"level {n}": RollingBuffer(*padded, device=device) for n in range(self._top + 1)}
        made |= {f"low {n}": RollingBuffer(4, *grid, device=device) for n in range(self._levels + 1)}
        made |= {f"share {n}": RollingBuffer(1, *grid, device=device) for n in range(self._levels + 1)}
        made |= {"bands": RollingBuffer(*padded, device=device)}
        made |= {"energy": RollingBuffer(2, *self._detail.half, device=device)}
        made |= {"fine": RollingBuffer(3, *self._size, device=device)}
        return made | {"lacking": RollingBuffer(4, *grid, device=device)}

    def trim(self) -> None:
        """Release the unused memory of all buffers."""
        for buffer in self.buffers.values():
            buffer.trim()

    def take(self, guides: torch.Tensor, outputs: torch.Tensor) -> None:
        """Add the next n frames of the shot: guides and model outputs, (n, H, W, 3) uint8, or 16 bits in int16."""
        buffers, count = self.buffers, len(outputs)
        padded = buffers["level 0"].reserve(count)
        picture = interior(padded)
        prepared, on_grid = write_picture(self._tracker, guides, outputs, picture)
        repeat_border(padded)
        buffers["low 0"].reserve(count).copy_(shrink(picture, self._grid))
        bands = buffers["bands"].reserve(count)
        self._detail.split(picture, interior(bands))
        repeat_border(bands)
        energy = self._detail.energy(interior(bands))
        parts = {"raw": outputs, "prepared": prepared, "guide": on_grid, "energy": energy}
        for name, part in parts.items():
            buffers[name].reserve(count).copy_(part)
        buffers["share 0"].reserve(count).fill_(1)
        for name in (*parts, "level 0", "low 0", "bands", "share 0"):
            buffers[name].commit(count)

    def advance(self, batch_size: int, *, ended: bool) -> Iterator[torch.Tensor]:
        """Execute the stages as far as the added frames allow; yield finished pictures, (n, H, W, 3).

        ``ended``: all frames of the shot were added.
        """
        buffers, num_added = self.buffers, self.buffers["raw"].stop
        for step in self._tracker.steps:
            compute = self._estimate_motions if step == 1 else self._join_motions
            self._run(f"motion {step}", num_added - step, batch_size, compute, step)
            self._drop()
        for level in range(1, self._levels + 1):
            limit = num_added if ended else buffers[f"low {level - 1}"].stop - 2 ** (level - 1)
            self._run(f"low {level}", limit, batch_size, self._low, level)
            self._run(f"share {level}", limit, batch_size, self._share, level)
            if level <= self._top:
                self._run(f"level {level}", limit, batch_size, self._level, level)
            if level == self._top:
                self._run("fine", limit, batch_size, self._fine, level)
            self._drop()
        last = min(buffers["fine"].stop, buffers[f"low {self._levels}"].stop)
        while self.num_done < last:
            frames = slice(self.num_done, min(last, self.num_done + batch_size))
            yield self._finish(frames)
            self.num_done = frames.stop
        self._drop()

    def _run(
        self,
        name: str,
        limit: int,
        batch_size: int,
        compute: Callable[[slice, int, torch.Tensor], None],
        number: int,
    ) -> None:
        """Fill the buffer ``name`` up to frame ``limit``, in batches, by calls ``compute(frames, number, memory)``.

        ``compute`` writes the buffer's values of the ``frames`` to the ``memory``. ``number``: a step or a level.
        """
        buffer = self.buffers[name]
        while buffer.stop < limit:
            frames = slice(buffer.stop, min(limit, buffer.stop + batch_size))
            count = frames.stop - frames.start
            compute(frames, number, buffer.reserve(count))
            buffer.commit(count)

    def _estimate_motions(self, frames: slice, step: int, motions: torch.Tensor) -> None:
        """Write to ``motions`` the motion between each of the ``frames`` and the next frame. ``step``: 1."""
        both = slice(frames.start, frames.stop + step)
        self._tracker.write_first(self.buffers["prepared"][both], self.buffers["guide"][both], motions)

    def _join_motions(self, frames: slice, step: int, joined: torch.Tensor) -> None:
        """Write to ``joined`` the motion over ``step`` frames, joined from two motions over ``step`` / 2 frames."""
        half = step // 2
        motions = self.buffers[f"motion {half}"][frames.start : frames.stop + half]
        self._tracker.write_joined(motions, self.buffers["guide"][frames.start : frames.stop + step], half, joined)

    def _low(self, frames: slice, level: int, lows: torch.Tensor) -> None:
        """Write to ``lows`` the averages of the ``frames`` on the grid, after the averaging step ``level``."""
        self._average("low", frames, level, lows)

    def _level(self, frames: slice, level: int, padded: torch.Tensor) -> None:
        """Write to ``padded``, which has a border, the averages of the ``frames`` at full size after step ``level``."""
        self._average("level", frames, level, interior(padded))
        repeat_border(padded)

    def _average(self, kind: str, frames: slice, level: int, result: torch.Tensor) -> None:
        """Write to ``result`` the averages of frames with the frames 2^(``level`` − 1) before and after them.

        ``kind``: "low" (on the grid) or "level" (at full size), the name of the buffer with the averages to average.
        """
        buffers, step = self.buffers, 2 ** (level - 1)
        write_averages(buffers[f"{kind} {level - 1}"], buffers[f"motion {step}"], step, frames, result)

    def _share(self, frames: slice, level: int, shares: torch.Tensor) -> None:
        """Write to ``shares`` the fraction of a full window, 0 to 1, that each average of a ``level`` contains."""
        step = 2 ** (level - 1)
        write_shares(self.buffers[f"share {level - 1}"], self.buffers[f"motion {step}"], step, frames, shares)

    def _fine(self, frames: slice, top: int, fine: torch.Tensor) -> None:
        """Write the fine-detail correction of frames to ``fine``, and its low frequencies to the buffer "lacking".

        ``top``: the highest level of averages at full size.
        """
        buffers = self.buffers
        motions = {step: buffers[f"motion {step}"] for step in self._tracker.steps[:2]}
        changes = self._detail.changes(buffers["bands"], buffers["energy"], motions, frames)
        here, mean, longer = (interior(buffers[f"level {n}"][frames]) for n in (0, min(2, top), top))
        own = interior(buffers["bands"][frames])
        low_change = self._detail.correct(here, mean, longer if top > 2 else None, own, changes, fine)
        low_change[:, :3].sub_(buffers["low 0"][frames][:, :3])
        buffers["lacking"].append(low_change)

    def _finish(self, frames: slice) -> torch.Tensor:
        """Return the filtered pictures of the ``frames``, (n, H, W, 3), of the output's dtype."""
        buffers, settings = self.buffers, self._settings
        change = buffers[f"low {self._levels}"][frames] - buffers["low 0"][frames]
        alone = 2.0**-self._levels
        other_share = buffers[f"share {self._levels}"][frames].sub(alone).mul_(1 / (1 - alone)).clamp_(0, 1)
        low_change = buffers["lacking"][frames]
        low = low_correction(change, other_share, low_change[:, 3:])
        return apply_corrections(buffers["raw"][frames], low, low_change[:, :3], buffers["fine"][frames], settings)

    def _drop(self) -> None:
        """Drop the frames that no stage needs any more from all buffers."""
        buffers, steps = self.buffers, self._tracker.steps
        fine, top, levels = buffers["fine"].stop, self._top, self._levels

        def stop(kind: str, n: int) -> int:
            """Return the number of the first frame that is not yet in the buffer ``kind`` of level ``n``."""
            return buffers[f"{kind} {n}"].stop

        first_needed: dict[str, int] = {"raw": self.num_done, "fine": self.num_done, "lacking": self.num_done}
        first_needed |= {"prepared": buffers["motion 1"].stop, "guide": min(buffers[f"motion {s}"].stop for s in steps)}
        first_needed |= {"bands": fine - STATISTICS_RADIUS, "energy": fine - STATISTICS_RADIUS}
        for n in range(top + 1):
            used = [stop("level", n + 1) - 2**n] if n < top else [fine]
            first_needed[f"level {n}"] = min([*used, fine] if n in (0, min(2, top)) else used)
        for n in range(levels + 1):
            for kind in ("low", "share"):
                first_needed[f"{kind} {n}"] = stop(kind, n + 1) - 2**n if n < levels else self.num_done
        first_needed["low 0"] = min(first_needed["low 0"], self.num_done)
        for n, step in enumerate(steps):
            kinds = ("low", "share", "level") if n < top else ("low", "share")
            used = [stop(kind, n + 1) - step for kind in kinds]
            used += [fine - step] if step <= STATISTICS_RADIUS else []
            used += [buffers[f"motion {2 * step}"].stop] if n + 1 < len(steps) else []
            first_needed[f"motion {step}"] = min(used)
        for name, frame in first_needed.items():
            buffers[name].drop(frame)


def write_averages(
    lower: RollingBuffer, motions: RollingBuffer, step: int, frames: slice, result: torch.Tensor
) -> None:
    """Average frames with the frames ``step`` frames before and after them; write the averages to ``result``.

    ``result``: (n, 4, H, W). ``lower`` holds the averages of the level below, of the frames and their neighbours.
    Pictures at full size have a border and are sampled sharply; ``motions`` are on the grid. The mean is (2 P + t S +
    t' S') / (2 + t + t') for a picture P and its neighbours S and S', sampled along the motion, with trusts t and t'.
    It is computed in two steps, first from S and P.
    """
    size: Size = tuple(result.shape[-2:])  # type: ignore[assignment]
    is_full = lower.shape[-2:] != size

    def pictures(of: slice) -> torch.Tensor:
        """Return the pictures of frames without their border."""
        return interior(lower[of]) if is_full else lower[of]

    own = pictures(frames)
    after, before = (neighbours(motions, step, direction, frames, lower.stop) for direction in (0, 1))
    maps = _maps(after, before, len(own), motions, size, is_full=is_full)

    def sample_neighbours(other: Neighbours, direction: int) -> torch.Tensor:
        """Return the neighbours' pictures in one ``direction``, sampled along the motion."""
        flow = maps[other.part, 2 * direction : 2 * direction + 2]
        return sample_along_flow(pictures(other.there), flow, is_sharp=is_full)

    first_without_after = after.part.stop if after else 0
    if first_without_after < len(own):
        result[first_without_after:].copy_(own[first_without_after:])
    if after:
        torch.lerp(
            sample_neighbours(after, 0), own[after.part], maps[after.part, 4:5].reciprocal(), out=result[after.part]
        )
    if before:
        weight = maps[before.part, 4:5] / maps[before.part, 5:]
        torch.lerp(sample_neighbours(before, 1), result[before.part], weight, out=result[before.part])


def _maps(
    after: Neighbours | None,
    before: Neighbours | None,
    count: int,
    motions: RollingBuffer,
    size: Size,
    *,
    is_full: bool,
) -> torch.Tensor:
    """Return the flow and the weights by which ``write_averages`` averages frames with their neighbours: (n, 6, H, W).

    The channels are the flow to the frame after and to the frame before, in pixels, then 1 + t/2 and 1 + t/2 + t'/2.

    t and t' are the trusts in the frames after and before, 0 for a missing frame. At full size they are multiplied by
    ``evenness``.
    """
    grid: Size = motions.shape[-2:]  # type: ignore[assignment]
    maps = _no_neighbours(motions.device).expand(count, -1, *grid).clone(memory_format=torch.contiguous_format)
    for direction, neighbour in enumerate((after, before)):
        if neighbour:
            flow = maps[neighbour.part, 2 * direction : 2 * direction + 2]
            torch.mul(neighbour.motion[:, FLOW], ratio(grid, size, motions.device), out=flow)
            trust = neighbour.motion[:, TRUST] * evenness(neighbour.motion) if is_full else neighbour.motion[:, TRUST]
            maps[neighbour.part, 4 + direction :].add_(trust[:, None], alpha=0.5)
    return maps if grid == size else grow(maps, size)


@lru_cache(maxsize=8)
def _no_neighbours(device: torch.device) -> torch.Tensor:
    """Return the six channels of ``_maps`` for a frame without neighbours, (1, 6, 1, 1)."""
    return torch.tensor([0.0, 0, 0, 0, 1, 1], device=device).view(1, 6, 1, 1)


def write_shares(lower: RollingBuffer, motions: RollingBuffer, step: int, frames: slice, total: torch.Tensor) -> None:
    """Write to ``total``, (n, 1, h, w), the fraction of a full window, 0 to 1, that each frame's average contains.

    ``lower``: the fractions after the last averaging step. ``step``: distance of the averaged neighbours in frames.
    """
    torch.mul(lower[frames], 0.5, out=total)
    for direction in (FORWARD, BACKWARD):
        neighbour = neighbours(motions, step, direction, frames, lower.stop)
        if neighbour:
            there = sample_along(lower[neighbour.there], neighbour.motion[:, POSITIONS])
            total[neighbour.part].addcmul_(there, neighbour.motion[:, TRUST, None], value=0.25)


class BatchWindowFilter:
    """The filter of ``--temporal window`` for frames on a GPU; not thread-safe.

    Pictures of samples are numpy arrays, or tensors on any device, in which uint16 may be stored as int16. Results have
    the type of the output.
    """

    Settings = WindowSettings

    def __init__(
        self, settings: WindowSettings, device: str = "cpu", *, flow: BatchFlow | None = None, batch_size: int = BATCH
    ) -> None:
        """``flow``: a function that replaces the method ``settings.flow``; it takes the same pictures, grey or RGB."""
        self.settings, self.batch_size = settings, batch_size
        self._levels = (settings.radius + 1).bit_length() - 1
        self.radius = 2**self._levels - 1
        self._device = torch.device(device)
        self._flow = flow or load_batch_flow(settings.flow, self._device)
        self._stages: ShotStages | None = None
        self._samples: deque[Sample] = deque()  # Samples that were not returned yet
        self._num_uploaded = 0  # Number of these samples that were copied to the device

    def begin(self) -> None:
        """Drop all frames that were added, before the first frame of another shot or clip."""
        self._stages, self._num_uploaded = None, 0
        self._samples.clear()

    @torch.inference_mode()
    def push(self, sample: Sample) -> list[tuple[Sample, Picture]]:
        """Add the next frame of a shot; return the finished frames, in order, with their pictures."""
        if not self.radius or not self.settings.strength:
            return [(sample, sample.output)]
        self._samples.append(sample)
        ready = len(self._samples) - self._num_uploaded >= self.batch_size
        return self._advance(ended=False) if ready else []

    @torch.inference_mode()
    def flush(self) -> list[tuple[Sample, Picture]]:
        """End the shot: return the remaining frames with their pictures."""
        if len(self._samples) == 1 and self._stages is None:
            done: list[tuple[Sample, Picture]] = [(self._samples[0], self._samples[0].output)]
        else:
            done = self._advance(ended=True)
        self.begin()
        return done

    def _advance(self, *, ended: bool) -> list[tuple[Sample, Picture]]:
        """Return the frames that can be finished, with their pictures; halve the batch size if memory runs out."""
        made: list[tuple[Sample, Picture]] = []
        while self._samples:
            try:
                self._take_and_compute(made, ended=ended)
                break
            except Exception as error:  # Devices raise different classes when memory runs out
                if self.batch_size == 1 or not is_out_of_memory(error):
                    raise
            # Halve the batch outside of the handler, whose traceback keeps tensors alive. All stages are still valid.
            self.batch_size //= 2
            if self._stages is not None:
                self._stages.trim()
            release_cached_memory(self._device.type)
        return made

    def _take_and_compute(self, made: list[tuple[Sample, Picture]], *, ended: bool) -> None:
        """Upload waiting frames in batches, and append the finished frames with their pictures to ``made``."""
        stages = self._stages = self._stages or self._make_stages(self._samples[0])
        while True:
            batch = list(self._samples)[self._num_uploaded : self._num_uploaded + self.batch_size]
            if batch:
                guides, outputs = ([getattr(s, part) for s in batch] for part in ("guide", "output"))
                stages.take(to_batch(guides, self._device), to_batch(outputs, self._device))
                self._num_uploaded += len(batch)
            is_last = self._num_uploaded == len(self._samples)
            for pictures in stages.advance(self.batch_size, ended=ended and is_last):
                first = self._samples[0].output
                for picture in from_batch(pictures, first):
                    made.append((self._samples.popleft(), picture))
                    self._num_uploaded -= 1
            if is_last:
                break

    def _make_stages(self, sample: Sample) -> ShotStages:
        """Create the stages of a shot, of which ``sample`` is the first frame."""
        settings = self.settings
        height, width = sample.guide.shape[:2]
        grid = grid_size(height, width)[::-1]
        tracker = BatchTracker(settings, self._flow, (height, width), grid, self._levels, inverts=True)
        full = 255 if sample.output.dtype in (np.uint8, torch.uint8) else 65535
        self.batch_size = min(self.batch_size, affordable_batch(height, width, self.radius, self._device))
        return ShotStages(settings, tracker, (height, width), full, self._device)


def needed_bytes(height: int, width: int, radius: int, batch_size: int) -> int:
    """Return the peak memory of the window filter in bytes, without the flow method.

    The formula was measured at the finest grid, half of the picture's size; coarser grids need less memory.
    """
    return height * width * (280 * batch_size + 400 + 75 * radius)


def affordable_batch(height: int, width: int, radius: int, device: torch.device) -> int:
    """Return the largest batch size that fits half of the free memory of a CUDA GPU; else ``BATCH``."""
    if device.type != "cuda":
        return BATCH
    free = torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    fitting = [n for n in range(1, BATCH + 1) if needed_bytes(height, width, radius, n) <= free / 2]
    return max(fitting, default=1)
