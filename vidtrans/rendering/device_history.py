"""The motion-compensated previous output as input of a recurrent model: ``flow.history`` in torch on a GPU.

All render paths on an Nvidia GPU use this module, so that one path can resume from the stored outputs of another.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from vidtrans.core.errors import DeviceError, is_out_of_memory
from vidtrans.core.machine import release_cached_memory
from vidtrans.core.settings import Table
from vidtrans.core.transfers import as_bits
from vidtrans.flow import FLOWS
from vidtrans.flow.history import CHANNELS, SLACK, TOLERANCE
from vidtrans.flow.tensors import warp
from vidtrans.inference.device import Device
from vidtrans.inference.device_pixels import bits_to_levels
from vidtrans.temporal.batch_motion import load_batch_flow
from vidtrans.temporal.stream import Sample
from vidtrans.temporal.tensor_operations import grey_levels, planes

DEVICE_VERSION = 1  # Version of this module's arithmetic and of the flow method dis-torch, for cache keys


def device_key(flow: str, device: Device) -> Table:
    """Return the device properties that affect the history of a recurrent model, for cache keys. Raises UsageError."""
    return {"on_device": DEVICE_VERSION, "found_by": FLOWS[_on_device(flow)].identity_on(device.kind)}


def _on_device(flow: str) -> str:
    """Return the name of the flow method that replaces the method ``flow`` on a GPU."""
    return FLOWS[flow].on_gpu or flow


class DeviceHistory:
    """The history of a recurrent model on a GPU: the last output, warped along the motion to the next frame.

    The ``guide`` (the source frame) and ``output`` of samples are tensors on the device. ``flow``: the flow method
    that the model was trained with; its GPU version estimates the motion. Raises UsageError if it is not installed.
    """

    def __init__(self, flow: str, device: Device) -> None:
        name = _on_device(flow)
        self._device = device
        self._estimate, self._takes = load_batch_flow(name, device.torch), FLOWS[name].takes
        self._last: Sample | None = None

    def with_history(self, model_input: Tensor, sample: Sample) -> Tensor:
        """Append the history (warped RGB, confidence) to the input of ``sample``: (1, H, W, C) → (1, H, W, C + 4).

        Pictures are uint8, or uint16 stored as int32. The result is int32 if the last output has 16 bits. Raises
        DeviceError if memory does not suffice.
        """
        for is_second_try in (False, True):
            try:
                return self._with_history(model_input, sample)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                if is_second_try:
                    why, remedy = "out of memory for the motion of one frame", "use a smaller size, or the CPU"
                    raise DeviceError(self._device.name, why, remedy) from error
            release_cached_memory(self._device.kind)
        raise AssertionError

    def _with_history(self, model_input: Tensor, sample: Sample) -> Tensor:
        """Append the history to the network's input as ``with_history`` does, but without a second try."""
        last = self._last
        if last is None or sample.starts_shot or last.guide.shape != sample.guide.shape:
            grey = 128 if model_input.dtype == torch.uint8 else 128 * 257
            nothing = model_input.new_full((*model_input.shape[:3], CHANNELS), grey)
            nothing[..., -1] = 0
            return torch.cat((model_input, nothing), dim=3)
        full, output = (255, last.output) if last.output.dtype == torch.uint8 else (65535, bits_to_levels(last.output))
        if full > 255 and model_input.dtype == torch.uint8:
            model_input = model_input.to(torch.int32) * 257
        flow, confidence = self._backward_flow(last.guide, sample.guide)
        picture = output[None].permute(0, 3, 1, 2).float().div_(full / 2).sub_(1)
        has_motion = warp(picture, flow, bicubic=True).mul_(confidence).clamp_(-1, 1)
        past = torch.cat((has_motion, confidence * 2 - 1), dim=1).permute(0, 2, 3, 1)
        top = 255 if model_input.dtype == torch.uint8 else 65535
        return torch.cat((model_input, past.add(1).mul_(top / 2).round_().to(model_input.dtype)), dim=3)

    def keep(self, sample: Sample) -> None:
        """Store a sample, from whose output the next frame's history is computed."""
        self._last = sample

    def _backward_flow(self, before: Tensor, here: Tensor) -> tuple[Tensor, Tensor]:
        """Return the flow from frame ``here`` to frame ``before``, (1, 2, H, W), and its confidence, (1, 1, H, W).

        Both frames are (H, W, 3) uint8. ``BackwardFlowEstimator`` defines flow and confidence.
        """
        guides = planes(torch.stack((before, here))).float()
        pictures = grey_levels(guides)[:, None] if self._takes == "grey" else guides
        has_motion = torch.any(pictures[0] != pictures[1])  # Between equal pictures the flow must be exactly zero
        forward, backward = self._estimate(pictures, pictures.flip(0)).mul(has_motion).split(1)
        forward_at_target = warp(forward, backward)
        lengths = backward.square().sum(1, keepdim=True) + forward_at_target.square().sum(1, keepdim=True)
        scale = 0.01 * lengths + SLACK
        consistency = (
            scale / (scale + (backward + forward_at_target).square().sum(1, keepdim=True)) * _inside_mask(backward)
        )
        warped_before = warp(guides[:1], backward).round_()
        distance = (guides[1:] - warped_before).square_().sum(1, keepdim=True)
        return backward, consistency * distance.mul_(-0.5 / (TOLERANCE * 255) ** 2).exp_()


def _inside_mask(flow: Tensor) -> Tensor:
    """Return a mask, (N, 1, H, W) bool: true at p if p + flow(p) is at most half a pixel outside the picture."""
    height, width = flow.shape[-2:]
    x = flow[:, :1] + torch.arange(width, device=flow.device)
    y = flow[:, 1:] + torch.arange(height, device=flow.device)[:, None]
    return (x >= -0.5) & (x <= width - 0.5) & (y >= -0.5) & (y <= height - 0.5)


class ArrayDeviceHistory:
    """A ``DeviceHistory`` for samples whose pictures are numpy arrays."""

    def __init__(self, flow: str, device: Device) -> None:
        self._history, self._device = DeviceHistory(flow, device), device

    @torch.inference_mode()
    def with_history(self, model_input: np.ndarray, sample: Sample) -> np.ndarray:
        """Append the history (warped RGB, confidence) to the input of ``sample``, (H, W, C): (H, W, C + 4).

        Pictures are uint8 or uint16.
        """
        input_levels = bits_to_levels(self._upload(model_input))[None]
        result = self._history.with_history(input_levels, self._on_device(sample, sample.guide))[0]
        return result.cpu().numpy().astype(np.uint8 if result.dtype == torch.uint8 else np.uint16)

    def keep(self, sample: Sample) -> None:
        """Store a sample, from whose output the next frame's history is computed."""
        self._history.keep(self._on_device(sample, sample.output))

    def _on_device(self, sample: Sample, output: np.ndarray) -> Sample:
        """Return the sample with tensors on the device: its guide, and ``output`` in place of its own output."""
        guide = self._upload(sample.guide)
        return Sample(sample.index, sample.pts, guide, self._upload(output), sample.starts_shot)

    def _upload(self, picture: np.ndarray) -> Tensor:
        """Return a picture as a tensor on the device, (H, W, C) uint8, or int16 with the bits of uint16."""
        return as_bits(picture).to(self._device.torch)
