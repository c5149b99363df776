"""A live dream: a next-frame model that runs on its own output, while the controls move the camera."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from vidtrans.config.rendering_settings import RenderingSettings
from vidtrans.core.settings import parse_size
from vidtrans.dreaming.predictors import context_of, start_zoom
from vidtrans.dreaming.rollout import CameraMove, Rollout, RolloutControls, RolloutModel
from vidtrans.dreaming.seeds import middle_of, smooth_noise, to_signed, zoomed
from vidtrans.dreaming.sequencer import ModelSequencer, statistics_in
from vidtrans.dreaming.settings import NO_MOVE, DreamingSettings
from vidtrans.inference.torch_engine import to_pictures
from vidtrans.live.live_controls import Controls
from vidtrans.models.loaded_model import LoadedModel
from vidtrans.session import Context
from vidtrans.video.images.picture import cover_crop, resize

ENDLESS = 1 << 40  # frames
STILL = DreamingSettings()


class Dreamer:
    """A rollout of a next-frame model. Raises ModelError, DeviceError, UsageError.

    ``seed``: the first frame, (h, w, 3) uint8; None: noise. ``size``: short side in pixels; 0: the training size.
    """

    def __init__(
        self, model: LoadedModel, rendering: RenderingSettings, context: Context, seed: np.ndarray | None, size: int
    ) -> None:
        assert model.record is not None  # the identity model predicts nothing
        self.model = model
        self._controls = Controls()
        self._drive: np.ndarray | None = None
        self._rendering, self._context = rendering, context
        self._sequencers: dict[DreamingSettings, ModelSequencer] = {}
        short = size or model.record.size
        if seed is None:
            self.size = short, short
            first = smooth_noise(*self.size, context.seed, statistics_in(model))
        else:
            self.size = parse_size(short).of(seed.shape[1], seed.shape[0])
            whole = zoomed(self.size, start_zoom(model, STILL))
            first = _cropped(seed, whole)[:, *middle_of(whole, self.size)]
        controls = RolloutControls(
            self._move,
            lambda frame: self._controls.speed,
            lambda frame: self._controls.recall,
            lambda frame: self._controls.wander,
            amount=self._amount,
            drive=self._driven,
        )
        self._rollout = Rollout([first] * context_of([model]), self._model_at, controls)

    def step(self, controls: Controls, drive: np.ndarray | None) -> np.ndarray:
        """Return the next frame, (H, W, 3) uint8. ``drive``: a source frame (h, w, 3) uint8 to mix in, or None.

        Raises DeviceError.
        """
        self._controls, self._drive = controls, drive
        picture: np.ndarray = to_pictures(self._rollout.step()[None].to(torch.float32), deep=False)[0]
        return picture

    def _model_at(self, frame: int) -> RolloutModel:
        """Return the model with drift correction; correction per position is off while the camera moves."""
        settings = STILL
        if any(getattr(self._controls, name) != still for name, still in NO_MOVE.items() if name != "hue"):
            settings = replace(settings, rotate=1.0)
        if self._controls.hue:
            settings = replace(settings, hue=1.0)
        if settings not in self._sequencers:
            self._sequencers[settings] = ModelSequencer([self.model], settings, self._rendering, self._context, ENDLESS)
        return self._sequencers[settings](frame)

    def _move(self, frame: int) -> CameraMove:
        return CameraMove(**{name: getattr(self._controls, name) for name in NO_MOVE})

    def _amount(self, frame: int) -> float:
        return 0.0 if self._drive is None else self._controls.drive

    def _driven(self, frame: int) -> np.ndarray:
        assert self._drive is not None  # else the amount is 0
        return _cropped(self._drive, self.size)


def _cropped(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return (h, w, 3) uint8 as (3, H, W) float32 in [-1, 1], cropped to the shape of ``size``, (width, height)."""
    whole, rows, columns = cover_crop(picture.shape[1], picture.shape[0], size)
    return to_signed(resize(picture, *whole)[rows, columns])
