"""Render frames that stay on a GPU from the reader to the encoder.

Each frame is uploaded once, with 8 or 16 bits a channel, while the network renders an earlier frame. If the pairing has
a tensor form, the GPU computes the network's input; otherwise the CPU computes and uploads it, line drawings as one
channel. Outputs stay on the GPU for the filter, and are downloaded as integers while later frames are computed.

Work that needs numpy uses the CPU path: drafts, inputs compared with a tolerance, filters without a batched form. Both
paths give the same pictures, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from vidtrans.core.transfers import Download, Upload, transfers_for
from vidtrans.inference.device_pixels import bits_to_levels, to_8_bit_levels
from vidtrans.inference.torch_engine import TorchEngine
from vidtrans.pairing.base import Pairing
from vidtrans.pipeline.render import compose_on_device
from vidtrans.rendering.device_history import DeviceHistory
from vidtrans.rendering.frame_renderer import BatchQueue, FrameRenderer, PreparedFrame, Recurrence
from vidtrans.rendering.plan import RenderPlan
from vidtrans.rendering.skipped_frames import RenderCount
from vidtrans.temporal.stream import Sample
from vidtrans.video.io.clip import Frame

Uploads = tuple[Upload, ...]  # Uploads of the pictures from which one network input is computed


class DeviceRenderer(FrameRenderer):
    """A ``FrameRenderer`` whose samples have ``guide`` and ``output`` as tensors on the engine's device.

    Tensors are (H, W, 3) uint8; a 16-bit output is int16 with the same bits. Results computed from them belong to the
    device's current stream. ``blends``: source and output are blended on the GPU, at the size of the result.
    """

    def __init__(self, plan: RenderPlan, engine: TorchEngine, count: RenderCount | None, *, blends: bool) -> None:
        memory = plan.model.record.memory if plan.model.record else {}
        recurrence = DeviceHistory(memory["flow"], engine.device) if memory else None
        inputs, pairing = plan.inputs(), plan.pairing
        super().__init__(inputs, engine, deep=plan.is_deep, recurrence=recurrence, count=count)
        self.blends, self._plan, self._transfers = blends, plan, transfers_for(engine.device.torch)
        self._is_filtered = plan.settings.filter_name != "off"
        self._is_guided = (self._is_filtered and plan.guide is None) or recurrence is not None
        self._makes_input = pairing.has_tensor_form and not inputs.drawn and inputs.conditions is None
        self._device_engine, self._tensor_pairing = engine, pairing if self._makes_input else None
        self._queue: BatchQueue = DeviceBatchQueue(engine, self._tensor_pairing, self._deep, self.count)
        self._uploads: dict[int, Upload] = {}  # Uploads of the frames in ``_past``, by frame number
        feather = plan.feather
        self._mattes = plan.mask.mattes(plan.size, plan.threads, feather) if blends and plan.mask else None

    def prepare(
        self, frame: Frame, shot: tuple[int, int], stored_output: np.ndarray | None = None, *, restarts: bool = False
    ) -> PreparedFrame:
        """Start to upload a frame, its network input if the CPU makes it, and ``stored_output`` if there is one.

        For the parameters see ``FrameRenderer.prepare``.
        """
        prepared = super().prepare(frame, shot, stored_output, restarts=restarts)
        sample = prepared.sample
        if self.inputs.pairing.finishes:
            sample.host_guide = sample.guide
        sample.guide = self._upload(frame) if self._is_guided else None
        if self.blends:
            sample.source = self._upload(frame)
        sample.output = None if stored_output is None else self._transfers.upload(stored_output)
        return prepared

    def _input(self, frames: Sequence[Frame]) -> Uploads:
        """Start to upload the pictures from which the network's input is computed; return their uploads."""
        if not self._makes_input:
            return (self._transfers.upload(self.inputs(frames)),)
        uploads = [self._upload(frame) for frame in frames]
        if (pairing := self.inputs.pairing).uses_mask:
            frame = frames[-1]
            plane = pairing.mask_plane(frame.rgb.shape[:2], frame.index, self.inputs.matte(frame))
            uploads.append(self._transfers.upload(plane))
        return tuple(uploads)

    def _upload(self, frame: Frame) -> Upload:
        """Return a frame's upload, and start it if the frame is new."""
        self._uploads = {n: upload for n, upload in self._uploads.items() if n in self._past}
        if frame.index not in self._uploads:
            self._uploads[frame.index] = self._transfers.upload(frame.rgb)
        return self._uploads[frame.index]

    def _render(self, prepared: PreparedFrame) -> Iterator[Sample]:
        """Wait for the uploads of a frame, then render it as ``FrameRenderer`` does."""
        sample = prepared.sample
        if sample.guide is not None:
            sample.guide = to_8_bit_levels(bits_to_levels(sample.guide.wait()))
        if sample.output is not None:
            sample.output = sample.output.wait()
        if self.blends:
            sample.source = sample.source.wait()
        return super()._render(prepared)

    def fetch(self, sample: Sample, picture: Tensor) -> Callable[[], np.ndarray]:
        """Start to download a sample's output, or its filtered picture; if both are one tensor, download it once."""
        if self._is_filtered or picture is not sample.output:
            return self._transfers.download(picture).wait
        if sample.download is None:
            sample.download = self._transfers.download(picture)
        download: Download = sample.download
        return download.wait

    @torch.inference_mode()
    def finish(self, sample: Sample, picture: Tensor) -> Callable[[], np.ndarray]:
        """Start to download the filtered picture, blended if ``blends``, (H, W, 3) uint8, or uint16 as int16 bits."""
        if self.blends:
            matte = self._mattes(sample.index) if self._mattes else None
            device_matte = None if matte is None else self._transfers.upload(matte).wait()
            source, sample.source = sample.source, None  # Frees the memory early
            picture = compose_on_device(picture, source, self._plan.values(sample.index), device_matte)
        return self.fetch(sample, picture)

    def close(self) -> None:
        super().close()
        if self._mattes is not None:
            self._mattes.close()

    @torch.inference_mode()
    def _infer_with_history(self, recurrence: Recurrence, model_input: Uploads, sample: Sample) -> Tensor:
        """Run a recurrent model on a frame's input and history; return the output."""
        model_inputs = make_inputs([model_input], self._tensor_pairing)
        return self._device_engine.run(recurrence.with_history(model_inputs, sample), deep=self._deep)[0]


def make_inputs(inputs: Sequence[Uploads], pairing: Pairing | None) -> Tensor:
    """Return the network's inputs, (N, H, W, C) uint8, or uint16 as int32, from uploads, by ``Pairing.tensor_input``.

    Without a pairing the uploads are the inputs.
    """
    pictures = [bits_to_levels(torch.stack([upload.wait() for upload in part])) for part in zip(*inputs, strict=True)]
    if pairing is None:
        (model_inputs,) = pictures
        return model_inputs
    return pairing.tensor_input(pictures if pairing.deep else list(map(to_8_bit_levels, pictures)))


class DeviceBatchQueue(BatchQueue):
    """A ``BatchQueue`` of inputs that are on a GPU, or are computed there by a ``pairing``.

    ``deep``: outputs have 16 bits per channel.
    """

    def __init__(self, engine: TorchEngine, pairing: Pairing | None, deep: bool, count: RenderCount) -> None:
        super().__init__(engine, deep=deep, reuse=0.0, count=count)
        self._device_engine, self._pairing = engine, pairing

    def _is_repeated(self, model_input: Uploads) -> bool:
        """Return whether the source pictures of an input equal those of the last input."""
        return all(np.array_equal(one.source, other.source) for one, other in zip(model_input, self._last, strict=True))

    def _batch(self) -> int:
        """Return the engine's batch size for inputs of the queued size; a larger batch would only take memory."""
        if not self._inputs:
            return self._device_engine.batch
        return self._device_engine.batch_for(*self._inputs[0][0].source.shape[:2])

    @torch.inference_mode()
    def _outputs(self) -> list[Tensor]:
        """Run the engine on all queued inputs; return the outputs in the same order."""
        return list(self._device_engine.run(make_inputs(self._inputs, self._pairing), deep=self._deep))
