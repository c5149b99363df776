"""Click commands: build one from a command's parameters, run it, and show its result."""

from __future__ import annotations

import os
import re
import signal
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import MISSING
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from vidtrans.cli.command import COMMAND_LINE, HELP_ALL, JOB_FOLDER, OPTION_WORDS, WATCHER
from vidtrans.cli.console import Console
from vidtrans.commands import COMMANDS
from vidtrans.core.errors import Interrupted, UsageError
from vidtrans.core.options import Group, Names, Parameter
from vidtrans.core.registry import unknown_name, with_package
from vidtrans.core.system import command_line

if TYPE_CHECKING:
    from vidtrans.commands.base import Command
    from vidtrans.core.events import Event, Report, Stop

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")  # Beginning of a URL: https://
MAX_CHOICE_CHARS = 30  # Length in characters up to which the help shows a list of names next to the flag
_RECIPE = "vidtrans.recipe"  # Key of the cached recipe in a click context's ``meta``
# Parameters of messages and output, which all commands have
CONSOLE_PARAMETERS = ("as_json", "quiet", "verbose", "job_folder")
MAX_FLAG_COLUMNS = 26  # Width of the flags in the help, in columns; wider flags get a separate line


def _refuse_address(value: object) -> None:
    """Raise UsageError for a URL, because only files are read and written."""
    if _ADDRESS.match(str(value)):
        remedy = "give a path; download what is on the web first"
        raise UsageError(str(value), "it is an address, not a file of this machine", remedy)


class _PathType(click.Path):
    """A click type for paths that does not check the file system, because commands give better messages.

    ``as_typed``: the value stays text, such as not:FILE; environment variables have one value on each line.
    """

    def __init__(self, *, as_typed: bool = False) -> None:
        super().__init__(path_type=str if as_typed else Path, readable=False)
        if as_typed:
            self.envvar_list_splitter = "\n"  # type: ignore[misc]  # click declares it on the class.

    def convert(
        self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None
    ) -> str | bytes | os.PathLike[str]:
        """Return the path. Raises UsageError for an empty path or a URL."""
        if value == "":  # Usually from an unset shell variable; Path("") would be the current folder.
            raise UsageError("an empty path", "a file name is expected", "give the name of a file")
        _refuse_address(value)
        return super().convert(value, param, ctx)


class _ParsedType(click.ParamType):
    """A click type for values that the function ``parse`` converts from text; the empty text gives None.

    ``name``: the name of the type, which the help shows.
    """

    def __init__(self, name: str, parse: Callable[[str], object]) -> None:
        self.name, self._parse = name, parse

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> object:
        """Return the parsed value of a text; None for "". Raises UsageError."""
        return (self._parse(value) if value else None) if isinstance(value, str) else value


class RegistryName(click.ParamType):
    """A click type for the names in a registry, which is imported only when needed."""

    name = "name"

    def __init__(self, values: Names) -> None:
        self.values = values

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        """Return the names for the help; "NAME" if they are too long."""
        whole = f"[{'|'.join(self.values)}]"
        return whole if len(whole) <= MAX_CHOICE_CHARS else "NAME"

    def words(self) -> str:
        """Return the names in the registry for the help, joined by commas; '' if they are shown beside the flag."""
        all_names, packages = list(self.values), self.values.packages()
        if len(", ".join(all_names)) + 2 <= MAX_CHOICE_CHARS:
            return ""
        return ", ".join(with_package(name, packages) for name in all_names)

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the value. Raises UsageError if the name is unknown."""
        prefix = self.values.prefix
        name = value.partition("://")[0] if self.values.has_address else value
        if name not in self.values and not (prefix and name.startswith(prefix)):
            names = [*self.values, *([prefix + "NAME"] if prefix else [])]
            raise unknown_name(self.values.kind, name, names, self.values.packages())
        return value

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return the names that start with ``incomplete``."""
        return [CompletionItem(name) for name in self.values if name.startswith(incomplete)]


class FileOrName(click.ParamType):
    """A click type for a file, or the name of a model, preset or medium.

    Several values in an environment variable are separated as in PATH.
    """

    envvar_list_splitter = os.pathsep

    def __init__(self, name: str) -> None:
        self.name = name

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the value. Raises UsageError for a URL."""
        _refuse_address(value)
        return value

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return the names that start with ``incomplete``; if there are none, let the shell complete a file name."""
        from vidtrans.config.recipe import preset_names
        from vidtrans.models.model_file import IDENTITY, list_models
        from vidtrans.models.paintings import shipped_looks
        from vidtrans.strokes.media import medium_names

        known: Sequence[str] = medium_names()
        if self.name == "model":
            known = [*list_models(), IDENTITY]
        elif self.name == "preset":
            known = preset_names()
        elif self.name == "look":
            known = shipped_looks()
        names = [CompletionItem(name) for name in known if name.startswith(incomplete)]
        return names or [CompletionItem(incomplete, type="file")]


def click_command(entry: str) -> click.Command:
    """Return the click command of a registry entry. Each option has an environment variable, named after its flag."""
    from vidtrans.commands.base import parameters_of

    cls: type[Command] = COMMANDS.load(entry)
    known = parameters_of(cls)
    params = [_click_parameter(p, cls) for p in known.values()]
    if cls.TABLES:
        text = "Change a setting of a preset. Can be repeated. TABLE can be left out if only one table has KEY."
        params.append(click.Option(["--set", "assignments"], multiple=True, metavar="[TABLE.]KEY=VALUE", help=text))
        text = "Use the settings of a preset, a name or a file: see 'vidtrans preset list'."
        params.append(click.Option(["--preset"], metavar="NAME|FILE", type=FileOrName("preset"), help=text))
    params.sort(key=lambda p: isinstance(p, click.Option))
    command = ParameterCommand(
        entry.split()[-1], cls, known, params=[*params, *_console_options()], callback=_run_command
    )
    for option in command.params:
        flags = [flag for flag in option.opts if flag.startswith("--")]
        if isinstance(option, click.Option) and option.allow_from_autoenv and option.envvar is None and flags:
            option.envvar = f"VIDTRANS_{entry}_{flags[0][2:]}".replace("-", "_").replace(" ", "_").upper()
    return command


def _console_options() -> list[click.Option]:
    """Return the options of messages and output, which all commands have."""
    as_json = "Print the result as one JSON object on standard output."
    return [
        click.Option(["--json", "as_json"], is_flag=True, help=as_json),
        click.Option(["-q", "--quiet"], is_flag=True, help="Show only warnings and errors."),
        click.Option(
            ["-v", "--verbose"], is_flag=True, help="Show losses and speeds, and the traceback of every error."
        ),
        click.Option(
            [JOB_FOLDER],
            metavar="FOLDER",
            type=click.Path(file_okay=False),
            expose_value=False,  # ``main`` reads it earlier, before anything can fail.
            allow_from_autoenv=False,
            help="For programs: write the progress and the result to files in FOLDER. A file named 'stop' there ends "
            "the job.",
        ),
    ]


class ParameterCommand(click.Command):
    """A click command whose help lists options in groups; ``--help-all`` lists the rare ones, too."""

    def __init__(self, name: str, cls: type[Command], parameters: Mapping[str, Parameter], **attributes: Any) -> None:  # noqa: ANN401
        super().__init__(name, help=cls.__doc__, **attributes)
        self.cls, self.parameters = cls, parameters
        self._shows_rare = False
        self.params.append(
            click.Option(
                [HELP_ALL],
                is_flag=True,
                is_eager=True,
                expose_value=False,
                allow_from_autoenv=False,
                callback=self._show_full_help,
                help="Show rarely used options, too.",
            )
        )

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments. Raises UsageError if a shell seems to have expanded a pattern behind an option."""
        args = _attach_flag_values(
            args, {flag: p.option.sets for p in self.parameters.values() if p.option.sets for flag in p.flags}
        )
        if not ctx.resilient_parsing:
            self._refuse_expanded_pattern(args)
            self._refuse_second_look(args)
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            meant = OPTION_WORDS.get(error.option_name.lower(), "")
            if any(meant.partition(" ")[0] in param.opts for param in self.params):
                error.possibilities = [meant]  # type: ignore[misc]  # click only compares spellings.
            raise

    def _refuse_expanded_pattern(self, args: list[str]) -> None:
        """Raise UsageError if a shell seems to have expanded a pattern after an option that takes one file.

        Then two files of one type follow the option. An option that is given once may precede the inputs, so it is
        checked only if the inputs begin before it.
        """
        options = [p for p in self.parameters.values() if not p.option.is_argument and not p.option.file]
        inputs = [p for p in self.parameters.values() if p.option.is_argument]
        if not inputs:  # click refuses the second file.
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

    def _refuse_second_look(self, args: list[str]) -> None:
        """Raise UsageError if --look is repeated for a command that takes one look.

        click would use the last look without a message.
        """
        single_looks = (p for p in self.parameters.values() if p.option.file == "look" and not p.many)
        for flag in (flag for p in single_looks for flag in p.flags):
            if sum(arg.partition("=")[0] == flag for arg in args) > 1:
                remedy = 'mix pictures as in "a.jpg: 0.5, b.jpg: 0.5", or let them follow as in "0: a.jpg, 5s: b.jpg"'
                raise UsageError(flag, "it was given twice", remedy)

    def _show_full_help(self, ctx: click.Context, param: click.Parameter, value: bool) -> None:
        """Print the help with rarely used options, and exit. The callback of ``--help-all``."""
        if value and not ctx.resilient_parsing:
            self._shows_rare = True
            click.echo(ctx.get_help(), color=ctx.color)
            ctx.exit()

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options into the help, in a section for each group."""
        by_name = {param.name: param for param in self.params}
        names: dict[Group, list[str]] = {}
        for p in self._listed_parameters():
            if p.option.group:
                names.setdefault(p.option.group, []).append(p.name)
        for group, more in ((Group.SETTINGS, ("assignments", "preset")), (Group.MESSAGES, CONSOLE_PARAMETERS)):
            names[group] = [*names.get(group, ()), *(name for name in more if name in by_name)]
        records = {g: [r for n in names[g] if (r := by_name[n].get_help_record(ctx))] for g in Group if g in names}
        records[Group.MESSAGES].append(("-h, --help", "Show this and exit."))
        if hidden := len(self.parameters) - len(self._listed_parameters()):
            records[Group.MESSAGES].append((HELP_ALL, f"Show {hidden} more options, too."))
        widest = min(MAX_FLAG_COLUMNS, max(len(flags) for rows in records.values() for flags, _ in rows))
        for group, rows in records.items():
            if rows:
                with formatter.section(str(group)):
                    formatter.write_dl([(flags.ljust(widest), text) for flags, text in rows], col_max=MAX_FLAG_COLUMNS)

    def _listed_parameters(self) -> list[Parameter]:
        """Return the parameters that the help lists: rare ones only for ``--help-all``."""
        return [p for p in self.parameters.values() if self._shows_rare or not p.option.rare]

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the command's epilog below the options."""
        self.epilog = self.cls.epilog() or None
        super().format_epilog(ctx, formatter)


def _attach_flag_values(args: list[str], sets: Mapping[str, str]) -> list[str]:
    """Return the words of a command line, with ``=VALUE`` appended to flags whose value may be left out.

    ``sets``: for each of these flags, its value if the user gave none. VALUE is the next word if that is a value,
    otherwise ``sets[flag]``.
    """
    words, found = deque(args), list[str]()
    while words and words[0] != "--":
        word = words.popleft()
        if word in sets:
            word = f"{word}={words.popleft() if words and _is_flag_value(words[0]) else sets[word]}"
        found.append(word)
    return [*found, *words]


def _is_flag_value(word: str) -> bool:
    """Return whether a word is the value of a flag (a number or a curve), not an option, clip, folder or pattern."""
    from vidtrans.curves.curve import SUFFIXES, parse_curve

    is_plain = word.replace(".", "", 1).isdecimal() or Path(word).suffix.lower() in SUFFIXES
    if word.startswith("-") or (os.path.exists(word) and not is_plain):
        return False
    try:
        parse_curve(word, "")
    except UsageError:
        return not Path(word).suffix[1:].isalnum() and not set(word) & set("*#/")
    return True


def _click_parameter(parameter: Parameter, cls: type[Command]) -> click.Parameter:
    """Return the click argument or option of a command's parameter."""
    given, kind, name = parameter.option, _click_type(parameter), parameter.name
    if given.is_argument:
        many = {"nargs": -1} if parameter.many else {}
        required = parameter.default is MISSING
        return click.Argument([name], type=kind, metavar=given.metavar or None, required=required, **many)  # type: ignore[arg-type]
    is_number = isinstance(kind, click.types.IntParamType | click.types.FloatParamType)  # True with bounds, too.
    usual = "N" if is_number else None if given.moves is None else "[CURVE]" if given.sets else "CURVE"
    metavar = given.metavar or usual
    attributes: dict[str, Any] = {"help": given.sentence, "metavar": metavar}
    if given.variable:
        attributes["envvar"] = given.variable
    if given.sets:
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


class _FloatRange(click.FloatRange):
    """A range of numbers that, unlike click's, does not contain NaN."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401
        """Convert a word to a number in the range. Raises click.BadParameter."""
        number = super().convert(value, param, ctx)
        if number != number:
            self.fail(f"{value} is not a number.", param, ctx)
        return number


def _click_type(parameter: Parameter) -> click.ParamType | None:
    """Return the click type of a parameter, which determines parsing, errors and completion."""
    from pathlib import Path

    from vidtrans.core.settings import Time, parse_time
    from vidtrans.store.chunking import ClipPart

    given = parameter.option
    if isinstance(given.choices, Names):
        return RegistryName(given.choices)
    if given.choices is not None:
        return click.Choice(tuple(given.choices))
    if given.file:
        return FileOrName(given.file)
    if given.bounds is not None and parameter.type in (int, float):
        numbers = click.IntRange if parameter.type is int else _FloatRange
        return numbers(*given.bounds, min_open=given.low_open)  # type: ignore[arg-type]
    if parameter.type is str and parameter.access == "path":
        return _PathType(as_typed=True)
    click_types: dict[Any, click.ParamType] = {Path: _PathType(), int: click.INT, float: click.FLOAT}
    click_types |= {Time: _ParsedType("time", parse_time), ClipPart: _ParsedType("part", ClipPart.parse)}
    return click_types.get(parameter.type)


class ParameterOption(click.Option):
    """A click option for a ``parameter`` of the command class ``cls_of``; its help ends with its effective default."""

    def __init__(self, *names: Any, parameter: Parameter, cls_of: type[Command], **attributes: Any) -> None:  # noqa: ANN401
        self.parameter, self.cls_of = parameter, cls_of
        super().__init__(*names, **attributes)

    def get_help_extra(self, ctx: click.Context) -> click.types.OptionHelpExtra:
        """Return click's additions to an option's help without ranges, which do not help users to choose a value."""
        extra = super().get_help_extra(ctx)
        extra.pop("range", None)
        return extra

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Return an option's flags, and its help text with the effective default."""
        text = self.help
        if isinstance(self.type, RegistryName) and (names := self.type.words()):
            self.help = f"{text} NAME: {names}."
        with suppress(Exception):  # Show the help even if vidtrans.toml is invalid.
            if words := self._default_text(ctx):
                self.help = f"{self.help}  [default: {words}]"
        record = super().get_help_record(ctx)
        self.help = text
        return record

    def _default_text(self, ctx: click.Context) -> str:
        """Return the effective default of the option as text; '' for none.

        It is the value of the environment variable, of the recipe, or of the field's default.
        """
        parameter = self.parameter
        if variable := self.resolve_envvar_value(ctx):
            return variable
        if parameter.option.default_text:
            return parameter.option.default_text
        if parameter.owner == "recipe":
            if self.is_flag:
                return ""
            if _RECIPE not in ctx.meta:  # The recipe is read from files, so read it once for all options.
                ctx.meta[_RECIPE] = self.cls_of.usual_recipe()
            value = ctx.meta[_RECIPE].value(parameter.table, parameter.key)
            return "none" if value in (None, "") else str(value)
        plain = parameter.default in (None, MISSING, "", ()) or isinstance(parameter.default, bool)
        return "" if plain else str(parameter.default)


def _run_command(*, as_json: bool, quiet: bool, verbose: bool, **others: object) -> int:
    """Build the command from click's arguments, run it, show its result, and return the exit status.

    Signals request a stop. ``others``: the command's arguments, which are read from the click context instead.
    """
    from vidtrans.core.events import Stop
    from vidtrans.session import Context

    click_context = click.get_current_context()
    with closing(Console(as_json=as_json, quiet=quiet, verbose=verbose)) as console:
        click_context.find_root().obj.append(console)  # ``main.run`` reports errors through this console.
        watcher = WATCHER.get()
        stop = watcher.stop if watcher else Stop()
        _stop_on_signals(stop)
        report = partial(_report_to_both, console.report, watcher.report) if watcher else console.report
        context_values = {
            n: value for n, (parameter, value) in given_values(click_context).items() if parameter.owner == "context"
        }
        context = Context(report=report, stop=stop, line=COMMAND_LINE.get(), **context_values)
        known, prefix = {p.envvar for p in click_context.command.params}, f"{click_context.auto_envvar_prefix}_"
        for name in sorted(name for name in os.environ if name.startswith(prefix) and name not in known):
            context.note(f"the variable {name} matches no option of this command and has no effect", "warning")
        try:
            command = command_of(click_context)
            return command.show(command.make(context), console)
        except Interrupted as error:
            error.remedy = f"to continue: {command_line(['vidtrans', *COMMAND_LINE.get()])}"
            raise
        finally:
            if not context.dry_run:
                context.cache.save_digests()


def _report_to_both(first: Report, second: Report, event: Event) -> None:
    """Pass an event to two reports."""
    first(event)
    second(event)


def _stop_on_signals(stop: Stop) -> None:
    """Handle Ctrl-C, Ctrl-Break and TERM: the first signal requests a stop, the second ends the process at once."""
    signal_break = getattr(signal, "SIGBREAK", None)  # Only Windows has this signal.

    def handler(number: int, frame: object) -> None:
        """Request the stop; at the second signal, let the system end the process."""
        if stop.requested:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        stop.request(128 + (signal.SIGINT if number == signal_break else number))

    for number in filter(None, (signal.SIGINT, signal.SIGTERM, signal_break)):
        with suppress(ValueError):  # Outside of the main thread, the caller handles signals.
            signal.signal(number, handler)


def command_of(context: click.Context) -> Command:
    """Build the command from a parsed command line. Raises UsageError."""
    from vidtrans.commands.base import build
    from vidtrans.config.recipe import table_of
    from vidtrans.core.settings import parse_assignment

    assert isinstance(context.command, ParameterCommand)
    cls, given = context.command.cls, context.params
    tables: dict[str, dict[str, Any]] = {}
    for text in given.get("assignments", ()):
        table, key, value = parse_assignment(text)
        table = table or table_of(key, list(cls.TABLES))
        if table not in cls.TABLES:
            raise unknown_name(f"table for '{context.command.name}':", table, list(cls.TABLES))
        tables.setdefault(table, {})[key] = value
    values = {name: value for name, (_, value) in given_values(context).items()}
    messages = tuple(f"--{name}" for name in ("quiet", "verbose") if given[name])
    return build(cls, values, given.get("preset"), tables, messages)[0]


def given_values(context: click.Context) -> dict[str, tuple[Parameter, Any]]:
    """Return the parameters that flags or environment variables set, with their values, by Python name."""
    assert isinstance(context.command, ParameterCommand)
    parameters, given = context.command.parameters, context.params
    found = {name: (p, given[name]) for name, p in parameters.items() if given[name] not in (None, ())}
    variable = click.core.ParameterSource.ENVIRONMENT
    for pair in context.command.cls.EXCLUSIVE:
        of_variables = [name for name in pair if name in found and context.get_parameter_source(name) is variable]
        if len(of_variables) == 1 and found.keys() >= set(pair):  # A flag overrides the variable of the other option.
            del found[of_variables[0]]
    return found
