"""A model with all that it takes to paint frames that come one by one, or a single frame."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import numpy as np

from vidtrans.clips.cut_list import AUTO, OFF
from vidtrans.core.errors import UsageError
from vidtrans.core.settings import Time
from vidtrans.curves.curve import CurveClock
from vidtrans.inference.engine import Engine
from vidtrans.models.loaded_model import LoadedModel, load_engine
from vidtrans.models.model_chain import ModelChain, load_chain_engine
from vidtrans.models.render_settings import ResolvedRenderSettings, classes_of
from vidtrans.pipeline.render import PICTURE_VALUES, RenderingSettings
from vidtrans.pipeline.stage import FrameValues
from vidtrans.rendering.conditions import conditions_of, has_conditions
from vidtrans.rendering.enlarger import enlarge_frames
from vidtrans.rendering.extraction import FrameExtractor
from vidtrans.rendering.frame_renderer import FrameRenderer, ModelInputs, recurrence
from vidtrans.rendering.planned_strokes import StreamStrokes
from vidtrans.rendering.single_frames import finish_frame, with_factor
from vidtrans.session import Context
from vidtrans.temporal.stream import Sample
from vidtrans.video.io.clip import Frame

ENDLESS = 1 << 62  # frames of a stream, or of a shot, whose end is not known yet


class StreamModel:
    """A model with its settings, for one stream of frames. Looks and blends may have key frames, by number.

    Raises UsageError if the model or a setting needs more than frames; ``single``: more than one frame.
    """

    def __init__(self, model: LoadedModel, settings: ResolvedRenderSettings, context: Context, *, single: bool) -> None:
        self.model, self.settings, self.context = model, settings, context
        _check_model(model, single=single)
        rendering = settings.rendering
        _check_settings(rendering)
        moment: Callable[[Time], Fraction] = _no_moment if single else _frame_number
        self._shots = [0]  # first frames; the looks of shots follow them
        clock = CurveClock(lambda frame: frame, moment, _unknown_seconds)
        self._conditions = conditions_of(model, rendering, clock, self._shots)
        self._values = FrameValues(rendering, clock, PICTURE_VALUES)
        self._strokes = StreamStrokes(settings.strokes, clock, "frames come one by one")
        self._extractor: FrameExtractor | None = None

    @property
    def finds_cuts(self) -> bool:
        """Return whether shots are told apart."""
        return self.settings.rendering.cuts != OFF

    def renderer(self, picture: np.ndarray) -> FrameRenderer:
        """Return a renderer for frames in order, of the size and type of a ``picture``. Close it after use."""
        model, size = self.model, (picture.shape[1], picture.shape[0])
        self.settings.check_sides(model, self._working_size(size))
        self._extractor = FrameExtractor.of(model, self.settings.rendering, self.context)
        engine, is_chain = self._engine(size), len(model.parts) > 1
        inputs = ModelInputs(
            model.pairing,
            conditions=self._conditions,
            size=self._input_size(size) if is_chain else None,
            conditions_later=is_chain and not has_conditions(model.parts[0]),
        )
        return FrameRenderer(
            inputs, engine, deep=picture.dtype == np.uint16, recurrence=recurrence(model.record, engine)
        )

    def seen(self, number: int, picture: np.ndarray, first: int = 0) -> Frame:
        """Return a frame as the renderer takes it, at the working size; ``first``: the first frame of its shot."""
        if first > self._shots[-1]:
            self._shots.append(first)
        size = picture.shape[1], picture.shape[0]
        frame = Frame(number, number, picture)
        small = frame.resized(*self._working_size(size))
        if self._extractor is None:
            return small
        return replace(small, guides=self._extractor.resized(frame, *self._input_size(size)).guides)

    def finished(self, renderer: FrameRenderer, sample: Sample, picture: np.ndarray, source: np.ndarray) -> np.ndarray:
        """Return the result at the size of the ``source``, multiplied by the factor of a pairing that enlarges."""
        pairing, rendering = self.model.pairing, self.settings.rendering

        def enlarge(output: np.ndarray, source: np.ndarray) -> np.ndarray:
            is_small = output.shape[0] < source.shape[0] and output.shape[1] < source.shape[1]
            mode = rendering.upscale_for(fills_holes=pairing.fills_holes)
            mode = mode if is_small and not self.model.is_identity else "bicubic"
            classes, share = classes_of(self.model), rendering.sharpness
            (large,) = enlarge_frames([output], [source], mode, share, has_faults=False, classes=classes)
            return large

        made = renderer.inputs([Frame(sample.index, sample.pts, sample.guide)]) if pairing.finishes else None
        values, filtered = self._values(sample.index), replace(sample, output=picture)
        return finish_frame(pairing, filtered, with_factor(source, pairing), made, values, self._strokes, enlarge)

    def _engine(self, size: tuple[int, int]) -> Engine:
        if isinstance(self.model, ModelChain):
            return load_chain_engine(self.model, self.settings.rendering, size, self.context)
        return load_engine(self.model, self.settings.rendering, self.context)

    def _working_size(self, size: tuple[int, int]) -> tuple[int, int]:
        return self._strokes.size_seen(self.model, self.settings.rendering.size, size)

    def _input_size(self, size: tuple[int, int]) -> tuple[int, int]:
        return self.model.input_size(self.settings.rendering.size, size)


def _check_model(model: LoadedModel, *, single: bool) -> None:
    pairing = model.pairing
    reasons = {
        "it follows its own clip": pairing.is_told,
        "its input is a folder of guides": bool(pairing.guides),
        "its input includes a mask": pairing.uses_mask,
        "it optimises each frame, for seconds or minutes": model.optimises,
        "its input includes several frames": single and pairing.offsets != (0,),
        "its input includes its previous output": single and model.is_recurrent,
    }
    if why := next((reason for reason, applies in reasons.items() if applies), ""):
        remedy = "use model.render" if single and not (pairing.is_told or pairing.guides) else "use vidtrans stylize"
        raise UsageError(f"model '{model.name}'", why, remedy)


def _check_settings(rendering: RenderingSettings) -> None:
    """Raise UsageError for settings of a render that need the whole clip, or would be read and do nothing."""
    ignored = {
        f"cuts {rendering.cuts}": rendering.cuts not in (AUTO, OFF),
        f"drawing {rendering.drawing}": rendering.drawing == "yes",
        f"source_filter {rendering.source_filter}": bool(rendering.source_filter),
        f"draft_step {rendering.draft_step}": rendering.draft_step > 1,
        f"duplicate_threshold {rendering.duplicate_threshold:g}": rendering.duplicate_threshold > 0,
    }
    if given := next((name for name, is_given in ignored.items() if is_given), ""):
        why = "it needs a clip, and frames come one by one"
        raise UsageError(f"rendering.{given}", why, "leave it out, or render what open_clip returns")


def _unknown_seconds(frame: int) -> float:
    """Raise UsageError."""
    raise UsageError("curves", "a stream of frames has no times", "use the frame's number: frame")


def _frame_number(moment: Time) -> Fraction:
    if moment.frame is None:
        why = "frames that come one by one have no times"
        raise UsageError(f"key frame at {moment}", why, "give the numbers of frames, as in '0: 0.2, 120: 1'")
    return Fraction(moment.frame)


def _no_moment(moment: Time) -> Fraction:
    why = "a single frame is at no time of a clip"
    raise UsageError(f"key frame at {moment}", why, "give one value, or use model.render")
