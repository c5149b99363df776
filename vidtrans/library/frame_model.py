"""A model as a function of frames, and as a render of clips and streams."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from vidtrans.config.recipe import Recipe, overlaid, render_recipe
from vidtrans.core.events import Report, Stop, silent
from vidtrans.core.settings import Time
from vidtrans.library.frame_stream import FrameStream
from vidtrans.library.given_pictures import ClipFrame, Picture, device_of, on_device, own_array
from vidtrans.library.opened_clip import OpenedClip
from vidtrans.library.stop_message import stopped_as
from vidtrans.library.stream_model import StreamModel
from vidtrans.models.loaded_model import LoadedModel
from vidtrans.session import Context
from vidtrans.store.cache import FOLDER

if TYPE_CHECKING:
    from vidtrans.rendering.render_job import RenderJob
    from vidtrans.stylizing.requests import StylizeRequest

STOPPED = ("no further pictures are made", "call render again, with another Stop")
Tables = Mapping[str, Mapping[str, Any]]


class FrameModel:
    """A model, or a chain of models: ``model(frame)`` paints a frame, ``model.render(clip)`` a clip.

    Threads may share a model, with the same pictures as one thread: calls take turns, and each render that runs has
    networks of its own, so that two at once need the memory of two models.
    """

    def __init__(self, names: tuple[str, ...], settings: Tables, context: Context) -> None:
        """Not for users: ``load_model`` makes models."""
        self._names, self._settings, self.context = names, settings, context
        self._turn = Lock()
        # Engines that no render uses. Without a lock: the garbage collector may end a render anywhere, and add its own.
        self._idle: list[dict[tuple[str, ...], Any]] = []
        self._model  # noqa: B018  (raise early if it cannot be read)

    @property
    def name(self) -> str:
        """The name of the model, or the names of a chain."""
        return self._model.name

    def __reduce__(self) -> tuple[Any, ...]:
        return FrameModel, (self._names, self._settings, self.context)

    @overload
    def __call__(self, frame: ClipFrame) -> np.ndarray: ...
    @overload
    def __call__(self, frame: Picture) -> Picture: ...
    def __call__(self, frame: Any) -> Any:
        """Paint one frame by itself, without a temporal filter.

        Args:
            frame: (H, W, 3) RGB, uint8 or uint16; a numpy array, a torch tensor on any device, or a ``ClipFrame``.

        Returns:
            The picture, of the frame's size and type; larger where the model enlarges.

        Raises:
            UsageError: It is no picture, or the model needs more than one frame: use ``render``.
        """
        picture = own_array(frame)
        with self._turn, self._with_engines(self._single.context), closing(self._single.renderer(picture)) as renderer:
            (sample,) = renderer.stream([renderer.prepare(self._single.seen(0, picture), (0, 1))])
            made = self._single.finished(renderer, sample, sample.output, picture)
        return on_device(made, device_of(frame))

    def render(
        self,
        frames: OpenedClip | Iterable[ClipFrame] | Iterable[Picture],
        *,
        temporal: str | None = None,
        flow_from: Iterable[object] | None = None,
        settings: Tables | None = None,
        stop: Stop | None = None,
    ) -> Generator[Any, None, None]:
        """Paint frames in order, with the temporal filter, and yield the pictures; memory is constant.

        Of an ``OpenedClip`` the pictures are those that ``vidtrans stylize`` encodes, byte for byte: cuts, held frames
        and the model's faults are known. Of other iterables nothing is known in advance: cuts are found on the way, and
        pictures come some 30 frames later; a model's faults are not mended.

        Args:
            frames: a clip, or pictures as for a call, all of one size and type.
            temporal: the filter: 'window', 'causal' or 'off'; by default that of ``stylize``.
            flow_from: pictures whose motion the filter follows, one for each frame; by default the frames themselves.
            settings: as in a preset, over those of the model: ``{"rendering": {"strength": 0.5}}``.
            stop: a request to stop, which raises ``Interrupted``.

        Raises:
            UsageError: Frames are no pictures or differ, or a setting does not fit.
        """
        merged = overlaid(self._settings, settings or {}, {"temporal": {"name": temporal}} if temporal else {})
        context = replace(self.context, stop=stop or Stop(), engines={})
        if isinstance(frames, OpenedClip) and flow_from is None:
            return self._of_clip(self._job(frames, merged, context))
        stream = FrameStream(self._stream_model(merged, context, single=False), frames, flow_from, context.stop)
        return self._of_stream(stream, context)

    def _of_clip(self, job: RenderJob) -> Generator[np.ndarray, None, None]:
        with stopped_as(*STOPPED), self._with_engines(job.context), closing(job.pictures()) as pictures:
            for _, picture in pictures:
                yield picture.copy()  # held frames share one

    def _of_stream(self, stream: FrameStream, context: Context) -> Generator[Any, None, None]:
        with stopped_as(*STOPPED), self._with_engines(context), closing(stream.pictures()) as pairs:
            for device, picture in pairs:
                yield on_device(picture, device)

    @contextmanager
    def _with_engines(self, context: Context) -> Iterator[None]:
        """Lend a context engines that no other render uses, if there are any, and keep those that it loads."""
        with suppress(IndexError):
            context.engines.update(self._idle.pop())
        try:
            yield
        finally:
            self._idle.append(dict(context.engines))
            context.engines.clear()

    def _job(self, clip: OpenedClip, settings: Tables, context: Context) -> RenderJob:
        from vidtrans.stylizing.requested_render import RequestedRender

        request = self._request(settings, clip.path)
        if clip.frames != range(clip.clip.index.num_frames):
            start, end = (Time(frame=number) for number in (clip.frames.start, clip.frames.stop))
            request = replace(request, start=start, end=end)
        # What is encoded is of no concern, but that the pictures are of the clip's own kind.
        tables = {**request.recipe.tables, "encoding": {"codec": "h265" if clip.deep else "h264"}}
        tables["encoding"] |= {"bit_depth": "10"} if clip.deep else {}
        request = replace(request, recipe=replace(request.recipe, tables=tables))
        return RequestedRender(request, context, time.monotonic()).job(clip.clip)

    @cached_property
    def _model(self) -> LoadedModel:
        return self._found(self._settings)[0]

    def _found(self, settings: Tables) -> tuple[LoadedModel, Recipe]:
        """Return the model of these settings, and their recipe, in which looks have the model's names for them."""
        from vidtrans.models.at_once import model_at_once
        from vidtrans.models.model_chain import load_models_in_turn

        request = self._request(settings)
        recipe, changes = request.recipe, request.recipe.pairing_changes
        if (pictures := request.pictures) is not None:
            look = model_at_once(pictures, self.context, None, changes)
            return look, pictures.with_model(recipe)
        look = load_models_in_turn(request.models, self.context, changes)
        look.check_renders()
        return look, recipe

    def _request(self, settings: Tables, video: Path = Path()) -> StylizeRequest:
        from vidtrans.stylizing.requests import StylizeRequest

        return StylizeRequest(video, self._names, None, render_recipe(None, settings)).with_looks()

    @cached_property
    def _single(self) -> StreamModel:
        return self._stream_model(self._settings, replace(self.context, engines={}), single=True)

    def _stream_model(self, settings: Tables, context: Context, *, single: bool) -> StreamModel:
        from vidtrans.models.render_settings import ResolvedRenderSettings

        look, recipe = self._found(settings)
        resolved = ResolvedRenderSettings.of(recipe, look, context.device)
        return StreamModel(look, resolved, context, single=single)


def load_model(
    name: str | Path | Sequence[str | Path] = (),
    *,
    settings: Tables | None = None,
    device: str = "auto",
    cache_dir: str | Path = FOLDER,
    report: Report = silent,
) -> FrameModel:
    """Load a model by name or file; several form a chain, in which each paints on the output of the one before.

    Args:
        name: as for ``--model``: a file, the name of a model, or a medium ('oil'). Left out where the settings name
            looks of pictures: ``{"rendering": {"look": "a.jpg: 0.6, b.jpg: 0.4"}}``.
        settings: as in a preset: ``{"rendering": {"size": "512"}, "pairing": {...}}``.
        device: 'auto', 'cuda', 'cuda:N', 'mps' or 'cpu'.
        cache_dir: the folder of intermediate results.
        report: called with progress and notes.

    Raises:
        ModelError: It was not found, or is no model.
        UsageError: A setting does not fit.
    """
    names = (name,) if isinstance(name, str | Path) else tuple(name)
    context = Context(cache_dir=Path(cache_dir), device=device, report=report)
    return FrameModel(tuple(str(one) for one in names), settings or {}, context)
