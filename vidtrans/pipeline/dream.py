"""``vidtrans dream``: next-frame prediction fed back on itself, directed, and resumable at any moment."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from vidtrans.clips.indexing import content_digest
from vidtrans.config.programs import warn_about_programs
from vidtrans.config.rendering_settings import DREAM_READS, RenderingSettings
from vidtrans.dreaming.predictors import NOISE, check_clock, load_models
from vidtrans.dreaming.settings import DreamingSettings
from vidtrans.files import base_name, digest_of
from vidtrans.flow.survey import VERSION as SURVEY_VERSION
from vidtrans.models.loaded_model import LoadedModel
from vidtrans.models.model_file import SUFFIX
from vidtrans.output.assembling import VERSION as ASSEMBLY_VERSION
from vidtrans.output.target import refuse_link
from vidtrans.pairing.base import pairing_record
from vidtrans.rendering.requested_output import OutputTarget, RequestedOutput, program_of
from vidtrans.requests import DreamRequest
from vidtrans.session import Context
from vidtrans.settings import Table
from vidtrans.store.stages import DreamStage
from vidtrans.video.io.encoding import EncodingSettings


def dream(request: DreamRequest, context: Context) -> Table:
    """Let models that predict frames go on from a seed; return what is reported of it.

    Raises UsageError, MediaError, ModelError, DeviceError, Interrupted.
    """
    began = time.monotonic()
    recipe, sound = request.recipe, request.sound
    looks = load_models(request.models, context)
    encoding = recipe.settings("encoding", EncodingSettings)
    encoding = encoding.resolved(pictures=False, output=request.output, report=context.report)
    dreaming = recipe.settings("dreaming", DreamingSettings)
    check_clock(looks, dreaming)
    if sound is not None and (encoding.makes_pictures or encoding.codec == "gif"):
        text = f"expressions hear {sound.name}, and the result is silent: use -o with .mp4 or .mkv to keep it"
        context.note(text, "warning")
    seed = base_name(request.source) if request.source else NOISE
    name = f"{seed}.{looks[0].name.removesuffix(SUFFIX)}.dream{encoding.default_suffix(single=False)}"
    target = OutputTarget.find(request.output or refuse_link(Path(name)), encoding)
    digest = _digest(request, looks, target, context)
    sources = [*request.paths, *(look.path for look in looks if look.path)]
    requested = RequestedOutput(target, digest, sources, context, began)
    if (table := requested.existing()) is not None:
        return requested.report(table, cached=True)
    target.check_holds(request.frames)
    warn_about_programs(recipe.programs, context, ("encoding",))
    from vidtrans.dreaming.dream_job import DreamJob, DreamSpec  # torch
    from vidtrans.dreaming.dream_planning import plan_dream

    rendering = recipe.settings("rendering", RenderingSettings)
    spec = DreamSpec(request.source, request.frames, request.start, request.blend, sound, dreaming, rendering, encoding)
    job = DreamJob(plan_dream(spec, looks, target, context), context)
    if context.dry_run:
        return requested.forecast(job)
    table = job.render(target.output, digest)
    context.trim_cache()
    return requested.report(table, cached=False)


def _digest(request: DreamRequest, looks: Sequence[LoadedModel], target: OutputTarget, context: Context) -> str:
    """The digest of all that decides a result. Raises UsageError, MediaError where something cannot be read."""
    files = {"source": request.source, "blend": request.blend, "sound": request.sound}
    rendering = request.recipe.settings("rendering", RenderingSettings)
    return digest_of(
        {
            "command": "dream",
            "noise": context.seed if request.source is None else None,
            "models": [[look.digest, pairing_record(look.pairing)] for look in looks],
            "frames": request.frames,
            "start": str(request.start),
            "dreaming": request.recipe.settings("dreaming", DreamingSettings).for_key(),
            "rendering": {name: getattr(rendering, name) for name in DREAM_READS},
            "encoding": target.encoding.for_key(),
            "pattern": target.pattern,
            "versions": [DreamStage.id(), SURVEY_VERSION, ASSEMBLY_VERSION],
            "program": program_of(target.encoding),
            "device": context.device_kind,
            **{name: content_digest(context, path) if path else "" for name, path in files.items()},
        }
    )
