"""Set-up of a live session: loading of the models, and creation of the worker that paints and of the hub."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from vidtrans.core.machine import cores
from vidtrans.core.settings import parse_size
from vidtrans.live.dreamer import Dreamer
from vidtrans.live.hub import Hub
from vidtrans.live.live_controls import Controls, ControlState, SavedControls, slider_values
from vidtrans.live.live_stage import LiveModel, LiveStage, constant_value
from vidtrans.live.moving_controls import MovingControls
from vidtrans.live.picture_looks import PictureLooks
from vidtrans.live.stage_worker import StageWorker
from vidtrans.models.loaded_model import OWN_SIZES, LoadedModel
from vidtrans.models.look_pictures import Mixture
from vidtrans.pipeline.render import RenderingSettings
from vidtrans.session import Context
from vidtrans.strokes.settings import StrokesSettings
from vidtrans.temporal.settings import CausalSettings

# Settings of the temporal filter that blends with past pictures, with a fast optical flow
CAUSAL = CausalSettings(flow="dis-fast")


def open_session(
    models: Mapping[str, LoadedModel],
    rendering: RenderingSettings,
    saved: SavedControls,
    folder: Path,
    context: Context,
    controls: Controls | None = None,
    pictures: Mapping[str, Mixture] | None = None,
    strokes: Mapping[str, StrokesSettings] | None = None,
) -> tuple[Hub, StageWorker]:
    """Load the models; return the hub (connections) and the worker that paints, which the caller must close.

    ``controls``: their first values; None: those of ``rendering`` with the first model. ``folder``: for recordings.
    ``saved``: the page's presets. ``pictures``: the style pictures from which models were predicted, by model name.
    ``strokes``: the settings of models whose pictures are painted in strokes, by model name. Raises ModelError,
    DeviceError, UsageError.
    """
    _reserve_browser_core()
    models, strokes = dict(models), strokes or {}  # Pages add models made of pictures
    media = {name: Path(own.medium).stem for name, own in strokes.items() if own.medium}

    def open_model(model: LoadedModel) -> LiveModel:
        """Open a model for painting, with its stroke settings."""
        return LiveModel(model, rendering, context, strokes.get(model.name, StrokesSettings()))

    def open_stage() -> LiveStage:
        """Open all models of the session for painting, and give the hub the default size of pictures."""
        context.engines.clear()  # Engines are unusable after the device was lost
        stage = LiveStage({name: open_model(model) for name, model in hub.pictures.open_models.items()}, CAUSAL)
        hub.output_size = stage.output_size
        return stage

    def open_dreamer(state: ControlState, seed: np.ndarray | None) -> Dreamer:
        """Start a dream of the selected model from the picture ``seed``, or from noise."""
        return Dreamer(models[state.controls.model], rendering, context, seed, state.controls.size)

    name = next(iter(models))
    first = controls or first_controls(name, rendering, strokes.get(name, StrokesSettings()))
    state = ControlState(replace(first, look="")).with_values({"look": first.look}, models)
    hub = Hub(models, state, saved, folder, context.report)
    hub.pictures = PictureLooks(models, pictures or {}, media, open_model, context)
    hub.worker = StageWorker(open_stage, open_dreamer, state, hub, MovingControls(hub.sound))
    hub.worker.start()
    return hub, hub.worker


def first_controls(
    model: str,
    settings: RenderingSettings,
    strokes: StrokesSettings,
    *,
    upscale: str = Controls.upscale,
    output_size: int = Controls.output_size,
    mask: str = Controls.mask,
) -> Controls:
    """Return the control values at the start of a session. Raises UsageError for settings with key frames.

    ``model``: the name of the selected model. ``settings``, ``strokes``: settings that give the sliders their values.
    """
    size = 0 if settings.size in OWN_SIZES else parse_size(settings.size).short or 0
    return Controls(
        model,
        size=size,
        upscale=upscale,
        output_size=output_size,
        mask=mask,
        past="off" if strokes.medium else Controls.past,  # Blending with past pictures would smear the paint
        look=settings.look,
        **slider_values(settings, constant_value),
        **slider_values(strokes, constant_value),
    )


def _reserve_browser_core() -> None:
    """Leave one CPU core to a browser on this machine, and let Python switch threads every millisecond.

    Torch's threads wait for each other in each layer, so a browser that delays one of them would delay them all. The
    short switch interval lets the thread that serves connections interrupt the thread that paints.
    """
    sys.setswitchinterval(0.001)
    torch.set_num_threads(max(1, min(torch.get_num_threads(), cores() - 1)))
