"""Load frame-prediction models and check them against a dream's settings, without importing torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from vidtrans.core.errors import ModelError, UsageError
from vidtrans.data.clip_memory import ClipMemory
from vidtrans.dreaming.settings import DreamingSettings, flag_of
from vidtrans.models.loaded_model import LoadedModel, load_model
from vidtrans.pairing.next_frame import NextFrame
from vidtrans.session import Context

# Requirement of an option: a test of a model, the reason of a failure, and a dataset preset whose models pass the test
Requirement = tuple[Callable[[LoadedModel], object], str, str]
NOISE = "noise"  # Name of a seed of random noise, which needs no file


def predicts_frames(model: LoadedModel) -> bool:
    """Return whether a model predicts the next frame of a video."""
    return model.record is not None and isinstance(model.pairing, NextFrame)


def load_models(models: Sequence[str], context: Context) -> list[LoadedModel]:
    """Load frame-prediction models. Raises ModelError if one is missing, or was trained for another task."""
    loaded_models = [load_model(name, context) for name in models]
    for model in loaded_models:
        if not predicts_frames(model):
            purpose = f"its pairing is '{model.record.pairing['name']}'" if model.record else "it returns its input"
            remedy = "train one on a dataset of 'vidtrans make-dataset VIDEO --pairing next-frame'"
            raise ModelError(f"model '{model.name}'", f"it does not predict frames ({purpose})", remedy)
        assert model.record is not None
        if model.pairing.has_clock and not model.record.dream.get("positions"):
            why = "it has a clock, but no record of the clock's length"
            raise ModelError(f"model '{model.name}'", why, "train it again, or copy it again")
    return loaded_models


def num_clock_positions(model: LoadedModel) -> int:
    """Return the number of positions on a model's clock timeline; 0 without a clock."""
    clocked = model.record is not None and model.pairing.has_clock
    return int(model.record.dream["positions"]) if clocked and model.record else 0


def max_context_frames(loaded_models: Sequence[LoadedModel]) -> int:
    """Return the largest number of past frames that any of the models needs as input."""
    return max(model.pairing.settings.context_frames for model in loaded_models)


def first_phase(model: LoadedModel, settings: DreamingSettings) -> float:
    """Return the phase of the model's clock at the newest seed frame, in turns; 0 without a clock."""
    if not (positions := num_clock_positions(model)):
        return 0.0
    if settings.start_position is not None:
        return settings.start_position / 2  # A turn of the clock goes through the clip and back
    own = model.pairing.settings
    return float((own.context_frames - 1) * own.step / positions)


def start_zoom(model: LoadedModel, settings: DreamingSettings) -> float:
    """Return the magnification of the first frames: as set, or as in the model's training."""
    learned = model.record.dream.get("zoom", 1.0) if model.record else 1.0
    return float(learned if settings.start_zoom is None else settings.start_zoom)


def load_clip_memory(model: LoadedModel) -> ClipMemory | None:
    """Load the frames of the training clip that a model file stores; None if the file has none. Raises ModelError."""
    from vidtrans.models.model_file import load_generator
    from vidtrans.networks.init import inner_generator

    if model.record is None or not (runs := model.record.dream.get("runs")):
        return None
    assert model.path is not None
    stored: Any = getattr(inner_generator(load_generator(model.path)[0]), "frame_memory", None)
    if stored is None or len(stored.pictures) != sum(runs):
        why = "the frames that it keeps are not those on record"
        raise ModelError(f"model '{model.name}'", why, "train it again, or copy it again")
    step, shots = model.pairing.settings.step, tuple(model.record.dream.get("shots", ()))
    memory = ClipMemory(stored.pictures.permute(0, 2, 3, 1).numpy(), tuple(runs), step, shots)
    if not model.pairing.has_clock and not len(memory.places):
        why = "no run of the frames that it keeps is long enough to be pointed to"
        raise ModelError(f"model '{model.name}'", why, "train it again, or copy it again")
    return memory


def check_options(loaded_models: Sequence[LoadedModel], settings: DreamingSettings) -> None:
    """Raise UsageError if an option needs models with a clock or stored frames, and a model has none."""
    clock: Requirement = (
        num_clock_positions,
        "has no clock: it was not trained with the position in its clip as an input",
        "loop",
    )
    stored: Requirement = _stored_runs, "keeps no frames of its clip", "next-frame"
    pointer: Requirement = _pointer_runs, "has no pointer to frames of its clip that it keeps", "next-frame"
    options = {
        "--loop": (settings.loop, clock),
        "--speed": (settings.changes("speed"), clock),
        "--position": (settings.start_position is not None, clock),
        "--recall": (settings.changes("recall"), stored),
        "--wander": (settings.changes("wander"), pointer),
        "--steer": (bool(settings.steering().goals), pointer),
        "--goto": (settings.goto is not None, pointer),
        "--actions": (bool(settings.actions), pointer),
    }
    steered = {flag_of(name) for name in settings.steering().controls}
    for flag, (wanted, (has, reason, preset)) in options.items():
        for model in loaded_models:
            if wanted and not has(model):
                given = f"--steer {flag.removeprefix('--')}=…" if flag in steered else flag
                remedy = f"leave it out, or train on a dataset of 'vidtrans make-dataset VIDEO --preset {preset}'"
                raise UsageError(given, f"'{model.name}' {reason}", remedy)


def _stored_runs(model: LoadedModel) -> object:
    """Return the lengths of the runs of consecutive clip frames that a model stores; None without any."""
    return model.record and model.record.dream.get("runs")


def _pointer_runs(model: LoadedModel) -> object:
    """Return the run lengths of the stored frames if a pointer moves along them; None for a model with a clock."""
    return None if model.pairing.has_clock else _stored_runs(model)
