"""``vidtrans propagate``: a clip and a few of its frames, painted over, in; the whole clip painted out."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from vidtrans.clips.cut_list import with_cuts
from vidtrans.clips.indexing import Clip, content_digest, open_clip
from vidtrans.data.dataset_planning import SUFFIX as DATASET_SUFFIX
from vidtrans.data.dataset_planning import DatasetSpec
from vidtrans.errors import MediaError, UsageError
from vidtrans.files import base_name
from vidtrans.models.loaded_model import LoadedModel, ResolvedRenderSettings, load_engine, load_model
from vidtrans.models.model_file import IDENTITY
from vidtrans.output.target import refuse_link
from vidtrans.painting.composing import Paint, Painter, Reliance
from vidtrans.painting.following import errors, gain_of
from vidtrans.painting.key_frames import PaintedPicture, find_key_frames, key_frame_files
from vidtrans.painting.maps import KeyMaps
from vidtrans.painting.pairs import write_pairs
from vidtrans.pipeline.make_dataset import make_dataset
from vidtrans.pipeline.run_checks import forecast
from vidtrans.pipeline.train import train
from vidtrans.rendering.cost import add_up, estimate
from vidtrans.rendering.plan import RenderPlan
from vidtrans.rendering.render_job import RenderJob
from vidtrans.rendering.render_planning import plan_render
from vidtrans.rendering.requested_output import OutputTarget, RequestedOutput, default_output, request_digest
from vidtrans.requests import MODEL_SUFFIX, MakeDatasetRequest, PropagateRequest, StylizeRequest, TrainRequest
from vidtrans.session import Context
from vidtrans.settings import Table
from vidtrans.video.io.clip import Frame
from vidtrans.video.io.pictures import is_picture_sequence, is_picture_source

NAME = "painted"  # of the result, where nobody names it: clip.painted.mp4


def propagate(request: PropagateRequest, context: Context) -> Table:
    """Carry painted key frames through a clip, and return what is reported of it.

    Stopped, it goes on where it was. Raises UsageError, MediaError, DeviceError, Interrupted.
    """
    asked = _Asked(request, context, time.monotonic())
    requested = asked.requested
    requested.check()
    if (existing := requested.existing()) is not None:
        return requested.report(existing, cached=True)
    clip = asked.open()
    pictures = find_key_frames(asked.files, clip, context)
    span = clip.trim(request.start, request.end)
    pictures = [picture for picture in pictures if span[0] <= picture.frame < span[1]]
    if not pictures:
        why = "no painted frame lies in this part of the clip"
        raise UsageError(f"--start {request.start or 0} --end {request.end or 'end'}", why, "choose a part with one")
    maps = KeyMaps(clip, span, [picture.frame for picture in pictures], context)
    _tell_shots(maps, pictures, request, context)
    if context.dry_run:
        return _forecast(asked, clip, pictures, maps)
    with closing(maps):
        maps.find()
        model, trained = asked.learn(clip, pictures, maps)
        paint = asked.paint(clip, pictures, maps, model)
        job = RenderJob(asked.plan(clip, model, paint), context)
        facts = trained | _facts(pictures, maps, paint.reliance)
        table = job.render(requested.target.output, requested.request, facts)
    context.trim_cache()
    return requested.report(table, cached=False)


def _forecast(asked: _Asked, clip: Clip, pictures: Sequence[PaintedPicture], maps: KeyMaps) -> Table:
    """Return what it would take: each step is tried for a moment."""
    request, context, output = asked.request, asked.context, asked.requested.target.output
    job = RenderJob(asked.plan(clip, asked.bare_model, None), context)
    seconds, stored = maps.cost()
    costs = [estimate(seconds, 0, stored)]
    if request.minutes == 0:
        costs.append(job.estimate())
        learned: Table = {"steps": 0, "model": None}
    else:
        full = clip.index.width, clip.index.height
        with TemporaryDirectory(prefix="vidtrans-") as temporary:
            pairs = Path(temporary) / "keyframes"
            painter = Paint(pictures, maps, Reliance(gain=0)).painter(full)
            write_pairs(pairs, clip, [picture.frame for picture in pictures], painter, context)
            spec = DatasetSpec((pairs,), request.recipe)
            render = StylizeRequest(request.video, "", output, request.recipe, request.start, request.end)
            table = forecast(spec, asked.dataset, asked.model, request.minutes, [render], context)
        costs.append(table)
        learned = {"steps": table["steps"], "model": table["model"]}
    facts = _facts(pictures, maps, Reliance())
    return asked.requested.report(job.summary(output) | learned | facts | {"dry_run": True} | add_up(costs), cached=False)


def _is_layer(pictures: Sequence[PaintedPicture]) -> bool:
    """Whether no frame is painted all over: then what is not painted shows the clip."""
    return not any(picture.is_whole for picture in pictures)


def _facts(pictures: Sequence[PaintedPicture], maps: KeyMaps, reliance: Reliance) -> Table:
    """What is reported of key frames."""
    keys = [picture.frame for picture in pictures]
    bare = [shot.start for shot in maps.shots if not any(key in shot for key in keys)]
    return {"keyframes": keys, "shots_without": bare, "reliance": reliance.gain}


def _tell_shots(
    maps: KeyMaps, pictures: Sequence[PaintedPicture], request: PropagateRequest, context: Context
) -> None:
    """Name the shots that have no key frame."""
    painted = "stays as it is" if request.minutes == 0 else "is painted by the network alone"
    for shot in maps.shots:
        if not any(picture.frame in shot for picture in pictures):
            where = f"frames {shot.start} to {shot.stop - 1}" if len(shot) > 1 else f"frame {shot.start}"
            context.note(f"the shot of {where} has no key frame: it {painted}", "warning")


@dataclass(frozen=True)
class _Asked:
    """A request, and what follows from it."""

    request: PropagateRequest
    context: Context
    began: float

    @cached_property
    def files(self) -> list[Path]:
        return key_frame_files(self.request.keyframes)

    @cached_property
    def settings(self) -> ResolvedRenderSettings:
        request = self.request
        found = ResolvedRenderSettings.of(request.recipe, self.bare_model, self.context.device, painted=True)
        return found.resolved(is_picture_source(request.video), request.output, self.context.report)

    @cached_property
    def bare_model(self) -> LoadedModel:
        return load_model(IDENTITY, self.context)

    @cached_property
    def requested(self) -> RequestedOutput:
        """Return where the result goes, and the digest of all that decides it. Raises UsageError, MediaError."""
        request = self.request
        if is_picture_source(request.video) and not is_picture_sequence(request.video):
            raise UsageError(str(request.video), "it is one picture", "give a video or a folder of pictures")
        encoding = self.settings.encoding
        wanted = request.output or refuse_link(default_output(request.video, NAME, encoding))
        target = OutputTarget.find(wanted, encoding)
        sources = [path for path in (request.video, request.mask, *self.files) if path]
        return RequestedOutput(target, self._digest(target), sources, self.context, self.began)

    def _digest(self, target: OutputTarget) -> str:
        request, context = self.request, self.context
        own = {
            "command": "propagate",
            "source": content_digest(context, request.video),
            "keyframes": [[path.name, context.cache.digest(path)] for path in self.files],
            "follow": request.follow,
            "minutes": request.minutes,
            "networks": {} if request.minutes == 0 else request.recipe.only("pairing", "dataset", "generator", "training"),
            "mask": content_digest(context, request.mask) if request.mask else "",
            "span": [str(request.start), str(request.end)],
            "seed": context.seed,
            "device": context.device_kind,
        }
        stills = is_picture_source(request.video)
        return request_digest(own, self.settings, target, stills=stills, masked=request.mask is not None)

    @property
    def model(self) -> Path:
        """Return where the network goes: beside the result, under its name."""
        output = self.requested.target.output
        return refuse_link(output.parent / f"{base_name(output)}{MODEL_SUFFIX}")

    @property
    def dataset(self) -> Path:
        return refuse_link(self.model.with_suffix(DATASET_SUFFIX))

    def open(self) -> Clip:
        """Return the source with its cuts. Raises MediaError, UsageError."""
        clip = open_clip(self.context, self.request.video)
        if not clip.index.same_size:
            raise MediaError(str(self.request.video), "its pictures are not of one size", "give pictures of one size")
        return with_cuts(clip, self.settings.rendering.cuts)

    def plan(self, clip: Clip, model: LoadedModel, paint: Paint | None) -> RenderPlan:
        """Return the plan of the render. Raises UsageError, MediaError."""
        request, target = self.request, self.requested.target
        span = request.start, request.end
        plan = plan_render(
            clip, model, self.settings, self.context, span, mask=request.mask, pattern=target.pattern, paint=paint
        )
        target.check_holds(plan.num_frames)
        plan.delivery.check_sound(target.output)
        return plan

    def learn(self, clip: Clip, pictures: Sequence[PaintedPicture], maps: KeyMaps) -> tuple[LoadedModel, Table]:
        """Train the network, and return it with what is reported of it; without training the identity."""
        request, context = self.request, self.context
        if request.minutes == 0:
            return self.bare_model, {"model": None, "steps": 0}
        full = clip.index.width, clip.index.height
        painter = Paint(pictures, maps, Reliance(over_source=_is_layer(pictures))).painter(full)
        with TemporaryDirectory(prefix="vidtrans-") as temporary:
            pairs = Path(temporary) / "keyframes"  # the name is on record
            write_pairs(pairs, clip, [picture.frame for picture in pictures], painter, context)
            make_dataset(MakeDatasetRequest((pairs,), self.dataset, request.recipe), context)
        trained = train(TrainRequest(self.dataset, self.model, request.recipe, request.minutes), context)
        return load_model(str(self.model), context), {"model": str(self.model), "steps": trained["steps"]}

    def paint(self, clip: Clip, pictures: Sequence[PaintedPicture], maps: KeyMaps, model: LoadedModel) -> Paint:
        """Return what the clip is painted with, relied on as ``follow`` says."""
        context, follow = self.context, self.request.follow
        paint = Paint(pictures, maps, Reliance(has_network=model.record is not None, over_source=_is_layer(pictures)))
        if model.record is None or follow == "motion":
            return paint
        if follow == "look":
            return replace(paint, reliance=replace(paint.reliance, gain=0.0))
        plan = self.plan(clip, model, None)
        with closing(plan.renderer(load_engine(model, plan.rendering, context))) as renderer:

            def network(rgb: np.ndarray, number: int) -> np.ndarray:
                return renderer.picture(renderer.inputs([Frame(number, 0, rgb)]))

            keys = [picture.frame for picture in pictures]
            gain = gain_of(errors(paint.painter(plan.size), clip, keys, plan.size, network, context))
        if gain < 1:
            context.note(f"the motion alone misses the look: paint that it carries counts {gain:.0%}")
        return replace(paint, reliance=replace(paint.reliance, gain=gain))
