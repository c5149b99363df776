"""Correct a result: propagate frames that were painted over through its clip, and write the corrected result."""

from __future__ import annotations

import shlex
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from vidtrans.clips.indexing import open_clip
from vidtrans.clips.sampling import read_clip_frames
from vidtrans.config.recipe import PROGRAM_REFUSAL, programs_in
from vidtrans.core.errors import UsageError
from vidtrans.core.files import digest_of
from vidtrans.core.mask_files import MaskFile
from vidtrans.core.settings import Table
from vidtrans.core.system import path_key
from vidtrans.masking.found_masks import open_mask
from vidtrans.output.result import Result, Work, check_named, recorded, refuse_link, replaces_own
from vidtrans.painting.composing import Paint, Reliance
from vidtrans.painting.corrections import Correction, find_correction, merge
from vidtrans.painting.key_frames import frame_numbers_of, key_frame_files, warn_unreadable
from vidtrans.painting.maps import KeyMaps
from vidtrans.propagation.propagating import PaintingJob, render_painted
from vidtrans.propagation.requests import FixRequest, PropagateRequest
from vidtrans.rendering.plan import RenderPlan
from vidtrans.rendering.render_job import RenderJob
from vidtrans.session import Context
from vidtrans.stylizing.requested_render import RequestedRender
from vidtrans.stylizing.requests import StylizeRequest, describe, restore
from vidtrans.video.io.encoding import LOSSLESS, split_pattern

AnyRequest = StylizeRequest | PropagateRequest | FixRequest  # A request whose result ``fix`` can correct
# Request classes by the name of their command
REQUESTS: dict[str, type[Any]] = {cls.COMMAND: cls for cls in (StylizeRequest, PropagateRequest, FixRequest)}
OUTPUT_LABEL = "fixed"  # Part of the default output name, as in clip.painted.fixed.mp4


def fix(request: FixRequest, context: Context) -> Table:
    """Propagate corrections, painted over frames of a result, through its clip; return the result table.

    Pixels without corrections stay unchanged, bit for bit with a lossless codec. To undo a correction, remove its
    picture and run the same command. Raises UsageError, MediaError, Interrupted.
    """
    began = time.monotonic()
    request = replace(request, render=_without_pattern(request.render))
    output, folder = _output(request), request.render.is_dir()
    lineage = digest_of(["fix", str(request.render.absolute())])
    overwrite = context.overwrite or replaces_own(context.cache, output, lineage)
    with ExitStack() as stack:
        builder = _JobBuilder(replace(context, overwrite=overwrite), stack, request.program)
        job = builder.corrected_job(request, output)
        sources = [request.render, job.plan.clip.path, *(request.mask.files if request.mask else [])]
        sources += key_frame_files(request.painted, "--painted", needed=False)
        made_of = describe(request.COMMAND, vars(request), context)
        result = Result(output, _digest(job), sources, context, folder, lineage, overwrite, made_of, began)

        def forecast() -> Table:
            """Return the report of a dry run."""
            plain = replace(job, plan=replace(job.plan, paint=None, corrections=None))
            table = job.summary(output) | job.facts | {"dry_run": True} | (builder.forecast or plain.estimate())
            return result.report(table, cached=False)

        def make(result: Result) -> Table:
            """Compute the flow from the key frames, render the corrected result, and return its table."""
            if job.plan.corrections is not None:
                job.plan.corrections.maps.find()
            table = job.render(result)
            stack.close()  # Releases the pins before the cache is trimmed
            return table

        return result.produce(lambda: Work(make, forecast))


def _digest(job: RenderJob) -> str:
    """Return the digest of everything that affects a corrected result; ``job.origin`` is the digest of the original."""
    plan = job.plan
    paint = plan.corrections or plan.paint
    paint_key = {"corrections": paint.for_key() if paint else {}, "again": plan.corrections is None}
    return digest_of({"command": "fix", "of": job.origin, **paint_key, "model": plan.model.digest})


def _check_same(render: Path, digest: str, again: str) -> None:
    """Raise UsageError if a new render of the result ``render`` would give another result.

    ``digest``: the recorded digest of everything that affects the result. ``again``: the present digest.
    """
    if again != digest:
        why = "its clip, model, key frames or settings have changed since it was made"
        raise UsageError(str(render), why, "render it again first")


def _output(request: FixRequest) -> Path:
    """Return the output path of a corrected result. Raises UsageError if its format differs from the original's."""
    render = request.render if request.render.name not in ("", "..") else request.render.resolve()
    if request.output is not None:
        check_named(request.output)
    if render.is_dir():
        if request.output is not None:
            return _without_pattern(request.output)
        return refuse_link(render.with_name(f"{render.name}.{OUTPUT_LABEL}"))
    output = request.output or refuse_link(render.with_name(f"{render.stem}.{OUTPUT_LABEL}{render.suffix}"))
    if output.suffix.lower() != render.suffix.lower():
        remedy = f"use -o {output.with_suffix(render.suffix)}"
        raise UsageError(str(output), f"a corrected '{render.name}' has the same format", remedy)
    return output


def _without_pattern(path: Path) -> Path:
    """Return the folder of a file name pattern (pics/%04d.png); other paths are returned unchanged."""
    return path if path.exists() else split_pattern(path)[0]


class _JobBuilder:
    """A builder of the render jobs that reproduce and correct results.

    ``stack`` closes the resources of the jobs. ``programs``: allowed programs, as for ``read_request``.
    """

    def __init__(self, context: Context, stack: ExitStack, programs: Collection[str] = ()) -> None:
        self.context, self._stack, self._programs, self._visited = context, stack, programs, set[str]()
        self.forecast: Table = {}
        self._lacks_network = False

    def corrected_job(self, request: FixRequest, output: Path) -> RenderJob:
        """Build the job that renders the corrected result to ``output``."""
        job = self.original_job(request.render)
        files = key_frame_files(request.painted, "--painted", needed=request.relearn)
        warn_unreadable(request.painted, self.context)
        found = _corrections(request, files, job.plan, self.context) if files else []
        facts = {"corrections": [one.frame for one in found]}
        if request.relearn:
            again = self._retrained_job(request.render, output, job, found, request.mask)
            return replace(again, facts=again.facts | facts, origin=job.origin)
        plan = job.plan
        earlier = plan.corrections.sources if plan.corrections else []
        merged = merge([*(one for one in earlier if isinstance(one, Correction)), *found])
        if not merged:
            return replace(job, facts=job.facts | facts)
        keys = [one.frame for one in merged]
        maps = KeyMaps(plan.clip, (plan.frames.start, plan.stop), keys, self.context, always=keys)
        self._stack.enter_context(closing(maps))
        within = None
        if request.mask is not None:
            within = open_mask(request.mask, plan.clip, plan.frames.start, plan.stop, self.context)
        known = plan.corrections.within if plan.corrections else within
        if (known and known.for_key()) != (within and within.for_key()):
            why = f"'{request.render.name}' is a corrected result, whose corrections have another mask"
            raise UsageError("--mask", why, "correct the first result, with all corrections in --painted DIR")
        corrected = replace(plan, corrections=Paint(merged, maps, Reliance(), within=within))
        return replace(job, plan=corrected, facts=job.facts | {"corrections": keys})

    def original_job(self, render: Path) -> RenderJob:
        """Build the job that rendered a result. Raises UsageError if the result cannot be reproduced."""
        if path_key(render) in self._visited:
            raise UsageError(str(render), "its record refers to itself", "render it again first")
        self._visited.add(path_key(render))
        request, options, digest = read_request(render, self.context, self._programs)
        own = replace(self.context, overwrite=False, **options)
        if isinstance(request, FixRequest):
            job = self.corrected_job(request, render)
            again = _digest(job)
        elif isinstance(request, StylizeRequest):
            asked = RequestedRender(request, own, time.monotonic())
            again, job = asked.result.request, asked.job(asked.open())
        else:
            painting = self._stack.enter_context(closing(PaintingJob(request, own, time.monotonic())))
            again = painting.result.request
            _check_same(render, digest, again)  # Check before a network is trained
            job = self._painted_job(painting)
        # The digest of a corrected result includes the network's digest, but a dry run does not train the network.
        if not (self._lacks_network and isinstance(request, FixRequest)):
            _check_same(render, digest, again)
        return replace(job, origin=digest)

    def _retrained_job(
        self, render: Path, output: Path, job: RenderJob, found: Sequence[Correction], mask: MaskFile | None
    ) -> RenderJob:
        """Build the job that paints the clip of ``render`` again by a network that also learned the frames ``found``.

        ``job``: the job that rendered ``render``. ``found``: the corrected frames.
        """
        request, options, _ = read_request(render, self.context, self._programs)
        model = job.plan.model.path
        if isinstance(request, FixRequest):
            first, why = request.render.name, f"'{render.name}' is a corrected result"
            raise UsageError("--relearn", why, f"correct '{first}' instead, with all corrections in --painted DIR")
        if not isinstance(request, PropagateRequest) or (not request.minutes and request.minutes is not None):
            why = f"'{render.name}' was not made by a network of 'propagate'"
            raise UsageError("--relearn", why, "leave it out")
        if mask:
            raise UsageError("--relearn --mask", "the whole clip is painted again", "leave out one of them")
        if request.layer:
            raise UsageError("--relearn", f"'{render.name}' is a paint layer without the frames", "leave it out")
        frames = tuple(replace(one, cover=np.full_like(one.cover, 255), is_whole=True) for one in found)
        own = replace(self.context, **options)
        painting = PaintingJob(replace(request, output=output), own, time.monotonic(), frames, model)
        self._stack.enter_context(closing(painting))
        if self.context.dry_run:
            self.forecast = painting.forecast()
        return self._painted_job(painting)

    def _painted_job(self, painting: PaintingJob) -> RenderJob:
        """Build the job that renders a painted clip; first train its network, if it has one and this is no dry run."""
        if self.context.dry_run:
            self._lacks_network |= painting.trains_network
            return painting.job_without_network()
        painting.maps.find()
        return render_painted(painting)


def _corrections(request: FixRequest, files: Sequence[Path], plan: RenderPlan, context: Context) -> list[Correction]:
    """Read the corrections that the user painted over frames of a result. Raises UsageError, MediaError."""
    render = request.render
    numbers, result = plan.source_frames, open_clip(context, render)
    if numbers is None:  # ``read_request`` refuses results of filter graphs
        why = "it has frames between the painted ones, which no paint is under"
        raise UsageError(str(render), why, "fix it without --fps, and then: vidtrans retime --fps N")
    if not result.index.same_size:
        raise UsageError(str(render), "its pictures are not of one size", "fix a result whose pictures are")
    named = frame_numbers_of(files, result, context, request.first_number)
    found, lossless = [], plan.settings.encoding.codec in LOSSLESS
    form = plan.form((plan.picture.width, plan.picture.height))
    wanted = list(named.values())
    layers: list[np.ndarray | None] = [None] * len(wanted)
    if plan.paint is not None and plan.paint.layer:
        straight = read_clip_frames(result, wanted, replace(form, alpha="kept"), context)
        layers = [None if one.alpha is None else np.dstack([one.rgb, one.alpha]) for one in straight]
    frames = read_clip_frames(result, wanted, form, context)
    for path, frame, layer in zip(named, frames, layers, strict=True):
        digest = digest_of([context.cache.digest(path), result.digest, frame.index])
        own = numbers[frame.index]
        correction, words = find_correction(path, frame.rgb, frame.index, own, digest, layer, lossless=lossless)
        if words:
            context.note(f"{path.name}: {words}")
        found.append(correction)
    return found


def read_request(output: Path, context: Context, programs: Collection[str] = ()) -> tuple[AnyRequest, Table, str]:
    """Return (request, options, digest) from the record of an output; the options are ``seed`` and ``device``.

    A record may come from another person. Therefore output paths are never read from it, and filter graphs and encoders
    for the user's ffmpeg are accepted only if they are among ``programs``. Raises UsageError without a record, or if
    the result cannot be reproduced.
    """
    if not output.exists():
        raise UsageError(str(output), "no such file or folder", "give a result of 'stylize' or 'propagate'")
    value = recorded(context.cache, output)
    if value is None:
        why = "the cache has no record of it, or it was changed since"
        raise UsageError(str(output), why, "give a result of 'stylize' or 'propagate', and its --cache-dir")
    made_of = value.get("made_of") or {}
    if not isinstance(made_of, dict) or made_of.get("command") not in REQUESTS:
        raise UsageError(str(output), "no result of 'stylize' or 'propagate'", "give one")
    try:
        request: AnyRequest = REQUESTS[made_of["command"]](**restore(made_of, context))
        options = {"seed": int(made_of["options"]["seed"]), "device": str(made_of["options"]["device"])}
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise UsageError(str(output), f"its record is damaged ({error})", "render it again first") from None
    if isinstance(request, PropagateRequest):
        request = replace(request, preview=False)
    if not isinstance(request, FixRequest):
        pattern = split_pattern(request.output)[1] if request.output else ""  # The file name pattern of the pictures
        request = replace(request, output=output / pattern)
        check_programs(programs_in(request.recipe.tables), output, programs)
    return request, options, str(value["request"])


def check_programs(found: Mapping[str, str], output: Path, allowed: Collection[str]) -> None:
    """Raise UsageError if a result was made with a filter graph, or with a program that is not ``allowed``."""
    if "encoding.filter" in found:
        why = "a filter graph was laid over it, and paint over its result is no paint under it"
        raise UsageError(str(output), why, "render without the graph, correct that, and filter the corrected result")
    for name, value in found.items():
        if value not in allowed:
            remedy = f"if it is your own, repeat it: --program {shlex.quote(value)}"
            raise UsageError(f"{name} in the record of {output.name}", PROGRAM_REFUSAL, remedy)
