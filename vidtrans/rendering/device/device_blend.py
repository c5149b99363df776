"""Blend source and look where both lie on a GPU at the size of the result: the source is not read a second time.

The arithmetic is that of ``directing.FrameBlend``, in the same order in float32: the same bits.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vidtrans.clips.aligned_clip import MatteReader
from vidtrans.core.concurrency.transfers import Transfers
from vidtrans.inference.device_pixels import levels, to_bits
from vidtrans.rendering.directing import FrameBlend
from vidtrans.rendering.plan import RenderPlan
from vidtrans.temporal.stream import Sample


class DeviceBlend:
    """Blends frames, given in order, of samples that have their source there. Close it."""

    def __init__(self, plan: RenderPlan, transfers: Transfers) -> None:
        self._directions, self._transfers = plan.directions, transfers
        feather = plan.rendering.mask_feather
        self._mattes: MatteReader | None = plan.mask.mattes(plan.size, plan.threads, feather) if plan.mask else None

    @torch.inference_mode()
    def __call__(self, sample: Sample, picture: Tensor) -> Tensor:
        """Return the frame of the result from the filtered picture; both (H, W, 3) uint8, or int16 of uint16's bits."""
        matte = self._mattes(sample.index) if self._mattes else None
        there = None if matte is None else self._transfers.upload(matte).wait()
        source, sample.source = sample.source, None  # it is large
        return blend(self._directions(sample.index), source, picture, there)

    def close(self) -> None:
        """Close the mask's file."""
        if self._mattes is not None:
            self._mattes.close()


def blend(values: FrameBlend, source: Tensor, look: Tensor, matte: Tensor | None) -> Tensor:
    """Blend source and look, (H, W, 3) uint8, or int16 of uint16's bits, as ``FrameBlend`` does without colours kept.

    ``matte``: (H, W) uint8, white where the look is.
    """
    if values == FrameBlend() and matte is None:
        return look
    full = 255 if look.dtype == torch.uint8 else 65535
    frame = levels(source).to(torch.float32)
    blended = (frame + values.strength * (levels(look).to(torch.float32) - frame)).clamp_(0, full)
    share: Tensor | float = 1 - values.mix
    if matte is not None:
        share = (matte.to(torch.float32) * (share / 255))[..., None]
    return to_bits((frame + share * (blended - frame)).round_(), look.dtype)
