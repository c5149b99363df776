"""The parts that all command-line commands share: console, context, signals, ``--set`` and variables."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from contextvars import ContextVar
from functools import wraps
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from vidtrans.cli.console import Console
from vidtrans.core.errors import Interrupted
from vidtrans.core.system import command_line

if TYPE_CHECKING:
    from vidtrans.core.events import Event, Report, Stop
    from vidtrans.session import Context


class Watcher(NamedTuple):
    """Receives the events of a command beside the console, and may stop it."""

    report: Report
    stop: Stop


# What people write, and the commands and options here, of which a command line offers those that there are.
COMMAND_WORDS = {
    **dict.fromkeys(("clear", "delete", "empty", "purge", "remove", "rm"), "clean"),
    **dict.fromkeys(("ls", "all"), "list"),
    **dict.fromkeys(("cat", "describe", "info", "inspect"), "show"),  # of a group; without one, see ``unknown_command``
    **dict.fromkeys(("ffprobe", "show"), "probe"),
    **dict.fromkeys(("apply", "convert", "paint", "process", "render", "style", "transfer"), "stylize"),
    **dict.fromkeys(("app", "gui", "ui", "web"), "studio"),
    **dict.fromkeys(("camera", "stream", "webcam"), "live"),
    **dict.fromkeys(("stabilise", "stabilize", "smooth"), "deflicker"),
    **dict.fromkeys(("mask", "roto", "rotoscope", "segment"), "matte"),
    **dict.fromkeys(("measure", "metrics", "score"), "evaluate"),
    **dict.fromkeys(("learn", "teach", "fit"), "train"),
    **dict.fromkeys(("colour", "color", "lut"), "grade"),
    **dict.fromkeys(("preview", "grid"), "try"),
    "dataset": "make-dataset",
    "looks": "model list",
    "models": "model list",
    "presets": "preset list",
    "help": "--help",
    "version": "--version",
}
OPTION_WORDS = {
    **dict.fromkeys(("--style", "--effect", "--filter", "--art"), "--look"),
    **dict.fromkeys(("--height", "--resolution", "--res", "--scale", "--width"), "--size"),
    **dict.fromkeys(("--out", "--out-dir", "--output-dir", "--result", "--save"), "--output"),
    **dict.fromkeys(("--cuda", "--gpu", "--cpu"), "--device"),
    **dict.fromkeys(("--begin", "--from", "--ss"), "--start"),
    **dict.fromkeys(("--duration", "--stop", "--to", "--until"), "--end"),
    **dict.fromkeys(("--force", "--replace", "--yes"), "--overwrite"),
    **dict.fromkeys(("--epochs", "--iterations", "--iters"), "--steps"),
    **dict.fromkeys(("--checkpoint", "--ckpt", "--network", "--weights"), "--model"),
    **dict.fromkeys(("--threads", "--workers"), "--jobs"),
    **dict.fromkeys(("--amount", "--intensity", "--weight"), "--strength"),
    **dict.fromkeys(("--bitrate", "--crf", "--quality"), "--set encoding.crf=N"),
    **dict.fromkeys(("--keep-colors", "--preserve-color", "--preserve-colour"), "--keep-colour"),
}
LINE: ContextVar[tuple[str, ...]] = ContextVar("line", default=())  # the user's words after ``vidtrans``
JOB_FOLDER = "--job-folder"
WATCHER: ContextVar[Watcher | None] = ContextVar("watcher", default=None)  # set by a process that runs one command


def unknown_command(name: str, known: Sequence[str], context: click.Context) -> click.UsageError:
    """Return the error for a command that does not exist, with the nearest one, by its meaning or its spelling.

    ``known``: the names of the commands at this place.
    """
    from vidtrans.core.registry import nearest_name

    meant = COMMAND_WORDS.get(name.lower(), "")
    meant = meant if meant in known else COMMAND_WORDS.get(meant, meant)
    near = meant if meant.startswith("--") or meant.partition(" ")[0] in known else nearest_name(name, known)
    hint = f" Did you mean '{near}'?" if near else ""
    return click.UsageError(f"No such command '{name}'.{hint}", context)


def flags_of_set(
    context: click.Context, assignments: Sequence[str], tables_read: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Return the tables of settings that the ``assignments`` of ``--set`` give. Raises UsageError."""
    from vidtrans.config.recipe import table_of
    from vidtrans.core.registry import unknown_name
    from vidtrans.core.settings import parse_assignment

    tables: dict[str, dict[str, Any]] = {}
    for text in assignments:
        table, key, value = parse_assignment(text)
        table = table or table_of(key, tables_read)
        if table not in tables_read:
            raise unknown_name(f"table for '{context.command.name}':", table, list(tables_read))
        tables.setdefault(table, {})[key] = value
    return tables


def console_options(function: Callable[..., int]) -> Callable[..., int]:
    """Return a click function with ``--json``, ``-q``, ``-v`` …, which calls ``function`` with a ``console``."""

    @click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object on standard output.")
    @click.option("-q", "--quiet", is_flag=True, help="Show only warnings and errors.")
    @click.option("-v", "--verbose", is_flag=True, help="Show losses and rates, and the traceback of every error.")
    @click.option(
        JOB_FOLDER,
        metavar="FOLDER",
        type=click.Path(file_okay=False),
        expose_value=False,  # main reads it, before anything can fail
        allow_from_autoenv=False,
        help="For programs: write progress and result to files in FOLDER; a file 'stop' there ends the job.",
    )
    @wraps(function)
    def wrapped(*, as_json: bool, quiet: bool, verbose: bool, **arguments: object) -> int:
        with closing(Console(as_json=as_json, quiet=quiet, verbose=verbose)) as console:
            click.get_current_context().find_root().obj.append(console)  # main.run reports errors through it
            return function(**arguments, console=console)

    return wrapped


@contextmanager
def open_context(click_context: click.Context, console: Console, values: dict[str, Any]) -> Iterator[Context]:
    """Yield the context of a command, with these field ``values``; signals request it to stop."""
    from vidtrans.core.events import Stop
    from vidtrans.session import Context

    watcher = WATCHER.get()
    stop = watcher.stop if watcher else Stop()
    _stop_on_signals(stop)
    context = Context(report=_reporting(console, watcher), stop=stop, line=LINE.get(), **values)
    for name in _unknown_variables(click_context):
        context.note(f"the variable {name} matches no option of this command and has no effect", "warning")
    try:
        yield context
    except Interrupted as error:
        error.remedy = f"to continue: {command_line(['vidtrans', *LINE.get()])}"
        raise
    finally:
        if not context.dry_run:
            context.cache.save_digests()


def _reporting(console: Console, watcher: Watcher | None) -> Report:
    """Return what receives the events of a command: the console, and the watcher if there is one."""
    if watcher is None:
        return console.report
    also = watcher.report

    def report(event: Event) -> None:
        console.report(event)
        also(event)

    return report


def _unknown_variables(context: click.Context) -> list[str]:
    """Return the environment variables with this command's prefix that match none of its flags."""
    prefix = f"{context.auto_envvar_prefix}_"
    known = {p.envvar for p in context.command.params}
    return sorted(name for name in os.environ if name.startswith(prefix) and name not in known)


def _stop_on_signals(stop: Stop) -> None:
    """Handle Ctrl-C, Ctrl-Break and TERM: the first signal finishes the frame and saves, any second ends at once."""
    signal_break = getattr(signal, "SIGBREAK", None)  # Windows has it

    def handler(number: int, frame: object) -> None:
        if stop.requested:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        stop.request(128 + (signal.SIGINT if number == signal_break else number))

    for number in filter(None, (signal.SIGINT, signal.SIGTERM, signal_break)):
        with suppress(ValueError):  # not in the main thread: the caller handles signals
            signal.signal(number, handler)


def with_variables(command: click.Command, prefix: str) -> click.Command:
    """Return the command with each option's environment variable named after its flag, not its parameter."""
    for option in command.params:
        flags = [flag for flag in option.opts if flag.startswith("--")]
        if isinstance(option, click.Option) and option.allow_from_autoenv and option.envvar is None and flags:
            option.envvar = f"{prefix}_{flags[0][2:]}".replace("-", "_").replace(" ", "_").upper()
    return command
