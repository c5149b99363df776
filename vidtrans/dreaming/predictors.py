"""Frame-prediction models, and their checks that need no torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from vidtrans.core.errors import ModelError, UsageError
from vidtrans.data.clip_memory import ClipMemory
from vidtrans.dreaming.settings import DreamingSettings, flag_of
from vidtrans.models.loaded_model import LoadedModel, load_model
from vidtrans.pairing.next_frame import NextFrame
from vidtrans.session import Context

Needed = tuple[Callable[[LoadedModel], object], str, str]  # has a model what it needs, why not, and a preset with it
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
        if look.pairing.has_clock and not look.record.dream.get("positions"):
            why = "it has a clock, but no record of the clock's length"
            raise ModelError(f"model '{look.name}'", why, "train it again, or copy it again")
    return looks


def positions_of(look: LoadedModel) -> int:
    """Return the number of positions on a model's clock timeline; 0 without a clock."""
    clocked = look.record is not None and look.pairing.has_clock
    return int(look.record.dream["positions"]) if clocked and look.record else 0


def context_of(looks: Sequence[LoadedModel]) -> int:
    """Return the number of past frames that the model with the most needs as input."""
    return max(look.pairing.settings.context_frames for look in looks)


def first_phase(look: LoadedModel, settings: DreamingSettings) -> float:
    """Return the phase of a model's clock at the newest seed frame, in turns (there and back); 0 without a clock."""
    if not (positions := positions_of(look)):
        return 0.0
    if settings.start_position is not None:
        return settings.start_position / 2  # a turn goes there and back
    own = look.pairing.settings
    return float((own.context_frames - 1) * own.step / positions)


def start_zoom(look: LoadedModel, settings: DreamingSettings) -> float:
    """Return how much the middle of the frames is enlarged where a dream begins: as set, or as the model learned."""
    learned = look.record.dream.get("zoom", 1.0) if look.record else 1.0
    return float(learned if settings.start_zoom is None else settings.start_zoom)


def memory_of(look: LoadedModel) -> ClipMemory | None:
    """Return the frames of its clip that a model keeps; None for none. Raises ModelError."""
    from vidtrans.models.model_file import load_generator
    from vidtrans.networks.init import inner_generator

    if look.record is None or not (runs := look.record.dream.get("runs")):
        return None
    assert look.path is not None  # it has a record
    kept: Any = getattr(inner_generator(load_generator(look.path)[0]), "frame_memory", None)
    if kept is None or len(kept.pictures) != sum(runs):
        why = "the frames that it keeps are not those on record"
        raise ModelError(f"model '{look.name}'", why, "train it again, or copy it again")
    step, shots = look.pairing.settings.step, tuple(look.record.dream.get("shots", ()))
    memory = ClipMemory(kept.pictures.permute(0, 2, 3, 1).numpy(), tuple(runs), step, shots)
    if not look.pairing.has_clock and not len(memory.places):
        why = "no run of the frames that it keeps is long enough to be pointed to"
        raise ModelError(f"model '{look.name}'", why, "train it again, or copy it again")
    return memory


def check_options(looks: Sequence[LoadedModel], settings: DreamingSettings) -> None:
    """Raise UsageError if an option needs models with a clock, or with kept frames, and one has none."""
    clock: Needed = positions_of, "has no clock: it was not trained with the position in its clip as an input", "loop"
    kept: Needed = _kept_runs, "keeps no frames of its clip", "next-frame"
    pointer: Needed = _pointer_runs, "has no pointer to frames of its clip that it keeps", "next-frame"
    options = {
        "--loop": (settings.loop, clock),
        "--speed": (settings.changes("speed"), clock),
        "--position": (settings.start_position is not None, clock),
        "--recall": (settings.changes("recall"), kept),
        "--wander": (settings.changes("wander"), pointer),
        "--steer": (bool(settings.steering().goals), pointer),
        "--goto": (settings.goto is not None, pointer),
        "--actions": (bool(settings.actions), pointer),
    }
    steered = {flag_of(name) for name in settings.steering().controls}
    for flag, (wanted, (has, lacking, preset)) in options.items():
        for look in looks:
            if wanted and not has(look):
                given = f"--steer {flag.removeprefix('--')}=…" if flag in steered else flag
                remedy = f"leave it out, or train on a dataset of 'vidtrans make-dataset VIDEO --preset {preset}'"
                raise UsageError(given, f"'{look.name}' {lacking}", remedy)


def _kept_runs(look: LoadedModel) -> object:
    return look.record and look.record.dream.get("runs")


def _pointer_runs(look: LoadedModel) -> object:
    return None if look.pairing.has_clock else _kept_runs(look)
