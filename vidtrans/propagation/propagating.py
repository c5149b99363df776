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
from vidtrans.clips.indexing import Clip, content_digest, open_clip
from vidtrans.core.costs import add_estimates, estimate
from vidtrans.core.errors import MediaError, UsageError
from vidtrans.core.events import Preview
from vidtrans.core.files import base_name, copy, write_atomically
from vidtrans.core.settings import Table
from vidtrans.data.dataset_planning import SUFFIX as DATASET_SUFFIX
from vidtrans.data.dataset_planning import DatasetSpec
from vidtrans.data.making import make_dataset
from vidtrans.masking.found_masks import mask_digest
from vidtrans.models.loaded_model import LoadedModel, load_engine, load_model
from vidtrans.models.model_file import IDENTITY, SUFFIX
from vidtrans.models.render_settings import ResolvedRenderSettings
from vidtrans.output.result import Result, Work, check_parents, refuse_link
from vidtrans.painting.composing import (
    MOTION_SHARES,
    NETWORK_SHARES,
    Paint,
    PaintSource,
    Reliance,
    calibrate,
    write_pairs,
)
from vidtrans.painting.composing import VERSION as COMPOSING
from vidtrans.painting.corrections import Correction
from vidtrans.painting.key_frames import find_key_frames, key_frame_files, warn_unreadable
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

NO_NETWORK: Table = {"model": None, "steps": 0}  # Entries of the result table of a render without a network
RELEARN_SPEEDUP = 4  # Factor by which training is shorter if an existing network learns corrected frames in ``fix``
REQUIRED_PAIRING = "aligned"  # Name of the pairing by which a network learns painted frames from source frames
PREVIEW_STEM = "preview"  # File name, without suffix, of the preview video in the training folder
NAME = "painted"  # Part of the default output name, as in clip.painted.mp4


def propagate(request: PropagateRequest, context: Context) -> Table:
    """Propagate painted key frames through a clip, and return the result table.

    An interrupted command resumes when it is repeated. Raises UsageError, MediaError, DeviceError, Interrupted.
    """
    with closing(PaintingJob(request, context, time.monotonic())) as job:

        def prepare() -> Work:
            """Check the request, warn about shots without key frames, and return the work."""
            job.check()
            job.warn_about_shots()
            note_unused_upscale(job.job_without_network().plan, request.recipe, context)
            return Work(make, lambda: job.result.report(job.forecast(), cached=False))

        def make(result: Result) -> Table:
            """Compute the flow from the key frames, render the painted clip, and return its table."""
            job.maps.find()
            table = render_painted(job).render(result)
            job.close()  # Releases the pins before the cache is trimmed
            return table

        return job.result.produce(prepare)


def render_painted(job: PaintingJob) -> RenderJob:
    """Train the network if requested; build the job that renders the painted clip."""
    if not job.trains_network:
        return job.job_without_network()
    if not job.request.preview:
        return job.job_with_network(job.train_network())
    preview_path = job.model.with_suffix(".train") / f"{PREVIEW_STEM}{job.target.output.suffix}"
    _write_preview(job.job_without_network(), preview_path)
    job.context.note(f"preview of the current state: {preview_path}")
    return job.job_with_network(
        job.train_network(lambda model: _write_preview(job.job_with_network(model), preview_path))
    )


def _write_preview(job: RenderJob, preview_path: Path) -> None:
    """Render a preview video of the job with the current network; it replaces the earlier preview."""
    check_parents(refuse_link(preview_path))
    with TemporaryDirectory(prefix="vidtrans-") as temporary:
        context = replace(job.context, cache_dir=Path(temporary) / "cache")
        output = Path(temporary) / preview_path.name
        folder = makes_folder(job.plan.settings.encoding, output)
        replace(job, context=context).render(Result(output, "", [], context, folder))
        with write_atomically(preview_path) as target:
            copy(output, target)
    job.context.report(Preview(preview_path))


@dataclass(frozen=True)
class PaintingJob:
    """A job that propagates key frames; its files, plan and network are found or made when they are first needed.

    Close it after use.

    ``began``: start time, in seconds of ``time.monotonic``. ``corrected_frames``: corrected frames of an earlier
    result, which are additional key frames. ``start``: the file of the earlier result's network, whose training
    continues.
    """

    request: PropagateRequest
    context: Context
    began: float
    corrected_frames: tuple[Correction, ...] = ()
    start: Path | None = None

    @cached_property
    def target(self) -> OutputTarget:
        """Return the resolved output path and format. Raises UsageError if the source is a single picture."""
        request = self.request
        if is_one_picture(request.video):
            raise UsageError(str(request.video), "it is one picture", "give a video or a folder of pictures")
        encoding = self.settings.encoding
        wanted = request.output or refuse_link(default_output(request.video, [NAME], encoding))
        return OutputTarget.find(wanted, encoding)

    @cached_property
    def result(self) -> Result:
        """Return the requested result, with the digest of everything that affects it. Raises UsageError, MediaError."""
        request, target, context = self.request, self.target, self.context
        sources = [request.video, *(request.mask.files if request.mask else []), *self.files]
        sources += self.settings.strokes.files
        made_of = describe(request.COMMAND, vars(request), context)
        tables = ("pairing", "dataset", "generator", "discriminator", "training", "card")
        own = {
            "command": "propagate",
            "source": content_digest(context, request.video),
            "keyframes": [[path.name, context.cache.digest(path)] for path in self.files],
            "corrected": [[one.frame, one.digest] for one in self.corrected_frames],
            "start": context.cache.digest(self.start) if self.start else "",
            "follow": request.follow,
            "minutes": request.minutes,
            "networks": request.recipe.only(*tables) | plugins_of(request.recipe) if self.trains_network else {},
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
        """Return the paths of the painted pictures. Raises UsageError, MediaError."""
        files = key_frame_files(self.request.keyframes)
        warn_unreadable(self.request.keyframes, self.context)
        return files

    @cached_property
    def settings(self) -> ResolvedRenderSettings:
        """Return the render settings. Raises UsageError if a paint layer and strokes are both requested."""
        request, source = self.request, load_model(IDENTITY, self.context)
        found = ResolvedRenderSettings.of(request.recipe, source, self.context.device, painted=True)
        if request.layer and found.strokes.medium:
            why = "strokes cover the whole picture, and leave nothing transparent"
            raise UsageError("--layer", why, "leave out --layer or --strokes")
        return found.resolved(is_picture_source(request.video), request.output, self.context.report)

    @property
    def trains_network(self) -> bool:
        """Return whether a network learns the painted frames."""
        return self.request.minutes != 0

    @property
    def model(self) -> Path:
        """Return the path of the network's file, which is next to the result and has the result's name."""
        output = self.target.output
        return refuse_link(output.parent / f"{base_name(output)}{SUFFIX}")

    @property
    def dataset(self) -> Path:
        """Return the folder of the dataset of painted frames, next to the network's file."""
        return refuse_link(self.model.with_suffix(DATASET_SUFFIX))

    @cached_property
    def clip(self) -> Clip:
        """Open the source, with its cuts. Raises MediaError, UsageError."""
        clip = open_clip(self.context, self.request.video)
        if not clip.index.same_size:
            raise MediaError(str(self.request.video), "its pictures are not of one size", "give pictures of one size")
        return with_cuts(clip, self.settings.rendering.cuts)

    @cached_property
    def span(self) -> tuple[int, int]:
        """Return (first, stop): the frames first … stop − 1 are painted. Raises UsageError."""
        return self.clip.trim(self.request.start, self.request.end)

    @cached_property
    def sources(self) -> list[PaintSource]:
        """Return the key frames within the span, in order. Raises UsageError, MediaError."""
        first, stop = self.span
        pictures = find_key_frames(self.files, self.clip, self.context, self.request.first_number)
        found: dict[int, PaintSource] = {picture.frame: picture for picture in pictures}
        found |= {one.frame: one for one in self.corrected_frames}
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
        """Return the optical flow from the clip's frames to its key frames; ``maps.find`` computes the flow."""
        return KeyMaps(self.clip, self.span, self.keys, self.context)

    def warn_about_shots(self) -> None:
        """Warn about each shot without a key frame."""
        effect = "is painted by the network alone" if self.trains_network else "stays as it is"
        for shot in self.maps.shots:
            if not any(key in shot for key in self.keys):
                where = f"frames {shot.start} to {shot.stop - 1}" if len(shot) > 1 else f"frame {shot.start}"
                self.context.note(f"the shot of {where} has no key frame: it {effect}", "warning")

    def paint(self, *, has_network: bool, shares: tuple[float, ...] = MOTION_SHARES) -> Paint:
        """Return the clip's paint: the key frames' paint, moved along the motion to all frames, over source or network.

        ``has_network``: a network paints where no key frame reaches. ``shares``: the share of transferred paint, 0 to
        1, at each level of trust in the flow. Unless a key frame is fully painted, the source is visible between the
        paint. Raises UsageError for a layer without transparency.
        """
        over_source = not any(source.is_whole for source in self.sources)
        if self.request.layer and not over_source:
            whole = next(source.frame for source in self.sources if source.is_whole)
            why = f"frame {whole} is fully painted, and leaves nothing transparent"
            raise UsageError("--layer", why, "leave it out, or paint on a transparent layer")
        reliance = Reliance(shares, has_network=has_network, over_source=over_source)
        return Paint(self.sources, self.maps, reliance, self.request.layer)

    @cached_property
    def plan(self) -> RenderPlan:
        """Return the plan to render the clip, still without its paint and network. Raises UsageError, MediaError."""
        request, target = self.request, self.target
        source, span = load_model(IDENTITY, self.context), (request.start, request.end)
        plan = plan_render(
            self.clip, source, self.settings, self.context, span, mask=request.mask, pattern=target.pattern
        )
        target.check_holds(plan.num_frames)
        plan.delivery.check_sound(target.output)
        return plan

    def check(self) -> None:
        """Raise UsageError or MediaError, before the training, for problems that the render would have after it."""
        pairing = self.request.recipe.choice("pairing")[0]
        if self.trains_network and pairing != REQUIRED_PAIRING:
            raise UsageError(
                f"pairing.name '{pairing}'", "painted frames already are aligned pairs", f"use '{REQUIRED_PAIRING}'"
            )
        replace(self.plan, paint=self.paint(has_network=self.trains_network))  # A new plan checks its settings

    def job_without_network(self) -> RenderJob:
        """Return the job that paints the clip only by paint transferred along the motion."""
        return self._job(replace(self.plan, paint=self.paint(has_network=False)), NO_NETWORK)

    def train_network(self, preview: Callable[[Path], None] | None = None) -> Path:
        """Train the network; return its file. ``preview`` is called at intervals with the current model file."""
        request, context = self.request, self.context
        import_for_training(self.dataset)
        with TemporaryDirectory(prefix="vidtrans-") as temporary:
            pairs = self._write_pairs(Path(temporary), self.paint(has_network=True))
            make_dataset(DatasetSpec((pairs,), request.recipe), self.dataset, context)
        training = TrainingRequest(self.dataset, self.model, request.recipe, request.minutes)
        if self.start is not None:
            steps = max(1, request.recipe.settings("training", TrainingSettings).steps // RELEARN_SPEEDUP)
            minutes = request.minutes and request.minutes / RELEARN_SPEEDUP
            recipe = request.recipe.under({"training": {"steps": steps}})
            training = replace(training, recipe=recipe, minutes=minutes, start_from=str(self.start))
        train(training, context, preview)
        return self.model

    def job_with_network(self, model: Path) -> RenderJob:
        """Return the job that paints the clip by transferred paint and the network in the file ``model``."""
        network = load_model(str(model), self.context)
        assert network.record is not None
        network_facts = {"model": str(model), "steps": network.record.training["step"]}
        paint = self.paint(has_network=True, shares=self._shares(network))
        return self._job(replace(self.plan, model=network, paint=paint), network_facts)

    def _job(self, plan: RenderPlan, network_facts: Table) -> RenderJob:
        """Return the job of a plan with paint. ``network_facts``: entries of the result table about the network."""
        assert isinstance(plan.paint, Paint)
        facts = self.facts | {"shares": list(plan.paint.reliance.shares)} | network_facts
        return RenderJob(plan, self.context, facts)

    def forecast(self) -> Table:
        """Estimate time and disk space by a short trial of each step; return the dry-run table."""
        request, output = self.request, self.target.output
        job = RenderJob(self.plan, self.context)
        seconds, stored = self.maps.cost()
        costs, network_facts = [estimate(seconds, 0, stored)], NO_NETWORK
        if self.trains_network:
            with TemporaryDirectory(prefix="vidtrans-") as temporary:
                pairs = self._write_pairs(
                    Path(temporary), replace(self.paint(has_network=True), reliance=Reliance(NETWORK_SHARES))
                )
                spec = DatasetSpec((pairs,), request.recipe)
                render = StylizeRequest(request.video, (), output, request.recipe, request.start, request.end)
                table = forecast_chain(spec, self.dataset, self.model, request.minutes, [render], self.context)
            costs.append(table)
            network_facts = {name: table[name] for name in ("model", "steps")}
        else:
            costs.append(job.estimate())
        return job.summary(output) | self.facts | network_facts | {"dry_run": True} | add_estimates(costs)

    @property
    def facts(self) -> Table:
        """Return the result table's entries about key frames: their numbers, and shots without key frames."""
        bare = [shot.start for shot in self.maps.shots if not any(key in shot for key in self.keys)]
        return {"keyframes": self.keys, "shots_without": bare, "shares": None}

    def _write_pairs(self, folder: Path, paint: Paint) -> Path:
        """Write the pairs of source and painted frames into a subfolder of ``folder``; return the subfolder."""
        pairs = folder / "keyframes"  # The dataset records this name
        size = self.clip.index.width, self.clip.index.height
        write_pairs(pairs, self.clip, self.keys, paint.painter(size), self.context)
        return pairs

    def _shares(self, model: LoadedModel) -> tuple[float, ...]:
        """Return the share of transferred paint, 0 to 1, at each level of trust in the flow; the rest is the network's.

        ``follow`` sets the shares, or lets them be measured.
        """
        context, follow = self.context, self.request.follow
        if follow != "auto":
            return {"motion": MOTION_SHARES, "look": NETWORK_SHARES}[follow]
        plan = replace(self.plan, model=model)
        with closing(FramePath(plan, load_engine(model, plan.rendering, context)).renderer()) as renderer:

            def network(rgb: np.ndarray, number: int) -> np.ndarray:
                """Return the network's picture of a frame."""
                return renderer.picture(renderer.inputs([Frame(number, 0, rgb)]))

            keys = self.keys
            frames = [n for shot in self.maps.shots if set(keys) & set(shot) for n in shot if n not in keys]
            painter = self.paint(has_network=True).painter(plan.size)
            return calibrate(painter, self.clip, frames, keys, plan.size, network, context) if frames else MOTION_SHARES

    def close(self) -> None:
        """Release the cached optical flow, which was protected from deletion."""
        if "maps" in self.__dict__:
            self.maps.close()
