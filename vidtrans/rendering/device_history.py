"""What a recurrent model knows of the frame before it, on a GPU: the arithmetic of ``flow.history``, in torch."""

from __future__ import annotations

import torch
from torch import Tensor

from vidtrans.flow import FLOWS
from vidtrans.flow.history import CHANNELS, SLACK, TOLERANCE
from vidtrans.flow.tensors import warp
from vidtrans.rendering.device_pixels import levels
from vidtrans.temporal.batch_tracking import load_batch_flow
from vidtrans.temporal.stream import Sample
from vidtrans.temporal.tensor_operations import grey_levels, planes


class DeviceHistory:
    """Holds the last sample of a shot, whose guide and output are tensors on the device.

    ``flow``: the method that the model was taught with; what takes its place on a GPU estimates it. Raises UsageError
    where that is not installed.
    """

    def __init__(self, flow: str, device: torch.device) -> None:
        name = FLOWS[flow].on_gpu or flow
        self._estimate, self._takes = load_batch_flow(name, device), FLOWS[name].takes
        self._last: Sample | None = None

    def with_history(self, model_input: Tensor, sample: Sample) -> Tensor:
        """Append the history to the input of ``sample``, (1, H, W, C) uint8, or int32 of uint16: C + 4 channels.

        The result is int32 where the last output has 16 bits.
        """
        last = self._last
        if last is None or sample.starts_shot or last.guide.shape != sample.guide.shape:
            grey = 128 if model_input.dtype == torch.uint8 else 128 * 257
            nothing = model_input.new_full((*model_input.shape[:3], CHANNELS), grey)
            nothing[..., -1] = 0
            return torch.cat((model_input, nothing), dim=3)
        full, output = (255, last.output) if last.output.dtype == torch.uint8 else (65535, levels(last.output))
        if full > 255 and model_input.dtype == torch.uint8:
            model_input = model_input.to(torch.int32) * 257
        flow, confidence = self._backward(last.guide, sample.guide)
        picture = output[None].permute(0, 3, 1, 2).float().div_(full / 2).sub_(1)
        moved = warp(picture, flow, bicubic=True).mul_(confidence).clamp_(-1, 1)
        past = torch.cat((moved, confidence * 2 - 1), dim=1).permute(0, 2, 3, 1)
        top = 255 if model_input.dtype == torch.uint8 else 65535
        return torch.cat((model_input, past.add(1).mul_(top / 2).round_().to(model_input.dtype)), dim=3)

    def keep(self, sample: Sample) -> None:
        """Store the output that the next frame's history is computed from."""
        self._last = sample

    def _backward(self, before: Tensor, here: Tensor) -> tuple[Tensor, Tensor]:
        """Return the flow from a frame to the one before it, (1, 2, H, W), and the confidence in it, (1, 1, H, W).

        Both are (H, W, 3) uint8. ``BackwardFlowEstimator`` tells what they are.
        """
        guides = planes(torch.stack((before, here))).float()
        pictures = grey_levels(guides)[:, None] if self._takes == "grey" else guides
        there, back = self._estimate(pictures, pictures.flip(0)).mul(torch.any(before != here)).split(1)
        returned = warp(there, back)
        lengths = back.square().sum(1, keepdim=True) + returned.square().sum(1, keepdim=True)
        scale = 0.01 * lengths + SLACK
        agreed = scale / (scale + (back + returned).square().sum(1, keepdim=True)) * _inside(back)
        there_now = warp(guides[:1], back).round_()
        distance = (guides[1:] - there_now).square_().sum(1, keepdim=True)
        return back, agreed * distance.mul_(-0.5 / (TOLERANCE * 255) ** 2).exp_()


def _inside(flow: Tensor) -> Tensor:
    """Return where p + flow(p) is within the picture, or at most half a pixel outside: (N, 1, H, W) bool."""
    height, width = flow.shape[-2:]
    x = flow[:, :1] + torch.arange(width, device=flow.device)
    y = flow[:, 1:] + torch.arange(height, device=flow.device)[:, None]
    return (x >= -0.5) & (x <= width - 0.5) & (y >= -0.5) & (y <= height - 0.5)
