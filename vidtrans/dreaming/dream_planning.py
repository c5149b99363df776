"""The plan of a dream: its seed, models, rate, sound, loop and driving video."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from vidtrans.core.errors import UsageError
from vidtrans.dreaming.controls import DreamControls
from vidtrans.dreaming.dream_spec import DreamPlan, DreamSpec
from vidtrans.dreaming.predictors import context_of, positions_of, start_zoom
from vidtrans.dreaming.resumable_rollout import Loop
from vidtrans.dreaming.seeds import Driver, find_seed
from vidtrans.dreaming.sequencer import ModelSequencer
from vidtrans.dreaming.settings import DreamingSettings
from vidtrans.dreaming.steering import unknown_goal
from vidtrans.models.loaded_model import LoadedModel
from vidtrans.rendering.requested_output import OutputTarget
from vidtrans.session import Context
from vidtrans.video.io.encoding import CONTAINERS
from vidtrans.video.io.join import check_sound
from vidtrans.video.io.sound import RATE_HZ, read_blocks


def plan_dream(spec: DreamSpec, looks: Sequence[LoadedModel], place: OutputTarget, context: Context) -> DreamPlan:
    """Open all inputs and return the plan of a dream. Raises UsageError, MediaError, ModelError, DeviceError."""
    models = ModelSequencer(looks, spec.dreaming, spec.rendering, context, spec.frames)
    zoom, count = start_zoom(looks[0], spec.dreaming), context_of(looks)
    seed = find_seed(spec.source, looks[0], count, spec.rendering.size, spec.start, context, zoom)
    rate = _rate(spec, looks[0], seed.rate)
    if spec.sound:
        _check_sound(spec.sound, spec, rate, place)
    digest = context.cache.digest(spec.sound) if spec.sound else ""
    controls = DreamControls(spec.dreaming, rate, spec.frames, spec.sound, digest)
    controls.check(spec.frames)
    check_goals(models, spec.dreaming)
    if spec.dreaming.steering().played_on not in ("", looks[0].digest):
        script, name = spec.dreaming.steer, looks[0].name
        context.note(f"{script} was played on another model than '{name}': the same moves, other pictures", "warning")
    loop = _loop(spec, looks, controls.speed_constant, context) if spec.dreaming.loop else None
    driver = Driver(spec.blend, seed.size, rate, spec.frames, context) if spec.blend else None
    spec = replace(spec, encoding=replace(spec.encoding, fps="source"))  # the rate of the dream itself
    return DreamPlan(spec, seed, rate, models, controls, loop, driver, place.pattern)


def check_goals(models: ModelSequencer, settings: DreamingSettings) -> None:
    """Raise UsageError if a shot or an action that is steered to is not the first model's."""
    if not settings.goals and not settings.actions:
        return
    pointers = [models(number * models.every).pointer for number in range(len(models.looks) - settings.morph)]
    known = pointers[0].memory.goals if pointers[0] else {}
    for goal in sorted(settings.goals, key=str):
        if goal not in known:
            raise unknown_goal(goal, list(known))


def _rate(spec: DreamSpec, look: LoadedModel, seed_rate: Fraction | None) -> Fraction:
    """Return frames per second: the rate requested, else the seed's, the training clip's, or ``picture_fps``."""
    learned = look.record.dream.get("rate") if look.record else None
    default = Fraction(learned) if learned else Fraction(spec.rendering.picture_fps).limit_denominator(1001)
    return spec.encoding.rate or seed_rate or default


def _check_sound(sound: Path, spec: DreamSpec, rate: Fraction, place: OutputTarget) -> None:
    """Raise UsageError if a sound is too short or the container cannot hold it."""
    kind = CONTAINERS.get(place.output.suffix.lower().lstrip("."))
    if kind and spec.encoding.sound == "copy":
        check_sound(sound, kind)
    lasts_s = Fraction(sum(map(len, read_blocks(sound))), RATE_HZ)
    needed = spec.frames / rate
    if lasts_s < needed - 1 / rate:
        lasts = f"it lasts {float(lasts_s):.2f} s, and the dream {float(needed):.2f} s"
        remedy = f"use --frames {max(1, int(lasts_s * rate))}, or a longer sound"
        raise UsageError(str(sound), lasts, remedy)


def _loop(spec: DreamSpec, looks: Sequence[LoadedModel], speed: float | None, context: Context) -> Loop:
    """Return the loop. Raises UsageError if ``speed`` is None (animated), or the models' clocks differ."""
    if speed is None:
        raise UsageError("--loop", "a loop needs a constant speed", "give one number with --speed")
    clocks = {(look.pairing.settings.step, positions_of(look)) for look in looks}
    if len(clocks) > 1:
        raise UsageError("--loop", "the models' clocks differ", "give models of one training run")
    [(step, positions)] = clocks
    loop = Loop.nearest(spec.frames, speed, step, positions)
    times = "once" if abs(loop.rounds) == 1 else f"{abs(loop.rounds)} times"
    context.note(f"the loop goes through the clip and back {times} in {spec.frames} frames: speed {loop.speed:.3g}")
    return loop
