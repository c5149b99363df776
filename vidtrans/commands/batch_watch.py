"""``vidtrans batch watch``: paint each video that arrives in a folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, MISSING, dataclass
from pathlib import Path
from typing import Any, ClassVar

from vidtrans.batch.batch_options import SEQUENTIAL, BatchOptions
from vidtrans.commands.base import CACHE_OPTIONS, Command
from vidtrans.commands.options import mask_option, missing_model_error, models_option
from vidtrans.commands.results import RenderedClip
from vidtrans.commands.text_reports import Terminal, render_text, show_batch
from vidtrans.config.recipe import Recipe, render_recipe
from vidtrans.core.errors import UsageError
from vidtrans.core.mask_files import optional_mask
from vidtrans.core.options import Group, argument, option
from vidtrans.core.settings import Table
from vidtrans.pipeline.render import look_named
from vidtrans.session import Context
from vidtrans.strokes.settings import medium_of_tables


@dataclass(frozen=True)
class BatchWatch(Command):
    """Paint each new video in FOLDER, as soon as its size no longer changes.

    vidtrans batch watch incoming -o painted --look oil

    The command runs until you stop it. If you start it again, it paints the missing videos. If a video fails, the
    command reports it, and tries it again when the video changes. All other options are those of 'stylize'.
    """

    CONTEXT: ClassVar = (*(name for name in CACHE_OPTIONS if name != "dry_run"), "device", "decoder")
    RESULT: ClassVar = RenderedClip
    TABLES: ClassVar = {"pairing": (), "rendering": None, "strokes": None, "temporal": None, "encoding": None}
    BATCH: ClassVar = ("jobs", "executor")

    folder: Path = argument()
    output: Path = option(
        MISSING, "The folder for the results.", Group.OUTPUT, ("-o", "--output"), metavar="DIR", access="path"
    )
    _: KW_ONLY
    model: tuple[str, ...] = models_option(
        "A model file or a model name. Repeat the option for a chain of models. Required without --look."
    )
    mask: str | None = mask_option("Apply the look")
    idle: float | None = option(
        None,
        "Stop if no new video arrives for this many minutes.",
        Group.TIME,
        metavar="MINUTES",
        bounds=(0.0, 1e6),
        default_text="never",
    )
    recipe: Recipe
    batch: BatchOptions = SEQUENTIAL

    def __post_init__(self) -> None:
        if not (self.model or look_named(self.recipe.tables) or medium_of_tables(self.recipe.tables)):
            raise missing_model_error("batch watch")

    @classmethod
    def recipe_of(cls, preset: str | None, tables: Mapping[str, Table], arguments: Mapping[str, Any]) -> Recipe:
        """Return the recipe of the renders. Raises UsageError."""
        return render_recipe(preset, tables)

    def make(self, context: Context) -> Table:
        """Render the videos that arrive in a folder, until a stop is requested or nothing more comes.

        Raises UsageError, ModelError, DeviceError, Interrupted.
        """
        from vidtrans.batch.jobs import Outcome, Summary, batch_table
        from vidtrans.batch.watching import Arrivals, watch
        from vidtrans.core.system import path_key
        from vidtrans.models.look_pictures import models_named
        from vidtrans.stylizing.clips import requests_for, stylize_batch
        from vidtrans.stylizing.requests import StylizeRequest

        if not self.folder.is_dir():
            raise UsageError(str(self.folder), "no such folder", "give a folder into which videos are written")
        if path_key(self.folder.resolve()) == path_key(self.output.resolve()):
            raise UsageError(f"-o {self.output}", "its results would be painted again", "give another folder")
        models, mask = models_named(self.model, self.recipe.tables), optional_mask(self.mask)
        template = StylizeRequest(self.folder, models, None, self.recipe, mask=mask)
        outcomes: dict[Path, Outcome] = {}
        summary = Summary(self.output, "batch watch", "")
        requests_for([], template, context, self.output)  # Raises errors of the models now

        def process(videos: list[Path]) -> None:
            """Render videos, and write the outcomes of all videos so far into the summary."""
            requests = requests_for(videos, template, context, self.output)
            made, _ = stylize_batch(requests, self.output, self.batch, context)
            outcomes.update({outcome.item.source: outcome for outcome in made})
            summary.save(list(outcomes.values()))

        context.note(f"watching {self.folder}: stop it with Ctrl-C")
        watch(Arrivals(self.folder), process, context, None if self.idle is None else 60 * self.idle)
        return batch_table(list(outcomes.values()), summary.path, {"output": str(self.output)})

    def show(self, table: Table, terminal: Terminal) -> int:
        """Show how many videos were painted and which failed; return the exit status."""
        return show_batch(terminal, table, self.describe, "each is tried again when it changes")

    def describe(self, table: Table) -> str:
        """Return the report on a rendered clip as text."""
        return render_text(table)
