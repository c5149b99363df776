"""Where the frames of a render are: arrays on the host, or tensors on the engine's GPU. Only this module decides it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vidtrans.core.settings import Table
from vidtrans.flow.history import VERSION
from vidtrans.inference.engine import Engine
from vidtrans.models.model_record import ModelRecord
from vidtrans.rendering.frame_renderer import FrameRenderer
from vidtrans.rendering.plan import RenderPlan
from vidtrans.rendering.recurrence import Recurrence, RecurrentHistory
from vidtrans.rendering.skipped_frames import RenderCount


@dataclass(frozen=True)
class FramePath:
    """The path of a plan's frames from the reader to the encoder.

    Attributes:
        on_gpu: They stay on the engine's GPU; samples have tensors.
        blends_on_gpu: Source and look are blended there, too, so that the source is not read a second time.
    """

    plan: RenderPlan
    engine: Any  # an ``Engine``; those on a GPU have a ``device``
    on_gpu: bool = False
    blends_on_gpu: bool = False

    @classmethod
    def find(cls, plan: RenderPlan, engine: Engine) -> FramePath:
        """Return the path of a plan's frames through an engine: on a GPU unless something needs numpy.

        On Apple's GPUs frames do not stay: several threads on one have not been tried. Nor do those of a chain, whose
        models make their inputs of each other's pictures in numpy. Blending needs one size and numpy for colours, which
        are kept in CIE Lab as OpenCV has it, and for what a pairing puts back.
        """
        rendering, settings, picture = plan.rendering, plan.settings, plan.picture
        reuses = rendering.duplicate_threshold and not plan.model.is_recurrent
        needs_arrays = plan.draft is not None or reuses or plan.paint is not None or len(plan.model.parts) > 1
        can_filter = settings.filter_name == "off" or settings.is_batched
        on_gpu = _is_gpu(engine) and not needs_arrays and can_filter
        blends_arrays = plan.pairing.finishes or picture.alpha or rendering.curve("keep_colour").constant != 0
        same_size = (picture.width, picture.height) == plan.size
        return cls(plan, engine, on_gpu, on_gpu and plan.is_composed and same_size and not blends_arrays)

    def renderer(self, count: RenderCount | None = None) -> FrameRenderer:
        """Return what makes the model's pictures, of frames in order. Close it.

        Raises UsageError where the flow method of a recurrent model is not installed.
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
    """Return the history of a model's renders, of frames that are arrays; None where it has no memory.

    On an Nvidia GPU it is found there, wherever the frames are: the same history on every path. Raises UsageError where
    the model's flow method is not installed.
    """
    if record is None or not record.memory:
        return None
    if not _is_gpu(engine):
        return RecurrentHistory(record.memory["flow"])
    from vidtrans.rendering.device_history import DeviceHistoryOfArrays

    return DeviceHistoryOfArrays(record.memory["flow"], engine.device)


def recurrence_key(record: ModelRecord | None, engine: Any) -> Table:  # noqa: ANN401  (see ``FramePath``)
    """Return what decides the history of a model's renders by an engine, for cache keys."""
    if record is None or not record.memory:
        return {}
    key = {**record.memory, "version": VERSION}
    if not _is_gpu(engine):
        return key
    from vidtrans.rendering.device_history import device_key

    return key | device_key(record.memory["flow"], engine.device)
