"""How a dream's frames lie on a model's clock, and the loop that can be made of them."""

from __future__ import annotations

from dataclasses import dataclass

from vidtrans.errors import UsageError
from vidtrans.settings import Table

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
