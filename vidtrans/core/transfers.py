"""Copies of pictures between host and device. On a CUDA GPU they run in parallel with computations.

Computations run on the device's current stream, copies on two other streams. Streams wait for each other on the device,
while the host continues. Only this module and ``inference.cuda_graphs`` use streams.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


class Upload:
    """A running copy of a picture to a device. ``source``: the picture, (H, W, C) uint8 or uint16.

    ``tensor``: the picture on the device, uint8, or the bits of uint16 as int16.
    """

    def __init__(self, source: np.ndarray, tensor: Tensor) -> None:
        self.source, self._tensor = source, tensor

    def wait(self) -> Tensor:
        """Return the picture on the device, uint8, or the bits of uint16 as int16.

        Later computations wait for the copy.
        """
        return self._tensor


class Download:
    """A running copy of a picture from the device to the host.

    ``tensor``: the picture, uint8, or the bits of uint16 as int16.
    """

    def __init__(self, tensor: Tensor) -> None:
        self._tensor = tensor

    def wait(self) -> np.ndarray:
        """Wait for the copy and return the picture, uint8, or uint16 from the bits of an int16 tensor."""
        return from_bits(self._tensor)


class Transfers:
    """A copier of pictures between host and device. Each copy is finished on return: there are no CUDA streams."""

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def upload(self, picture: np.ndarray) -> Upload:
        """Start to copy a picture, (H, W, C) uint8 or uint16, to the device; do not change its array afterwards."""
        return Upload(picture, as_bits(picture).to(self._device))

    def download(self, tensor: Tensor) -> Download:
        """Start to copy a tensor, uint8 or int16, to the host; do not change the tensor afterwards."""
        return Download(tensor)


def transfers_for(device: torch.device) -> Transfers:
    """Return the copier for a device: with GPU streams for CUDA, otherwise without."""
    return StreamTransfers(device) if device.type == "cuda" else Transfers(device)


def as_bits(picture: np.ndarray) -> Tensor:
    """Return a picture as a tensor on the host, sharing its memory if possible; the bits of uint16 become int16."""
    picture = np.require(picture, requirements=["C", "W"])
    return torch.from_numpy(picture.view(np.int16) if picture.dtype == np.uint16 else picture)


def from_bits(bits: Tensor) -> np.ndarray:
    """Convert a tensor of ``as_bits``, on any device, to an array, uint8 or uint16."""
    picture: np.ndarray = bits.cpu().numpy()
    return picture.view(np.uint16) if picture.dtype == np.int16 else picture


class StreamTransfers(Transfers):
    """A copier of pictures on two CUDA streams, one for each direction, through pinned memory.

    torch keeps the pinned memory until a copy is done. Thread-safe, and used on CUDA GPUs.
    """

    def __init__(self, device: torch.device) -> None:
        super().__init__(device)
        self._up, self._down = torch.cuda.Stream(device), torch.cuda.Stream(device)

    def upload(self, picture: np.ndarray) -> Upload:
        """Start to copy a picture to the GPU; its array may be changed afterwards."""
        with torch.cuda.stream(self._up):  # The stream selects the device, for pinned memory, too.
            pinned = as_bits(picture).pin_memory()
            tensor = pinned.to(self._device, non_blocking=True)
            return _StreamUpload(picture, tensor, self._up.record_event())

    def download(self, tensor: Tensor) -> Download:
        """Start to copy a tensor to the host; the copy begins after the computations launched so far."""
        computed = torch.cuda.current_stream(self._device).record_event()
        with torch.cuda.stream(self._down):
            pinned = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
            self._down.wait_event(computed)
            pinned.copy_(tensor, non_blocking=True)
            tensor.record_stream(self._down)  # The tensor's memory is not reused before the copy is done.
            arrived = torch.cuda.Event(blocking=True)  # A waiting thread sleeps instead of spinning.
            arrived.record(self._down)
        return _StreamDownload(pinned, arrived)


class _StreamUpload(Upload):
    """A running copy of a picture to the GPU. ``arrived``: the CUDA event at its end."""

    def __init__(self, source: np.ndarray, tensor: Tensor, arrived: torch.cuda.Event) -> None:
        super().__init__(source, tensor)
        self._arrived = arrived

    def wait(self) -> Tensor:
        """Make the current stream wait for the copy, and keep the memory while that stream uses it."""
        stream = torch.cuda.current_stream(self._tensor.device)
        stream.wait_event(self._arrived)
        self._tensor.record_stream(stream)
        return self._tensor


class _StreamDownload(Download):
    """A running copy of a picture from the GPU. ``arrived``: the CUDA event at its end."""

    def __init__(self, pinned: Tensor, arrived: torch.cuda.Event) -> None:
        super().__init__(pinned)
        self._arrived = arrived

    def wait(self) -> np.ndarray:
        """Sleep until the copy is done, then return the picture."""
        self._arrived.synchronize()
        return super().wait()
