"""The dream itself: frame after frame, each predicted from those before it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from vidtrans.dreaming.camera import UNMOVED, CameraMove, seen
from vidtrans.dreaming.drift_correction import PATIENCE, DriftCorrector
from vidtrans.pairing.clock import clock


class Predictor(Protocol):
    """An engine as a dream uses it: (1, C, H, W) float32 in [-1, 1] → (1, 3, H, W) float32, where ``place`` says."""

    identity: dict[str, str]

    @property
    def place(self) -> torch.device:
        """Return the device of its tensors."""

    def predict(self, shown: Tensor) -> Tensor:
        """Return the next frame."""


@dataclass(frozen=True)
class RolloutModel:
    """A model that dreams a frame: what it sees, and how its clock goes.

    ``context``: past frames. ``positions``: places of its clock's timeline, 0 where it has none; a frame at speed 1
    goes on by ``step`` of them. ``governor``: it keeps to what this model saw in training.
    """

    engine: Predictor
    context: int
    step: int = 1
    positions: int = 0
    governor: DriftCorrector | None = None


@dataclass(frozen=True)
class RolloutControls:
    """What an artist directs, by frame: all of it functions of the frame's number alone.

    ``drive``: a driving video's frame, (3, H, W) float32 in [-1, 1]; ``amount``: its share.
    """

    move: Callable[[int], CameraMove]
    speed: Callable[[int], float]
    amount: Callable[[int], float] = lambda frame: 0.0
    drive: Callable[[int], np.ndarray] | None = None


@dataclass(frozen=True)
class HistoryFrame:
    """A raw picture, (3, H, W) float32 in [-1, 1], and all that the camera did to it since it was made."""

    picture: Tensor
    view: np.ndarray = field(default_factory=lambda: UNMOVED)
    colours: np.ndarray = field(default_factory=lambda: UNMOVED)

    def moved(self, view: np.ndarray, colours: np.ndarray) -> HistoryFrame:
        """Return the frame after another camera move."""
        if view is UNMOVED and colours is UNMOVED:
            return self
        return replace(self, view=self.view @ view, colours=colours @ self.colours)

    def seen(self) -> Tensor:
        """Return the picture as the camera sees it now."""
        return seen(self.picture, self.view, self.colours)


class Rollout:
    """A dream in the making. ``seed``: pictures (3, H, W) float32 in [-1, 1], oldest first, as many as any model sees.

    ``cast(frame)`` is who dreams it. ``first`` is the number of the first frame (before 0, where what comes before the
    dream is thrown away), ``phase`` the clock's when the newest of the seed was seen, in turns. ``strayed(frame)``
    hears of frames so far from what was seen in training that the dream begins again from the seed. What it does
    depends on nothing but these and its ``state``.
    """

    def __init__(
        self,
        seed: Sequence[np.ndarray],
        cast: Callable[[int], RolloutModel],
        score: RolloutControls,
        *,
        first: int = 0,
        phase: float = 0.0,
        strayed: Callable[[int], None] = lambda frame: None,
    ) -> None:
        self._seed, self._cast, self._score = seed, cast, score
        self._tell = strayed
        self._place = cast(first).engine.place
        self.frame, self._phase, self._astray = first, phase, 0
        self._held = self._begin()

    def _begin(self) -> list[HistoryFrame]:
        return [HistoryFrame(self._tensor(p)) for p in self._seed]

    def _tensor(self, picture: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(picture, np.float32)).to(self._place)

    @torch.inference_mode()
    def step(self) -> Tensor:
        """Predict the next frame, (3, H, W) float32 in [-1, 1]. Raises DeviceError."""
        player = self._cast(self.frame)
        self._look(self._score.move(self.frame))
        made = player.engine.predict(self._shown(player))[0]
        astray = False
        if player.governor is not None:
            made, astray = player.governor(made)
        self._held = [*self._held[1:], HistoryFrame(self._blended(made))]
        self._astray = self._astray + 1 if astray else 0
        if self._astray >= PATIENCE:
            self._held, self._astray = self._begin(), 0
            self._tell(self.frame)
        self.frame += 1
        return made

    def _look(self, move: CameraMove) -> None:
        """Move the camera over all past frames, so that motion between them stays."""
        height, width = self._held[-1].picture.shape[1:]
        view, colours = move.view(width, height), move.colours()
        self._held = [held.moved(view, colours) for held in self._held]

    def _shown(self, player: RolloutModel) -> Tensor:
        """Return the network's input, (1, C, H, W)."""
        planes = [held.seen() for held in self._held[-player.context :]]
        if player.positions:
            turned = self._phase + self._score.speed(self.frame) * player.step / player.positions
            self._phase = turned % 1.0
            hands = torch.from_numpy(clock(self._phase)).to(self._place)
            planes.append(hands[:, None, None].expand(-1, *planes[0].shape[1:]))
        return torch.cat(planes)[None]

    def _blended(self, made: Tensor) -> Tensor:
        amount = self._score.amount(self.frame) if self._score.drive else 0.0
        if self._score.drive is None or amount == 0.0:
            return made
        return torch.lerp(made, self._tensor(self._score.drive(self.frame)), amount)

    def state(self) -> dict[str, np.ndarray]:
        """All that the coming frames depend on, exactly."""
        return {
            "frame": np.int64(self.frame).reshape(1),
            "phase": np.float64(self._phase).reshape(1),
            "astray": np.int64(self._astray).reshape(1),
            "pictures": np.stack([held.picture.cpu().numpy() for held in self._held]),
            "views": np.stack([held.view for held in self._held]),
            "colours": np.stack([held.colours for held in self._held]),
        }

    def resume(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on from a state."""
        self.frame, self._phase = int(state["frame"][0]), float(state["phase"][0])
        self._astray = int(state["astray"][0])
        parts = zip(state["pictures"], state["views"], state["colours"], strict=True)
        self._held = [HistoryFrame(self._tensor(picture), view, colours) for picture, view, colours in parts]
