"""Build a click command from a command's parameters; run it, and show its result."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import MISSING
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vidtrans.cli.command import (
    OPTION_WORDS,
    console_options,
    flags_of_set,
    open_context,
    unknown_command,
    with_variables,
)
from vidtrans.cli.types import FILE, FILES_OR_NAMES, PART, PATH_AS_TYPED, TIME, RegistryName, refuse_second_look
from vidtrans.commands import COMMANDS, GROUPS, command_lines
from vidtrans.core.errors import UsageError
from vidtrans.core.parameters import (
    Argument,
    Choices,
    FileName,
    Group,
    Names,
    Option,
    Parameter,
    Range,
    Values,
    in_groups,
)

if TYPE_CHECKING:
    from vidtrans.cli.console import Console
    from vidtrans.commands.base import Command

ANY_SETTING = "Any setting of a preset; may be repeated. TABLE may be omitted if only one table has the key."
A_PRESET = "A complete recipe; see 'vidtrans preset list'."
HELP_ALL = "--help-all"
_RECIPE = "vidtrans.recipe"  # in a click context's ``meta``
CONSOLE = ("as_json", "quiet", "verbose", "job_folder")
NUMBERS = (click.IntRange, click.FloatRange)
WIDEST = 26  # columns of flags in the help; wider flags get a separate line


def click_command(name: str) -> click.Command:
    """Return the click command for a command, or for a group of commands."""
    if name in GROUPS:
        return GroupOfCommands(name, help=GROUPS[name])
    return _command(name, name)


class GroupOfCommands(click.Group):
    """A click group whose commands are imported on use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the group's commands, without the group's name."""
        return [rest for first, _, rest in (name.partition(" ") for name in COMMANDS) if first == self.name and rest]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the click command of a name; None if it does not exist."""
        if f"{self.name} {cmd_name}" not in COMMANDS:
            return None
        return _command(f"{self.name} {cmd_name}", cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that the first word names. Raises click's error with the nearest name."""
        if args and self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            raise unknown_command(args[0], self.list_commands(ctx), ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands with their summaries."""
        with formatter.section("Commands"):
            formatter.write_dl([(n, command_lines()[f"{self.name} {n}"]) for n in self.list_commands(ctx)])


def _command(entry: str, name: str) -> click.Command:
    from vidtrans.commands.base import parameters_of

    cls: type[Command] = COMMANDS.load(entry)
    parameters = parameters_of(cls)
    callback = console_options(_run)
    own = [_click_parameter(p, cls, entry) for p in parameters.values()]
    if cls.TABLES:
        own += [
            click.Option(["--set", "assignments"], multiple=True, metavar="[TABLE.]KEY=VALUE", help=ANY_SETTING),
            click.Option(["--preset"], metavar="NAME|FILE", type=FILES_OR_NAMES["preset"], help=A_PRESET),
        ]
    own.sort(key=lambda p: isinstance(p, click.Option))
    shared = callback.__click_params__[::-1]  # type: ignore[attr-defined]  # click's own name for them
    command = CommandOfParameters(name, cls, parameters, callback=callback, params=[*own, *shared])
    return with_variables(command, f"VIDTRANS_{entry}")


class CommandOfParameters(click.Command):
    """A click command whose help lists options in groups; ``--help-all`` lists the rare ones, too."""

    def __init__(self, name: str, cls: type[Command], parameters: Mapping[str, Parameter], **attributes: Any) -> None:  # noqa: ANN401
        super().__init__(name, help=cls.__doc__, **attributes)
        self.cls, self.parameters = cls, parameters
        self._lists_all = False
        self.params.append(
            click.Option(
                [HELP_ALL],
                is_flag=True,
                is_eager=True,
                expose_value=False,
                allow_from_autoenv=False,
                callback=self._show_all,
                help="Show rarely used options, too.",
            )
        )

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments, unless a shell seems to have expanded a pattern behind an option."""
        args = _with_values(args, {flag: p.sets for p in self.parameters.values() if p.sets for flag in p.flags})
        if not ctx.resilient_parsing:
            self._refuse_expanded(args)
            refuse_second_look(args, self.parameters)
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            meant = OPTION_WORDS.get(error.option_name.lower(), "")
            if any(meant.partition(" ")[0] in param.opts for param in self.params):
                error.possibilities = [meant]  # type: ignore[misc]  # click finds them by their spelling alone
            raise

    def _refuse_expanded(self, args: list[str]) -> None:
        """Raise UsageError where two files of one kind follow an option that takes one: an expanded pattern.

        An option that is given once may stand before the inputs, so the inputs have to begin before it.
        """
        options = [p for p in self.parameters.values() if not isinstance(p.given, Argument) and not p.given.values]
        inputs = [p for p in self.parameters.values() if isinstance(p.given, Argument)]
        if not inputs:  # nothing would take the second file
            return
        many = {flag: p.many for p in options if p.access == "path" and p.name != "output" for flag in p.flags}
        with_value = {f for p in self.params if isinstance(p, click.Option) and not p.is_flag for f in p.opts}
        is_needed = any(p.default is MISSING for p in inputs)
        has_begun = False
        for at, (option, first, second) in enumerate(zip(args, args[1:], args[2:], strict=False)):
            has_begun |= not option.startswith("-") and (at == 0 or args[at - 1] not in with_value)
            kind = Path(first).suffix.lower()
            has_more = not is_needed or Path(next(iter(args[at + 3 :]), "")).suffix.lower() == kind
            is_checked = option in many and (has_begun or (many[option] and has_more))
            if is_checked and kind and kind == Path(second).suffix.lower():
                more = "repeat it for each file, quote a pattern" if many[option] else "give one file"
                remedy = f"{more}, or put all inputs before {option}"
                raise UsageError(f"{option} {first} {second}", f"{option} takes one file at a time", remedy)

    def _show_all(self, ctx: click.Context, param: click.Parameter, value: bool) -> None:
        if value and not ctx.resilient_parsing:
            self._lists_all = True
            click.echo(ctx.get_help(), color=ctx.color)
            ctx.exit()

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, in a section for each group."""
        by_name = {param.name: param for param in self.params}
        names = {group: [_click_name(p) for p in members] for group, members in in_groups(self._listed())}
        for group, more in ((Group.SETTINGS, ("assignments", "preset")), (Group.MESSAGES, CONSOLE)):
            names[group] = [*names.get(group, ()), *(name for name in more if name in by_name)]
        records = {g: [r for n in names[g] if (r := by_name[n].get_help_record(ctx))] for g in Group if g in names}
        records[Group.MESSAGES].append(("-h, --help", "Show this and exit."))
        if hidden := len(self.parameters) - len(self._listed()):
            records[Group.MESSAGES].append((HELP_ALL, f"Show {hidden} more options, too."))
        widest = min(WIDEST, max(len(flags) for rows in records.values() for flags, _ in rows))
        for group, rows in records.items():
            if rows:
                with formatter.section(str(group)):
                    formatter.write_dl([(flags.ljust(widest), text) for flags, text in rows], col_max=WIDEST)

    def _listed(self) -> list[Parameter]:
        """Return the parameters that the help lists."""
        return [p for p in self.parameters.values() if self._lists_all or not getattr(p.given, "rare", False)]

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the text below the options."""
        self.epilog = self.cls.epilog() or None
        super().format_epilog(ctx, formatter)


def _with_values(args: list[str], sets: Mapping[str, str]) -> list[str]:
    """Return arguments with ``=VALUE`` behind each flag of ``sets``: the next word; before an input ``sets[flag]``."""
    words, found = deque(args), list[str]()
    while words and words[0] != "--":
        word = words.popleft()
        if word in sets:
            word = f"{word}={words.popleft() if words and _is_value(words[0]) else sets[word]}"
        found.append(word)
    return [*found, *words]


def _is_value(word: str) -> bool:
    """Return whether a word is a number or a curve, not an option, nor a clip, a folder or a pattern."""
    from vidtrans.curves.curve import SUFFIXES, parse_curve

    is_plain = word.replace(".", "", 1).isdecimal() or Path(word).suffix.lower() in SUFFIXES
    if word.startswith("-") or (os.path.exists(word) and not is_plain):
        return False
    try:
        parse_curve(word, "")
    except UsageError:
        return not Path(word).suffix[1:].isalnum() and not set(word) & set("*#/")
    return True


def _click_name(parameter: Parameter) -> str:
    """Return a parameter's name in click: its own, or TABLE__KEY for a setting of a recipe."""
    return parameter.name if parameter.owner != "recipe" else f"{parameter.table}__{parameter.key}"


def _click_parameter(parameter: Parameter, cls: type[Command], command: str) -> click.Parameter:
    given, kind, name = parameter.given, _click_type(parameter), _click_name(parameter)
    if isinstance(given, Argument):
        many = {"nargs": -1} if parameter.many else {}
        required = parameter.default is MISSING
        return click.Argument([name], type=kind, metavar=given.metavar or None, required=required, **many)  # type: ignore[arg-type]
    metavar = given.metavar or ("N" if kind in (click.INT, click.FLOAT) or isinstance(kind, NUMBERS) else None)
    attributes: dict[str, Any] = {"help": given.help, "metavar": metavar}
    if given.variable:
        attributes["envvar"] = given.variable
    if parameter.sets:
        attributes |= {"type": kind, "allow_from_autoenv": False}
    elif parameter.type is bool:
        attributes |= {"is_flag": True, "type": bool}
        if not any("/" in flag for flag in parameter.flags):
            attributes["flag_value"] = True
    else:
        attributes |= {"type": kind, "multiple": parameter.many}
    if parameter.owner == "command" and parameter.default is MISSING:
        attributes["required"] = True
    else:
        attributes["default"] = None
    return ParameterOption([*parameter.flags, name], parameter=parameter, cls_of=cls, **attributes)


def _click_type(parameter: Parameter) -> click.ParamType | None:
    """Return the click type that parses a value, and so determines its errors and completion."""
    from pathlib import Path

    from vidtrans.core.settings import Time
    from vidtrans.store.chunking import ClipPart

    values: Values = parameter.given.values
    if isinstance(values, Names):
        return RegistryName(values)
    if isinstance(values, Choices):
        return click.Choice(values.words)
    if isinstance(values, FileName):
        return FILES_OR_NAMES[values.kind]
    if isinstance(values, Range) and parameter.type in (int, float):
        numbers = click.IntRange if parameter.type is int else click.FloatRange
        return numbers(values.low, values.high, min_open=values.low_open)  # type: ignore[arg-type]
    if parameter.type is str and parameter.access == "path":
        return PATH_AS_TYPED
    own: dict[Any, click.ParamType] = {Path: FILE, Time: TIME, ClipPart: PART, int: click.INT, float: click.FLOAT}
    return own.get(parameter.type)


class ParameterOption(click.Option):
    """An option whose help ends with its effective default."""

    def __init__(self, *names: Any, parameter: Parameter, cls_of: type[Command], **attributes: Any) -> None:  # noqa: ANN401
        self.parameter, self.cls_of = parameter, cls_of
        super().__init__(*names, **attributes)

    def get_help_extra(self, ctx: click.Context) -> click.types.OptionHelpExtra:
        """Return click's additions to the help, without ranges, which do not help to choose a value."""
        extra = super().get_help_extra(ctx)
        extra.pop("range", None)
        return extra

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Return the flags, and the help text with the default."""
        text = self.help
        if isinstance(self.type, RegistryName) and (names := self.type.words()):
            self.help = f"{text} NAME: {names}."
        with suppress(Exception):  # show the help even if vidtrans.toml is invalid
            if words := self._default_words(ctx):
                self.help = f"{self.help}  [default: {words}]"
        record = super().get_help_record(ctx)
        self.help = text
        return record

    def _default_words(self, ctx: click.Context) -> str:
        parameter = self.parameter
        if variable := self.resolve_envvar_value(ctx):
            return variable
        if isinstance(parameter.given, Option) and parameter.given.default:
            return parameter.given.default
        if parameter.owner == "recipe":
            if self.is_flag:
                return ""
            if _RECIPE not in ctx.meta:  # read from files, so once for all options
                ctx.meta[_RECIPE] = self.cls_of.usual_recipe()
            value = ctx.meta[_RECIPE].value(parameter.table, parameter.key)
            return "none" if value in (None, "") else str(value)
        plain = parameter.default in (None, MISSING, "", ()) or isinstance(parameter.default, bool)
        return "" if plain else str(parameter.default)


def _run(console: Console, **arguments: Any) -> int:  # noqa: ANN401  (click's own; the context has them)
    """Build the command from click's arguments, run it, show its result, and return the exit status."""
    click_context = click.get_current_context()
    values = given_values(click_context)
    own = {name: value for name, (parameter, value) in values.items() if parameter.owner == "context"}
    with open_context(click_context, console, own) as context:
        command = command_of(click_context)
        return command.show(command.make(context), console)


def command_of(context: click.Context) -> Command:
    """Return the command that a command line was parsed to. Raises UsageError."""
    from vidtrans.commands.base import build

    assert isinstance(context.command, CommandOfParameters)
    cls, values = context.command.cls, given_values(context)
    tables = flags_of_set(context, context.params.get("assignments", ()), list(cls.TABLES))
    own = {name: value for name, (_, value) in values.items()}
    messages = tuple(f"--{name}" for name in ("quiet", "verbose") if context.params[name])
    return build(cls, own, context.params.get("preset"), tables, messages)[0]


def given_values(context: click.Context) -> dict[str, tuple[Parameter, Any]]:
    """Return the parameters that flags and environment variables give, with their values, by name."""
    assert isinstance(context.command, CommandOfParameters)
    parameters, given = context.command.parameters, context.params
    found = {p.name: (p, given[_click_name(p)]) for p in parameters.values() if given[_click_name(p)] not in (None, ())}
    found = {n: (p, not value if p.is_negated else value) for n, (p, value) in found.items()}
    for pair in context.command.cls.EXCLUSIVE:
        variables = [n for n in pair if n in found and _is_variable(context, found[n][0])]
        if len(variables) == 1 and found.keys() >= set(pair):  # the flag overrides the variable
            del found[variables[0]]
    return found


def _is_variable(context: click.Context, parameter: Parameter) -> bool:
    return context.get_parameter_source(_click_name(parameter)) is click.core.ParameterSource.ENVIRONMENT
