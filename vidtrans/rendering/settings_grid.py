"""A grid of rendered frames for the command ``try``: each row is a frame, and each column changes one setting."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np

from vidtrans.clips.aligned_clip import should_treat_as_drawing
from vidtrans.clips.indexing import open_clip
from vidtrans.clips.sampling import read_clip_frames, spread_numbers
from vidtrans.core.errors import UsageError
from vidtrans.core.events import Progress
from vidtrans.core.options import Use, options_of, parameters, settings_with_use
from vidtrans.core.registry import unknown_name
from vidtrans.core.settings import Table, Time, from_table, parse_value, to_table
from vidtrans.curves.curve import CurveClock
from vidtrans.models.loaded_model import LoadedModel, load_engine
from vidtrans.models.look_pictures import is_style, split_names
from vidtrans.models.render_settings import output_classes
from vidtrans.pairing.look_pairing import LookPairing
from vidtrans.pipeline.render import RenderingSettings, restore
from vidtrans.pipeline.stage import FrameValues
from vidtrans.rendering.conditions import Conditions, conditions_of
from vidtrans.rendering.enlarger import enlarge_frames
from vidtrans.rendering.extraction import FrameExtractor, resized
from vidtrans.rendering.frame_by_frame import finish_frame, resize_to_result
from vidtrans.rendering.frame_renderer import FrameRenderer, ModelInputs
from vidtrans.rendering.planned_strokes import StreamStrokes
from vidtrans.rendering.scene import Scene
from vidtrans.session import Context
from vidtrans.strokes.settings import StrokesSettings
from vidtrans.upscaling.array_pictures import size_of
from vidtrans.video.frame_format import FrameFormat
from vidtrans.video.images.picture import write_picture
from vidtrans.video.io.clip import Frame
from vidtrans.video.io.picture_paths import is_picture_source
from vidtrans.video.io.reader import ClipReader
from vidtrans.video.plots import MAX_CELL_HEIGHT_PX, ContactSheet, cell_size, centre_crop

MAX_WIDTH = 2400  # Width limit of the whole grid in pixels
MAX_CELL = 480  # Width limit of one cell in pixels
TRIAL_SETTINGS = settings_with_use(RenderingSettings, Use.VARY)  # Names of the rendering settings that --vary accepts
MAX_SUGGESTED_LOOKS = 3  # Limit of the number of styles that are suggested as columns for a multi-style model
ENDLESS_TIMES = range(1 << 40)  # Timestamps by frame number, for the clock of single frames, which belong to no clip
Models = Sequence[tuple[LoadedModel, RenderingSettings]]  # Models, each with its rendering settings


@dataclass(frozen=True)
class Variation:
    """A column of the grid, which changes one setting: the ``value`` of a ``key`` in a recipe's ``table``.

    ``flag``: the command-line option that sets it.
    """

    flag: str
    table: str
    key: str
    value: object

    def apply(self, model: LoadedModel, rendering: RenderingSettings) -> tuple[LoadedModel, RenderingSettings]:
        """Return the model and the rendering settings with this change. Raises UsageError if the value is invalid."""
        if self.table == "pairing":
            model = replace(model, changes={**model.changes, self.key: self.value})
            model.pairing  # noqa: B018  (it raises if the value is invalid)
            return model, rendering
        if self.table == "strokes":
            return model, rendering
        rendering = from_table(RenderingSettings, to_table(rendering) | {self.key: self.value}, "rendering")
        model.working_size(rendering.size, (640, 360))  # Raises if the size is invalid
        _conditions(model, rendering)  # Raises if the model has no such style
        return model, rendering

    def strokes(self, strokes: StrokesSettings) -> StrokesSettings:
        """Return the stroke settings with this change. Raises UsageError if the value is invalid."""
        if self.table != "strokes":
            return strokes
        return from_table(StrokesSettings, to_table(strokes) | {self.key: self.value}, "strokes")


@dataclass(frozen=True)
class _GridFrame:
    """A row of the grid: ``frames`` ends with the shown frame, after the earlier frames that its input needs.

    ``label``: the frame's number, time or file name.
    """

    frames: tuple[Frame, ...]
    label: str

    @property
    def source(self) -> np.ndarray:
        """Return the source picture, (H, W, 3)."""
        return self.frames[-1].rgb


# The label of a column, and the function that renders its frames
_Column = tuple[str, Callable[[Sequence[_GridFrame]], list[np.ndarray]]]


@dataclass(frozen=True)
class GridRows:
    """The frames of a grid, ``chosen``, and for each model, whether it treats them as drawings, ``drawn``."""

    chosen: list[_GridFrame]
    drawn: list[bool]

    @classmethod
    def of(cls, video: Path, models: Models, frames: int, at: Sequence[Time], context: Context) -> GridRows:
        """Read the frames at the times ``at``; if there are none, a number of ``frames`` spread over the video.

        Raises UsageError; MediaError if a frame cannot be read, or shows another scene than a model's.
        """
        history = max(model.pairing.offsets[-1] - model.pairing.offsets[0] + 1 for model, _ in models)
        chosen = _read_grid_frames(video, frames, at, history, models[0][0].pairing.guides, context)
        drawn = [_is_drawing_source(model, rendering, video, context) for model, rendering in models]
        for (model, _), is_drawn in zip(models, drawn, strict=True):
            if (scene := Scene.of(model)) and not is_drawn:
                for frame in chosen:
                    scene.check(frame.frames[-1:], f"{video.name}: {frame.label}")
        return cls(chosen, drawn)


def draw_grid(
    path: Path,
    video: Path,
    models: Models,
    grid_rows: GridRows,
    variations: Sequence[Variation],
    context: Context,
    colours: Sequence[LoadedModel] = (),
    first_label: str = "",
    strokes: StrokesSettings = StrokesSettings(),  # noqa: B008  (frozen)
) -> Table:
    """Draw the grid into the picture file ``path``; return its result table.

    Raises UsageError, ModelError, DeviceError.

    ``variations``: the columns of each model; by default, suggested ones. ``colours``: colour maps that belong to the
    models; each gets one column. ``first_label``: the label of the column without changes; by default, the model's
    name. ``strokes``: paint the models' pictures in strokes.
    """
    chosen = grid_rows.chosen
    columns: list[_Column] = [("source", lambda chosen: [frame.source for frame in chosen])]
    for (model, rendering), drawn in zip(models, grid_rows.drawn, strict=True):
        columns += _columns_of(
            model,
            rendering,
            variations,
            context,
            is_only_model=len(models) == 1,
            drawn=drawn,
            first_label=first_label,
            strokes=strokes,
        )
    columns += [_colours_column(colour_map, context, is_only_model=len(colours) == 1) for colour_map in colours]
    pictures = []
    for number, (_, render) in enumerate(columns, 1):
        pictures.append(render(chosen))
        context.stop.check()
        context.report(Progress("trying", number, len(columns), "columns"))
    rows = list(zip(*pictures, strict=True))
    cell = cell_size(chosen[0].source, min(MAX_CELL, MAX_WIDTH // len(columns)), MAX_CELL_HEIGHT_PX)
    title = f"{video.name}: each column changes one setting; single frames, so no temporal filter"
    if any(variation.key == "upscale" for variation in variations):  # Scaled down, all modes look the same
        rows = [tuple(centre_crop(picture, *cell) for picture in row) for row in rows]
        title += "; the middle of each, not scaled"
    labels = [label for label, _ in columns]
    write_picture(path, ContactSheet(title, rows, cell, labels, [[frame.label] for frame in chosen]).draw())
    return {"frames": len(chosen), "columns": labels}


def _columns_of(
    model: LoadedModel,
    rendering: RenderingSettings,
    variations: Sequence[Variation],
    context: Context,
    *,
    is_only_model: bool,
    drawn: bool,
    first_label: str,
    strokes: StrokesSettings,
) -> list[_Column]:
    """Return the columns of one model: first a column without changes, then a column for each variation.

    ``is_only_model``: labels of changes need no model name.
    """
    render = partial(_render, context=context, drawn=drawn)
    columns: list[_Column] = [(first_label or model.name, partial(render, model, rendering, strokes=strokes))]
    for variation in variations or _suggest_variations(model, rendering, strokes, is_only_model=is_only_model):
        label = variation.flag if is_only_model else f"{model.name} {variation.flag}"
        changed = variation.apply(model, rendering)
        columns.append((label, partial(render, *changed, strokes=variation.strokes(strokes))))
    return columns


def _colours_column(colour_map: LoadedModel, context: Context, *, is_only_model: bool) -> _Column:
    """Return the column with the source in the colours of a colour map. ``is_only_model``: no other colour map."""
    render = partial(_render, colour_map, RenderingSettings(), context=context, drawn=False)
    return ("colours alone" if is_only_model else f"{colour_map.name} alone", render)


def check_variations(
    model: LoadedModel, rendering: RenderingSettings, strokes: StrokesSettings, variations: Sequence[Variation]
) -> None:
    """Raise UsageError for invalid variations, before any work is done."""
    model.working_size(rendering.size, (640, 360))  # Raises if the size is invalid
    curves = rendering.curves() | {f"strokes.{name}": curve for name, curve in strokes.curves().items()}
    for name, curve in curves.items():
        if curve.constant is None:
            why = "single frames are shown, with one value each"
            raise UsageError(f"a curve for {name}", why, f"use --vary {name}=VALUE,VALUE")
    _conditions(model, rendering)
    for variation in variations:
        variation.apply(model, rendering)
        variation.strokes(strokes)


def _refuse_moment(moment: Time) -> Fraction:
    """Raise UsageError about key frames, because a grid shows single frames."""
    why = "single frames are shown, with one look each"
    raise UsageError("keyframes for look", why, "compare looks with --vary look=ONE,OTHER")


# The clock of single frames, which refuses key frames
STILL_CLOCK = CurveClock(ENDLESS_TIMES.__getitem__, _refuse_moment, float)


def _conditions(model: LoadedModel, rendering: RenderingSettings) -> Conditions | None:
    """Return the conditions of a multi-style model, which are equal for all frames. Raises UsageError."""
    return conditions_of(model, rendering, STILL_CLOCK)


def _read_grid_frames(
    video: Path, count: int, at: Sequence[Time], history: int, guides: Sequence[str], context: Context
) -> list[_GridFrame]:
    """Read ``count`` frames, or those at the times ``at``, each with the ``history − 1`` frames before it.

    If ``at`` and ``guides`` are empty, a video is not indexed, which takes long; its duration is read from the header.
    """
    if not at and not guides and not is_picture_source(video):
        with ClipReader(video, threads=context.decode_threads, tolerant=context.allow_damaged) as reader:
            if reader.info.duration_s:
                seconds = [Fraction(reader.info.duration_s) * (2 * k + 1) / (2 * count) for k in range(count)]
                return [_GridFrame(tuple(reader.frames_up_to(s, history)), f"{float(s):.1f} s") for s in seconds]
    clip = open_clip(context, video, guides)
    numbers = [min(clip.frame_at(t), clip.index.num_frames - 1) for t in at]
    chosen = []
    for number in numbers or spread_numbers(clip.index.num_frames, count):
        shot = max(s for s in clip.shots if s <= number)
        span = range(max(shot, number - history + 1), number + 1)
        label = clip.index.names[number] if clip.index.names else f"frame {number}"
        chosen.append(_GridFrame(tuple(read_clip_frames(clip, span, FrameFormat(), context)), label))
    return chosen


def parse_variations(text: str) -> list[Variation]:
    """Parse an option such as ``strength=0.5,1.5`` or ``pairing.density=0.06,0.2``. Raises UsageError."""
    key, equals, values = (part.strip() for part in text.partition("="))
    key, value_texts = key.replace("-", "_"), split_names(values, is_style)
    of_strokes = parameters(StrokesSettings, "recipe", "strokes")
    of_rendering = parameters(RenderingSettings, "recipe", "rendering")
    key = next((f"strokes.{p.key}" for p in of_strokes.values() if p.name == key), key)
    if not equals or not all(value_texts):
        raise UsageError(f"--vary {text}", "not of the form KEY=VALUE,VALUE", "use e.g. --vary strength=0.5,1.5")
    table, _, name = key.rpartition(".")
    if table not in ("", "rendering", "pairing", "strokes") or (
        table in ("", "rendering") and name not in TRIAL_SETTINGS
    ):
        raise unknown_name("setting to vary", key, [*TRIAL_SETTINGS, "pairing.…", "strokes.…"])
    variations = []
    for value in value_texts:
        if table == "strokes" and name in of_strokes:
            flag = f"{of_strokes[name].flags[0]} {value}"
        elif table in ("pairing", "strokes"):
            flag = f"--set {table}.{name}={value}"
        elif usual := of_rendering[name].option.sets:
            flag = of_rendering[name].flags[0] if value == usual else f"--set rendering.{name}={value}"
        else:
            flag = f"{of_rendering[name].flags[0]} {value}"
        parsed = value if name == "look" else parse_value(value)
        variations.append(Variation(flag, table or "rendering", name, parsed))
    return variations


def _suggest_variations(
    model: LoadedModel, rendering: RenderingSettings, strokes: StrokesSettings, *, is_only_model: bool
) -> list[Variation]:
    """Return a model's default variations: strength, style, strokes, a pairing setting and size.

    There are fewer variations if the grid has several models.
    """
    texts = ["strength=0.5,1.5"] if is_only_model else ["strength=0.5"]
    if strokes.medium:
        texts = ["strokes.size=0.5,2", "strokes.looseness=0,2"] if is_only_model else ["strokes.size=2"]
    if isinstance(model.pairing, LookPairing):
        if names := model.pairing.settings.looks[1 : MAX_SUGGESTED_LOOKS + 1]:
            texts.append(f"look={','.join(names)}")
        texts.append("stroke_size=0,1")
    if model.has_codes:
        texts.append("look=1,2,3")
    for name in model.pairing.tunable[:1]:
        value = getattr(model.pairing.settings, name)
        low, high = options_of(type(model.pairing.settings))[name].ends
        values = dict.fromkeys(max(low, min(high, type(value)(v))) for v in (value / 2, value * 2))
        if others := ",".join(f"{v:g}" for v in values if v != value):
            texts.append(f"pairing.{name}={others}")
    if model.record is not None and is_only_model:
        texts.append(f"size={round(model.record.auto_size * 0.75)},{round(model.record.auto_size * 1.5)}")
    variations = []
    for variation in (v for text in texts for v in parse_variations(text)):
        with suppress(UsageError):  # Leave out a suggestion that conflicts with the other settings
            variation.apply(model, rendering)
            variations.append(variation)
    return variations


def _is_drawing_source(model: LoadedModel, rendering: RenderingSettings, video: Path, context: Context) -> bool:
    """Return whether the source is a picture, or a folder of pictures, that the model has to treat as drawings."""
    if not is_picture_source(video):
        return False
    return should_treat_as_drawing(
        open_clip(context, video, model.pairing.guides), model.pairing, rendering.drawing, context
    )


def _render(
    model: LoadedModel,
    rendering: RenderingSettings,
    chosen: Sequence[_GridFrame],
    *,
    context: Context,
    drawn: bool,
    strokes: StrokesSettings = StrokesSettings(),  # noqa: B008  (frozen)
) -> list[np.ndarray]:
    """Render the chosen frames without temporal filter; return the finished pictures, (H, W, 3) uint8 each."""
    painter = StreamStrokes(strokes, STILL_CLOCK, "single frames are shown")
    extractor = None if drawn else FrameExtractor.of(model, rendering, context)
    inputs = ModelInputs(model.pairing, drawn=drawn, conditions=_conditions(model, rendering))
    # Each model is loaded for its column, so that not all models of a grid are in memory at once.
    pairing, renderer = model.pairing, FrameRenderer(inputs, load_engine(model, rendering, context))
    prepared = []
    for frame in chosen:
        size = painter.size_seen(model, rendering.size, size_of(frame.source))
        *past, current = (resized(one, size, extractor) for one in frame.frames)
        for earlier in past:
            renderer.remember(earlier)
        prepared.append(renderer.prepare(current, (frame.frames[0].index, current.index + 1)))
    if len({p.sample.guide.shape for p in prepared}) == 1:
        samples = list(renderer.stream(prepared))  # Frames of one size share batches
    else:
        samples = [sample for p in prepared for sample in renderer.stream([p])]
    values, sources = (
        FrameValues(rendering, STILL_CLOCK)(0),
        [resize_to_result(frame.source, pairing) for frame in chosen],
    )
    mode = "bicubic" if model.is_identity else rendering.upscale_for(fills_holes=pairing.fills_holes)
    share, has_faults = rendering.sharpness, not model.optimises
    inputs_seen = [one.input for one in prepared]
    enlarged: list[np.ndarray] = []
    if painter.medium is None:
        outputs, classes = [sample.output for sample in samples], output_classes(model)
        enlarged = enlarge_frames(outputs, sources, mode, share, has_faults=has_faults, classes=classes)
    else:
        samples_and_inputs = zip(samples, inputs_seen, strict=True)
        painter.learn([restore(pairing, sample.guide, sample.output, seen) for sample, seen in samples_and_inputs])
    enlarged_outputs = iter(enlarged)
    return [
        finish_frame(
            *(pairing, replace(sample, starts_shot=True), source, seen, values, painter),
            enlarge=lambda output, source: next(enlarged_outputs),
        )
        for sample, source, seen in zip(samples, sources, inputs_seen, strict=True)
    ]
