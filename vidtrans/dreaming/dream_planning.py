"""From what is wanted of a dream, and its models, to its plan: seed, rate, sound, loop and driving video."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from vidtrans.config.rendering import RenderingSettings
from vidtrans.dreaming.bands import Loudness, loudness
from vidtrans.dreaming.controls import DreamControls
from vidtrans.dreaming.dream_job import DreamPlan
from vidtrans.dreaming.predictors import context_of, positions_of
from vidtrans.dreaming.resumable_rollout import Loop
from vidtrans.dreaming.seeds import Driver, find_seed
from vidtrans.dreaming.sequencer import ModelSequencer
from vidtrans.dreaming.settings import DreamingSettings
from vidtrans.errors import UsageError
from vidtrans.models.loaded_model import Look
from vidtrans.rendering.requested_output import OutputTarget
from vidtrans.session import Context
from vidtrans.settings import Time
from vidtrans.video.io.codecs import CONTAINERS
from vidtrans.video.io.encoding import EncodingSettings
from vidtrans.video.io.sound import RATE_HZ, read_blocks
from vidtrans.video.io.stream_copy import check_sound


@dataclass(frozen=True)
class Wish:
    """What was asked for. ``source``: a video, picture or folder (None: noise); ``blend``: what drives the dream on."""

    source: Path | None
    frames: int
    start: Time | None
    blend: Path | None
    sound: Path | None
    dreaming: DreamingSettings
    rendering: RenderingSettings
    encoding: EncodingSettings


def plan_dream(wish: Wish, looks: Sequence[Look], place: OutputTarget, context: Context) -> DreamPlan:
    """Open what is read and return the plan of a dream. Raises UsageError, MediaError, ModelError, DeviceError."""
    cast = ModelSequencer(looks, wish.dreaming, wish.rendering, context, wish.frames)
    seed = find_seed(wish.source, looks[0], context_of(looks), wish.rendering.size, wish.start, context)
    rate = _rate(wish, looks[0], seed.rate)
    heard = _listen(wish, rate, place) if wish.sound else None
    direction = DreamControls(wish.dreaming, rate, heard, context.cache.digest(wish.sound) if wish.sound else "")
    direction.check(wish.frames)
    loop = _loop(wish, looks, direction.speed_constant, context) if wish.dreaming.loop else None
    driver = Driver(wish.blend, seed.size, rate, wish.frames, context) if wish.blend else None
    return DreamPlan(
        seed=seed,
        frames=wish.frames,
        rate=rate,
        cast=cast,
        direction=direction,
        dreaming=wish.dreaming,
        rendering=wish.rendering,
        encoding=replace(wish.encoding, fps="source"),
        loop=loop,
        driver=driver,
        sound=wish.sound,
        pattern=place.pattern,
    )


def _rate(wish: Wish, look: Look, own: Fraction | None) -> Fraction:
    """Frames a second: as asked for, the seed's, what the model learned from, or what pictures have."""
    learned = look.record.dream.get("rate") if look.record else None
    usual = Fraction(learned) if learned else Fraction(wish.rendering.picture_fps).limit_denominator(1001)
    return wish.encoding.rate or own or usual


def _listen(wish: Wish, rate: Fraction, place: OutputTarget) -> Loudness:
    """The loudness of the sound. Raises UsageError where it is shorter than the dream, or cannot go along."""
    assert wish.sound is not None
    kind = CONTAINERS.get(place.output.suffix.lower().lstrip("."))
    if kind and wish.encoding.sound == "copy":
        check_sound(wish.sound, kind)
    heard = loudness(read_blocks(wish.sound), RATE_HZ)
    needed = wish.frames / rate
    if heard.duration_s < needed - 1 / rate:
        lasts = f"it lasts {float(heard.duration_s):.2f} s, the dream {float(needed):.2f} s"
        remedy = f"use --frames {max(1, int(heard.duration_s * rate))}, or a longer sound"
        raise UsageError(str(wish.sound), lasts, remedy)
    return heard


def _loop(wish: Wish, looks: Sequence[Look], speed: float | None, context: Context) -> Loop:
    """Raises UsageError where the speed changes, or the models' clocks differ."""
    if speed is None:
        raise UsageError("--loop", "a loop has one speed", "give one number with --speed")
    clocks = {(look.pairing.settings.step, positions_of(look)) for look in looks}
    if len(clocks) > 1:
        raise UsageError("--loop", "the models' clocks differ", "take models of one training run")
    step, positions = clocks.pop()
    loop = Loop.nearest(wish.frames, speed, step, positions)
    times = "once" if abs(loop.rounds) == 1 else f"{abs(loop.rounds)} times"
    context.note(f"the loop goes through the clip and back {times} in {wish.frames} frames: speed {loop.speed:.3g}")
    return loop
