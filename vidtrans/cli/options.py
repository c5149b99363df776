"""Options that commands share, and options that stand for one key of a recipe's tables."""

from __future__ import annotations

import importlib
import os
import shlex
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from vidtrans.cli.console import Console
from vidtrans.errors import Interrupted, UsageError


class SettingOption(click.Option):
    """A flag for ``table.key``. Its default is shown, never held: it lives in the settings class."""

    def __init__(self, *args: Any, table: str, key: str, **kwargs: Any) -> None:
        self.table, self.key = table, key
        super().__init__(*args, **kwargs)
        self.plain_help = self.help or ""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        with suppress(Exception):  # help is shown even where vidtrans.toml is broken
            in_force = self.resolve_envvar_value(ctx) or self._from_recipe()
            self.help = f"{self.plain_help}  [default: {in_force or 'none'}]"
        return super().get_help_record(ctx)

    def _from_recipe(self) -> Any:
        from vidtrans.config.recipe import CHOICES, dataset_recipe, make_recipe

        renders = self.table in ("rendering", "temporal", "dreaming", "encoding")
        recipe = make_recipe(None, None, {}) if renders else dataset_recipe(None, {})
        if self.key == "name":
            return recipe.tables.get(self.table, {}).get("name", CHOICES[self.table])
        return getattr(recipe.settings_of(self.table), self.key)


def setting_option(flag: str, table: str, key: str, help: str, **kwargs: Any) -> Callable[..., Any]:
    """A click option for one setting of the recipe."""
    return click.option(flag, cls=SettingOption, table=table, key=key, default=None, help=help, **kwargs)


class ModelName(click.ParamType):
    """A model's file or name."""

    name = "model"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from vidtrans.models.model_file import IDENTITY, known_models

        names = [CompletionItem(name) for name in [*known_models(), IDENTITY] if name.startswith(incomplete)]
        return names or [CompletionItem(incomplete, type="file")]


class PresetName(click.ParamType):
    """A preset's name or file."""

    name = "preset"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from vidtrans.config.recipe import preset_names

        names = [CompletionItem(name) for name in preset_names() if name.startswith(incomplete)]
        return names or [CompletionItem(incomplete, type="file")]


model_type = ModelName()

set_option = click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="[TABLE.]KEY=VALUE",
    help="Any setting of a preset; may be repeated. The table may be left out where only one has the key.",
)
preset_option = click.option(
    "--preset", metavar="NAME|FILE", type=PresetName(), help="A whole recipe; see 'vidtrans preset list'."
)


def flags_of(context: click.Context, *tables_read: str) -> dict[str, dict[str, Any]]:
    """The tables that the given flags (and variables) make up.

    Raises UsageError on an assignment to a table that the command does not read: it would do nothing.
    """
    from vidtrans.registry import unknown_name
    from vidtrans.settings import parse_assignment

    tables: dict[str, dict[str, Any]] = {}
    for parameter in context.command.params:
        if isinstance(parameter, SettingOption) and parameter.name:
            value = context.params.get(parameter.name)
            if value is not None:
                tables.setdefault(parameter.table, {})[parameter.key] = value
    for text in context.params.get("assignments") or ():
        table, key, value = parse_assignment(text)
        if not table:
            from vidtrans.config.recipe import table_of

            table = table_of(key, tables_read)
        if table not in tables_read:
            raise unknown_name(f"table '{table}' for '{context.command.name}': table", table, list(tables_read))
        tables.setdefault(table, {})[key] = value
    return tables


def refuse_both(context: click.Context, one: str, other: str) -> None:
    """Raise UsageError where both were given in the same way; else the flag outranks the variable."""
    sources = {context.get_parameter_source(name) for name in (one, other)}
    if None not in (context.params[one], context.params[other]) and len(sources) == 1:
        raise UsageError(f"--{one} and --{other}", "both say when to stop", "give one of them")


def choices(path: str) -> Callable[[], list[str]]:
    """The names of a registry, read when they are needed."""

    def names() -> list[str]:
        module, _, name = path.partition(":")
        return list(getattr(importlib.import_module(module), name))

    return names


class ContextOption(click.Option):
    """A flag for a field of the pipeline's Context, whose default it shows."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.plain_help = self.help or ""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        from vidtrans.session import Context

        self.help = f"{self.plain_help}  [default: {getattr(Context, str(self.name))}]"
        return super().get_help_record(ctx)


def _context_option(flag: str, *, help: str, type: Any = None) -> Callable[..., Any]:
    variable = "VIDTRANS_" + flag.strip("-").replace("-", "_").upper()
    name = {"--cache-limit": ["cache_limit_gb"]}.get(flag, [])
    return click.option(flag, *name, cls=ContextOption, default=None, envvar=variable, type=type, help=help)


# The options for fields of the Context, by the fields' names. A command has those that it reads.
_OF_CONTEXT: dict[str, Callable[..., Any]] = {
    "device": _context_option("--device", help="auto, cuda, cuda:N, mps or cpu."),
    "seed": _context_option("--seed", type=click.IntRange(0, 2**63 - 1), help="Of everything random."),
    "cache_dir": _context_option(
        "--cache-dir", type=click.Path(path_type=Path), help="Where stages are kept: a folder with no other files."
    ),
    "cache_limit_gb": _context_option(
        "--cache-limit", type=click.FloatRange(0, 1e6), help="Gigabytes that are kept between runs."
    ),
    "overwrite": click.option("--overwrite", is_flag=True, help="Replace an existing output."),
    "allow_damaged": click.option(
        "--allow-damaged", is_flag=True, help="Use what is left of a damaged video, and count what is lost."
    ),
    "dry_run": click.option("--dry-run", is_flag=True, help="Say what would be done; touch nothing."),
}
READING = ("cache_dir", "allow_damaged", "dry_run")  # of what reads clips
MAKING = (*READING, "overwrite")  # of what writes results too
KEEPING = (*MAKING, "cache_limit_gb")  # of what keeps more than a little in the cache


def common(*read: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add the options that a long command reads, by their fields in ``Context``; the command gets ``context``."""

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        made = console_options(_with_context(function, read))
        for name in reversed([name for name in _OF_CONTEXT if name in read]):
            made = _OF_CONTEXT[name](made)
        return made

    return add


def _with_context(function: Callable[..., Any], read: Sequence[str]) -> Callable[..., Any]:
    @wraps(function)
    def wrapped(*args: Any, console: Console, **kwargs: Any) -> Any:
        from vidtrans.events import Stop
        from vidtrans.session import Context

        stop = Stop()
        _stop_on_signals(stop)
        given = {name: value for name in read if (value := kwargs.pop(name)) is not None}
        context = Context(report=console.report, stop=stop, **given)
        for name in _unknown_variables(click.get_current_context()):
            context.note(f"the variable {name} is none of this command's; it changes nothing", "warning")
        try:
            return function(*args, context=context, console=console, **kwargs)
        except Interrupted as error:
            error.remedy = f"to go on: {shlex.join(['vidtrans', *sys.argv[1:]])}"
            raise
        finally:
            if not context.dry_run:
                context.cache.save_digests()

    return wrapped


def _unknown_variables(context: click.Context) -> list[str]:
    """Variables that are named after this command and one of its flags, but there is no such flag."""
    prefix = f"{context.auto_envvar_prefix}_"
    known = {prefix + str(p.name).upper() for p in context.command.params if getattr(p, "allow_from_autoenv", True)}
    return sorted(name for name in os.environ if name.startswith(prefix) and name not in known)


def console_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """``--json``, ``-q`` and ``-v``; the command gets ``console``."""

    @click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
    @click.option("-q", "--quiet", is_flag=True, help="Warnings and errors only.")
    @click.option("-v", "--verbose", is_flag=True, help="Keep the traceback of every error.")
    @wraps(function)
    def wrapped(*args: Any, as_json: bool, quiet: bool, verbose: bool, **kwargs: Any) -> Any:
        with Console(as_json=as_json, quiet=quiet, verbose=verbose) as console:
            click.get_current_context().find_root().obj.append(console)  # errors are told through it
            return function(*args, console=console, **kwargs)

    return wrapped


def _stop_on_signals(stop: Any) -> None:
    """The first Ctrl-C or TERM finishes the frame and saves; a second one ends at once."""

    def handler(number: int, frame: Any) -> None:
        del frame
        if stop.requested:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        stop.request(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM):
        with suppress(ValueError):  # not in the main thread: the caller handles signals
            signal.signal(number, handler)
