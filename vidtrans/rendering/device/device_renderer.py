"""Render frames whose pictures stay on a GPU, from the reader to the encoder.

A frame is uploaded once, as the 8 or 16 bits that it has, while the network paints an earlier one. Where the pairing
has a tensor form, the network's input is made of it there; otherwise the CPU makes the input, and it is uploaded, lines
as one channel. Outputs stay where they are for the filter, and are downloaded as bits while what follows is computed.

What works in numpy keeps to the way of the CPU: drafts, inputs that are compared with a tolerance, filters without a
form for batches. The pictures are the same, bit for bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from vidtrans.core.concurrency.transfers import Download, Transfers, Upload, transfers_for
from vidtrans.inference.device_pixels import eight_bits, levels
from vidtrans.inference.torch_engine import TorchEngine
from vidtrans.pairing.base import Pairing
from vidtrans.rendering.batching import BatchQueue, RenderCount
from vidtrans.rendering.device.device_blend import DeviceBlend
from vidtrans.rendering.device_history import DeviceHistory
from vidtrans.rendering.frame_renderer import FrameRenderer, ModelInputs, PreparedFrame
from vidtrans.rendering.plan import RenderPlan
from vidtrans.rendering.recurrence import Recurrence
from vidtrans.temporal.stream import Sample
from vidtrans.video.io.clip import Frame

Uploads = tuple[Upload, ...]  # of the pictures that an input is made of


class DeviceRenderer(FrameRenderer):
    """A ``FrameRenderer`` whose samples have ``guide`` and ``output`` as tensors on the engine's device.

    They are (H, W, 3) uint8; an output of 16 bits is int16 of the same bits. What is computed of them belongs to the
    device's current stream.

    Args:
        inputs: makes the network's input, or says which pictures it is made of.
        engine: runs the network.
        transfers: copies to the device.
        deep: outputs have 16 bits.
        guided: samples need their guide.
        blended: samples need the frame that they are blended with.
        recurrence: what a recurrent model knows of the frame before; it needs the guide of samples.
        count: where it is counted what was rendered.
    """

    def __init__(
        self,
        inputs: ModelInputs,
        engine: TorchEngine,
        transfers: Transfers,
        *,
        deep: bool,
        guided: bool,
        blended: bool = False,
        recurrence: DeviceHistory | None = None,
        count: RenderCount | None = None,
    ) -> None:
        super().__init__(inputs, engine, deep=deep, recurrence=recurrence, count=count)
        self._transfers, self._is_blended = transfers, blended
        self._is_guided = guided or recurrence is not None
        pairing = inputs.pairing
        self._makes_input = pairing.has_tensor_form and not inputs.is_drawn and not inputs.has_conditions
        self._device_engine, self._tensor_pairing = engine, pairing if self._makes_input else None
        self._queue: BatchQueue = DeviceBatchQueue(engine, self._tensor_pairing, deep, self.count)
        self._uploads: dict[int, Upload] = {}  # of frames that inputs are made of

    def prepare(
        self, frame: Frame, shot: tuple[int, int], known: np.ndarray | None = None, *, restarts: bool = False
    ) -> PreparedFrame:
        """Begin the upload of a frame, of its input where the CPU makes it, and of its output where that is known."""
        prepared = super().prepare(frame, shot, known, restarts=restarts)
        sample = prepared.sample
        if self.inputs.pairing.finishes:
            sample.host_guide = sample.guide
        sample.guide = self._uploaded(frame) if self._is_guided else None
        if self._is_blended:
            sample.source = self._uploaded(frame)
        sample.output = None if known is None else self._transfers.upload(known)
        return prepared

    def _input(self, frames: Sequence[Frame]) -> Uploads:
        """Begin the upload of what the network's input is made of."""
        if not self._makes_input:
            return (self._transfers.upload(self.inputs(frames)),)
        masks = [self.inputs.mask_plane(frames[-1])] if self.inputs.pairing.uses_mask else []
        return (*map(self._uploaded, frames), *map(self._transfers.upload, masks))

    def _uploaded(self, frame: Frame) -> Upload:
        """Return the upload of a frame, which is made once."""
        self._uploads = {n: kept for n, kept in self._uploads.items() if n in self._past}
        if frame.index not in self._uploads:
            self._uploads[frame.index] = self._transfers.upload(frame.rgb)
        return self._uploads[frame.index]

    def _rendered(self, prepared: PreparedFrame) -> Iterator[Sample]:
        sample = prepared.sample
        if sample.guide is not None:
            sample.guide = eight_bits(levels(sample.guide.wait()))
        if sample.output is not None:
            sample.output = sample.output.wait()
        if self._is_blended:
            sample.source = sample.source.wait()
        return super()._rendered(prepared)

    @torch.inference_mode()
    def _remembering(self, recurrence: Recurrence, model_input: Uploads, sample: Sample) -> Tensor:
        made = make_inputs([model_input], self._tensor_pairing)
        return self._device_engine.run(recurrence.with_history(made, sample), deep=self._deep)[0]


def make_inputs(inputs: Sequence[Uploads], pairing: Pairing | None) -> Tensor:
    """Return the network's inputs, (N, H, W, C) uint8, or uint16 as int32.

    They are made by a pairing's tensor form of what was uploaded; where none is given, they were.
    """
    pictures = [levels(torch.stack([upload.wait() for upload in part])) for part in zip(*inputs, strict=True)]
    if pairing is None:
        (made,) = pictures
        return made
    return pairing.tensor_input(pictures if pairing.deep else list(map(eight_bits, pictures)))


class DeviceBatchQueue(BatchQueue):
    """A ``BatchQueue`` of inputs that lie on a device, or are made there by the pairing where one is given."""

    def __init__(self, engine: TorchEngine, pairing: Pairing | None, deep: bool, count: RenderCount) -> None:
        super().__init__(engine, deep=deep, reuse=0.0, count=count)
        self._device_engine, self._pairing = engine, pairing

    def _is_repeated(self, model_input: Uploads) -> bool:
        return all(np.array_equal(one.source, other.source) for one, other in zip(model_input, self._last, strict=True))

    def _batch(self) -> int:
        """Return what the engine takes at once of pictures of this size: more need not be on the device."""
        if not self._inputs:
            return self._device_engine.batch
        return self._device_engine.batch_for(*self._inputs[0][0].source.shape[:2])

    @torch.inference_mode()
    def _outputs(self) -> list[Tensor]:
        return list(self._device_engine.run(make_inputs(self._inputs, self._pairing), deep=self._deep))


class DevicePath:
    """The way of a plan's pictures through the engine's device: what renders them, and what fetches the results."""

    def __init__(self, plan: RenderPlan, engine: TorchEngine, count: RenderCount) -> None:
        self._plan, self._engine, self._count = plan, engine, count
        self._transfers = transfers_for(engine.device.torch)
        self._is_filtered = plan.settings.filter_name != "off"

    def renderer(self) -> DeviceRenderer:
        """Return what makes the model's pictures, of frames in order. Close it."""
        plan, record = self._plan, self._plan.model.record
        memory = record.memory if record else {}
        return DeviceRenderer(
            plan.inputs(),
            self._engine,
            self._transfers,
            deep=plan.is_deep,
            guided=self._is_filtered and plan.guide is None,
            blended=plan.blends_on_device,
            recurrence=DeviceHistory(memory["flow"], self._engine.device) if memory else None,
            count=self._count,
        )

    def blend(self) -> DeviceBlend | None:
        """Return what makes frames of the result, given in order; None where that takes arrays. Close it."""
        return DeviceBlend(self._plan, self._transfers) if self._plan.blends_on_device else None

    def fetch(self, sample: Sample, picture: Tensor) -> Download:
        """Begin the download of a sample's output, or of its result; where these are one, once."""
        if self._is_filtered or picture is not sample.output:
            return self._transfers.download(picture)
        if sample.download is None:
            sample.download = self._transfers.download(picture)
        download: Download = sample.download
        return download
