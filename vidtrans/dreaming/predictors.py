"""Models that dream: those that predict frames, and what of them is needed before anything is computed."""

from __future__ import annotations

from collections.abc import Sequence

from vidtrans.dreaming.settings import DreamingSettings
from vidtrans.errors import ModelError, UsageError
from vidtrans.models.loaded_model import Look, find_look
from vidtrans.pairing.next_frame import NextFrame
from vidtrans.session import Context

NOISE = "noise"  # the seed that is no file


def find_looks(models: Sequence[str], context: Context) -> list[Look]:
    """Models that predict frames. Raises ModelError where there is none, or it is for something else."""
    looks = [find_look(name, context) for name in models]
    for look in looks:
        if look.record is None or not isinstance(look.pairing, NextFrame):
            made = f"it learned '{look.record.pairing['name']}'" if look.record else "it returns its input"
            remedy = "train one with 'vidtrans make-dataset VIDEO --pairing next-frame'"
            raise ModelError(f"model '{look.name}'", f"it does not predict frames ({made})", remedy)
        if look.pairing.settings.time_encoding and not look.record.dream.get("positions"):
            why = "it has a clock, and no record of how that goes"
            raise ModelError(f"model '{look.name}'", why, "train it again, or copy it again")
    return looks


def positions_of(look: Look) -> int:
    """Places of its clock's timeline; 0 where it has none."""
    clocked = look.record is not None and look.pairing.settings.time_encoding
    return int(look.record.dream["positions"]) if clocked and look.record else 0


def context_of(looks: Sequence[Look]) -> int:
    """How many past frames any of them sees."""
    return max(look.pairing.settings.context_frames for look in looks)


def check_clock(looks: Sequence[Look], settings: DreamingSettings) -> None:
    """Raise UsageError where an option needs a model with a clock and this one has none."""
    asked = {
        "--loop": settings.loop,
        "--speed": settings.animations()["speed"].constant != 1.0,
        "--position": settings.start_position is not None,
    }
    for flag, wanted in asked.items():
        for look in looks:
            if wanted and not positions_of(look):
                remedy = "leave it out, or train a model with 'vidtrans make-dataset VIDEO --preset loop'"
                raise UsageError(flag, f"'{look.name}' has no clock, it does not know where in its clip it is", remedy)
