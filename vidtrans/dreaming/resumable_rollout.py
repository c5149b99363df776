"""A rollout that can resume at any frame from saved states, and closes a loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vidtrans.core.errors import UsageError
from vidtrans.core.settings import Table
from vidtrans.dreaming.rollout import Rollout
from vidtrans.inference.torch_engine import to_pictures
from vidtrans.store.chunks import StateStore

MAX_FADE = 12  # frames: half a second
MIN_RUN_IN = 48  # frames, after which the seed has no influence
LEAD = "lead"  # state key: the run-in frames that the loop's end fades into


@dataclass(frozen=True)
class Loop:
    """A loop of ``frames`` in which the clock turns ``rounds`` times (negative: backwards), at ``speed``.

    ``run_in`` frames are predicted before the first frame; the loop's end fades into the last ``fade`` of the run-in.
    """

    frames: int
    rounds: int
    speed: float
    run_in: int
    fade: int

    @classmethod
    def nearest(cls, frames: int, speed: float, step: int, positions: int) -> Loop:
        """Return the loop of whole turns of the clock closest to ``speed``. Raises UsageError at speed 0."""
        if speed == 0:
            raise UsageError("--loop", "at speed 0 the clock stands still", "choose another --speed")
        turns = frames * speed * step / positions
        rounds = max(1, round(abs(turns))) * (1 if turns > 0 else -1)
        a_round = -(-frames // abs(rounds))
        fade = min(frames // 4, a_round, MAX_FADE)
        return cls(frames, rounds, rounds * positions / (frames * step), max(a_round, MIN_RUN_IN), fade)

    def share(self, frame: int) -> float:
        """Return the weight of the run-in in a frame: 0, then rising towards the end of the loop."""
        into = frame - (self.frames - self.fade)
        return (into + 1) / (self.fade + 1) if into >= 0 else 0.0

    def for_key(self) -> Table:
        """Return the values that define the loop, for cache keys."""
        return {"frames": self.frames, "rounds": self.rounds, "run_in": self.run_in, "fade": self.fade}


class ResumableRollout:
    """A rollout that resumes from saved ``states``. ``begin`` creates it at its start; ``on_step``: after each step."""

    def __init__(
        self, begin: Callable[[], Rollout], states: StateStore, loop: Loop | None, on_step: Callable[[], None]
    ) -> None:
        self._begin, self._states, self._loop, self._on_step = begin, states, loop, on_step
        self._started: Rollout | None = None
        self._lead: np.ndarray | None = None

    @property
    def _rollout(self) -> Rollout:
        if self._started is None:
            self._started = self._begin()
        return self._started

    def go_to(self, frame: int) -> None:
        """Make ``frame`` the next one, from the nearest saved state before it or from the current position."""
        if self._loop is not None and self._lead is None:
            self._run_in(self._loop)
        here = None if self._started is None else self._started.frame
        if here != frame:
            known = self._states.load_latest(frame)
            if here is None or here > frame or (known and known[0] > here):
                self._started = self._begin()
                if known:
                    self._started.restore(known[1])
        while self._rollout.frame < frame:
            self.next()

    def next(self) -> Tensor:
        """Return the next frame, (3, H, W) float32 in [-1, 1]."""
        frame, picture = self._rollout.frame, self._step()
        share = self._loop.share(frame) if self._loop else 0.0
        if self._loop is None or self._lead is None or share == 0.0:
            return picture
        lead = torch.from_numpy(self._lead[frame - (self._loop.frames - self._loop.fade)].astype(np.float32))
        return torch.lerp(picture, (lead.permute(2, 0, 1) / 32767.5 - 1).to(picture), share)

    def _step(self) -> Tensor:
        picture = self._rollout.step()
        self._on_step()
        return picture

    def state(self) -> Mapping[str, np.ndarray]:
        """Return the rollout's state after the last frame, to be saved."""
        return self._rollout.state()

    def _run_in(self, loop: Loop) -> None:
        """Predict the run-in; save its last frames, into which the loop's end fades, with the state of frame 0."""
        state = self._states.load(0)
        if state is None:
            lead: list[np.ndarray] = []
            while self._rollout.frame < 0:
                number, picture = self._rollout.frame, self._step()
                if number >= -loop.fade:
                    lead.append(to_pictures(picture[None], deep=True)[0])
            height, width = picture.shape[1:]
            state = {**self.state(), LEAD: np.stack(lead) if lead else np.zeros((0, height, width, 3), np.uint16)}
            self._states.save(0, state)
        self._lead = state[LEAD]
