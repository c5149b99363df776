"""Put a session together: models, their stage, its worker and its hub."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from vidtrans.config.rendering_settings import RenderingSettings
from vidtrans.core.curves import KeyframeCurve
from vidtrans.core.errors import UsageError
from vidtrans.core.machine import cores
from vidtrans.core.settings import parse_size
from vidtrans.live.dreamer import Dreamer
from vidtrans.live.hub import Hub
from vidtrans.live.live_controls import Controls, ControlState
from vidtrans.live.live_model import LiveModel
from vidtrans.live.live_stage import LiveStage
from vidtrans.live.presets import SavedControls
from vidtrans.live.stage_worker import StageWorker
from vidtrans.models.loaded_model import LoadedModel
from vidtrans.session import Context
from vidtrans.temporal.causal import CausalSettings

CAUSAL = CausalSettings(flow="dis-fast")


class LiveSession:
    """Models, and the settings that they are rendered by."""

    def __init__(self, models: Mapping[str, LoadedModel], rendering: RenderingSettings, context: Context) -> None:
        self._models, self._rendering, self._context = models, rendering, context

    def open(self, saved: SavedControls, recordings: Path) -> tuple[Hub, StageWorker]:
        """Load the models; return who is told, and who paints. Close the worker.

        Raises ModelError, DeviceError, UsageError.
        """
        _leave_a_core()
        first = self._first_controls()
        state = ControlState(replace(first, look="")).updated({"look": first.look}, self._models)
        hub = Hub(self._models, state, saved, recordings, self._context.report)
        worker = StageWorker(self._open_stage, self._open_dreamer, state, hub)
        worker.start()
        return hub, worker

    def _first_controls(self) -> Controls:
        settings = self._rendering
        size = 0 if settings.size == "trained" else parse_size(settings.size).short or 0
        strength, colour = (_constant(settings.curve(name), name) for name in ("strength", "keep_colour"))
        stroke = _constant(settings.stroke_curve(), "stroke_size")
        first = next(iter(self._models))
        return Controls(first, size=size, strength=strength, keep_colour=colour, look=settings.look, stroke_size=stroke)

    def _open_stage(self) -> LiveStage:
        self._context.engines.clear()  # after a lost device they are of no use
        made = {name: LiveModel(model, self._rendering, self._context) for name, model in self._models.items()}
        return LiveStage(made, CAUSAL)

    def _open_dreamer(self, state: ControlState, seed: np.ndarray | None) -> Dreamer:
        model = self._models[state.controls.model]
        return Dreamer(model, self._rendering, self._context, seed, state.controls.size)


def _constant(curve: KeyframeCurve, name: str) -> float:
    if curve.constant is None:
        raise UsageError(f"keyframes for {name}", "a live source has no moments", "give one value")
    return curve.constant


def _leave_a_core() -> None:
    """Compute on all cores but one, which a browser beside it needs.

    Threads of one layer wait for each other: with one for each core, a browser that holds one of them up holds up all.
    And let the network's thread take over from the one that paints after a millisecond.
    """
    sys.setswitchinterval(0.001)
    torch.set_num_threads(max(1, min(torch.get_num_threads(), cores() - 1)))
