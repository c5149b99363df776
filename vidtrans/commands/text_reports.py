"""Reports on results as text, and the interface of the console that commands use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from vidtrans.core.costs import count, duration, format_cost
from vidtrans.core.errors import BatchError
from vidtrans.core.settings import Table
from vidtrans.core.system import command_line

# How the failed clips of a batch are tried again
TRY_AGAIN = "run the command again to continue, with --retry-failed for the failed ones only"
MAX_FAILED_NAMES = 5  # Maximum number of failed clips that the report of a batch names


class Terminal(Protocol):
    """The methods of the console that commands use to show results and errors."""

    as_json: bool
    quiet: bool

    def result(self, table: Table, text: str) -> None:
        """Show the result of a successful command: ``text``, or with --json ``table``."""

    def text(self, text: str) -> None:
        """Show text that is itself the command's result, such as a schema."""

    def figures(self, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Show a table of numbers above the result, unless --json or --quiet is given.

        ``rows``: the cells below ``headings``.
        """

    def failure(self, message: str, exit_status: int, table: Table | None = None) -> None:
        """Show the error of a failed command; with --json, ``table`` with the error and the exit status."""

    def file_content(self, text: str) -> None:
        """Show text that users redirect to a file: in UTF-8 with Unix line ends on all systems."""


def render_text(table: Table) -> str:
    """Return the report on a rendered video or picture, or of a dry run."""
    frames = count(table["frames"], "frame")
    if table.get("dry_run"):
        width, height = table["working_size"]
        chunks = count(table["chunks"], "chunk")
        text = f"would render {table['output']}: {frames} at {width}x{height} in {chunks}{cost_text(table)}"
        if quick := table.get("trained_size"):
            text += f"; with --size {min(quick['size'])} about {duration(quick['seconds'])}"
        return text
    text = f"{table['output']}: {frames}{timing(table)}"
    if "draft_psnr" in table:
        text += f"\ndraft: propagated frames are at {table['draft_psnr']:.1f} dB against rendered ones"
    if score := table.get("score"):
        text += f"\n{score['verdict']}\nscore: {score['output']}"
    return text


def part_text(table: Table) -> str:
    """Return the report on a rendered part of a clip, or on the joined parts."""
    if "part" not in table or "chunks_missing" not in table or table.get("dry_run"):
        return render_text(table)
    left = table["chunks_missing"]
    missing = f"{count(left, 'chunk')} of the clip {'is' if left == 1 else 'are'} missing" if left else "join them"
    return f"{table['output']}, part {table['part']}: {count(table['frames'], 'frame')}{timing(table)}; {missing}"


def sheet_text(table: Table) -> str:
    """Return the report on a written sheet, grid or comparison, as text."""
    if table.get("dry_run"):
        return f"would make {table['output']}"
    what = "picture" if table["output"].endswith(".png") else "frame"
    return f"{table['output']}: {count(table['frames'], what)}{timing(table)}"


def cost_text(table: Table) -> str:
    """Return ``; `` and the estimated time and disk space of a dry run, as text."""
    return f"; {format_cost(table)}"


def timing(table: Table) -> str:
    """Return ``, 12.3 s`` for the duration of a command, or ``, up to date``."""
    return ", up to date" if table["cached"] else f", {table['seconds']:.1f} s"


def trained_text(table: Table) -> str:
    """Return the report on a trained model: steps, held-out scores, files and the next command."""
    scores = table.get("held_out") or {}
    score = f", held out {scores['psnr']:.1f} dB" if "psnr" in scores else ""
    if (likeness := scores.get("feature_likeness")) is not None:
        score = f", features {likeness:.0%} of the way to the picture on held-out frames"
        if likeness < 0:
            score = ", held-out frames are less like the picture than they were: it shows what they show"
        score += f", likeness of strokes {scores['stroke_likeness']:.2f}"
    if (distance := scores.get("patch_distance")) is not None:
        score = f", {1 - distance:.0%} of the way to the target on held-out frames"
    delivered = f"{delivered_text(table['delivered'])}\n" if "delivered" in table else ""
    companions = [shell_path(path) for path in table.get("companions", {}).values()]
    of = f" of {table['of_steps']:,}" if "of_steps" in table else ""
    return (
        f"{table['output']}: {count(table['steps'], 'step')}{of}{score}{timing(table)}\n"
        + delivered
        + (f"beside it: {', '.join(companions)}\n" if companions else "")
        + f"how it learnt: {shell_path(table['report'])}\n"
        f"next: {next_command(table['output'], dreams='dreamt' in table)}"
    )


def as_is_text(table: Table) -> str:
    """Return the report of a dry run with --as-is, which writes the model of an interrupted training."""
    return f"would write {table['output']}: the model of step {table['steps']:,} of {table['of_steps']:,}"


def delivered_text(scores: Table) -> str:
    """Return a line of text on the scores of full-size pictures, against their targets and a bicubic resize.

    ``scores``: the entry ``delivered`` of a training.
    """
    size = f"at {scores['size'][0]}x{scores['size'][1]}" if scores["size"] else "at full size"
    return (
        f"delivered {size}: {scores['psnr']:.1f} dB, sharpness {scores['sharpness']:.2f} of the target's "
        f"(bicubic resize: {scores['bicubic_psnr']:.1f} dB)"
    )


def next_command(model: str, *, dreams: bool = False) -> str:
    """Return the command line that uses a model file. ``dreams``: the model predicts the next frame of a clip."""
    name = shell_path(model)
    return f"vidtrans dream VIDEO --model {name} --frames 300" if dreams else f"vidtrans stylize VIDEO --model {name}"


def shell_path(path: str) -> str:
    """Return a path, quoted for the shell, as a word that is not parsed as an option."""
    return command_line([f"./{path}" if path.startswith("-") else path])


def show_batch(
    terminal: Terminal, table: Table, describe: Callable[[Table], str] = render_text, again: str = TRY_AGAIN
) -> int:
    """Show the outcome of a batch, and return its exit status: 0, or 5 if some items failed.

    ``describe``: returns the report on an item, which a dry run shows. ``again``: how failed items are tried again.
    """
    done, failed, pending, summary = (table[key] for key in ("items", "failed", "pending", "summary"))
    planned = any(item.get("dry_run") for item in done)
    if planned and not terminal.as_json:
        for item in done:
            terminal.text(describe(item))
    if not failed:
        line = f"{count(len(done), 'clip')}, {count(table['frames'], 'frame')}"
        terminal.result(table, line + ("" if planned else f"; the result of each is in {summary}"))
        return 0
    names = ", ".join(list(failed)[:MAX_FAILED_NAMES])
    names += f" and {len(failed) - MAX_FAILED_NAMES} more" if len(failed) > MAX_FAILED_NAMES else ""
    line = f"{len(failed)} of {count(len(done) + len(failed) + len(pending), 'clip')} failed: {names}"
    line += f"; {len(pending)} not begun" if pending else ""
    remedy = f"the first of them: {next(iter(failed.values()))}"  # A dry run writes no summary.
    if summary:
        remedy = f"see {summary}; {again}"
    terminal.failure(f"{line} — {remedy}", BatchError.exit_status, table)
    return BatchError.exit_status
