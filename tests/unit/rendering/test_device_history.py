"""A recurrent model's history on a device is that of the CPU, along the same flow."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from clips import moving_frames

from vidtrans.core.concurrency.transfers import as_bits
from vidtrans.inference.device import CPU
from vidtrans.inference.device_pixels import levels
from vidtrans.rendering.device_history import DeviceHistory
from vidtrans.rendering.recurrence import RecurrentHistory
from vidtrans.temporal.stream import Sample

FRAMES = moving_frames(4)
SHAPE = FRAMES[0].shape


def outputs(depth: int) -> list[np.ndarray]:
    rng, top = np.random.default_rng(1), 2**depth
    return [rng.integers(0, top, SHAPE).astype(np.uint8 if depth == 8 else np.uint16) for _ in FRAMES]


@pytest.mark.parametrize(("flow", "depth", "seen"), [("dis-torch", 8, 8), ("dis-torch", 16, 16), ("farneback", 16, 8)])
def test_a_history_is_that_of_arrays(flow: str, depth: int, seen: int) -> None:
    """Through a shot's start, motion, a frame that repeats, and another shot."""
    host, device = RecurrentHistory(flow), DeviceHistory(flow, CPU)
    guides = [*FRAMES[:3], FRAMES[2], FRAMES[3]]
    for number, (guide, output) in enumerate(zip(guides, [*outputs(depth), outputs(depth)[0]], strict=True)):
        starts = number in {0, 4}
        shown = guide if seen == 8 else guide.astype(np.uint16) * np.uint16(257)
        on_host = Sample(number, number, guide, output, starts)
        on_device = Sample(number, number, torch.from_numpy(guide), as_bits(output), starts)
        wanted = host.with_history(shown, on_host)
        made = device.with_history(levels(as_bits(shown))[None], on_device)[0].numpy()
        assert made.shape == (*SHAPE[:2], 7)
        assert np.array_equal(made[..., :3], wanted[..., :3])
        step = 1 if wanted.dtype == np.uint8 else 257
        apart = np.abs(made.astype(int) - wanted) / step
        # What a frame shows elsewhere is rounded to whole levels before it is compared: single places differ.
        assert np.mean(apart > 1.01) < 0.002
        assert apart.mean() < 0.05
        host.keep(on_host)
        device.keep(on_device)
