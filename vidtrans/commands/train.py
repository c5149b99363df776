"""``vidtrans train``: train a model on a dataset, or with ``--ablate`` or ``--sweep`` several, compared in a table."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from vidtrans.batch.batch_options import SEQUENTIAL, BatchOptions
from vidtrans.commands.base import NO_ARGUMENTS, Command, UserArguments
from vidtrans.commands.options import (
    AS_IS_OPTION,
    FRESH_OPTION,
    MINUTES_OPTION,
    MODEL_SUFFIX,
    STOP_CONDITIONS,
    check_minutes,
    output_option,
)
from vidtrans.commands.results import TrainedModel
from vidtrans.commands.text_reports import Terminal, as_is_text, cost_text, next_command, timing, trained_text
from vidtrans.config.recipe import Recipe, dataset_recipe
from vidtrans.core.costs import count
from vidtrans.core.errors import BatchError, UsageError
from vidtrans.core.options import Group, Names, argument, option
from vidtrans.core.settings import Table
from vidtrans.session import Context


@dataclass(frozen=True)
class Train(Command):
    """Train a model on a dataset. To resume a stopped training, run the same command again."""

    CONTEXT: ClassVar = ("device", "seed", "cache_dir", "cache_limit_gb", "overwrite", "dry_run")
    RESULT: ClassVar = TrainedModel
    TABLES: ClassVar = {"generator": (), "discriminator": (), "training": ("steps",), "card": ()}
    BATCH: ClassVar = ("jobs", "executor")
    EXCLUSIVE: ClassVar = STOP_CONDITIONS

    dataset: Path = argument()
    output: Path | None = output_option("The model file. For --ablate and --sweep: a folder.", "DATASET.safetensors")
    _: KW_ONLY
    minutes: float | None = MINUTES_OPTION(None)
    ablate: str | None = option(
        None,
        "Train variants of the model (other losses, other discriminators, or no skip connections), and compare "
        "them in a table.",
        Group.TRAINING,
        choices=Names("vidtrans.training.variants:ABLATIONS", "ablation"),
    )
    labeller: str = option(
        "",
        "For --ablate and --sweep, if the models paint from label maps: compute their FCN-scores. MODEL, of the "
        "pairing 'segment', finds labels in the held-out outputs.",
        Group.TRAINING,
        metavar="MODEL",
        access="path",
    )
    sweep: tuple[str, ...] = option(
        (),
        "Train once for each value of a setting, and compare the models in a table: lambda_l1=50,100. KEY is "
        "seed, or a setting of generator, discriminator or training, as in --set. If the option is repeated, "
        "each combination is trained. Values can be lists: blocks=[0,0,0],[1,1,1].",
        Group.TRAINING,
        metavar="[TABLE.]KEY=V,V",
    )
    start_from: str | None = option(
        None, "Start from the weights of this model.", Group.TRAINING, ("--from",), file="model"
    )
    fresh: bool = FRESH_OPTION(False)
    as_is: bool = AS_IS_OPTION(False)
    embed: bool = option(
        False, "For the pairing 'model': include its network in the model file.", Group.OUTPUT, rare=True
    )
    recipe: Recipe
    batch: BatchOptions = SEQUENTIAL
    user_arguments: UserArguments = NO_ARGUMENTS

    def __post_init__(self) -> None:
        check_minutes(self.minutes)
        if self.ablate or self.sweep:
            option = "--ablate" if self.ablate else "--sweep"
            for name, given in (("--from", self.start_from), ("--fresh", self.fresh), ("--as-is", self.as_is)):
                if given:
                    raise UsageError(f"{option} and {name}", "every variant starts from nothing", f"leave {name} out")
            if self.embed:
                raise UsageError(f"{option} and --embed", "variants are compared, not passed on", "leave --embed out")
            return
        if self.labeller:
            remedy = "score a render with it: vidtrans evaluate --labeller"
            raise UsageError("--labeller", "it compares the variants of --ablate or --sweep", remedy)
        if self.batch != SEQUENTIAL:
            why = "there is one training, in this process"
            raise UsageError("--jobs, --executor", why, "leave them out, or train several with --sweep or --ablate")
        if self.output and self.output.suffix != MODEL_SUFFIX:
            remedy = f"use -o {self.output.name}{MODEL_SUFFIX}"
            raise UsageError(str(self.output), "a model is one .safetensors file", remedy)
        if self.start_from and self.fresh:
            why = "one starts from a model, the other from nothing"
            raise UsageError("--from and --fresh", why, "give one of them")

    @classmethod
    def recipe_of(cls, preset: str | None, tables: Mapping[str, Table], arguments: Mapping[str, Any]) -> Recipe:
        """Return the recipe of a training; by default with the dataset's preset. Raises UsageError, MediaError."""
        from vidtrans.data.making import train_recipe

        return train_recipe(arguments["dataset"], preset, tables)

    @classmethod
    def usual_recipe(cls) -> Recipe:
        """Return the recipe whose settings the help shows as defaults."""
        return dataset_recipe(None, {})

    def make(self, context: Context) -> Table:
        """Train a model, or with --ablate or --sweep several variants.

        An interrupted training resumes, and more steps continue a finished one, unless ``fresh``. Of processes started
        by PyTorch's launcher, only rank 0 returns the result, and the others return {}. Raises UsageError, MediaError,
        ModelError, DeviceError, Diverged, Interrupted.
        """
        from vidtrans.training.requested_training import TrainingRequest, train

        if self.ablate or self.sweep:
            return self._train_varied(context)
        request = TrainingRequest(
            self.dataset,
            self.output,
            self.recipe,
            self.minutes,
            start_from=self.start_from,
            fresh=self.fresh,
            embed=self.embed,
            as_is=self.as_is,
        )
        return train(request, context)

    def _train_varied(self, context: Context) -> Table:
        """Train the variants of --ablate or --sweep; return the table that compares them."""
        from vidtrans.batch.trainings import VariedTraining, train_varied
        from vidtrans.data.making import train_recipe
        from vidtrans.training.variants import parse_sweep, sweep_variants

        make_recipe = partial(train_recipe, self.dataset, self.user_arguments.preset)
        variants = sweep_variants(parse_sweep(self.sweep), self.user_arguments.tables, make_recipe)
        if any(variant.seed is not None for variant in variants) and "seed" in self.user_arguments.values:
            raise UsageError("--sweep seed", "--seed also sets the seed", "leave --seed out")
        varied = VariedTraining(
            self.dataset, self.ablate or "", self.output, self.recipe, self.minutes, variants, self.batch, self.labeller
        )
        return train_varied(varied, context)

    def show(self, table: Table, terminal: Terminal) -> int:
        """Show the report on the model; for variants, a table of held-out scores and the failures.

        Return the exit status.
        """
        if not table:  # Rank 0 reports for all processes.
            return 0
        if not (self.ablate or self.sweep):
            return super().show(table, terminal)
        from vidtrans.training.training_words import SCORE_LABELS, figure

        rows, failed = table["rows"], table["failed"]
        if table.get("dry_run"):
            return super().show(table, terminal)
        if names := [n for n in SCORE_LABELS if rows and all(row["held_out"].get(n) is not None for row in rows)]:
            headings = ["", *(f"{SCORE_LABELS[n].name}\n{SCORE_LABELS[n].unit}".rstrip() for n in names)]
            terminal.figures(headings, [[row["label"], *(figure(row["held_out"][n]) for n in names)] for row in rows])
        if not failed:
            return super().show(table, terminal)
        trained = count(len(rows) + len(failed), "training")
        why = f"{'; the first' if len(failed) > 1 else ''}: {next(iter(failed.values()))}"
        line = f"{len(failed)} of {trained} failed: {', '.join(failed)}{why}"
        terminal.failure(f"{line}; the same command trains only what is missing", BatchError.exit_status, table)
        return BatchError.exit_status

    def describe(self, table: Table) -> str:
        """Return the report on the trained model or variants as text. ``table``: the result of ``make``."""
        if "rows" in table:
            return _varied_text(table)
        if not table.get("dry_run"):
            return trained_text(table)
        if "of_steps" in table:
            return as_is_text(table)
        where = f"{table['device']} {table['precision']}"
        rate = f"{table['pictures_per_second']:.3g} pictures a second"
        what = f"{count(table['steps'], 'step')} on {count(table['pairs'], 'pair')}, {where}, {rate}"
        line = f"would train {table['output']}: {what}{cost_text(table)}"
        return line + (_transfer_text(table["transfer"]) if "transfer" in table else "")


def _transfer_text(transfer: Table) -> str:
    """Return the advice ``transfer`` on a training that starts from another model's weights (--from), as text."""
    options = [f"--steps {transfer['steps']}"]
    options += [
        f"--set {name}={json.dumps(value, separators=(',', ':'))}" for name, value in transfer["settings"].items()
    ]
    alike = transfer["likeness"]
    has = f"paints with {alike:.0%} of their detail" if alike > 0 else "paints no better than one flat colour"
    distinct = f"{transfer['distinct']:g} distinct {'picture' if transfer['distinct'] == 1 else 'pictures'}"
    words = shlex.join(" ".join(options).split())
    return f"\n--from: {distinct}, which the model {has}; {transfer['advice']}\nadvice: {words}"


def _varied_text(table: Table) -> str:
    """Return the report on trained variants, as text."""
    rows, steps = table["rows"], table["steps"]
    models = count(len(rows), "model") + (f" of {count(steps, 'step')}" if steps is not None else "")
    if table.get("dry_run"):
        return f"would train {models} into {table['output']}{cost_text(table)}"
    last = rows[-1]
    line = f"{table['output']}: {models}{timing(table)}\npicture: {table['picture']}"
    return f"{line}\nnext: {next_command(last['model'], dreams='dreamt' in last)}"
