"""The request of a dream, and its resolved plan: seed, models, frame rate, controls, sound, loop, driving video."""

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
from vidtrans.dreaming.predictors import max_context_frames, num_clock_positions, start_zoom
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
    """Provides the signals that the curves of a dream use, from its sound and from files of values.

    ``rate``: frames per second of the dream.
    """

    def __init__(self, rate: Fraction, sound: Path | None) -> None:
        super().__init__(lambda frames: frames / float(rate))
        self._sound = SoundSignals(sound) if sound else None

    def prepare(self, roots: Collection[Signal]) -> None:
        """Announce the signals (``roots``) that curves use, so that the sound is analysed for all of them at once."""
        if self._sound is not None:
            self._sound.want(roots)

    def root(self, signal: Signal) -> Track:
        """Return a signal of the sound, such as its loudness, as a function of time.

        Raises UsageError for other signals, or without a sound.
        """
        if not signal.is_heard:
            raise UsageError(str(signal), "a dream has no pictures to look at before it is dreamt", "use t or a sound")
        if self._sound is None:
            raise UsageError(str(signal), "it is heard in a sound, and no sound is given", "give one with --sound FILE")
        return self._sound.track(signal)


class DreamControls:
    """The controls (camera, speed, recall …) of a dream in each of ``num_frames`` frames, at ``rate`` per second.

    ``sound``: the file that curves analyse; ``sound_digest``: of its content. Raises UsageError if a curve uses a sound
    signal without a sound, or key frames are not in order; MediaError.
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
        self._steering_at, self._goto = self._steering.over(rate), settings.goto
        self._actions, self._files = settings.actions_digest, settings.curve_files
        self._sound = sound_digest
        self.uses_sound = any(signal.is_heard for curve in self._curves.values() for signal in curve.signals)
        clock = CurveClock.of_rate(rate, num_frames, DreamSignals(rate, sound))
        self._values = {name: curve.over(clock, flag_of(name), *ANIMATED[name]) for name, curve in self._curves.items()}
        is_animated = bool(self._steering) or any(self._curves[name].constant is None for name in NO_MOVE)
        self._constant_move = None if is_animated else self._move(0)

    def check(self, num_frames: int) -> None:
        """Raise UsageError if a control's value in the first ``num_frames`` frames is out of bounds or no number.

        Also raise it if a steering entry begins after these frames.
        """
        self._steering.over(self._rate, num_frames)
        for name, curve in self._curves.items():
            for frame in range(num_frames if curve.constant is None else 1):
                self._values[name](frame)

    @property
    def speed_constant(self) -> float | None:
        """Return the clock speed if it is constant; None if a curve or steering changes it."""
        return None if "speed" in self._steering.controls else self._curves["speed"].constant

    def for_rollout(
        self, loop: Loop | None = None, drive: Callable[[int], np.ndarray] | None = None
    ) -> RolloutControls:
        """Return the controls of a rollout as functions of the frame number, which wraps around in a loop.

        ``drive``: the driving video's frame by number.
        """

        def value(name: str) -> Callable[[int], float]:
            """Return a control as a function of the frame number."""
            return lambda frame: self._value(name, wrap(frame))

        def wrap(frame: int) -> int:
            """Return the frame number within the loop; unchanged without a loop."""
            return frame % loop.frames if loop else frame

        def goal(frame: int) -> int | str | None:
            """Return the steering goal in a frame (shot number or action); None without a goal."""
            goal = self._steering_at(wrap(frame)).goal
            return self._goto if goal is None else goal

        return RolloutControls(
            lambda frame: self._constant_move or self._move(wrap(frame)),
            (lambda frame: loop.speed) if loop else value("speed"),
            value("recall"),
            value("wander"),
            goal,
            lambda frame: self._values["blend_amount"](wrap(frame)),
            None if drive is None else lambda frame: drive(wrap(frame)),
        )

    def _value(self, name: str, frame: int) -> float:
        """Return the value of a control in a frame, after steering."""
        own = self._values[name](frame)
        return self._steering_at(frame).value(name, own) if self._steering else own

    def _move(self, frame: int) -> CameraMove:
        """Return the camera move between a frame and the frame before it."""
        return CameraMove(**{name: self._value(name, frame) for name in NO_MOVE})

    def for_key(self) -> Table:
        """Return the properties that affect the controls, for cache keys."""
        return {name: str(curve) for name, curve in self._curves.items()} | {
            "steer": self._steering.text,
            "goto": self._goto,
            "actions": self._actions,
        }

    def sound_for_key(self) -> Table:
        """Return the digests of the sound and value files that curves use, for cache keys; {} if no curve uses any."""
        heard = {"source": self._sound, "version": hearing.VERSION} if self.uses_sound else {}
        return heard | ({"files": [digest_file(path) for path in self._files]} if self._files else {})


@dataclass(frozen=True)
class DreamSpec:
    """The request of a dream, as the user gave it.

    Attributes:
        source: The seed, a video, a picture or a folder of pictures; None for noise.
        frames: The number of frames to predict.
        start: The start of the seed in the source.
        blend: A driving video.
        sound: The result's sound, which expressions may use.
        mask: Where the dream is visible, over the seed's clip; None for the whole frame.
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
    """The resolved inputs of a dream: opened files, loaded models and controls.

    ``rate``: frames per second. ``pattern``: the file name pattern of a folder of pictures.
    """

    spec: DreamSpec
    seed: Seed
    rate: Fraction
    models: ModelSequencer
    controls: DreamControls
    loop: Loop | None
    driver: Driver | None
    pattern: str


def plan_dream(
    spec: DreamSpec, loaded_models: Sequence[LoadedModel], target: OutputTarget, context: Context
) -> DreamPlan:
    """Open all inputs and return the plan of a dream. Raises UsageError, MediaError, ModelError, DeviceError."""
    models = ModelSequencer(loaded_models, spec.dreaming, spec.rendering, context, spec.frames)
    zoom, count = start_zoom(loaded_models[0], spec.dreaming), max_context_frames(loaded_models)
    seed = find_seed(spec.source, loaded_models[0], count, spec.rendering.size, spec.start, context, zoom)
    rate = _rate(spec, loaded_models[0], seed.rate)
    if spec.sound:
        _check_sound(spec.sound, spec, rate, target)
    digest = context.cache.digest(spec.sound) if spec.sound else ""
    controls = DreamControls(spec.dreaming, rate, spec.frames, spec.sound, digest)
    controls.check(spec.frames)
    check_goals(models, spec.dreaming)
    if spec.dreaming.steering().played_on not in ("", loaded_models[0].digest):
        script, name = spec.dreaming.steer, loaded_models[0].name
        context.note(f"{script} was played on another model than '{name}': the same moves, other pictures", "warning")
    loop = _loop(spec, loaded_models, controls.speed_constant, context) if spec.dreaming.loop else None
    driver = Driver(spec.blend, seed.size, rate, spec.frames, context) if spec.blend else None
    spec = replace(spec, encoding=replace(spec.encoding, fps="source"))  # The dream's own frame rate replaces it
    return DreamPlan(spec, seed, rate, models, controls, loop, driver, target.pattern)


def check_goals(models: ModelSequencer, settings: DreamingSettings) -> None:
    """Raise UsageError if the first model lacks a shot or an action that is a goal of steering."""
    if not settings.goals and not settings.actions:
        return
    pointers = [models(number * models.every).pointer for number in range(len(models.loaded_models) - settings.morph)]
    known = pointers[0].memory.goals if pointers[0] else {}
    for goal in sorted(settings.goals, key=str):
        if goal not in known:
            raise unknown_goal(goal, list(known))


def _rate(spec: DreamSpec, loaded_model: LoadedModel, seed_rate: Fraction | None) -> Fraction:
    """Return the dream's frames per second: as requested, or the seed's, training clip's, or ``picture_fps``."""
    learned = loaded_model.record.dream.get("rate") if loaded_model.record else None
    default = Fraction(learned) if learned else Fraction(spec.rendering.picture_fps).limit_denominator(1001)
    return spec.encoding.rate or seed_rate or default


def _check_sound(sound: Path, spec: DreamSpec, rate: Fraction, target: OutputTarget) -> None:
    """Raise UsageError if the sound is shorter than the dream, or the output's container cannot hold it."""
    kind = CONTAINERS.get(target.output.suffix.lower().lstrip("."))
    if kind and spec.encoding.sound == "copy":
        check_sound(sound, kind)
    lasts_s = Fraction(sum(map(len, read_blocks(sound))), RATE_HZ)
    needed = spec.frames / rate
    if lasts_s < needed - 1 / rate:
        lasts = f"it lasts {float(lasts_s):.2f} s, and the dream {float(needed):.2f} s"
        remedy = f"use --frames {max(1, int(lasts_s * rate))}, or a longer sound"
        raise UsageError(str(sound), lasts, remedy)


def _loop(spec: DreamSpec, loaded_models: Sequence[LoadedModel], speed: float | None, context: Context) -> Loop:
    """Return the loop. Raises UsageError if ``speed`` is None (not constant), or the models' clocks differ."""
    if speed is None:
        raise UsageError("--loop", "a loop needs a constant speed", "give one number with --speed")
    clocks = {(loaded_model.pairing.settings.step, num_clock_positions(loaded_model)) for loaded_model in loaded_models}
    if len(clocks) > 1:
        raise UsageError("--loop", "the models' clocks differ", "give models of one training run")
    [(step, positions)] = clocks
    loop = Loop.nearest(spec.frames, speed, step, positions)
    times = "once" if abs(loop.rounds) == 1 else f"{abs(loop.rounds)} times"
    context.note(f"the loop goes through the clip and back {times} in {spec.frames} frames: speed {loop.speed:.3g}")
    return loop
