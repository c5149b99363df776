"""Upload of batches as uint8 to the device, where they are converted to [−1, 1], and augmented unless already done.

On a GPU a background thread uploads the next batches during a training step. Jitter, crop and flip follow the loader's
random draws, as in ``data.augment``. Crops and flips give the same pixels as on the CPU; enlargements are bicubic as
OpenCV's, but in floating point, and may differ by one level, because OpenCV rounds in fixed-point arithmetic.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from vidtrans.core.threads import Prefetcher
from vidtrans.data.augment import Geometry
from vidtrans.data.loading import TrainingBatch
from vidtrans.inference.device import Device, to_device

MAX_PREFETCHED_BATCHES = 2  # Maximum number of uploaded batches that wait for their training step.


@dataclass(frozen=True)
class DeviceBatch:
    """A batch on the device: ``inputs`` (N, C, H, W) and ``targets`` (N, 3, H, W), float32 in [−1, 1].

    ``weights``: pixel weights, (N, 1, H, W). ``ready``: on CUDA, the event that marks the end of the upload.
    """

    inputs: Tensor
    targets: Tensor
    weights: Tensor | None
    ready: torch.cuda.Event | None = None

    def wait(self) -> None:
        """Make the current CUDA stream wait for this batch's upload, which uses a stream of its own."""
        if self.ready is None:
            return
        stream = torch.cuda.current_stream(self.inputs.device)
        stream.wait_event(self.ready)
        for tensor in (self.inputs, self.targets, self.weights):
            if tensor is not None:
                tensor.record_stream(stream)


def upload(batch: TrainingBatch, device: Device) -> DeviceBatch:
    """Upload a batch and convert it to [−1, 1]; if it is ``whole`` (not yet augmented), augment it on the device.

    The arrays in host memory may be overwritten afterwards.
    """
    inputs, targets = (to_device(torch.from_numpy(planes), device) for planes in (batch.inputs, batch.targets))
    if batch.whole:
        geometries = [example.geometry for example in batch.examples]
        # Inputs and targets are concatenated, so that both get the same transform.
        pictures = transform(torch.cat([inputs, targets], dim=1), geometries)
        inputs, targets = pictures[:, : inputs.shape[1]], pictures[:, inputs.shape[1] :]
    weights = None if batch.weights is None else to_device(torch.from_numpy(batch.weights), device)
    return DeviceBatch(_to_signed(inputs), _to_signed(targets), weights)


def _to_signed(planes: Tensor) -> Tensor:
    """Convert uint8 pictures to float32 in [−1, 1], bit-identical to ``signed_planes`` on a CPU; keep float32."""
    return planes.to(torch.float32).div_(127.5).sub_(1) if planes.dtype == torch.uint8 else planes


def uploads(batches: Iterator[TrainingBatch], device: Device) -> Iterator[DeviceBatch]:
    """Yield batches on the device; on a GPU a background thread uploads them in advance."""
    if device.kind != "cuda":
        yield from (upload(batch, device) for batch in batches)
        return
    uploaded = Prefetcher(_uploads_on_stream(batches, device), MAX_PREFETCHED_BATCHES, "uploads")
    try:
        for batch in uploaded:
            batch.wait()
            yield batch
    finally:
        uploaded.close()


def _uploads_on_stream(batches: Iterator[TrainingBatch], device: Device) -> Generator[DeviceBatch, None, None]:
    """Yield batches uploaded on a separate CUDA stream, each with the event that marks its completion."""
    stream = torch.cuda.Stream(device.torch) if device.torch.type == "cuda" else None
    for batch in batches:
        with torch.cuda.stream(stream) if stream else nullcontext():
            result = upload(batch, device)
            ready = stream.record_event() if stream else None
        yield DeviceBatch(result.inputs, result.targets, result.weights, ready)


def transform(pictures: Tensor, geometries: Sequence[Geometry]) -> Tensor:
    """Augment (N, C, H, W) uint8 to (N, C, crop height, crop width) uint8, with one geometry per picture.

    All geometries have the same sizes; they differ in position and mirroring. Their ``motion`` is ignored.
    """
    first = geometries[0]
    pictures = _enlarge(pictures, first.scaled)
    values = torch.tensor([(g.y, g.x, g.mirrored) for g in geometries], device=pictures.device)
    y, x, mirrored = values.unsqueeze(2).unbind(1)  # (N, 1) each
    width, height = first.crop
    columns = torch.arange(width, device=pictures.device)
    columns = x + torch.where(mirrored > 0, width - 1 - columns, columns)
    rows = y + torch.arange(height, device=pictures.device)
    rows, columns = _reflect(rows, pictures.shape[2]), _reflect(columns, pictures.shape[3])
    number = torch.arange(len(pictures), device=pictures.device)[:, None, None]
    crops = pictures.permute(0, 2, 3, 1)[number, rows[:, :, None], columns[:, None, :]]
    return crops.permute(0, 3, 1, 2).contiguous()


def _reflect(indices: Tensor, length: int) -> Tensor:
    """Mirror pixel indices ≥ ``length`` back into a picture of ``length`` pixels; its last pixel is repeated."""
    indices = indices % (2 * length)
    return torch.minimum(indices, 2 * length - 1 - indices)


def _enlarge(pictures: Tensor, size: tuple[int, int]) -> Tensor:
    """Enlarge (N, C, H, W) uint8 to ``size`` (width, height), bicubic as in ``video.images.picture.resize``."""
    width, height = size
    if tuple(pictures.shape[2:]) == (height, width):
        return pictures
    enlarged = F.interpolate(pictures.to(torch.float32), (height, width), mode="bicubic", align_corners=False)
    return enlarged.round_().clamp_(0, 255).to(torch.uint8)
