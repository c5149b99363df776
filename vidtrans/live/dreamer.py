"""A live dream: a next-frame model that runs on its own output, while the controls move the camera."""

from __future__ import annotations

import numpy as np
import torch

from vidtrans.core.settings import parse_size
from vidtrans.dreaming.predictors import context_of, first_phase, positions_of, start_zoom
from vidtrans.dreaming.rollout import CameraMove, Rollout, RolloutControls
from vidtrans.dreaming.seeds import middle_of, smooth_noise, to_signed, zoomed
from vidtrans.dreaming.sequencer import ModelSequencer, statistics_in
from vidtrans.dreaming.settings import NO_MOVE, DreamingSettings
from vidtrans.inference.torch_engine import to_pictures
from vidtrans.live.key_log import KeyLog
from vidtrans.live.live_controls import Controls
from vidtrans.models.loaded_model import LoadedModel
from vidtrans.pipeline.render import RenderingSettings
from vidtrans.session import Context
from vidtrans.video.images.picture import cover_crop, resize

ENDLESS = 1 << 40  # frames
# A camera that may move, and hues that may change: drift correction keeps neither places nor channels.
FREE_CAMERA = DreamingSettings(rotate=1.0, hue=1.0)


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
        short = size or model.record.size
        whole: np.ndarray | None = None
        if seed is None:
            self.size = short, short
            first = smooth_noise(*self.size, context.seed, statistics_in(model))
        else:
            width, height = parse_size(short).of(seed.shape[1], seed.shape[0])
            self.size = width - width % 2, height - height % 2  # as videos have it
            outer = zoomed(self.size, start_zoom(model, FREE_CAMERA))
            whole = _cropped(seed, outer)
            rows, columns = middle_of(outer, self.size)
            first = to_signed(whole[rows, columns])
        self._models = ModelSequencer([model], FREE_CAMERA, rendering, context, ENDLESS)
        self._logged, self._goes = self._controls_of(model)
        name = str(model.path) if model.path else model.name
        self.log = KeyLog((name, model.digest), self.size, whole, _options(rendering, context))
        rollout_controls = RolloutControls(
            self._move,
            lambda frame: self._controls.speed,
            lambda frame: self._controls.recall,
            lambda frame: self._controls.wander,
            lambda frame: self._controls.goto if self._controls.goto in self._goes else None,
            amount=self._amount,
            drive=self._driven,
        )
        phase = first_phase(model, FREE_CAMERA)
        self._rollout = Rollout([first] * context_of([model]), self._models, rollout_controls, phase=phase)

    def step(self, controls: Controls, drive: np.ndarray | None) -> np.ndarray:
        """Return the next frame, (H, W, 3) uint8. ``drive``: a source frame (h, w, 3) uint8 to mix in, or None.

        Raises DeviceError.
        """
        self._controls, self._drive = controls, drive
        values = {name: getattr(controls, name) for name in self._logged}
        self.log.note(
            values, controls.goto if controls.goto in self._goes else 0, driven=drive is not None and controls.drive > 0
        )
        picture: np.ndarray = to_pictures(self._rollout.step()[None].to(torch.float32), deep=False)[0]
        return picture

    def _controls_of(self, model: LoadedModel) -> tuple[list[str], set[int]]:
        """Return the controls that a dream of this model reads, and the shots that it can walk to."""
        pointer = self._models(0).pointer
        names = [*NO_MOVE, *(["speed"] if positions_of(model) else [])]
        names += ["recall"] if model.record and model.record.dream.get("runs") else []
        names += ["wander"] if pointer else []
        return names, {goal for goal in (pointer.memory.goals if pointer else ()) if isinstance(goal, int)}

    def _move(self, frame: int) -> CameraMove:
        return CameraMove(**{name: getattr(self._controls, name) for name in NO_MOVE})

    def _amount(self, frame: int) -> float:
        return 0.0 if self._drive is None else self._controls.drive

    def _driven(self, frame: int) -> np.ndarray:
        assert self._drive is not None  # else the amount is 0
        return to_signed(_cropped(self._drive, self.size))


def _cropped(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return (h, w, 3) uint8 resized and cropped to ``size``, (width, height)."""
    whole, rows, columns = cover_crop(picture.shape[1], picture.shape[0], size)
    return resize(picture, *whole)[rows, columns]


def _options(rendering: RenderingSettings, context: Context) -> tuple[str, ...]:
    """Return the options with which 'vidtrans dream' computes as this session does."""
    options = ["--seed", str(context.seed)] if context.seed != Context.seed else []
    for name in ("precision", "engine"):
        if (value := getattr(rendering, name)) != getattr(RenderingSettings, name):
            options += ["--set", f"rendering.{name}={value}"]
    return tuple(options)
