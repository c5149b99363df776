"""The window filter for batches of frames in torch, for renders with frames on a GPU.

The arithmetic is that of ``window``, which explains it; only the order differs: each stage is computed once per frame,
for a batch at once, when its look-ahead frames are known. The batch size follows the free memory and does not change
the result.
"""

from __future__ import annotations

from collections import deque

import numpy as np
import torch

from vidtrans.core.errors import out_of_memory
from vidtrans.core.machine import release_cached_memory
from vidtrans.flow.scaling import grid_size
from vidtrans.temporal.batch_shot import ShotStages
from vidtrans.temporal.batch_tracking import BatchFlow, BatchTracker, load_batch_flow
from vidtrans.temporal.settings import WindowSettings
from vidtrans.temporal.stream import Sample
from vidtrans.temporal.tensor_operations import Picture, from_batch, to_batch

BATCH = 16  # frames, where memory allows


class BatchWindowFilter:
    """The filter of ``--temporal window`` for frames on a GPU. Not thread-safe.

    Pictures of samples are numpy arrays, or tensors on any device, where uint16 may be stored as int16; results are of
    the same type as the output.
    """

    Settings = WindowSettings

    def __init__(
        self, settings: WindowSettings, device: str = "cpu", *, flow: BatchFlow | None = None, batch_size: int = BATCH
    ) -> None:
        """``flow``: replaces the method ``settings.flow``; it must take the same pictures, grey or RGB, as that one."""
        self.settings, self.batch_size = settings, batch_size
        self._levels = (settings.radius + 1).bit_length() - 1
        self.radius = 2**self._levels - 1
        self._device = torch.device(device)
        self._flow = flow or load_batch_flow(settings.flow, self._device)
        self._stages: ShotStages | None = None
        self._samples: deque[Sample] = deque()  # not returned yet
        self._num_taken = 0  # of these, how many were taken to the device

    def begin(self) -> None:
        """Drop all frames."""
        self._stages, self._num_taken = None, 0
        self._samples.clear()

    @torch.inference_mode()
    def push(self, sample: Sample) -> list[tuple[Sample, Picture]]:
        """Add the next frame of a shot; return the finished frames, in order, with their pictures."""
        if not self.radius or not self.settings.strength:
            return [(sample, sample.output)]
        self._samples.append(sample)
        ready = len(self._samples) - self._num_taken >= self.batch_size
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
        """Return the frames that can be finished now, with pictures; halve the batch size if memory runs out."""
        made: list[tuple[Sample, Picture]] = []
        while self._samples:
            try:
                self._take_and_compute(made, ended=ended)
                break
            except Exception as error:  # of many kinds
                if self.batch_size == 1 or not out_of_memory(error):
                    raise
            # Outside of the handler, whose traceback holds on to what was computed. No stage is left half done.
            self.batch_size //= 2
            if self._stages is not None:
                self._stages.trim()
            release_cached_memory(self._device.type)
        return made

    def _take_and_compute(self, made: list[tuple[Sample, Picture]], *, ended: bool) -> None:
        stages = self._stages = self._stages or self._make_stages(self._samples[0])
        while True:
            batch = list(self._samples)[self._num_taken : self._num_taken + self.batch_size]
            if batch:
                guides, outputs = ([getattr(s, part) for s in batch] for part in ("guide", "output"))
                stages.take(to_batch(guides, self._device), to_batch(outputs, self._device))
                self._num_taken += len(batch)
            is_last = self._num_taken == len(self._samples)
            for pictures in stages.advance(self.batch_size, ended=ended and is_last):
                first = self._samples[0].output
                for picture in from_batch(pictures, first):
                    made.append((self._samples.popleft(), picture))
                    self._num_taken -= 1
            if is_last:
                break

    def _make_stages(self, sample: Sample) -> ShotStages:
        settings = self.settings
        height, width = sample.guide.shape[:2]
        grid = grid_size(height, width)[::-1]
        tracker = BatchTracker(settings, self._flow, (height, width), grid, self._levels, inverts=True)
        full = 255 if sample.output.dtype in (np.uint8, torch.uint8) else 65535
        self.batch_size = min(self.batch_size, affordable_batch(height, width, self.radius, self._device))
        return ShotStages(settings, tracker, (height, width), full, self._device)


def needed_bytes(height: int, width: int, radius: int, batch_size: int) -> int:
    """Return the filter's peak memory in bytes, without the flow method.

    Measured at the finest grid, half of the picture's size; with coarser grids it is less.
    """
    return height * width * (280 * batch_size + 400 + 75 * radius)


def affordable_batch(height: int, width: int, radius: int, device: torch.device) -> int:
    """Return the largest batch size that fits half of the free memory of a CUDA GPU; else ``BATCH``."""
    if device.type != "cuda":
        return BATCH
    free = torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    fitting = [n for n in range(1, BATCH + 1) if needed_bytes(height, width, radius, n) <= free / 2]
    return max(fitting, default=1)
