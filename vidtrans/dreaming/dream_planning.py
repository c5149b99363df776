"""The request of a dream, and its plan: seed, models, rate, animated controls, sound, loop and driving video."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from vidtrans.core.errors import UsageError
from vidtrans.core.files import digest_file
from vidtrans.core.mask_files import MaskFile
from vidtrans.core.settings import Table, Time
from vidtrans.curves import hearing
from vidtrans.curves.curve import CurveClock
from vidtrans.curves.expressions import Signal
from vidtrans.curves.hearing import SoundSignals
from vidtrans.curves.tracks import SignalTracks, Track
from vidtrans.dreaming.predictors import context_of, positions_of, start_zoom
from vidtrans.dreaming.rollout import CameraMove, Loop, RolloutControls
from vidtrans.dreaming.seeds import Driver, Seed, find_seed
from vidtrans.dreaming.sequencer import ModelSequencer
from vidtrans.dreaming.settings import NO_MOVE, DreamingSettings, flag_of
from vidtrans.dreaming.steering import ANIMATED, unknown_goal
from vidtrans.models.loaded_model import LoadedModel
from vidtrans.pipeline.render import RenderingSettings
from vidtrans.rendering.requested_output import OutputTarget
from vidtrans.session import Context
from vidtrans.video.io.encoding import CONTAINERS, EncodingSettings
from vidtrans.video.io.join import check_sound
from vidtrans.video.io.sound import RATE_HZ, read_blocks


class DreamSignals(SignalTracks):
    """Gives the signals of a dream their values: those of its sound, and of files of values."""

    def __init__(self, rate: Fraction, sound: Path | None) -> None:
        super().__init__(lambda frames: frames / float(rate))
        self._sound = SoundSignals(sound) if sound else None

    def prepare(self, roots: Collection[Signal]) -> None:
        """Note which bands are heard."""
        if self._sound is not None:
            self._sound.want(roots)

    def root(self, signal: Signal) -> Track:
        """Return a signal of the sound as a function of time. Raises UsageError for others, or without a sound."""
        if not signal.is_heard:
            raise UsageError(str(signal), "a dream has no pictures to look at before it is dreamt", "use t or a sound")
        if self._sound is None:
            raise UsageError(str(signal), "it is heard in a sound, and no sound is given", "give one with --sound FILE")
        return self._sound.track(signal)


class DreamControls:
    """The control values at each of ``num_frames`` frames, at ``rate`` frames per second.

    ``sound``: what curves hear; ``sound_digest``: of its content. Raises UsageError if a curve hears without a sound,
    or key frames are not in order; MediaError.
    """

    def __init__(
        self,
        settings: DreamingSettings,
        rate: Fraction,
        num_frames: int = 0,
        sound: Path | None = None,
        sound_digest: str = "",
    ) -> None:
        self._curves, self._steering, self._rate = settings.curves(), settings.steering(), rate
        self._steered, self._goto = self._steering.over(rate), settings.goto
        self._actions, self._files = settings.actions_digest, settings.curve_files
        self._sound = sound_digest
        self.uses_sound = any(signal.is_heard for curve in self._curves.values() for signal in curve.signals)
        clock = CurveClock.of_rate(rate, num_frames, DreamSignals(rate, sound))
        self._at = {name: curve.over(clock, flag_of(name), *ANIMATED[name]) for name, curve in self._curves.items()}
        is_animated = bool(self._steering) or any(self._curves[name].constant is None for name in NO_MOVE)
        self._constant_move = None if is_animated else self._move(0)

    def check(self, num_frames: int) -> None:
        """Raise UsageError if a value is out of bounds, or not a number, in any of ``num_frames`` frames.

        Or if it is steered after them.
        """
        self._steering.over(self._rate, num_frames)
        for name, curve in self._curves.items():
            for frame in range(num_frames if curve.constant is None else 1):
                self._at[name](frame)

    @property
    def speed_constant(self) -> float | None:
        """Return the clock's speed if it is constant, else None."""
        return None if "speed" in self._steering.controls else self._curves["speed"].constant

    def for_rollout(
        self, loop: Loop | None = None, drive: Callable[[int], np.ndarray] | None = None
    ) -> RolloutControls:
        """Return the controls of a rollout; in a loop, those of the frame in the round. ``drive``: as in the result."""

        def value(name: str) -> Callable[[int], float]:
            return lambda frame: self._value(name, wrapped(frame))

        def wrapped(frame: int) -> int:
            return frame % loop.frames if loop else frame

        def goal(frame: int) -> int | str | None:
            goal = self._steered(wrapped(frame)).goal
            return self._goto if goal is None else goal

        return RolloutControls(
            lambda frame: self._constant_move or self._move(wrapped(frame)),
            (lambda frame: loop.speed) if loop else value("speed"),
            value("recall"),
            value("wander"),
            goal,
            lambda frame: self._at["blend_amount"](wrapped(frame)),
            None if drive is None else lambda frame: drive(wrapped(frame)),
        )

    def _value(self, name: str, frame: int) -> float:
        own = self._at[name](frame)
        return self._steered(frame).value(name, own) if self._steering else own

    def _move(self, frame: int) -> CameraMove:
        return CameraMove(**{name: self._value(name, frame) for name in NO_MOVE})

    def for_key(self) -> Table:
        """Return the texts of the curves, for cache keys."""
        return {name: str(curve) for name, curve in self._curves.items()} | {
            "steer": self._steering.text,
            "goto": self._goto,
            "actions": self._actions,
        }

    def sound_for_key(self) -> Table:
        """Return the digests of the sound and of files of values, for cache keys; {} if no curve uses them."""
        heard = {"source": self._sound, "version": hearing.VERSION} if self.uses_sound else {}
        return heard | ({"files": [digest_file(path) for path in self._files]} if self._files else {})


@dataclass(frozen=True)
class DreamSpec:
    """The request of a dream.

    ``source``: the seed, a video, a picture or a folder of pictures; None: noise. ``frames``: the number to predict.
    ``start``: where in the source the seed begins. ``blend``: a driving video. ``sound``: the result's, which
    expressions may use. ``mask``: where the dream is seen, over the seed's clip as it goes on; None: everywhere.
    """

    source: Path | None
    frames: int
    start: Time | None
    blend: Path | None
    sound: Path | None
    dreaming: DreamingSettings
    rendering: RenderingSettings
    encoding: EncodingSettings
    mask: MaskFile | None = None


@dataclass(frozen=True)
class DreamPlan:
    """The resolved inputs of a dream at ``rate`` frames a second. ``pattern``: file names of pictures in a folder."""

    spec: DreamSpec
    seed: Seed
    rate: Fraction
    models: ModelSequencer
    controls: DreamControls
    loop: Loop | None
    driver: Driver | None
    pattern: str


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
