"""Turn a command line into a request, a context and a console.

A parameter is a field of the request, a setting of its recipe, a field of the context, or an argument of the command's
function; there is nothing else that it could be lost in.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, fields
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from vidtrans.cli.console import Console
from vidtrans.cli.options import CONTEXT_OPTIONS, Decorator, Function, SettingOption, preset_option, set_option
from vidtrans.errors import Interrupted, UsageError
from vidtrans.system import command_line

if TYPE_CHECKING:
    from vidtrans.config.recipe import Recipe
    from vidtrans.events import Stop
    from vidtrans.session import Context

Arguments = dict[str, Any]
_ARGUMENTS = "vidtrans.arguments"  # in a click context's ``meta``


@dataclass(frozen=True)
class Flags:
    """A preset that was named, and the tables that flags and variables make up."""

    preset: str | None
    tables: dict[str, dict[str, Any]]


def command_options(
    *context_fields: str,
    request: str = "",
    tables: Sequence[str] = (),
    recipe: str | Callable[[Arguments], str] = "render_recipe",
    reads: str = "",
) -> Decorator:
    """Add the options that a long command reads. Its function is called with what becomes of them.

    Args:
        *context_fields: the fields of ``Context`` that the command reads; the function gets ``context``.
        request: the class of ``vidtrans.requests`` that is made of the parameters that have the names of its fields;
            the function gets ``request``. Where the field is one path and several were given, it is the first, and the
            function gets all of them as well.
        tables: the tables of a recipe that the command reads; ``--preset`` and ``--set`` are added. The request's
            recipe is made by the function ``recipe`` of ``config.recipe``, which may follow from the arguments; without
            a request the function gets ``flags``.
        reads: the tuple in ``config.rendering_settings`` with the settings of [rendering] that the command reads; ""
            for all.
    """

    def add(function: Function) -> Function:
        @wraps(function)
        def wrapped(*, console: Console, **arguments: object) -> object:
            click_context = click.get_current_context()
            own = {name: value for name in context_fields if (value := arguments.pop(name)) is not None}
            with open_context(click_context, console, own) as context:
                flags = _take_flags(click_context, arguments, tables) if tables else None
                if request:
                    maker = recipe if isinstance(recipe, str) else recipe(arguments)
                    merged = _recipe(maker, flags, click_context.info_name, reads) if flags else None
                    arguments = _with_request(request, arguments, merged)
                elif flags:
                    arguments["flags"] = flags
                return function(**arguments, context=context, console=console)

        wrapped.__dict__.update(request=request, tables=tables)  # for the test that every option is read
        command = console_options(wrapped)
        for name in reversed([name for name in CONTEXT_OPTIONS if name in context_fields]):
            command = CONTEXT_OPTIONS[name](command)
        return preset_option(set_option(command)) if tables else command

    return add


def _with_request(name: str, arguments: Arguments, recipe: Recipe | None) -> Arguments:
    """The arguments, of which those that are fields of a request become one. Raises UsageError."""
    cls = getattr(importlib.import_module("vidtrans.requests"), name)
    values: Arguments = {} if recipe is None else {"recipe": recipe}
    rest = dict(arguments)
    for field in fields(cls):
        if field.name in arguments:
            several = isinstance(arguments[field.name], tuple) and field.type == "Path"
            values[field.name] = arguments[field.name][0] if several else rest.pop(field.name)
    return {"request": cls(**values), **rest}


def _recipe(function: str, flags: Flags, command: str | None, reads: str) -> Recipe:
    from vidtrans.config import recipe, rendering_settings

    limits = (command, getattr(rendering_settings, reads)) if reads else ()
    merged: Recipe = getattr(recipe, function)(flags.preset, flags.tables, *limits)
    return merged


class KeepsArguments(click.Command):
    """A command that knows what it was called with, to print commands like itself."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse arguments, and keep them."""
        ctx.meta[_ARGUMENTS] = list(args)
        return super().parse_args(ctx, args)


def options_given(context: click.Context, *without: str) -> list[str]:
    """Return the options of a ``KeepsArguments`` as they were written, ``without`` those of these parameters."""
    by_flag = {flag: parameter for parameter in context.command.params for flag in parameter.opts}
    found: list[str] = []
    words = _apart(context.meta[_ARGUMENTS], by_flag)
    for word in words:
        flag, given, _ = word.partition("=") if word.startswith("--") else (word[:2], word[2:], "")
        parameter = by_flag.get(flag)
        if word == "--":
            break
        if not word.startswith("-") or parameter is None:
            continue
        takes_value = not (isinstance(parameter, click.Option) and parameter.is_flag)
        whole = [word] if given or "=" in word or not takes_value else [word, next(words)]
        if parameter.name not in without:
            found += whole
    return found


def _apart(words: Sequence[str], by_flag: Mapping[str, click.Parameter]) -> Iterator[str]:
    """Yield the words of a command line, where flags of one letter that were written together are apart: -qo x."""
    for word in words:
        rest = word
        while rest[:1] == "-" and rest[1:2] not in ("", "-") and len(rest) > 2:
            parameter = by_flag.get(rest[:2])
            if not isinstance(parameter, click.Option) or not parameter.is_flag:
                break
            yield rest[:2]
            rest = f"-{rest[2:]}"
        yield rest


def _take_flags(context: click.Context, arguments: Arguments, tables: Sequence[str]) -> Flags:
    """Take the parameters that make up a recipe out of the arguments. Raises UsageError."""
    flags = Flags(arguments.pop("preset"), flags_of(context, *tables))
    for name in [p.name for p in context.command.params if isinstance(p, SettingOption)] + ["assignments"]:
        arguments.pop(str(name))
    return flags


def flags_of(context: click.Context, *tables_read: str) -> dict[str, dict[str, Any]]:
    """Return the tables that the given flags (and variables) make up.

    Raises UsageError on an assignment to a table that the command does not read: it would do nothing.
    """
    tables: dict[str, dict[str, Any]] = {}
    for parameter in context.command.params:
        if isinstance(parameter, SettingOption) and (value := context.params.get(str(parameter.name))) is not None:
            tables.setdefault(parameter.table, {})[parameter.key] = value
    for name, table in flags_of_set(context, context.params.get("assignments") or (), tables_read).items():
        tables[name] = tables.get(name, {}) | table
    return tables


def flags_of_set(
    context: click.Context, assignments: Sequence[str], tables_read: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Return the tables that ``--set`` makes up. Raises UsageError."""
    from vidtrans.config.recipe import table_of
    from vidtrans.registry import unknown_name
    from vidtrans.settings import parse_assignment

    tables: dict[str, dict[str, Any]] = {}
    for text in assignments:
        table, key, value = parse_assignment(text)
        table = table or table_of(key, tables_read)
        if table not in tables_read:
            raise unknown_name(f"table for '{context.command.name}':", table, list(tables_read))
        tables.setdefault(table, {})[key] = value
    return tables


def refuse_both(one: str, other: str) -> None:
    """Raise UsageError where both were given in the same way; else the flag outranks the variable."""
    context = click.get_current_context()
    sources = {context.get_parameter_source(name) for name in (one, other)}
    if None not in (context.params[one], context.params[other]) and len(sources) == 1:
        raise UsageError(f"--{one} and --{other}", "both say when to stop", "give one of them")


def refuse_given(name: str, what: str, why: str) -> None:
    """Raise UsageError where the option was given."""
    if click.get_current_context().params[name] is not None:
        raise UsageError(what, why, f"leave --{name} out")


def console_options(function: Function) -> Function:
    """Add ``--json``, ``-q`` and ``-v``; the command gets ``console``."""

    @click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
    @click.option("-q", "--quiet", is_flag=True, help="Warnings and errors only.")
    @click.option("-v", "--verbose", is_flag=True, help="Keep the traceback of every error.")
    @wraps(function)
    def wrapped(*, as_json: bool, quiet: bool, verbose: bool, **arguments: object) -> object:
        with closing(Console(as_json=as_json, quiet=quiet, verbose=verbose)) as console:
            click.get_current_context().find_root().obj.append(console)  # main.run reports errors through it
            return function(**arguments, console=console)

    return wrapped


@contextmanager
def open_context(click_context: click.Context, console: Console, values: Arguments) -> Iterator[Context]:
    """Yield the context of a command, whose ``values`` were given, while signals ask it to stop."""
    from vidtrans.events import Stop
    from vidtrans.session import Context

    stop = Stop()
    _stop_on_signals(stop)
    context = Context(report=console.report, stop=stop, **values)
    for name in _unknown_variables(click_context):
        context.note(f"the variable {name} is none of this command's; it changes nothing", "warning")
    try:
        yield context
    except Interrupted as error:
        error.remedy = f"to go on: {command_line(['vidtrans', *sys.argv[1:]])}"
        raise
    finally:
        if not context.dry_run:
            context.cache.save_digests()


def _unknown_variables(context: click.Context) -> list[str]:
    """Variables that are named after this command and one of its flags, but there is no such flag."""
    prefix = f"{context.auto_envvar_prefix}_"
    known = {p.envvar for p in context.command.params}
    return sorted(name for name in os.environ if name.startswith(prefix) and name not in known)


def _stop_on_signals(stop: Stop) -> None:
    """The first Ctrl-C or TERM finishes the frame and saves; a second one ends at once. Ctrl-Break is as Ctrl-C."""
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
    """Name the variable of each option after its flag; click names it after the parameter."""
    for option in command.params:
        flags = [flag for flag in option.opts if flag.startswith("--")]
        if isinstance(option, click.Option) and option.allow_from_autoenv and option.envvar is None and flags:
            option.envvar = f"{prefix}_{flags[0][2:]}".replace("-", "_").replace(" ", "_").upper()
    return command
