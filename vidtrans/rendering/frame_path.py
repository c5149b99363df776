"""The choice of where a render's frames are: host arrays, or tensors on the engine's GPU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vidtrans.core.settings import Table
from vidtrans.flow.history import VERSION
from vidtrans.inference.engine import Engine
from vidtrans.models.model_record import ModelRecord
from vidtrans.pipeline.render import have_device_form
from vidtrans.rendering.frame_renderer import FrameRenderer, Recurrence, RecurrentHistory
from vidtrans.rendering.plan import RenderPlan
from vidtrans.rendering.skipped_frames import RenderCount


@dataclass(frozen=True)
class FramePath:
    """The path of a plan's frames from the reader to the encoder.

    Attributes:
        on_gpu: Frames stay on the engine's GPU; samples have tensors.
        blends_on_gpu: The GPU also blends source and output, so that the source is not read a second time.
    """

    plan: RenderPlan
    engine: Any  # an ``Engine``; those on a GPU have a ``device``
    on_gpu: bool = False
    blends_on_gpu: bool = False

    @classmethod
    def find(cls, plan: RenderPlan, engine: Engine) -> FramePath:
        """Return the path of a plan's frames through an engine: on a GPU unless a step needs numpy.

        Apple's GPUs are excluded: several threads on one are untested. So are chains, whose models exchange numpy
        pictures. The GPU blends only if source and output have one size, without OpenCV's colours and shading,
        alpha and the pairing's ``finish``.
        """
        rendering, settings, picture = plan.rendering, plan.settings, plan.picture
        reuses = rendering.duplicate_threshold and not plan.model.is_recurrent
        needs_arrays = plan.draft is not None or reuses or plan.paint is not None or plan.strokes is not None
        needs_arrays |= len(plan.model.parts) > 1
        can_filter = settings.filter_name == "off" or settings.is_batched
        on_gpu = _is_gpu(engine) and not needs_arrays and can_filter
        blends_arrays = plan.pairing.finishes or picture.alpha or not have_device_form(rendering)
        same_size = (picture.width, picture.height) == plan.size
        return cls(plan, engine, on_gpu, on_gpu and plan.is_composed and same_size and not blends_arrays)

    def renderer(self, count: RenderCount | None = None) -> FrameRenderer:
        """Return the renderer of the model's pictures, for frames in order. Close it after use.

        Raises UsageError if the flow method of a recurrent model is not installed.
        """
        plan, engine = self.plan, self.engine
        if self.on_gpu:
            from vidtrans.rendering.device_renderer import DeviceRenderer

            return DeviceRenderer(plan, engine, count, blends=self.blends_on_gpu)
        return FrameRenderer(
            plan.inputs(),
            engine,
            deep=plan.is_deep,
            recurrence=recurrence(plan.model.record, engine),
            reuse=plan.rendering.duplicate_threshold,
            draft=plan.draft,
            count=count,
            painter=plan.paint.painter(plan.size) if plan.paint else None,
        )


def _is_gpu(engine: Engine) -> bool:
    return engine.device_kind == "cuda"


def recurrence(record: ModelRecord | None, engine: Any) -> Recurrence | None:  # noqa: ANN401  (see ``FramePath``)
    """Return the history of a model's renders, for frames that are arrays; None for a model without recurrence.

    On an Nvidia GPU it is computed on the GPU even for host frames: all paths have the same history. Raises UsageError
    if the model's flow method is not installed.
    """
    if record is None or not record.memory:
        return None
    if not _is_gpu(engine):
        return RecurrentHistory(record.memory["flow"])
    from vidtrans.rendering.device_history import DeviceHistoryOfArrays

    return DeviceHistoryOfArrays(record.memory["flow"], engine.device)


def recurrence_key(record: ModelRecord | None, engine: Any) -> Table:  # noqa: ANN401  (see ``FramePath``)
    """Return the properties of a recurrent model's history on an engine, for cache keys; {} without recurrence."""
    if record is None or not record.memory:
        return {}
    key = {**record.memory, "version": VERSION}
    if not _is_gpu(engine):
        return key
    from vidtrans.rendering.device_history import device_key

    return key | device_key(record.memory["flow"], engine.device)
