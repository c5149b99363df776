"""A dream's frames in order, from wherever it can be taken up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vidtrans.dreaming.rollout import Rollout
from vidtrans.errors import UsageError
from vidtrans.inference.torch_engine import to_pictures
from vidtrans.settings import Table
from vidtrans.store.chunks import StateStore

LEAD = "lead"  # in the state before a loop's first frame: the frames that its end passes into
FADE = 12  # frames at most: half a second
RUN_IN = 48  # frames at least: what the seed was is forgotten by then


@dataclass(frozen=True)
class Loop:
    """``frames`` in which the clock goes round ``rounds`` times (below 0: backwards), at the ``speed`` that takes.

    What comes before its first frame is dreamt too, ``run_in`` frames; the last ``fade`` of these are what its end
    passes into.
    """

    frames: int
    rounds: int
    speed: float
    run_in: int
    fade: int

    @classmethod
    def nearest(cls, frames: int, speed: float, step: int, positions: int) -> Loop:
        """Return the loop whose speed is nearest to ``speed``. Raises UsageError at speed 0."""
        if speed == 0:
            raise UsageError("--loop", "at speed 0 the clock never comes round", "choose another --speed")
        turns = frames * speed * step / positions
        rounds = max(1, round(abs(turns))) * (1 if turns > 0 else -1)
        a_round = -(-frames // abs(rounds))
        fade = min(frames // 4, a_round, FADE)
        return cls(frames, rounds, rounds * positions / (frames * step), max(a_round, RUN_IN), fade)

    def share(self, frame: int) -> float:
        """How much of a frame is that which comes before the loop's first: 0, and more and more towards the end."""
        into = frame - (self.frames - self.fade)
        return (into + 1) / (self.fade + 1) if into >= 0 else 0.0

    def for_key(self) -> Table:
        """Return the values that decide the loop."""
        return {"frames": self.frames, "rounds": self.rounds, "run_in": self.run_in, "fade": self.fade}


class ResumableRollout:
    """``begin`` gives the dream before its first frame, of a loop before its run-in; ``passed`` hears of each frame."""

    def __init__(
        self, begin: Callable[[], Rollout], states: StateStore, loop: Loop | None, passed: Callable[[], None]
    ) -> None:
        self._begin, self._states, self._loop, self._passed = begin, states, loop, passed
        self._rollout: Rollout | None = None
        self._lead: np.ndarray | None = None

    def go_to(self, frame: int) -> None:
        """Make ``frame`` the next one: from the nearest state before it, or from where the dream is."""
        if self._loop is not None and self._lead is None:
            self._run_in(self._loop)
        here = None if self._rollout is None else self._rollout.frame
        if here != frame:
            known = self._states.load_latest(frame)
            if here is None or here > frame or (known and known[0] > here):
                self._rollout = self._begin()
                if known:
                    self._rollout.resume(known[1])
        while self._now.frame < frame:
            self.next()

    @property
    def _now(self) -> Rollout:
        assert self._rollout is not None  # ``go_to`` comes first
        return self._rollout

    def next(self) -> Tensor:
        """Return the next frame, (3, H, W) float32 in [-1, 1]."""
        frame, made = self._now.frame, self._step()
        share = self._loop.share(frame) if self._loop else 0.0
        if self._loop is None or self._lead is None or share == 0.0:
            return made
        lead = torch.from_numpy(self._lead[frame - (self._loop.frames - self._loop.fade)].astype(np.float32))
        return torch.lerp(made, (lead.permute(2, 0, 1) / 32767.5 - 1).to(made), share)

    def _step(self) -> Tensor:
        made = self._now.step()
        self._passed()
        return made

    def state(self) -> Mapping[str, np.ndarray]:
        """Return the state of the rollout."""
        return self._now.state()

    def _run_in(self, loop: Loop) -> None:
        """Predict the frames before a loop; the last ones, which its end fades into, are saved with its first state."""
        held = self._states.load(0)
        if held is None:
            self._rollout = self._begin()
            lead: list[np.ndarray] = []
            while self._now.frame < 0:
                number, made = self._now.frame, self._step()
                if number >= -loop.fade:
                    lead.append(to_pictures(made[None], deep=True)[0])
            height, width = made.shape[1:]
            held = {**self.state(), LEAD: np.stack(lead) if lead else np.zeros((0, height, width, 3), np.uint16)}
            self._states.save(0, held)
        self._lead = held[LEAD]
