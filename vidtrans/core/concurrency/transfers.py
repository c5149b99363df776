"""Copies of pictures between the host and a device. On a GPU of CUDA they run beside what is computed there.

What is computed on the device runs on its current stream, a copy on a stream of its own. One waits for the other where
it must, on the device, while the host goes on. Beside ``inference.cuda_graphs`` renders know of streams here only.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


class Upload:
    """A picture on its way to a device. ``source`` is the picture: (H, W, C) uint8 or uint16."""

    def __init__(self, source: np.ndarray, tensor: Tensor) -> None:
        self.source, self._tensor = source, tensor

    def wait(self) -> Tensor:
        """Return it there, uint8, or uint16 as int16 of its bits; what is computed from now on sees it whole."""
        return self._tensor


class Download:
    """A picture on its way to the host."""

    def __init__(self, tensor: Tensor) -> None:
        self._tensor = tensor

    def wait(self) -> np.ndarray:
        """Return it, uint8, or uint16 where the device had int16, as soon as it has arrived."""
        return from_bits(self._tensor)


class Transfers:
    """Copies to a device and back, at once: for devices that have no streams."""

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def upload(self, picture: np.ndarray) -> Upload:
        """Send a picture, uint8 or uint16, which nobody changes any more."""
        return Upload(picture, as_bits(picture).to(self._device))

    def download(self, tensor: Tensor) -> Download:
        """Fetch what is computed into a tensor, uint8 or int16, which nobody changes any more."""
        return Download(tensor)


def transfers_for(device: torch.device) -> Transfers:
    """Return what copies to a device and back."""
    return StreamTransfers(device) if device.type == "cuda" else Transfers(device)


def as_bits(picture: np.ndarray) -> Tensor:
    """Return a picture as a tensor on the host, of the same memory where it can be; uint16 as int16 of its bits."""
    picture = np.require(picture, requirements=["C", "W"])
    return torch.from_numpy(picture.view(np.int16) if picture.dtype == np.uint16 else picture)


def from_bits(bits: Tensor) -> np.ndarray:
    """Return pictures that ``as_bits`` gave to a device, uint8 or uint16, on the host."""
    picture: np.ndarray = bits.cpu().numpy()
    return picture.view(np.uint16) if picture.dtype == np.int16 else picture


class StreamTransfers(Transfers):
    """Copies on streams of a GPU, from and to pinned memory, which torch keeps until they are done. For any thread."""

    def __init__(self, device: torch.device) -> None:
        super().__init__(device)
        self._up, self._down = torch.cuda.Stream(device), torch.cuda.Stream(device)

    def upload(self, picture: np.ndarray) -> Upload:
        """Send a picture; it may change as soon as this returns."""
        with torch.cuda.stream(self._up):  # which chooses the device, for pinned memory too
            pinned = as_bits(picture).pin_memory()
            tensor = pinned.to(self._device, non_blocking=True)
            return _StreamUpload(picture, tensor, self._up.record_event())

    def download(self, tensor: Tensor) -> Download:
        """Fetch a tensor once what was launched so far has computed it."""
        computed = torch.cuda.current_stream(self._device).record_event()
        with torch.cuda.stream(self._down):
            pinned = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
            self._down.wait_event(computed)
            pinned.copy_(tensor, non_blocking=True)
            tensor.record_stream(self._down)  # its memory is not given to others before the copy is done
            arrived = torch.cuda.Event(blocking=True)  # the thread that waits sleeps
            arrived.record(self._down)
        return _StreamDownload(pinned, arrived)


class _StreamUpload(Upload):
    def __init__(self, source: np.ndarray, tensor: Tensor, arrived: torch.cuda.Event) -> None:
        super().__init__(source, tensor)
        self._arrived = arrived

    def wait(self) -> Tensor:
        """Let the current stream wait for the copy, and keep the memory as long as that stream uses it."""
        stream = torch.cuda.current_stream(self._tensor.device)
        stream.wait_event(self._arrived)
        self._tensor.record_stream(stream)
        return self._tensor


class _StreamDownload(Download):
    def __init__(self, pinned: Tensor, arrived: torch.cuda.Event) -> None:
        super().__init__(pinned)
        self._arrived = arrived

    def wait(self) -> np.ndarray:
        """Sleep until the copy is done."""
        self._arrived.synchronize()
        return super().wait()
