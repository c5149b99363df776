"""Propagate painted key frames through a whole clip: the ``propagate`` command."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from vidtrans.clips.cut_list import with_cuts
from vidtrans.clips.indexing import Clip, content_digest, mask_digest, open_clip
from vidtrans.core.costs import add_up, estimate
from vidtrans.core.errors import MediaError, UsageError
from vidtrans.core.events import Preview
from vidtrans.core.files import base_name, copy, write_atomically
from vidtrans.core.settings import Table
from vidtrans.data.dataset_planning import SUFFIX as DATASET_SUFFIX
from vidtrans.data.dataset_planning import DatasetSpec
from vidtrans.data.making import make_dataset
from vidtrans.models.loaded_model import LoadedModel, load_engine, load_model
from vidtrans.models.model_file import IDENTITY, SUFFIX
from vidtrans.models.render_settings import ResolvedRenderSettings
from vidtrans.output.result import Result, Work, check_parents, refuse_link
from vidtrans.painting.composing import LOOK, MOTION, Paint, PaintSource, Reliance, calibrate, write_pairs
from vidtrans.painting.composing import VERSION as COMPOSING
from vidtrans.painting.corrections import Correction
from vidtrans.painting.key_frames import find_key_frames, key_frame_files, tell_ignored
from vidtrans.painting.maps import KeyMaps
from vidtrans.propagation.requests import PropagateRequest
from vidtrans.rendering.chain import FramePath
from vidtrans.rendering.enlarger import note_unused_upscale
from vidtrans.rendering.plan import RenderPlan, plan_render
from vidtrans.rendering.planned_strokes import strokes_digest
from vidtrans.rendering.render_job import RenderJob
from vidtrans.rendering.requested_output import (
    OutputTarget,
    default_output,
    is_one_picture,
    makes_folder,
    request_digest,
)
from vidtrans.session import Context
from vidtrans.store.stages import CarryStage, DatasetStage, TrainStage
from vidtrans.stylizing.forecast import forecast_chain
from vidtrans.stylizing.requests import StylizeRequest, describe
from vidtrans.training.requested_training import TrainingRequest, import_for_training, plugins_of, train
from vidtrans.training.settings import TrainingSettings
from vidtrans.video.io.clip import Frame
from vidtrans.video.io.picture_paths import is_picture_source

NOTHING_LEARNED: Table = {"model": None, "steps": 0}
AGAIN = 4  # training is this many times shorter when a network learns corrected frames
PAIRED = "aligned"  # the pairing of painted frames
PREVIEW = "preview"  # file name of the preview video in the training folder
NAME = "painted"  # in the default output name: clip.painted.mp4


def propagate(request: PropagateRequest, context: Context) -> Table:
    """Propagate painted key frames through a clip, and return the result table.

    An interrupted run resumes. Raises UsageError, MediaError, DeviceError, Interrupted.
    """
    with closing(PaintingJob(request, context, time.monotonic())) as job:

        def prepare() -> Work:
            job.check()
            job.tell_shots()
            note_unused_upscale(job.rough().plan, request.recipe, context)
            return Work(make, lambda: job.result.report(job.forecast(), cached=False))

        def make(result: Result) -> Table:
            job.maps.find()
            table = painted(job).render(result)
            job.close()  # before the cache is trimmed
            return table

        return job.result.produce(prepare)


def painted(job: PaintingJob) -> RenderJob:
    """Train the network if requested; return the job that renders the painted clip."""
    if not job.learns:
        return job.rough()
    if not job.request.preview:
        return job.finished(job.learn())
    film = job.model.with_suffix(".train") / f"{PREVIEW}{job.target.output.suffix}"
    _write_preview(job.rough(), film)
    job.context.note(f"preview of the current state: {film}")
    return job.finished(job.learn(lambda model: _write_preview(job.finished(model), film)))


def _write_preview(job: RenderJob, film: Path) -> None:
    """Render a preview video with the current network, replacing an earlier one."""
    check_parents(refuse_link(film))
    with TemporaryDirectory(prefix="vidtrans-") as temporary:
        aside, made = replace(job.context, cache_dir=Path(temporary) / "cache"), Path(temporary) / film.name
        replace(job, context=aside).render(Result(made, "", [], aside, makes_folder(job.plan.settings.encoding, made)))
        with write_atomically(film) as target:
            copy(made, target)
    job.context.report(Preview(film))


@dataclass(frozen=True)
class PaintingJob:
    """A propagate request with its lazily resolved key frames, network and plan. Close it after use.

    ``began``: start time, in seconds of ``time.monotonic``. ``corrected``: frames of an earlier result as additional
    key frames. ``start``: the earlier result's network, whose training continues.
    """

    request: PropagateRequest
    context: Context
    began: float
    corrected: tuple[Correction, ...] = ()
    start: Path | None = None

    @cached_property
    def target(self) -> OutputTarget:
        """Return the resolved output path and format. Raises UsageError."""
        request = self.request
        if is_one_picture(request.video):
            raise UsageError(str(request.video), "it is one picture", "give a video or a folder of pictures")
        encoding = self.settings.encoding
        wanted = request.output or refuse_link(default_output(request.video, [NAME], encoding))
        return OutputTarget.find(wanted, encoding)

    @cached_property
    def result(self) -> Result:
        """Return the result, with the digest of everything that affects it. Raises UsageError, MediaError."""
        request, target, context = self.request, self.target, self.context
        sources = [request.video, *([request.mask.path] if request.mask else []), *self.files]
        sources += self.settings.strokes.files
        made_of = describe(request.COMMAND, vars(request), context)
        tables = ("pairing", "dataset", "generator", "discriminator", "training", "card")
        own = {
            "command": "propagate",
            "source": content_digest(context, request.video),
            "keyframes": [[path.name, context.cache.digest(path)] for path in self.files],
            "corrected": [[one.frame, one.digest] for one in self.corrected],
            "start": context.cache.digest(self.start) if self.start else "",
            "follow": request.follow,
            "minutes": request.minutes,
            "networks": request.recipe.only(*tables) | plugins_of(request.recipe) if self.learns else {},
            "layer": request.layer,
            "mask": mask_digest(context, request.mask) if request.mask else "",
            "span": [str(request.start), str(request.end)],
            **({"first_number": request.first_number} if request.first_number else {}),
            "versions": [COMPOSING, CarryStage.id(), DatasetStage.id(), TrainStage.id()],
            "seed": context.seed,
            "device": context.device_kind,
            **strokes_digest(self.settings.strokes, context),
        }
        stills = is_picture_source(request.video)
        digest = request_digest(own, self.settings, target, stills=stills, masked=request.mask is not None)
        return Result(target.output, digest, sources, context, target.folder, made_of=made_of, began=self.began)

    @cached_property
    def files(self) -> list[Path]:
        """Return the pictures in the folder of key frames. Raises UsageError, MediaError."""
        files = key_frame_files(self.request.keyframes)
        tell_ignored(self.request.keyframes, self.context)
        return files

    @cached_property
    def settings(self) -> ResolvedRenderSettings:
        """Return the render settings of the result."""
        request, source = self.request, load_model(IDENTITY, self.context)
        found = ResolvedRenderSettings.of(request.recipe, source, self.context.device, painted=True)
        if request.layer and found.strokes.medium:
            why = "strokes cover the whole picture, and leave nothing transparent"
            raise UsageError("--layer", why, "leave out --layer or --strokes")
        return found.resolved(is_picture_source(request.video), request.output, self.context.report)

    @property
    def learns(self) -> bool:
        """Return whether a network is trained."""
        return self.request.minutes != 0

    @property
    def model(self) -> Path:
        """Return the path of the network: next to the result, with its name."""
        output = self.target.output
        return refuse_link(output.parent / f"{base_name(output)}{SUFFIX}")

    @property
    def dataset(self) -> Path:
        """Return the path of the training dataset, made of the key frames."""
        return refuse_link(self.model.with_suffix(DATASET_SUFFIX))

    @cached_property
    def clip(self) -> Clip:
        """Return the source with its cuts. Raises MediaError, UsageError."""
        clip = open_clip(self.context, self.request.video)
        if not clip.index.same_size:
            raise MediaError(str(self.request.video), "its pictures are not of one size", "give pictures of one size")
        return with_cuts(clip, self.settings.rendering.cuts)

    @cached_property
    def span(self) -> tuple[int, int]:
        """Return the range [first, stop) of painted frames. Raises UsageError."""
        return self.clip.trim(self.request.start, self.request.end)

    @cached_property
    def sources(self) -> list[PaintSource]:
        """Return the key frames within the span, in order. Raises UsageError, MediaError."""
        first, stop = self.span
        painted = find_key_frames(self.files, self.clip, self.context, self.request.first_number)
        found: dict[int, PaintSource] = {picture.frame: picture for picture in painted}
        found |= {one.frame: one for one in self.corrected}
        inside = [found[frame] for frame in sorted(found) if first <= frame < stop]
        if not inside:
            what = f"--start {self.request.start or 0} --end {self.request.end or 'end'}"
            raise UsageError(what, "no painted frame lies in this part of the clip", "choose a part with one")
        return inside

    @property
    def keys(self) -> list[int]:
        """Return the numbers of the key frames."""
        return [source.frame for source in self.sources]

    @cached_property
    def maps(self) -> KeyMaps:
        """Return the flow from the clip's frames to its key frames; ``find`` computes it later."""
        return KeyMaps(self.clip, self.span, self.keys, self.context)

    def tell_shots(self) -> None:
        """Warn about shots without a key frame."""
        effect = "is painted by the network alone" if self.learns else "stays as it is"
        for shot in self.maps.shots:
            if not any(key in shot for key in self.keys):
                where = f"frames {shot.start} to {shot.stop - 1}" if len(shot) > 1 else f"frame {shot.start}"
                self.context.note(f"the shot of {where} has no key frame: it {effect}", "warning")

    def paint(self, *, learned: bool, shares: tuple[float, ...] = MOTION) -> Paint:
        """Return the paint of the clip. If no key frame is fully painted, the source shows between the paint.

        ``learned``: a network paints the rest. ``shares``: see ``Reliance``. Raises UsageError for an opaque layer.
        """
        over_source = not any(source.is_whole for source in self.sources)
        if self.request.layer and not over_source:
            whole = next(source.frame for source in self.sources if source.is_whole)
            why = f"frame {whole} is fully painted, and leaves nothing transparent"
            raise UsageError("--layer", why, "leave it out, or paint on a transparent layer")
        reliance = Reliance(shares, has_network=learned, over_source=over_source)
        return Paint(self.sources, self.maps, reliance, self.request.layer)

    @cached_property
    def plan(self) -> RenderPlan:
        """Return the plan of the render, without paint or a network. Raises UsageError, MediaError."""
        request, target = self.request, self.target
        source, span = load_model(IDENTITY, self.context), (request.start, request.end)
        plan = plan_render(
            self.clip, source, self.settings, self.context, span, mask=request.mask, pattern=target.pattern
        )
        target.check_holds(plan.num_frames)
        plan.delivery.check_sound(target.output)
        return plan

    def check(self) -> None:
        """Raise UsageError or MediaError before training, for problems that the render would have after it."""
        pairing = self.request.recipe.choice("pairing")[0]
        if self.learns and pairing != PAIRED:
            raise UsageError(f"pairing.name '{pairing}'", "painted frames already are aligned pairs", f"use '{PAIRED}'")
        replace(self.plan, paint=self.paint(learned=self.learns))  # a plan is checked as it is made

    def rough(self) -> RenderJob:
        """Return the render job without a network."""
        return self._job(replace(self.plan, paint=self.paint(learned=False)), NOTHING_LEARNED)

    def learn(self, preview: Callable[[Path], None] | None = None) -> Path:
        """Train the network; return its file. ``preview`` is called at intervals with the current model file."""
        request, context = self.request, self.context
        import_for_training(self.dataset)
        with TemporaryDirectory(prefix="vidtrans-") as temporary:
            pairs = self._write_pairs(Path(temporary), self.paint(learned=True))
            make_dataset(DatasetSpec((pairs,), request.recipe), self.dataset, context)
        asked = TrainingRequest(self.dataset, self.model, request.recipe, request.minutes)
        if self.start is not None:
            steps = max(1, request.recipe.settings("training", TrainingSettings).steps // AGAIN)
            minutes = request.minutes and request.minutes / AGAIN
            recipe = request.recipe.under({"training": {"steps": steps}})
            asked = replace(asked, recipe=recipe, minutes=minutes, start_from=str(self.start))
        train(asked, context, preview)
        return self.model

    def finished(self, model: Path) -> RenderJob:
        """Return the render job with the network in the file ``model``."""
        look = load_model(str(model), self.context)
        assert look.record is not None
        learned = {"model": str(model), "steps": look.record.training["step"]}
        paint = self.paint(learned=True, shares=self._shares(look))
        return self._job(replace(self.plan, model=look, paint=paint), learned)

    def _job(self, plan: RenderPlan, learned: Table) -> RenderJob:
        assert isinstance(plan.paint, Paint)
        facts = self.facts | {"shares": list(plan.paint.reliance.shares)} | learned
        return RenderJob(plan, self.context, facts)

    def forecast(self) -> Table:
        """Return the estimated cost, from a short trial of each step."""
        request, output = self.request, self.target.output
        job = RenderJob(self.plan, self.context)
        seconds, stored = self.maps.cost()
        costs, learned = [estimate(seconds, 0, stored)], NOTHING_LEARNED
        if self.learns:
            with TemporaryDirectory(prefix="vidtrans-") as temporary:
                pairs = self._write_pairs(Path(temporary), replace(self.paint(learned=True), reliance=Reliance(LOOK)))
                spec = DatasetSpec((pairs,), request.recipe)
                render = StylizeRequest(request.video, (), output, request.recipe, request.start, request.end)
                table = forecast_chain(spec, self.dataset, self.model, request.minutes, [render], self.context)
            costs.append(table)
            learned = {name: table[name] for name in ("model", "steps")}
        else:
            costs.append(job.estimate())
        return job.summary(output) | self.facts | learned | {"dry_run": True} | add_up(costs)

    @property
    def facts(self) -> Table:
        """Return the entries of the result table about key frames."""
        bare = [shot.start for shot in self.maps.shots if not any(key in shot for key in self.keys)]
        return {"keyframes": self.keys, "shots_without": bare, "shares": None}

    def _write_pairs(self, folder: Path, paint: Paint) -> Path:
        pairs = folder / "keyframes"  # the name is recorded
        size = self.clip.index.width, self.clip.index.height
        write_pairs(pairs, self.clip, self.keys, paint.painter(size), self.context)
        return pairs

    def _shares(self, look: LoadedModel) -> tuple[float, ...]:
        """Return the paint's share at each level of trust: measured against the network, or as ``follow`` sets it."""
        context, follow = self.context, self.request.follow
        if follow != "auto":
            return {"motion": MOTION, "look": LOOK}[follow]
        plan = replace(self.plan, model=look)
        with closing(FramePath(plan, load_engine(look, plan.rendering, context)).renderer()) as renderer:

            def network(rgb: np.ndarray, number: int) -> np.ndarray:
                return renderer.picture(renderer.inputs([Frame(number, 0, rgb)]))

            keys = self.keys
            frames = [n for shot in self.maps.shots if set(keys) & set(shot) for n in shot if n not in keys]
            painter = self.paint(learned=True).painter(plan.size)
            return calibrate(painter, self.clip, frames, keys, plan.size, network, context) if frames else MOTION

    def close(self) -> None:
        """Release the pinned cache entries."""
        if "maps" in self.__dict__:
            self.maps.close()
