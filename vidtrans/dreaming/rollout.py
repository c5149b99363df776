"""Next-frame prediction fed back on itself: each frame is predicted from those before it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from vidtrans.dreaming.camera import IDENTITY, CameraMove, transform
from vidtrans.dreaming.drift_correction import PATIENCE, DriftCorrector
from vidtrans.inference.torch_engine import TorchEngine
from vidtrans.pairing.next_frame import clock


@dataclass(frozen=True)
class RolloutModel:
    """A model that predicts a frame.

    ``context``: number of past frames. ``positions``: places of its clock's timeline, 0 without a clock; a frame at
    speed 1 advances it by ``step`` of them. ``corrector``: keeps frames in the range of this model's training frames.
    """

    engine: TorchEngine
    context: int
    step: int = 1
    positions: int = 0
    corrector: DriftCorrector | None = None


@dataclass(frozen=True)
class RolloutControls:
    """The artist's controls, each a function of the frame's number alone.

    ``drive``: a driving video's frame, (3, H, W) float32 in [-1, 1]; ``amount``: its share.
    """

    move: Callable[[int], CameraMove]
    speed: Callable[[int], float]
    amount: Callable[[int], float] = lambda frame: 0.0
    drive: Callable[[int], np.ndarray] | None = None


@dataclass(frozen=True)
class HistoryFrame:
    """A predicted picture, (3, H, W) float32 in [-1, 1], and all camera moves since then."""

    picture: Tensor
    view: np.ndarray = field(default_factory=lambda: IDENTITY)
    colours: np.ndarray = field(default_factory=lambda: IDENTITY)

    def moved(self, view: np.ndarray, colours: np.ndarray) -> HistoryFrame:
        """Return the frame after another camera move."""
        return replace(self, view=self.view @ view, colours=colours @ self.colours)

    def rendered(self) -> Tensor:
        """Return the picture as the camera shows it now."""
        return transform(self.picture, self.view, self.colours)


class Rollout:
    """Frame after frame from a ``seed``: (3, H, W) float32 in [-1, 1], oldest first, as many as any model needs.

    ``model_at(frame)`` returns the frame's model. ``first`` is the number of the first frame (below 0 for a run-in that
    is discarded), ``phase`` the clock's at the newest seed frame, in turns. ``on_restart(frame)`` is called when frames
    are so far from the training frames that the rollout restarts from its seed. The result depends on nothing but
    these and the ``state``.
    """

    def __init__(
        self,
        seed: Sequence[np.ndarray],
        model_at: Callable[[int], RolloutModel],
        controls: RolloutControls,
        *,
        first: int = 0,
        phase: float = 0.0,
        on_restart: Callable[[int], None] = lambda frame: None,
    ) -> None:
        self._seed, self._model_at, self._controls, self._on_restart = seed, model_at, controls, on_restart
        self._device = model_at(first).engine.place
        self.frame, self._phase, self._num_drifted = first, phase, 0
        self._history = self._seed_history()

    def _seed_history(self) -> list[HistoryFrame]:
        return [HistoryFrame(self._tensor(p)) for p in self._seed]

    def _tensor(self, picture: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(picture, np.float32)).to(self._device)

    @torch.inference_mode()
    def step(self) -> Tensor:
        """Predict the next frame, (3, H, W) float32 in [-1, 1]. Raises DeviceError."""
        model = self._model_at(self.frame)
        self._move_camera(self._controls.move(self.frame))
        picture = model.engine.predict(self._input(model))[0]
        has_drifted = False
        if model.corrector is not None:
            picture, has_drifted = model.corrector(picture)
        self._history = [*self._history[1:], HistoryFrame(self._blended(picture))]
        self._num_drifted = self._num_drifted + 1 if has_drifted else 0
        if self._num_drifted >= PATIENCE:
            self._history, self._num_drifted = self._seed_history(), 0
            self._on_restart(self.frame)
        self.frame += 1
        return picture

    def _move_camera(self, move: CameraMove) -> None:
        """Move the camera over all past frames, so that the motion between them stays."""
        height, width = self._history[-1].picture.shape[1:]
        view, colours = move.view(width, height), move.colours()
        if view is not IDENTITY or colours is not IDENTITY:
            self._history = [past.moved(view, colours) for past in self._history]

    def _input(self, model: RolloutModel) -> Tensor:
        """Return the network's input, (1, C, H, W)."""
        planes = [past.rendered() for past in self._history[-model.context :]]
        if model.positions:
            turns = self._phase + self._controls.speed(self.frame) * model.step / model.positions
            self._phase = turns % 1.0
            encoding = torch.from_numpy(clock(self._phase)).to(self._device)
            planes.append(encoding[:, None, None].expand(-1, *planes[0].shape[1:]))
        return torch.cat(planes)[None]

    def _blended(self, picture: Tensor) -> Tensor:
        controls = self._controls
        if controls.drive is None or (amount := controls.amount(self.frame)) == 0.0:
            return picture
        return torch.lerp(picture, self._tensor(controls.drive(self.frame)), amount)

    def state(self) -> dict[str, np.ndarray]:
        """Return all that the coming frames depend on, exactly."""
        return {
            "frame": np.array([self.frame]),
            "phase": np.array([self._phase]),
            "num_drifted": np.array([self._num_drifted]),
            "pictures": np.stack([past.picture.cpu().numpy() for past in self._history]),
            "views": np.stack([past.view for past in self._history]),
            "colours": np.stack([past.colours for past in self._history]),
        }

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Restore what ``state`` returned."""
        self.frame, self._phase = int(state["frame"][0]), float(state["phase"][0])
        self._num_drifted = int(state["num_drifted"][0])
        parts = zip(state["pictures"], state["views"], state["colours"], strict=True)
        self._history = [HistoryFrame(self._tensor(picture), view, colours) for picture, view, colours in parts]
