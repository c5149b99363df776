"""``vidtrans dream``: next-frame prediction fed back on itself, directed, and resumable at any moment."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidtrans.clips.indexing import content_digest
from vidtrans.config.programs import tell_programs
from vidtrans.config.recipe import Recipe, check_read, render_recipe
from vidtrans.config.rendering import RenderingSettings
from vidtrans.dreaming.predictors import NOISE, check_clock, context_of, find_looks, positions_of
from vidtrans.dreaming.settings import DreamingSettings, flag_of
from vidtrans.errors import UsageError
from vidtrans.files import base_name, digest_of
from vidtrans.flow.survey import VERSION as SURVEY_VERSION
from vidtrans.models.loaded_model import Look
from vidtrans.models.model_file import SUFFIX
from vidtrans.output.assembling import VERSION as ASSEMBLY_VERSION
from vidtrans.output.target import refuse_link
from vidtrans.pairing.base import pairing_record
from vidtrans.rendering.order import Order, Place, program_of
from vidtrans.session import Context
from vidtrans.settings import Table, Time
from vidtrans.store.stages import DreamStage
from vidtrans.video.io.codecs import CONTAINERS
from vidtrans.video.io.encoding import EncodingSettings
from vidtrans.video.io.stream_copy import check_sound

if TYPE_CHECKING:
    from vidtrans.dreaming.bands import Loudness
    from vidtrans.dreaming.dream_job import DreamJob
    from vidtrans.dreaming.timeline import Loop

# Of the table [rendering]: what has to do with a source's frames is for renders.
READ = ("size", "rate", "chunk_frames", "engine", "precision")


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

    def __post_init__(self) -> None:
        if self.frames < 1:
            raise UsageError(f"--frames {self.frames}", "a dream has at least one", "give a number of frames")
        if self.blend is None and self.dreaming.blend_amount != DreamingSettings.blend_amount:
            raise UsageError(flag_of("blend_amount"), "there is no driving video", "give one with --blend VIDEO")

    @property
    def paths(self) -> list[Path]:
        return [p for p in (self.source, self.blend, self.sound) if p]


def dream(
    source: Path | None,
    models: Sequence[str],
    output: Path | None,
    frames: int,
    recipe: Recipe,
    context: Context,
    *,
    start: Time | None = None,
    blend: Path | None = None,
    sound: Path | None = None,
) -> Table:
    """Let models that predict frames go on from a seed for so many frames; return what is reported of it.

    ``source``: a video (from ``start`` on), a picture, or None for noise. ``blend``: a driving video. ``sound``: what
    expressions may listen to, and the sound of the result. Raises UsageError, MediaError, ModelError, DeviceError,
    Interrupted.
    """
    began = time.monotonic()
    looks = find_looks(models, context)
    encoding = recipe.settings("encoding", EncodingSettings).resolved(pictures=False, output=output)
    dreaming, rendering = recipe.settings("dreaming", DreamingSettings), recipe.settings("rendering", RenderingSettings)
    wish = Wish(source, frames, start, blend, sound, dreaming, rendering, encoding)
    check_clock(looks, dreaming)
    if sound is not None and (encoding.makes_pictures or encoding.codec == "gif"):
        context.note(
            f"expressions hear {sound.name}, and the result is silent: use -o with .mp4 or .mkv to keep it", "warning"
        )
    place = Place.find(output or refuse_link(default_output(source, looks, encoding)), encoding)
    request = _request(wish, looks, place, context)
    order = Order(place, request, [*wish.paths, *(look.path for look in looks if look.path)], context, began)
    if (held := order.held()) is not None:
        return order.told(held, cached=True)
    place.check_holds(frames)
    tell_programs(recipe.programs, context, ("encoding",))
    job = _job(wish, looks, place, context)
    if context.dry_run:
        return order.forecast(job)
    result = job.render(place.output, request)
    context.trim_cache()
    return order.told(result, cached=False)


def default_output(source: Path | None, looks: Sequence[Look], encoding: EncodingSettings) -> Path:
    """``in.x.dream.mp4``."""
    seed = base_name(source) if source else NOISE
    name = looks[0].name.removesuffix(SUFFIX)
    return Path(f"{seed}.{name}.dream{encoding.default_suffix(single=False)}")


def dream_recipe(preset: str | None, flags: Mapping[str, Mapping[str, Any]]) -> Recipe:
    """The recipe for ``dream``. Raises UsageError where a flag is none, or would do nothing."""
    recipe = render_recipe(preset, flags)
    check_read(flags, "dream", READ)
    return recipe


def _request(wish: Wish, looks: Sequence[Look], place: Place, context: Context) -> str:
    """The digest of all that decides a result. Raises UsageError, MediaError where something cannot be read."""
    digests = {name: content_digest(context, path) if path else "" for name, path in _files(wish).items()}
    return digest_of(
        {
            "command": "dream",
            "noise": context.seed if wish.source is None else None,
            "models": [[look.digest, pairing_record(look.pairing)] for look in looks],
            "frames": wish.frames,
            "start": str(wish.start),
            "dreaming": wish.dreaming.for_key(),
            "rendering": {name: getattr(wish.rendering, name) for name in READ},
            "encoding": wish.encoding.for_key(),
            "pattern": place.pattern,
            "versions": [DreamStage.id(), SURVEY_VERSION, ASSEMBLY_VERSION],
            "program": program_of(wish.encoding),
            "device": context.device_kind,
            **digests,
        }
    )


def _files(wish: Wish) -> dict[str, Path | None]:
    return {"source": wish.source, "blend": wish.blend, "sound": wish.sound}


def _job(wish: Wish, looks: Sequence[Look], place: Place, context: Context) -> DreamJob:
    from vidtrans.dreaming.controls import Direction
    from vidtrans.dreaming.dream_job import DreamJob, Plan
    from vidtrans.dreaming.seeds import Driver, find_seed
    from vidtrans.dreaming.sequencer import Cast

    cast = Cast(looks, wish.dreaming, wish.rendering, context, wish.frames)
    seed = find_seed(wish.source, looks[0], context_of(looks), wish.rendering.size, wish.start, context)
    rate = _rate(wish, looks[0], seed.rate)
    heard = _listen(wish, rate, place) if wish.sound else None
    direction = Direction(wish.dreaming, rate, heard, context.cache.digest(wish.sound) if wish.sound else "")
    direction.check(wish.frames)
    loop = _loop(wish, looks, direction.speed_constant, context) if wish.dreaming.loop else None
    driver = Driver(wish.blend, seed.size, rate, wish.frames, context) if wish.blend else None
    plan = Plan(
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
    return DreamJob(plan, context)


def _rate(wish: Wish, look: Look, own: Fraction | None) -> Fraction:
    """Frames a second: as asked for, the seed's, what the model learned from, or what pictures have."""
    learned = look.record.dream.get("rate") if look.record else None
    usual = Fraction(learned) if learned else Fraction(wish.rendering.rate).limit_denominator(1001)
    return wish.encoding.rate or own or usual


def _listen(wish: Wish, rate: Fraction, place: Place) -> Loudness:
    """The loudness of the sound. Raises UsageError where it is shorter than the dream, or cannot go along."""
    from vidtrans.dreaming.bands import loudness
    from vidtrans.video.io.sound import RATE_HZ, read_blocks

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
    from vidtrans.dreaming.timeline import Loop

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
