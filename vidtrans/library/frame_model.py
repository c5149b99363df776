"""A model that renders single frames, clips and streams of frames, and the temporal filter for any pictures.

A render of a clip analyses the whole clip first. A render of a stream cannot: it renders held frames again, does not
repair faulty outputs of a model, and reads no mask or key frames. A cut in a stream is detected with a delay of some
frames, and outputs have the same delay. The memory use does not grow with the number of frames.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import replace
from fractions import Fraction
from functools import cached_property
from itertools import chain, zip_longest
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from vidtrans.clips.cut_list import AUTO, OFF
from vidtrans.config.recipe import Recipe, overlaid, render_recipe
from vidtrans.core.errors import UsageError
from vidtrans.core.events import NEVER_STOP, Report, Stop, ignore_event
from vidtrans.core.files import CACHE_FOLDER
from vidtrans.core.settings import Size, Time
from vidtrans.curves.curve import CurveClock
from vidtrans.flow.cuts import ANALYSIS_SHORT_SIDE, CutDetector
from vidtrans.inference.engine import Engine
from vidtrans.library.opened_clip import OpenedClip, with_stop_message
from vidtrans.library.picture_arrays import ClipFrame, Picture, check_frames, copy_to_array, copy_to_device, device_of
from vidtrans.models.loaded_model import LoadedModel, load_engine
from vidtrans.models.model_chain import ModelChain, load_chain_engine, load_model_chain
from vidtrans.models.model_file import IDENTITY
from vidtrans.models.render_settings import ResolvedRenderSettings
from vidtrans.pipeline.render import PICTURE_VALUES, RenderingSettings
from vidtrans.pipeline.stage import FrameValues
from vidtrans.rendering.conditions import conditions_of, is_multi_style
from vidtrans.rendering.frame_by_frame import FrameByFrame, resize_to_result
from vidtrans.rendering.frame_renderer import ModelInputs, PreparedFrame
from vidtrans.rendering.planned_strokes import StreamStrokes
from vidtrans.session import Context
from vidtrans.temporal.stream import Sample, filter_samples
from vidtrans.video.colour.conversion import to_uint8
from vidtrans.video.images.picture import resize
from vidtrans.video.io.clip import Frame

if TYPE_CHECKING:
    from vidtrans.rendering.render_job import RenderJob
    from vidtrans.stylizing.requests import StylizeRequest

# Reason and remedy in the error for a render that was stopped
STOPPED = ("no further pictures are made", "call render again, with another Stop")
Tables = Mapping[str, Mapping[str, Any]]  # Settings of a preset: values by key, by table name
UNKNOWN_LENGTH = 1 << 62  # Number of frames that stands for an unknown end of a stream or shot


class FrameModel:
    """A model, or a chain of models: ``model(frame)`` renders a frame, ``model.render(clip)`` a clip.

    Threads may share a model, and get the same pictures as a single thread: calls are serialised, and each running
    render has its own networks, so that two parallel renders need the memory of two models.
    """

    def __init__(self, names: tuple[str, ...], settings: Tables, context: Context) -> None:
        """Create a model; users call ``load_model``."""
        self._names, self._settings, self.context = names, settings, context
        self._call_lock = Lock()
        # Engines of ended renders. No lock: the garbage collector may end a render, which adds engines, at any point.
        self._idle_engines: list[dict[tuple[str, ...], Any]] = []
        self._model  # noqa: B018  (raise an error here if the model cannot be read)

    @property
    def name(self) -> str:
        """Return the name of the model, or the joined names of a chain."""
        return self._model.name

    def __reduce__(self) -> tuple[Any, ...]:
        """Return how to pickle the model: by its names, settings and context; a copy loads the files again."""
        return FrameModel, (self._names, self._settings, self.context)

    @overload
    def __call__(self, frame: ClipFrame) -> np.ndarray: ...
    @overload
    def __call__(self, frame: Picture) -> Picture: ...
    def __call__(self, frame: Any) -> Any:
        """Render one frame without a temporal filter.

        Args:
            frame: (H, W, 3) RGB, uint8 or uint16; a numpy array, a torch tensor on any device, or a ``ClipFrame``.

        Returns:
            The output, with the frame's type and size; an upscaling model enlarges it.

        Raises:
            UsageError: The frame is no picture, or the model needs more than one frame: use ``render``.
        """
        picture = copy_to_array(frame)
        single = self._single
        with self._call_lock, self._with_engines(single.context):
            opened = single.open(picture)
            with closing(opened.renderer) as renderer:
                (sample,) = renderer.stream([single.prepare(opened, 0, picture, (0, 1))])
                output = single.finish(opened, sample, picture)
        return copy_to_device(output, device_of(frame))

    def render(
        self,
        frames: OpenedClip | Iterable[ClipFrame] | Iterable[Picture],
        *,
        temporal: str | None = None,
        flow_from: Iterable[object] | None = None,
        settings: Tables | None = None,
        stop: Stop | None = None,
    ) -> Generator[Any, None, None]:
        """Render frames in order, with the temporal filter, and yield the outputs; memory is constant.

        For an ``OpenedClip`` the outputs equal those that ``vidtrans stylize`` encodes, byte for byte: cuts, held
        frames and faulty outputs are detected first. For other iterables cuts are detected during the render, outputs
        have a delay of some 30 frames, and faulty outputs are not repaired.

        Args:
            frames: a clip, or pictures as for a call, all with the same size and type.
            temporal: the filter: 'window', 'causal' or 'off'; by default that of ``stylize``.
            flow_from: pictures from which the filter estimates motion, one per frame; by default the frames.
            settings: as in a preset; they override those of the model: ``{"rendering": {"strength": 0.5}}``.
            stop: a request to stop, which raises ``Interrupted``.

        Raises:
            UsageError: A frame is no picture or differs in size or type, or a setting is invalid.
        """
        merged = overlaid(self._settings, settings or {}, {"temporal": {"name": temporal}} if temporal else {})
        context = replace(self.context, stop=stop or Stop(), engines={})
        if isinstance(frames, OpenedClip) and flow_from is None:
            return self._render_clip(self._job(frames, merged, context))
        stream = FrameStream(self._stream_model(merged, context, single=False), frames, flow_from, context.stop)
        return self._render_stream(stream, context)

    def _render_clip(self, job: RenderJob) -> Generator[np.ndarray, None, None]:
        """Render the frames of a job in order and yield a copy of each output, (H, W, 3)."""
        with with_stop_message(*STOPPED), self._with_engines(job.context), closing(job.pictures()) as pictures:
            for _, picture in pictures:
                yield picture.copy()  # Copy, because held frames share an array

    def _render_stream(self, stream: FrameStream, context: Context) -> Generator[Any, None, None]:
        """Render the frames of a stream in order and yield each output with the type of its frame."""
        with with_stop_message(*STOPPED), self._with_engines(context), closing(stream.pictures()) as pairs:
            for device, picture in pairs:
                yield copy_to_device(picture, device)

    @contextmanager
    def _with_engines(self, context: Context) -> Iterator[None]:
        """Give a context the idle engines of an earlier render, if any, and keep its engines for later renders."""
        with suppress(IndexError):
            context.engines.update(self._idle_engines.pop())
        try:
            yield
        finally:
            self._idle_engines.append(dict(context.engines))
            context.engines.clear()

    def _job(self, clip: OpenedClip, settings: Tables, context: Context) -> RenderJob:
        """Return the render job for the frames of a clip, with the settings of ``stylize``."""
        from vidtrans.stylizing.requested_render import RequestedRender

        request = self._request(settings, clip.path)
        if clip.frames != range(clip.clip.index.num_frames):
            start, end = (Time(frame=number) for number in (clip.frames.start, clip.frames.stop))
            request = replace(request, start=start, end=end)
        # No video is encoded; the codec only selects the bit depth of the outputs.
        tables = {**request.recipe.tables, "encoding": {"codec": "h265" if clip.deep else "h264"}}
        tables["encoding"] |= {"bit_depth": "10"} if clip.deep else {}
        request = replace(request, recipe=replace(request.recipe, tables=tables))
        return RequestedRender(request, context, time.monotonic()).job(clip.clip)

    @cached_property
    def _model(self) -> LoadedModel:
        """Return the loaded model. Raises ModelError, UsageError."""
        return self._load(self._settings)[0]

    def _load(self, settings: Tables) -> tuple[LoadedModel, Recipe]:
        """Return the model for the ``settings`` (as in a preset), and the recipe with the model's style names."""
        from vidtrans.models.at_once import predict_model_from_pictures

        request = self._request(settings)
        recipe, changes = request.recipe, request.recipe.pairing_changes
        if (pictures := request.pictures) is not None:
            model = predict_model_from_pictures(pictures, self.context, None, changes)
            return model, pictures.with_model(recipe)
        model = load_model_chain(request.models, self.context, changes)
        model.check_renders()
        return model, recipe

    def _request(self, settings: Tables, video: Path = Path()) -> StylizeRequest:
        """Return the request for a render of ``video``, with the styles that the settings name."""
        from vidtrans.stylizing.requests import StylizeRequest

        return StylizeRequest(video, self._names, None, render_recipe(None, settings)).with_looks()

    @cached_property
    def _single(self) -> StreamModel:
        """Return the model for calls with single frames."""
        return self._stream_model(self._settings, replace(self.context, engines={}), single=True)

    def _stream_model(self, settings: Tables, context: Context, *, single: bool) -> StreamModel:
        """Return the model with its settings for a stream; ``single``: for single frames."""
        model, recipe = self._load(settings)
        resolved = ResolvedRenderSettings.of(recipe, model, context.device)
        return StreamModel(model, resolved, context, single=single)


def load_model(
    name: str | Path | Sequence[str | Path] = (),
    *,
    settings: Tables | None = None,
    device: str = "auto",
    cache_dir: str | Path = CACHE_FOLDER,
    report: Report = ignore_event,
) -> FrameModel:
    """Load a model by name or file; several models form a chain, in which each takes the output of the previous one.

    Args:
        name: as for ``--model``: a file, the name of a model, or a medium ('oil'). Omit it if the settings name
            looks of pictures: ``{"rendering": {"look": "a.jpg: 0.6, b.jpg: 0.4"}}``.
        settings: as in a preset: ``{"rendering": {"size": "512"}, "pairing": {...}}``.
        device: 'auto', 'cuda', 'cuda:N', 'mps' or 'cpu'.
        cache_dir: the folder of intermediate results.
        report: called with progress and notes.

    Raises:
        ModelError: The model was not found, or the file is no model.
        UsageError: A setting is invalid.
    """
    names = (name,) if isinstance(name, str | Path) else tuple(name)
    context = Context(cache_dir=Path(cache_dir), device=device, report=report)
    return FrameModel(tuple(str(one) for one in names), settings or {}, context)


class DeflickeredFrames:
    """The pictures ``frames`` without flicker; each iteration filters them again from the first one.

    ``for picture in Deflicker(processed, flow_from=source): …`` uses the motion of the source of the processed
    pictures; without ``flow_from`` it uses the motion of the processed pictures. For an ``OpenedClip`` without
    ``flow_from`` the outputs are those of ``vidtrans deflicker``.
    """

    def __init__(
        self,
        frames: OpenedClip | Iterable[Any],
        *,
        flow_from: Iterable[Any] | None = None,
        temporal: str = "window",
        settings: Mapping[str, Any] | None = None,
        device: str = "auto",
        cache_dir: str | Path = CACHE_FOLDER,
        report: Report = ignore_event,
        stop: Stop | None = None,
    ) -> None:
        """Create a filter for pictures.

        Args:
            frames: a clip, or pictures (H, W, 3), uint8 or uint16, all of one size and type: arrays or tensors.
            flow_from: one picture per frame, from which the filter estimates motion.
            temporal: the filter: 'window', which uses some 15 later frames, or 'causal', which uses none.
            settings: the settings of the filter: ``{"strength": 0.5}``.
            device: 'auto', 'cuda', 'cuda:N', 'mps' or 'cpu'.
            cache_dir: the folder of intermediate results.
            report: called with progress and notes.
            stop: a request to stop, which raises ``Interrupted`` in an iteration.

        Raises:
            UsageError: There is no such filter or setting, or ``frames`` are no pictures.
        """
        check_frames(frames)
        self._frames, self._flow_from, self._stop = frames, flow_from, stop
        tables = {"temporal": {"name": temporal, **(settings or {})}, "rendering": {"size": "source"}}
        self._model = load_model(IDENTITY, settings=tables, device=device, cache_dir=cache_dir, report=report)

    def __iter__(self) -> Generator[Any, None, None]:
        """Yield the filtered pictures with the frames' type.

        Raises UsageError for frames of different sizes or other data.
        """
        return self._model.render(self._frames, flow_from=self._flow_from, stop=self._stop)


class FrameStream:
    """A render of frames that arrive one by one; ``flow_from``: pictures from which the filter estimates the motion."""

    def __init__(
        self,
        model: StreamModel,
        frames: Iterable[object],
        flow_from: Iterable[object] | None = None,
        stop: Stop = NEVER_STOP,
    ) -> None:
        """Create a stream; ``flow_from``: one picture per frame, from which the filter estimates the motion."""
        self._model, self._frames, self._flow_from, self._stop = model, frames, flow_from, stop
        self._devices, self._guides, self._sources = deque[Any](), deque[np.ndarray](), deque[np.ndarray]()
        check_frames(frames)
        if flow_from is not None:
            check_frames(flow_from, "flow_from")

    def pictures(self) -> Generator[tuple[Any, np.ndarray], None, None]:
        """Yield the device of each frame (see ``device_of``) and its output (H, W, 3), with a delay of some frames.

        Raises UsageError if a frame is no picture, or differs in size or type from the first one.
        """
        model, arrays = self._model, self._arrays()
        with ExitStack() as stack:
            shots = stack.enter_context(closing(shots_of(arrays) if model.finds_cuts else ((one, 0) for one in arrays)))
            opening = next(shots, None)
            if opening is None:
                return
            opened = model.open(opening[0])
            renderer = stack.enter_context(closing(opened.renderer))
            prepared = (
                model.prepare(opened, number, picture, (first, UNKNOWN_LENGTH))
                for number, (picture, first) in enumerate(chain([opening], shots))
            )
            samples = stack.enter_context(closing(self._guided(renderer.stream(prepared))))
            for sample, picture in filter_samples(samples, model.settings.make_filter()):
                finished = model.finish(opened, replace(sample, output=picture), self._sources.popleft())
                yield self._devices.popleft(), finished

    def _arrays(self) -> Generator[np.ndarray, None, None]:
        """Yield each frame as an array (H, W, 3). Raises UsageError for frames of different size or dtype."""
        first: np.ndarray | None = None
        for number, (frame, guide) in enumerate(_pairs(self._frames, self._flow_from)):
            self._stop.check()
            picture = copy_to_array(frame, f"frame {number}")
            first = picture if first is None else first
            if picture.shape != first.shape or picture.dtype != first.dtype:
                why = f"it is {_describe_picture(picture)}, the first one {_describe_picture(first)}"
                raise UsageError(f"frame {number}", why, "give frames of one size and type, or one stream for each")
            self._devices.append(device_of(frame))
            self._sources.append(picture)
            if self._flow_from is not None:
                self._guides.append(copy_to_array(guide, f"picture {number} of flow_from"))
            yield picture

    def _guided(self, samples: Generator[Sample, None, None]) -> Generator[Sample, None, None]:
        """Yield the rendered frames ``samples``, each with its picture of ``flow_from`` as ``guide``.

        The temporal filter estimates the motion from the guides. A guide is resized to the rendered frame's size.
        """
        with closing(samples):
            for sample in samples:
                if self._flow_from is None:
                    yield sample
                    continue
                height, width = sample.output.shape[:2]
                yield replace(sample, guide=to_uint8(resize(self._guides.popleft(), width, height)))


def _pairs(frames: Iterable[object], flow_from: Iterable[object] | None) -> Iterator[tuple[object, object | None]]:
    """Yield each frame with its picture of ``flow_from``, from which the motion is estimated, or None without them.

    Raises UsageError if the numbers of frames and pictures differ.
    """
    if flow_from is None:
        yield from ((frame, None) for frame in frames)
        return
    missing = object()
    for number, (frame, guide) in enumerate(zip_longest(frames, flow_from, fillvalue=missing)):
        if frame is missing or guide is missing:
            longer = "flow_from" if frame is missing else "the frames"
            raise UsageError("flow_from", f"{longer} go on after {number} pictures", "give as many pictures as frames")
        yield frame, guide


def _describe_picture(picture: np.ndarray) -> str:
    """Return the size and the dtype of a picture as text for errors, such as "640x360 of uint8"."""
    return f"{picture.shape[1]}x{picture.shape[0]} of {picture.dtype}"


def shots_of(frames: Iterable[np.ndarray]) -> Generator[tuple[np.ndarray, int], None, None]:
    """Yield each frame with the number of the first frame of its shot, with a delay of some frames."""
    cuts, pending = _StreamingCutDetector(), deque[np.ndarray]()
    for frame in frames:
        height, width = frame.shape[:2]
        cuts.add(to_uint8(resize(frame, *Size(short=ANALYSIS_SHORT_SIDE).of(width, height))))
        pending.append(frame)
        for first in cuts.shot_starts(ended=False):
            yield pending.popleft(), first
    for first in cuts.shot_starts(ended=True):
        yield pending.popleft(), first


class _StreamingCutDetector(CutDetector):
    """A cut detector that reports the shot of each frame while further frames are added."""

    def shot_starts(self, *, ended: bool) -> Iterator[int]:
        """Yield the first frame of the shot of each further frame with a certain shot; ``ended``: all are certain.

        ``ended`` means that no more frames are added.
        """
        if ended:
            self._decide_all()
        starts = [start for start in self._shots if start <= self._num_yielded]
        first = starts[-1] if starts else 0
        while self._num_yielded < min(self._decided, self._count):
            first = self._num_yielded if self._num_yielded in self._shots else first
            self._num_yielded += 1
            yield first

    _num_yielded = 0


class StreamModel:
    """A model with its settings for one stream of frames. Settings that change over time are given by frame number.

    Raises UsageError if the model or a setting needs more than frames, or, with ``single``, more than one frame.
    """

    def __init__(self, model: LoadedModel, settings: ResolvedRenderSettings, context: Context, *, single: bool) -> None:
        """Check the model and the settings for a stream; ``single``: for a stream of one frame."""
        self.model, self.settings, self.context = model, settings, context
        _check_model(model, single=single)
        rendering = settings.rendering
        _check_settings(rendering)
        moment: Callable[[Time], Fraction] = _reject_time if single else _frame_number
        self._shots = [0]  # First frame of each shot, for styles that change at cuts
        clock = CurveClock(lambda frame: frame, moment, _reject_seconds)
        self._conditions = conditions_of(model, rendering, clock, self._shots)
        self._values = FrameValues(rendering, clock, PICTURE_VALUES)
        self._strokes = StreamStrokes(settings.strokes, clock, "frames come one by one")

    @property
    def finds_cuts(self) -> bool:
        """Return whether cuts are detected in the stream."""
        return self.settings.rendering.cuts != OFF

    def open(self, picture: np.ndarray) -> FrameByFrame:
        """Return a renderer for the frames of the stream in order, with the size and dtype of ``picture``.

        Close the returned object's ``renderer`` after use.
        """
        model, size, rendering = self.model, (picture.shape[1], picture.shape[0]), self.settings.rendering
        self.settings.check_sides(model, self._strokes.size_seen(model, rendering.size, size))
        is_chain = len(model.parts) > 1
        inputs = ModelInputs(
            model.pairing,
            conditions=self._conditions,
            size=model.input_size(rendering.size, size) if is_chain else None,
            conditions_later=is_chain and not is_multi_style(model.parts[0]),
        )
        if isinstance(model, ModelChain):
            engine: Engine = load_chain_engine(model, rendering, size, self.context)
        else:
            engine = load_engine(model, rendering, self.context)
        deep = picture.dtype == np.uint16
        return FrameByFrame(model, rendering, self._strokes, engine, self.context, inputs=inputs, deep=deep)

    def prepare(self, opened: FrameByFrame, number: int, picture: np.ndarray, shot: tuple[int, int]) -> PreparedFrame:
        """Return the prepared network input of frame ``number``; ``shot``: the frame range [first, stop) of its shot.

        ``opened``: the renderer from ``open``; ``picture``: the frame, (H, W, 3).
        """
        if shot[0] > self._shots[-1]:
            self._shots.append(shot[0])
        size = self._strokes.size_seen(self.model, self.settings.rendering.size, (picture.shape[1], picture.shape[0]))
        return opened.prepare(Frame(number, number, picture), size, shot)

    def finish(self, opened: FrameByFrame, sample: Sample, source: np.ndarray) -> np.ndarray:
        """Return the final picture at the size of ``source``, multiplied by the upscale factor of the pairing."""
        return opened.finish(sample, resize_to_result(source, self.model.pairing), self._values(sample.index))


def _check_model(model: LoadedModel, *, single: bool) -> None:
    """Raise UsageError if a model's input is more than the frames of a stream or, if ``single``, more than one frame.

    Such input is for example a mask, or a folder of guides.
    """
    pairing = model.pairing
    reasons = {
        "it follows its own clip": pairing.has_conditions,
        "its input is a folder of guides": bool(pairing.guides),
        "its input includes a mask": pairing.uses_mask,
        "it optimises each frame, for seconds or minutes": model.optimises,
        "its input includes several frames": single and pairing.offsets != (0,),
        "its input includes its previous output": single and model.is_recurrent,
    }
    if why := next((reason for reason, applies in reasons.items() if applies), ""):
        remedy = (
            "use model.render" if single and not (pairing.has_conditions or pairing.guides) else "use vidtrans stylize"
        )
        raise UsageError(f"model '{model.name}'", why, remedy)


def _check_settings(rendering: RenderingSettings) -> None:
    """Raise UsageError for render settings that need the whole clip, or that have no effect on a stream."""
    ignored = {
        f"cuts {rendering.cuts}": rendering.cuts not in (AUTO, OFF),
        f"drawing {rendering.drawing}": rendering.drawing == "yes",
        f"source_filter {rendering.source_filter}": bool(rendering.source_filter),
        f"draft_step {rendering.draft_step}": rendering.draft_step > 1,
        f"duplicate_threshold {rendering.duplicate_threshold:g}": rendering.duplicate_threshold > 0,
    }
    if setting := next((name for name, is_set in ignored.items() if is_set), ""):
        why = "it needs a clip, and frames come one by one"
        raise UsageError(f"rendering.{setting}", why, "leave it out, or render what open_clip returns")


def _reject_seconds(frame: int) -> float:
    """Raise UsageError, because frames of a stream have no times in seconds."""
    raise UsageError("curves", "a stream of frames has no times", "use the frame's number: frame")


def _frame_number(moment: Time) -> Fraction:
    """Return the frame number of a key frame. Raises UsageError for a key frame at a time in seconds."""
    if moment.frame is None:
        why = "frames that come one by one have no times"
        raise UsageError(f"key frame at {moment}", why, "give the numbers of frames, as in '0: 0.2, 120: 1'")
    return Fraction(moment.frame)


def _reject_time(moment: Time) -> Fraction:
    """Raise UsageError, because a single frame has no time in a clip."""
    why = "a single frame is at no time of a clip"
    raise UsageError(f"key frame at {moment}", why, "give one value, or use model.render")
