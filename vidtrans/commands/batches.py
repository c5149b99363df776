"""Shared code of commands on several clips: expand clips, run a job for each, return the batch's table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from vidtrans.batch.batch_options import BatchOptions
from vidtrans.batch.inputs import exclude_results, expand_sources, folder_of, is_batch, make_items
from vidtrans.batch.jobs import Outcome, run_batch
from vidtrans.config.recipe import Recipe
from vidtrans.core.files import base_name
from vidtrans.core.settings import Table
from vidtrans.output.places import refuse_link
from vidtrans.rendering.requested_output import default_ending
from vidtrans.session import Context
from vidtrans.video.io.encoding import EncodingSettings

Work = Callable[[Context], Table]  # picklable


def is_several(paths: Sequence[Path], batch: BatchOptions) -> bool:
    """Return whether ``paths`` make a batch: several clips, or a requested part of a batch."""
    return is_batch(paths) or batch.is_partial


def clips_with_endings(paths: Sequence[Path], name: str, folder: Path | None, recipe: Recipe) -> dict[Path, str]:
    """Return the clips that files, folders and globs expand to, each with its result's ending: ``.NAME.mp4``.

    A clip that is the result of another one in ``folder`` (None: beside it) is excluded, unless each clip was named.
    Raises UsageError.
    """
    encoding = recipe.settings("encoding", EncodingSettings)
    clips = expand_sources(paths)
    endings = {clip: default_ending(clip, [name], encoding) for clip in clips}
    if clips != list(paths):
        clips = exclude_results(clips, lambda clip: _place(clip, folder, endings[clip]))
    return {clip: endings[clip] for clip in clips}


def place_beside(clip: Path, name: str, recipe: Recipe) -> Path:
    """Return the path of a clip's result beside it: ``clip.NAME.mp4``. Raises UsageError for a link."""
    return refuse_link(_place(clip, None, default_ending(clip, [name], recipe.settings("encoding", EncodingSettings))))


def _place(clip: Path, folder: Path | None, ending: str) -> Path:
    return (folder_of(clip) if folder is None else folder) / f"{base_name(clip)}{ending}"


def make_each(
    endings: Mapping[Path, str],
    work: Callable[[Path, Path], Work],
    command: str,
    folder: Path | None,
    batch: BatchOptions,
    context: Context,
    *,
    beside: bool = False,
) -> Table:
    """Run the job that ``work(clip, output)`` returns for each clip; return the batch's ``--json`` table.

    ``endings``: for each clip the suffix of its output's name, ``.x.mp4``. ``folder``: where the outputs and the
    summary go; None: no outputs, or outputs ``beside`` the clips, and the summary goes into the current folder. Raises
    UsageError, Interrupted.
    """
    items = make_items(list(endings), None if beside else folder or Path(), list(endings.values()), work)
    if folder is None and not beside:
        items = [replace(item, output=None) for item in items]
    outcomes, summary = run_batch(items, command, folder or Path(), batch, context)
    return batch_table(outcomes, summary, {"output": None if folder is None else str(folder)})


def batch_table(outcomes: Sequence[Outcome], summary: Path, base: Table) -> Table:
    """Return the ``--json`` table of a batch. ``base``: the command's own entries."""
    done = [o.table for o in outcomes if o.state == "done"]
    failed = {str(o.item.source): o.error for o in outcomes if o.state == "failed"}
    pending = [str(o.item.source) for o in outcomes if o.state == "pending"]
    has_summary = not any(table.get("dry_run") for table in done) and (summary.exists() or not failed)
    return base | {
        "frames": sum(t["frames"] for t in done),
        "cached": bool(done) and not failed and not pending and all(t.get("cached") for t in done),
        "items": done,
        "failed": failed,
        "pending": pending,
        "summary": str(summary) if has_summary else None,
    }
