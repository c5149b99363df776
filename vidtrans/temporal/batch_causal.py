"""The causal filter in torch, for frames on a GPU: the arithmetic of the module ``causal``, in batches of one frame."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F

from vidtrans.core.transfers import from_bits
from vidtrans.flow.warping import grid_size
from vidtrans.temporal.batch_motion import (
    BACKWARD,
    FLOW,
    POSITIONS,
    TRUST,
    BatchDetail,
    BatchFlow,
    BatchTracker,
    apply_corrections,
    evenness,
    load_batch_flow,
    low_correction,
    write_picture,
)
from vidtrans.temporal.settings import CausalSettings
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
    shrink,
    to_batch,
    write_positions,
)


class BatchCausalFilter:
    """The filter of ``--temporal causal`` for frames on a GPU.

    Each frame starts a shot or follows the previous frame. The class is a ``BatchFilter`` with batches of one frame,
    and a ``RecursiveFilter``.
    """

    radius = 0
    Settings = CausalSettings

    def __init__(self, settings: CausalSettings, device: str = "cpu", *, flow: BatchFlow | None = None) -> None:
        """``flow``: a function that replaces the method ``settings.flow``; it takes the same pictures, grey or RGB."""
        self.settings = settings
        self._device = torch.device(device)
        self._flow = flow or load_batch_flow(settings.flow, self._device)
        self._stages: _Stages | None = None

    def begin(self) -> None:
        """Do nothing: the first frame of a shot replaces the state, and a state from ``resume`` must remain."""

    def flush(self) -> list[tuple[Sample, Picture]]:
        """Return no frames, because ``push`` returns each frame at once."""
        return []

    @torch.inference_mode()
    def push(self, sample: Sample) -> list[tuple[Sample, Picture]]:
        """Filter the next frame; return it with its picture."""
        guide, output = (to_batch([part], self._device) for part in (sample.guide, sample.output))
        stages = self._stages
        if stages is None or sample.starts_shot or stages.guide.shape != guide.shape:
            self._stages = _Stages(self.settings, self._flow, guide, output)
            return [(sample, sample.output)]
        (picture,) = from_batch(stages.advance(guide, output), sample.output)
        return [(sample, picture)]

    def state(self) -> Mapping[str, np.ndarray]:
        """Return the last frame, the running mean, (H, W, 4), and the number of frames in the mean, (h, w)."""
        if self._stages is None:
            return {}
        stages = self._stages
        (output,) = from_bits(stages.output.contiguous())
        (guide,) = from_bits(stages.guide.contiguous())
        mean, count = (part[0].cpu().numpy() for part in (stages.mean, stages.count))
        return {"guide": guide, "output": output, "mean": mean.transpose(1, 2, 0).copy(), "count": count[0]}

    @torch.inference_mode()
    def resume(self, state: Mapping[str, np.ndarray]) -> None:
        """Restore a state that ``state`` returned."""
        self._stages = None
        if state:
            guide, output = (to_batch([state[part]], self._device) for part in ("guide", "output"))
            self._stages = _Stages(self.settings, self._flow, guide, output)
            self._stages.mean = torch.from_numpy(state["mean"]).to(self._device).permute(2, 0, 1)[None].contiguous()
            self._stages.count = torch.from_numpy(state["count"]).to(self._device)[None, None]


class _Stages:
    """The state of the causal filter within a shot: buffers of the last frame, the running mean, and its count.

    The buffers hold the flow's input, the guide on the grid, the motion, the luma bands and their energy. ``guide``
    and ``output`` are the first frame, (1, H, W, 3) each.
    """

    def __init__(self, settings: CausalSettings, flow: BatchFlow, guide: torch.Tensor, output: torch.Tensor) -> None:
        self._settings, self.full = settings, 255 if output.dtype == torch.uint8 else 65535
        self._size: Size = tuple(output.shape[1:3])  # type: ignore[assignment]
        self._grid: Size = grid_size(*self._size)[::-1]
        self._tracker = BatchTracker(settings, flow, self._size, self._grid, 1, inverts=False)
        self._detail = BatchDetail(settings, self._size, self._grid, [1])
        device = output.device
        padded = (4, self._size[0] + 2, self._size[1] + 2)
        self._buffers = {
            **self._tracker.buffers(device),
            "bands": RollingBuffer(*padded, device=device),
            "energy": RollingBuffer(2, *self._detail.half, device=device),
        }
        self.mean = self._add(guide, output)
        self.count = torch.ones((1, 1, *self._grid), device=device)

    def _add(self, guide: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
        """Add a frame to the buffers; return it as (1, 4, H, W) in [0, 1]: the output's RGB and the guide's luma."""
        self.guide, self.output = guide, output
        picture = torch.empty((1, 4, *self._size), device=output.device)
        prepared, on_grid = write_picture(self._tracker, guide, output, picture)
        bands = self._buffers["bands"].reserve(1)
        self._detail.split(picture, interior(bands))
        repeat_border(bands)
        parts = {"prepared": prepared, "guide": on_grid, "energy": self._detail.energy(interior(bands))}
        for name, part in parts.items():
            self._buffers[name].append(part)
        self._buffers["bands"].commit(1)
        return picture

    def advance(self, guide: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
        """Filter the next frame; return its picture, (1, H, W, 3) of the output's dtype."""
        buffers, settings = self._buffers, self._settings
        here = self._add(guide, output)
        at = slice(buffers["bands"].stop - 1, buffers["bands"].stop)
        last_two = slice(at.start - 1, at.stop)
        motions = buffers["motion 1"].reserve(1)
        self._tracker.write_first(buffers["prepared"][last_two], buffers["guide"][last_two], motions)
        buffers["motion 1"].commit(1)
        backward = motions[:, BACKWARD]
        count = sample_along(self.count, backward[:, POSITIONS]).mul_(
            (backward[:, TRUST] * evenness(backward))[:, None]
        )
        positions = grow(backward[:, FLOW] * ratio(self._grid, self._size, backward.device), self._size)
        write_positions(positions, positions)
        before = F.grid_sample(
            self.mean, positions.permute(0, 2, 3, 1), "bicubic", padding_mode="border", align_corners=True
        )
        self.mean = torch.lerp(here, before, grow(count / (count + 1), self._size))
        self.count = (count + 1).clamp_(max=settings.history)
        changes = self._detail.changes(buffers["bands"], buffers["energy"], {1: buffers["motion 1"]}, at)
        fine = here.new_empty((1, 3, *self._size))
        low_change = self._detail.correct(here, self.mean, None, interior(buffers["bands"][at]), changes, fine)
        small = shrink(here, self._grid)
        low_change[:, :3].sub_(small[:, :3])
        change = shrink(self.mean, self._grid).sub_(small)
        low = low_correction(change, (count / max(1, settings.history - 1)).clamp_(0, 1), low_change[:, 3:])
        for buffer in buffers.values():
            buffer.drop(at.start)
        return apply_corrections(output, low, low_change[:, :3], fine, settings)
