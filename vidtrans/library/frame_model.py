"""A model as a function of frames, and as a render of clips and streams."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from vidtrans.config.recipe import Recipe, overlaid, render_recipe
from vidtrans.core.errors import UsageError
from vidtrans.core.events import Report, Stop, silent
from vidtrans.core.settings import Time
from vidtrans.library.frame_stream import FrameStream, StreamModel
from vidtrans.library.given_pictures import Picture, like, to_array
from vidtrans.library.opened_clip import OpenedClip
from vidtrans.library.stop_message import stopped_as
from vidtrans.models.loaded_model import LoadedModel
from vidtrans.rendering.directing import FrameBlend
from vidtrans.session import Context
from vidtrans.store.cache import FOLDER

if TYPE_CHECKING:
    from vidtrans.stylizing.requested_render import StylizeRequest

STOPPED = ("no further pictures are made", "call render again, with another Stop")
Tables = Mapping[str, Mapping[str, Any]]


class FrameModel:
    """A model, or a chain of models: ``model(frame)`` paints a frame, ``model.render(clip)`` a clip.

    Threads may share a model; they take turns.
    """

    def __init__(self, names: tuple[str, ...], settings: Tables, context: Context) -> None:
        """Not for users: ``load_model`` makes models."""
        self._names, self._settings, self.context, self._lock = names, settings, context, Lock()
        self._model  # noqa: B018  (raise early if it cannot be read)

    @property
    def name(self) -> str:
        """The name of the model, or the names of a chain."""
        return self._model.name

    def __call__(self, frame: Picture) -> Picture:
        """Paint one frame by itself, without a temporal filter.

        Args:
            frame: (H, W, 3) RGB, uint8 or uint16; a numpy array, a torch tensor on any device, or a ``ClipFrame``.

        Returns:
            The picture, of the frame's size and type; larger where the model enlarges.

        Raises:
            UsageError: It is no picture, or the model needs more than one frame: use ``render``.
        """
        picture = to_array(frame)
        with self._lock:
            model = self._stream({})
            model.check(single=True)
            with closing(model.renderer(deep=picture.dtype == np.uint16)) as renderer:
                (sample,) = renderer.stream([renderer.prepare(model.seen(0, picture), (0, 1))])
            painted: Picture = like(frame, model.finished(sample.output, picture, sample))
            return painted

    def render(
        self,
        frames: OpenedClip | Iterable[Picture],
        *,
        temporal: str | None = None,
        flow_from: Iterable[object] | None = None,
        settings: Tables | None = None,
        stop: Stop | None = None,
    ) -> Iterator[Any]:
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
        if isinstance(frames, OpenedClip) and flow_from is None:
            return self._of_clip(frames, merged, stop or Stop())
        return self._of_stream(frames, flow_from, merged, stop or Stop())

    def _of_clip(self, clip: OpenedClip, settings: Tables, stop: Stop) -> Iterator[np.ndarray]:
        from vidtrans.stylizing.requested_render import RequestedRender

        span = [Time(frame=number) for number in (clip.frames.start, clip.frames.stop)]
        is_whole = clip.frames == range(clip.clip.index.num_frames)
        request = self._request(settings, clip.path)
        request = request if is_whole else replace(request, start=span[0], end=span[1])
        job = RequestedRender(request, replace(self.context, stop=stop), time.monotonic()).job(clip.clip)
        with stopped_as(*STOPPED), closing(job.pictures()) as pictures:
            yield from (picture for _, picture in pictures)

    def _of_stream(
        self, frames: Iterable[object], flow_from: Iterable[object] | None, settings: Tables, stop: Stop
    ) -> Iterator[Any]:
        with self._lock:
            model = self._stream(settings)
        stream = FrameStream(model, frames, flow_from, stop)
        with stopped_as(*STOPPED), closing(stream.pictures()) as pairs:
            yield from (like(frame, picture) for frame, picture in pairs)

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
            return look, recipe.under({"rendering": {"look": pictures.value}})
        look = load_models_in_turn(request.models, self.context, changes)
        look.check_renders()
        return look, recipe

    def _request(self, settings: Tables, video: Path = Path()) -> StylizeRequest:
        from vidtrans.stylizing.requested_render import StylizeRequest

        return StylizeRequest(video, self._names, None, render_recipe(None, settings)).with_shipped_look()

    def _stream(self, settings: Tables) -> StreamModel:
        from vidtrans.models.loaded_model import load_engine
        from vidtrans.models.render_settings import ResolvedRenderSettings
        from vidtrans.rendering.extraction import FrameExtractor

        look, recipe = self._found(settings or self._settings)
        if len(look.parts) > 1:
            raise UsageError(f"models {look.name}", "a chain paints clips, not single frames", "open_clip the source")
        if look.has_codes:
            raise UsageError(
                f"model '{look.name}'", "it has many looks, which clips choose from", "open_clip the source"
            )
        resolved = ResolvedRenderSettings.of(recipe, look, self.context.device)
        rendering = resolved.rendering
        curves = {name: curve.constant for name, curve in rendering.curves().items()}
        if moving := [name for name, value in curves.items() if value is None]:
            why = "it moves along a clip, and a stream has no timeline"
            raise UsageError(f"rendering.{moving[0]}", why, "give one value")
        blend = FrameBlend(**{name: float(value or 0) for name, value in curves.items()})
        engine = load_engine(look, rendering, self.context)
        return StreamModel(look, engine, resolved, blend, FrameExtractor.of(look, rendering, self.context))


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
        name: as for ``--model``: a file, the name of a model, or of a look that ships ('ink'). Left out where the
            settings name looks of pictures: ``{"rendering": {"look": "a.jpg: 0.6, oil: 0.4"}}``.
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
