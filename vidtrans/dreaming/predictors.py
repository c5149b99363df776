"""Frame-prediction models, and their checks that need no torch."""

from __future__ import annotations

from collections.abc import Sequence

from vidtrans.core.errors import ModelError, UsageError
from vidtrans.dreaming.settings import DreamingSettings
from vidtrans.models.loaded_model import LoadedModel, load_model
from vidtrans.pairing.next_frame import NextFrame
from vidtrans.session import Context

NOISE = "noise"  # the seed without a file


def predicts_frames(model: LoadedModel) -> bool:
    """Return whether a model predicts frames."""
    return model.record is not None and isinstance(model.pairing, NextFrame)


def load_models(models: Sequence[str], context: Context) -> list[LoadedModel]:
    """Load frame-prediction models. Raises ModelError if one is missing, or was trained for another task."""
    looks = [load_model(name, context) for name in models]
    for look in looks:
        if not predicts_frames(look):
            purpose = f"its pairing is '{look.record.pairing['name']}'" if look.record else "it returns its input"
            remedy = "train one on a dataset of 'vidtrans make-dataset VIDEO --pairing next-frame'"
            raise ModelError(f"model '{look.name}'", f"it does not predict frames ({purpose})", remedy)
        assert look.record is not None  # it predicts frames
        if look.pairing.settings.time_encoding and not look.record.dream.get("positions"):
            why = "it has a clock, but no record of the clock's length"
            raise ModelError(f"model '{look.name}'", why, "train it again, or copy it again")
    return looks


def positions_of(look: LoadedModel) -> int:
    """Return the number of positions on a model's clock timeline; 0 without a clock."""
    clocked = look.record is not None and look.pairing.settings.time_encoding
    return int(look.record.dream["positions"]) if clocked and look.record else 0


def context_of(looks: Sequence[LoadedModel]) -> int:
    """Return the number of past frames that the model with the most needs as input."""
    return max(look.pairing.settings.context_frames for look in looks)


def check_clock(looks: Sequence[LoadedModel], settings: DreamingSettings) -> None:
    """Raise UsageError if an option needs models with a clock and one has none."""
    options = {
        "--loop": settings.loop,
        "--speed": settings.animations()["speed"].constant != 1.0,
        "--position": settings.start_position is not None,
    }
    for flag, wanted in options.items():
        for look in looks:
            if wanted and not positions_of(look):
                remedy = f"leave out {flag}, or train on a dataset of 'vidtrans make-dataset VIDEO --preset loop'"
                why = f"'{look.name}' has no clock: it was not trained with the position in its clip as an input"
                raise UsageError(flag, why, remedy)
