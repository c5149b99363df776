"""``train --ablate``: several trainings, shown as a table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vidtrans.cli.console import Console
from vidtrans.cli.words import costs, count, timing, what_next
from vidtrans.errors import UsageError


def refuse_start(start_from: str | None) -> None:
    """Raises UsageError: what a model knows already would be in every row."""
    if start_from:
        raise UsageError("--ablate and --from", "every variant starts from nothing", "leave --from out")


def show_ablation(
    console: Console,
    dataset: Path,
    kind: str,
    output: Path | None,
    recipe: Any,
    context: Any,
    minutes: float | None,
) -> None:
    """Train what there is to train, and print how it came out."""
    from vidtrans.pipeline.ablate import ablate

    table = ablate(dataset, kind, output, recipe, context, minutes=minutes)
    models = f"{count(len(table['rows']), 'model')} of {count(table['steps'], 'step')}"
    if table.get("dry_run"):
        console.result(table, f"would train {models} into {table['output']}{costs(table)}")
        return
    _figures(console, table["rows"])
    best = table["rows"][-1]
    line = f"{table['output']}: {models}{timing(table)}\npicture: {table['picture']}"
    console.result(table, f"{line}\nnext: {what_next(best['model'], 'dreamt' in best)}")


def _figures(console: Console, rows: list[dict[str, Any]]) -> None:
    """The held-out scores, where pairs were held out."""
    from vidtrans.training.report.curves import SCORES, figure

    names = [n for n in SCORES if all(row["held_out"].get(n) is not None for row in rows)]
    if not names:
        return
    headings = ["", *(f"{SCORES[n].name}\n{SCORES[n].unit}".rstrip() for n in names)]
    console.figures(headings, [[row["label"], *(figure(row["held_out"][n]) for n in names)] for row in rows])
