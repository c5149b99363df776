"""``vidtrans stylize --chunk`` and ``--join``: a clip in parts, which any number of hosts render into one cache."""

from __future__ import annotations

import time

from vidtrans.core.errors import Interrupted, UsageError, VidtransError
from vidtrans.core.settings import Table
from vidtrans.output.result import Result
from vidtrans.rendering.chunk_log import log_failure
from vidtrans.rendering.chunk_manifest import ChunkManifest
from vidtrans.rendering.parts import DividedRender, spans
from vidtrans.rendering.requested_output import is_one_picture
from vidtrans.session import Context
from vidtrans.store.chunking import ClipPart
from vidtrans.stylizing.requested_render import RequestedRender, StylizeRequest, stylize


def stylize_part(request: StylizeRequest, part: ClipPart | None, context: Context, *, join: bool) -> Table:
    """Render a part of a clip into the cache, or none; ``join``: make the result where nothing is missing then.

    Without a part, what is missing is an error. One that fails is in the log of the cache. Raises as ``stylize`` does,
    UsageError where this worker differs from others that render the clip, VidtransError.
    """
    try:
        return _stylize_part(request, part, context, join=join)
    except (VidtransError, OSError) as error:
        if not context.dry_run and not isinstance(error, Interrupted):
            log_failure(context, request.video, str(part or "join"), error)
        raise


def _stylize_part(request: StylizeRequest, part: ClipPart | None, context: Context, *, join: bool) -> Table:
    render = RequestedRender(request, context, time.monotonic())
    wanted = render.result
    wanted.check()
    if request.score and not join:
        raise UsageError("--score", "flicker is measured over the whole clip", "give it with --join")
    if is_one_picture(request.video):
        raise UsageError(f"--chunk: {request.video}", "one picture has no parts", "leave it out")
    clip = render.open()
    if not clip.index.same_size:
        raise UsageError(
            f"--chunk: {request.video}", "pictures of several sizes are rendered one by one", "leave it out"
        )
    existing = wanted.existing()
    named: Table = {} if part is None else {"part": str(part)}
    if existing is not None:
        if request.score and join:
            return stylize(request, context)
        return wanted.report(existing | named, cached=True)
    divided = DividedRender(render.job(clip))
    agreement = ChunkManifest(divided.job, divided.job.engine(), wanted.request, str(wanted.output))
    if context.dry_run:
        agreement.check()
        if part is None:
            _check_whole(divided, wanted)
            return wanted.forecast(divided.job) | {"cached": False}
        return divided.job.summary(wanted.output) | named | divided.forecast(part)
    agreement.join()
    table: Table = {}
    if part is not None:
        table = named | divided.render(divided.chunks_of(part))
        left = divided.missing(verify=False)
        table["chunks_missing"] = len(left)
        if left or not join:
            return wanted.report(table, cached=table["frames_encoded"] == 0)
    else:
        _check_whole(divided, wanted)
    result = stylize(request, context)
    counts = {key: result.get(key, 0) + table[key] for key in table if key.startswith("frames_")}
    return wanted.report(result | named | counts, cached=result["cached"])


def _check_whole(divided: DividedRender, wanted: Result) -> None:
    """Raise VidtransError where parts are not rendered."""
    if missing := divided.missing(verify=True):
        why = f"{spans(missing)} of {divided.job.plan.num_frames} are not rendered"
        raise VidtransError(str(wanted.output), why, "render these parts with --chunk, then --join again")
