"""``vidtrans make-dataset``: make a dataset folder from videos."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from vidtrans.batch.batch_options import SEQUENTIAL, BatchOptions
from vidtrans.commands.base import CACHE_OPTIONS, Command
from vidtrans.commands.options import (
    BATCH_OPTIONS,
    END_OPTION,
    START_OPTION,
    TARGET_OPTION,
    expand_clips,
    output_option,
)
from vidtrans.commands.results import MadeDataset
from vidtrans.commands.text_reports import cost_text, shell_path, timing
from vidtrans.config.recipe import Recipe, dataset_recipe, unpaired_recipe
from vidtrans.core.costs import count
from vidtrans.core.errors import UsageError
from vidtrans.core.options import Group, argument, option
from vidtrans.core.settings import Table, Time
from vidtrans.session import Context


@dataclass(frozen=True)
class MakeDataset(Command):
    """Make a dataset of pairs from videos, or from a folder of pairs (A/ + B/, or A|B pictures).

    With --unpaired, the dataset has no pairs, but two or more domains (kinds of pictures). VIDEO... are the first
    domain, and each --unpaired is another. A model then learns to make frames of the first domain look like those of
    another.

    Instead of several videos, you can give a folder or a pattern ('clips/*.mov').

    The dataset is a folder of pictures that you can look through. If you delete a picture, its pairs disappear.
    """

    CONTEXT: ClassVar = (*CACHE_OPTIONS, "device")
    RESULT: ClassVar = MadeDataset
    TABLES: ClassVar = {"pairing": None, "dataset": None}
    BATCH: ClassVar = BATCH_OPTIONS

    videos: tuple[Path, ...] = argument("VIDEO...")
    output: Path | None = output_option(
        "The dataset folder. With --each: the folder for the datasets.", "VIDEO.dataset, or A-B.dataset"
    )
    _: KW_ONLY
    each: bool = option(
        False,
        "Make one dataset for each video. --target can then be a folder with one clip for each video.",
        Group.BATCH,
    )
    target: Path | None = TARGET_OPTION(None)
    matte: str | None = option(
        None,
        "A matte as an additional input of the network: white on the object to distinguish from the rest. With "
        "several clips: one matte for all, or a folder with a matte video for each clip, of the same name. "
        "'vidtrans stylize' with the model then needs --mask.",
        Group.INPUT,
        metavar="MATTE",
        access="path",
    )
    unpaired: tuple[Path, ...] = option(
        (),
        "A clip or folder of another domain, for training without pairs. VIDEO... are the source domain. Can "
        "be repeated, for several domains. --start and --end apply to every clip.",
        Group.INPUT,
        metavar="VIDEO",
    )
    start: Time | None = START_OPTION(None)
    end: Time | None = END_OPTION(None)
    restore: bool = option(False, "Restore pictures that were deleted from the dataset.", Group.OUTPUT, rare=True)
    recipe: Recipe
    batch: BatchOptions = SEQUENTIAL

    def __post_init__(self) -> None:
        if not self.each and self.batch != SEQUENTIAL:
            what = "--jobs, --executor, --shard, --retry-failed, --halt-on-error"
            raise UsageError(what, "one dataset is one job", "give --each")

    @classmethod
    def recipe_of(cls, preset: str | None, tables: Mapping[str, Table], arguments: Mapping[str, Any]) -> Recipe:
        """Return the recipe of a dataset; with --unpaired, of one without pairs. Raises UsageError."""
        return (unpaired_recipe if arguments.get("unpaired") else dataset_recipe)(preset, tables)

    def make(self, context: Context) -> Table:
        """Make a dataset folder from videos, or from a folder of pairs; with ``each``, one per video.

        Raises UsageError, MediaError, Interrupted.
        """
        from vidtrans.batch.inputs import match_clip

        if self.each:
            return self._make_each(context)
        videos = self.videos if self.unpaired else expand_clips(self.videos, self.recipe)
        target = self.target
        if target is not None and len(videos) == 1:
            target = match_clip(videos[0], target, "--target")
        return replace(self, videos=tuple(videos), target=target)._make_one(context)

    def _make_one(self, context: Context) -> Table:
        """Make one dataset of all ``videos``; return its table."""
        from vidtrans.batch.inputs import masks_for
        from vidtrans.data.dataset_planning import DatasetSpec, default_output
        from vidtrans.data.domains import find_domains
        from vidtrans.data.making import make_dataset
        from vidtrans.output.result import refuse_link
        from vidtrans.pairing.pairing_records import make_pairing
        from vidtrans.rendering.extraction import FrameExtractor

        groups = [self.videos, *((path,) for path in self.unpaired)]
        domains = find_domains(groups, partial(expand_clips, recipe=self.recipe)) if self.unpaired else ()
        output = self.output or refuse_link(default_output(self.videos, domains))
        extractor = FrameExtractor.of_pairing(make_pairing(*self.recipe.choice("pairing")), context)
        videos = [video for domain in domains for video in domain.videos] or self.videos
        mattes = masks_for(videos, self.matte, "--matte") if self.matte else ()
        spec = DatasetSpec(videos, self.recipe, self.target, self.start, self.end, extractor, domains, mattes=mattes)
        return make_dataset(spec, output, context, restore=self.restore)

    def _make_each(self, context: Context) -> Table:
        """Make a dataset of each video, in the output folder.

        ``target`` may be a folder with a clip of each video's name.
        """
        from vidtrans.batch.inputs import match_clips
        from vidtrans.batch.jobs import process_each
        from vidtrans.data.dataset_planning import SUFFIX

        videos, folder = expand_clips(self.videos, self.recipe), self.output or Path()
        targets = dict(zip(videos, match_clips(videos, self.target, "--target"), strict=True)) if self.target else {}

        def work(video: Path, place: Path) -> partial[Table]:
            """Return the task that makes the dataset of one video in the folder ``place``."""
            one_dataset = replace(self, videos=(video,), output=place, target=targets.get(video))
            return partial(type(self)._make_one, one_dataset)

        return process_each(dict.fromkeys(videos, SUFFIX), work, "make-dataset", folder, self.batch, context)

    def describe(self, table: Table) -> str:
        """Return the report on the written dataset as text. ``table``: the result of ``make``."""
        frames = count(table["frames"], "frame")
        if table.get("dry_run"):
            return f"would make {table['output']}: {frames} in {count(table['shots'], 'shot')}{cost_text(table)}"
        trained_on = count(table["pairs"] - table["held_out"], "pair")
        whole = f"{trained_on} to train on and {table['held_out']} held out, from "
        if "domains" in table:
            whole = ", ".join(_domain_text(domain) for domain in table["domains"]) + ": "
        is_paired = table["pairing"] == "matched" or self.target
        number = table.get("full_size_pairs", 0)
        full = f"; {count(number, 'held-out pair')} also at full size" if number else ""
        left_out = "without a counterpart" if is_paired else "blurred or repeated ones"
        return (
            f"{table['output']}: {whole}{frames}"
            + (f" ({table['left_out']} {left_out} left out)" if table["left_out"] else "")
            + f"{full}{timing(table)}\nnext: vidtrans sheet {shell_path(table['output'])}"
            f"\n      vidtrans train {shell_path(table['output'])}"
        )


def _domain_text(domain: Table) -> str:
    """Return the numbers of training and held-out frames of a domain, as text."""
    held_out = f" and {domain['held_out']} held out" if domain["held_out"] else ""
    return f"{domain['frames'] - domain['held_out']} of '{domain['name']}' to train on{held_out}"
