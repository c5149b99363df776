"""A grid of settings on a few frames: each column changes one setting, and shows what a render makes of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from vidtrans.clips.indexing import Clip, open_clip
from vidtrans.clips.mask import treat_as_drawing
from vidtrans.clips.sampling import read_clip_frames, spread_numbers
from vidtrans.config.rendering_settings import RenderingSettings
from vidtrans.errors import UsageError
from vidtrans.events import Progress
from vidtrans.inference.engine import Engine
from vidtrans.models.loaded_model import Look, load_engine
from vidtrans.pairing.base import Pairing
from vidtrans.registry import unknown_name
from vidtrans.rendering.composite import finish
from vidtrans.rendering.directing import FrameBlend
from vidtrans.rendering.frame_renderer import FrameRenderer, Inputs
from vidtrans.rendering.scene import Scene
from vidtrans.session import Context
from vidtrans.settings import Table, Time, from_table, parse_value, to_table
from vidtrans.video.frame_format import FrameFormat
from vidtrans.video.images.picture import resize, write_picture
from vidtrans.video.io.clip import Frame
from vidtrans.video.io.pictures import is_picture_source
from vidtrans.video.io.reader import ClipReader
from vidtrans.video.plots.layout import Sheet, cell_size

WIDEST = 2400  # pixels, of the whole grid
LARGEST_CELL = 480
VARIED = ("strength", "mix", "keep_colour", "size")
Models = Sequence[tuple[Look, RenderingSettings]]  # each with the settings that it is rendered by


@dataclass(frozen=True)
class Variation:
    """A column: one setting changed. ``flag`` is what has to be typed to get it."""

    flag: str
    table: str
    key: str
    value: Any


@dataclass(frozen=True)
class Moment:
    """A chosen frame, with those before it that a pairing looks back to; ``label`` says where it is."""

    frames: tuple[Frame, ...]
    label: str

    @property
    def source(self) -> np.ndarray:
        return self.frames[-1].rgb

    def resized(self, size: tuple[int, int]) -> list[Frame]:
        """Return its frames at a (width, height)."""
        return [
            replace(f, rgb=resize(f.rgb, *size), guides=tuple(resize(g, *size) for g in f.guides)) for f in self.frames
        ]


Draw = Callable[[Sequence[Moment]], list[np.ndarray]]


def draw_grid(
    path: Path,
    video: Path,
    models: Models,
    asked: Sequence[Variation],
    frames: int,
    at: Sequence[Time],
    context: Context,
) -> Table:
    """Draw the grid and return what is reported of it. Raises UsageError, MediaError, ModelError, DeviceError."""
    history = max(_reach(look.pairing) for look, _ in models)
    moments = choose(video, frames, at, history, models[0][0].pairing.guides, context)
    for look, rendering in models:
        if (scene := Scene.of(look)) and not _is_drawn(look, rendering, video, context):
            for moment in moments:
                scene.check(moment.frames[-1:], f"{video.name}: {moment.label}")
    columns: list[tuple[str, Draw]] = [("source", lambda moments: [m.source for m in moments])]
    for look, rendering in models:
        variations = asked or suggested(look, rendering, alone=len(models) == 1)
        own = _columns(look, rendering, variations, video, context)
        columns += own if len(models) == 1 else [(_of(look, label), draw) for label, draw in own]
    drawn = []
    for number, (_, draw) in enumerate(columns, 1):
        drawn.append(draw(moments))
        context.stop.check()
        context.report(Progress("trying", number, len(columns), "columns"))
    rows = list(zip(*drawn, strict=True))
    cell = cell_size(moments[0].source, min(LARGEST_CELL, WIDEST // len(columns)))
    title = f"{video.name}: each column changes one setting; single frames, so no temporal filter"
    labels = [label for label, _ in columns]
    write_picture(path, Sheet(title, rows, cell, labels, [[m.label] for m in moments]).draw())
    return {"frames": len(moments), "columns": labels}


def check_variations(look: Look, rendering: RenderingSettings, asked: Sequence[Variation]) -> None:
    """Raise UsageError before any work for what would be wrong after it."""
    look.working_size(rendering.size, (640, 360))  # raises where it is no size
    for name, curve in rendering.curves().items():
        if curve.constant is None:
            why = "single frames are shown, with one value each"
            raise UsageError(f"keyframes for {name}", why, f"use --vary {name}=VALUE,VALUE")
    for variation in asked:
        changed(look, rendering, variation)


def _of(look: Look, label: str) -> str:
    """A column's label where there are several models."""
    return label if label == look.name else f"{look.name} {label}"


def _reach(pairing: Pairing) -> int:
    """Return how many frames lie from the first that an input is made of to the last."""
    return pairing.offsets[-1] - pairing.offsets[0] + 1


def choose(
    video: Path, count: int, at: Sequence[Time], history: int, guides: Sequence[str], context: Context
) -> list[Moment]:
    """The frames of the grid. A long video is not read through for them: its length is taken from the header."""
    if not at and not guides and not is_picture_source(video):
        with ClipReader(video, threads=context.decode_threads, tolerant=context.allow_damaged) as reader:
            if reader.info.duration_s:
                seconds = [Fraction(reader.info.duration_s) * (2 * k + 1) / (2 * count) for k in range(count)]
                return [Moment(tuple(reader.near(s, history)), f"{float(s):.1f} s") for s in seconds]
    clip = open_clip(context, video, guides)
    chosen = [min(clip.frame_at(t), clip.index.num_frames - 1) for t in at]
    return [_moment(clip, n, history, context) for n in chosen or spread_numbers(clip.index.num_frames, count)]


def _moment(clip: Clip, number: int, history: int, context: Context) -> Moment:
    shot = max(s for s in clip.shots if s <= number)
    numbers = range(max(shot, number - history + 1), number + 1)
    label = clip.index.names[number] if clip.index.names else f"frame {number}"
    return Moment(tuple(read_clip_frames(clip, numbers, FrameFormat(), context)), label)


def parse_variations(text: str) -> list[Variation]:
    """Read ``strength=0.5,1.5``, ``size=256,384`` or ``pairing.density=0.06,0.2``. Raises UsageError."""
    key, equals, values = (part.strip() for part in text.partition("="))
    if not equals or not all(v.strip() for v in values.split(",")):
        raise UsageError(f"--vary {text}", "it is not of the form KEY=VALUE,VALUE", "as in --vary strength=0.5,1.5")
    key = key.replace("-", "_")
    table, _, name = key.rpartition(".")
    if table not in ("", "rendering", "pairing") or (table != "pairing" and name not in VARIED):
        raise unknown_name("setting to vary", key, [*VARIED, "pairing.…"])
    table = table or "rendering"
    found = []
    for value in (v.strip() for v in values.split(",")):
        flag = f"--set pairing.{name}={value}" if table == "pairing" else f"--{name.replace('_', '-')} {value}"
        if name == "keep_colour":
            flag = "--keep-colour" if value == "1" else f"--set rendering.keep_colour={value}"
        found.append(Variation(flag, table, name, parse_value(value)))
    return found


def suggested(look: Look, rendering: RenderingSettings, *, alone: bool) -> list[Variation]:
    """Return what is worth trying: strength, the pairing's main setting, and size; less for several models."""
    texts = ["strength=0.5,1.5"] if alone else ["strength=0.5"]
    main_setting = look.pairing.main_setting
    if main_setting:
        (bounds,) = (f.metadata for f in fields(look.pairing.settings) if f.name == main_setting)
        value = getattr(look.pairing.settings, main_setting)
        kind = type(value)
        values = [
            max(bounds.get("low", 0), min(bounds.get("high", value * 2), kind(v))) for v in (value / 2, value * 2)
        ]
        texts.append(f"pairing.{main_setting}={','.join(f'{v:g}' for v in dict.fromkeys(values) if v != value)}")
    if look.record is not None and alone:
        texts.append(f"size={round(look.record.size * 0.75)},{round(look.record.size * 1.5)}")
    variations = [v for text in texts if not text.endswith("=") for v in parse_variations(text)]
    return [v for v in variations if _fits(look, rendering, v)]


def _fits(look: Look, rendering: RenderingSettings, variation: Variation) -> bool:
    """Whether a suggestion goes together with the other settings."""
    with suppress(UsageError):
        changed(look, rendering, variation)
        return True
    return False


def changed(look: Look, rendering: RenderingSettings, variation: Variation) -> tuple[Look, RenderingSettings]:
    """The look and the settings with one thing changed. Raises UsageError."""
    if variation.table == "pairing":
        look = replace(look, changes={**look.changes, variation.key: variation.value})
        look.pairing  # noqa: B018  (raises where it does not fit)
        return look, rendering
    table = to_table(rendering) | {variation.key: variation.value}
    made = from_table(RenderingSettings, table, "rendering")
    look.working_size(made.size, (640, 360))  # raises where it is no size
    return look, made


def _columns(
    look: Look, rendering: RenderingSettings, variations: Sequence[Variation], video: Path, context: Context
) -> list[tuple[str, Draw]]:
    engine = load_engine(look, rendering, context)
    drawn = _is_drawn(look, rendering, video, context)
    columns = [(look.name, _still(look, rendering, engine, drawn))]
    others = ((v.flag, _still(*changed(look, rendering, v), engine, drawn)) for v in variations)
    return [*columns, *others]


def _is_drawn(look: Look, rendering: RenderingSettings, video: Path, context: Context) -> bool:
    if not is_picture_source(video):
        return False
    return treat_as_drawing(open_clip(context, video, look.pairing.guides), look.pairing, rendering.drawing, context)


def _still(look: Look, rendering: RenderingSettings, engine: Engine, drawn: bool) -> Draw:
    """Return what renders moments as a render would without its temporal filter."""
    pairing = look.pairing
    direction = FrameBlend(**{name: curve.values[0] for name, curve in rendering.curves().items()})

    def finished(moment: Moment, shown: np.ndarray | None, output: np.ndarray) -> np.ndarray:
        height, width = (side * pairing.upscale_factor for side in moment.source.shape[:2])
        return finish(pairing, direction, resize(moment.source, width, height), output, shown)

    def render(moments: Sequence[Moment]) -> list[np.ndarray]:
        renderer = FrameRenderer(Inputs(pairing, drawn=drawn), engine)
        prepared = []
        for moment in moments:
            *past, now = moment.resized(look.working_size(rendering.size, moment.source.shape[1::-1]))
            for frame in past:
                renderer.remember(frame)
            prepared.append(renderer.prepare(now, (moment.frames[0].index, now.index + 1)))
        if len({p.sample.guide.shape for p in prepared}) == 1:
            samples = list(renderer.stream(prepared))  # an engine runs whole batches
        else:
            samples = [sample for p in prepared for sample in renderer.stream([p])]
        return [finished(m, p.input, s.output) for m, p, s in zip(moments, prepared, samples, strict=True)]

    return render
