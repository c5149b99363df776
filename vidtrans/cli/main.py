"""The entry point ``vidtrans``, and the only place that converts errors to messages and exit statuses."""

from __future__ import annotations

import gc
import os
import re
import shlex
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import click

from vidtrans import __version__
from vidtrans.cli.command import COMMAND_LINE, HELP_ALL, JOB_FOLDER, unknown_command
from vidtrans.cli.console import Console, allow_any_text
from vidtrans.commands import COMMANDS, GROUPS, RARE, SECTIONS, command_lines
from vidtrans.core.errors import describe_error, shorten
from vidtrans.core.machine import is_distributed, set_up_heap

_VARIABLE_PREFIX = "VIDTRANS"  # Prefix of the environment variables that set options: VIDTRANS_TRAIN_STEPS


# American spellings of names and values that these options take, and of an option
_SPELLINGS = {
    "watercolor": "watercolour",
    "colored-pencil": "coloured-pencil",
    "color:": "colour:",
    "keep-color": "keep-colour",
}
_SPELLED = re.compile(r"(?<![\w./\\-])(?:(?:watercolor|colored-pencil|keep-color)(?![\w./\\-])|color:)")
_SPELLED_OPTIONS = ("--look", "--strokes", "--vary", "--mask", "--region", "--rest")
# Commands for a first word that is a file, by kind of file; each with its purpose
_FOR_CLIPS = {
    "stylize {} --look oil": "render it in a look",
    "stylize {} --look oil --mask person": "render only the people in a look",
    "try {} --vary look=oil,ink,pastel": "compare looks on a few frames",
    "retime {} --speed 0.5": "make slow motion",
    "deflicker {}": "remove flicker",
    "keyframes {}": "choose frames to paint on",
    "probe {}": "show its tracks, frames and colours",
}
_FOR_PICTURES = {
    "stylize CLIP --look {}": "render a clip in the style of this picture",
    "look {} --on CLIP": "learn the style, for a closer result",
    "stylize {} --look oil": "render the picture in a look",
}
_FOR_MODELS = {
    "stylize CLIP --model {}": "render a clip with this model",
    "live --model {}": "render a camera with it",
    "model export {}": "convert it for other programs",
}


class CommandGroup(click.Group):
    """A group of all commands, or of those whose names begin with ``prefix``; commands are imported when used."""

    def __init__(self, name: str | None = None, prefix: str = "", **attributes: Any) -> None:  # noqa: ANN401
        super().__init__(name, **attributes)
        self._prefix = prefix

    def help_lines(self) -> dict[str, str]:
        """Return the group's commands and subgroups by name, with their lines in ``--help``."""
        groups = {} if self._prefix else GROUPS
        names = {
            n.removeprefix(self._prefix): line for n, line in command_lines().items() if n.startswith(self._prefix)
        }
        return {name: line for name, line in names.items() if " " not in name} | groups

    def has_command(self, name: str) -> bool:
        """Return whether a word is a command or a group; plug-ins are searched only if no built-in command matches."""
        return (not self._prefix and name in GROUPS) or (" " not in name and self._prefix + name in COMMANDS)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the group's commands and subgroups."""
        return list(self.help_lines())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command or subgroup, which is imported now; None for an unknown name."""
        if not self.has_command(cmd_name):
            return None
        if not self._prefix and cmd_name in GROUPS:
            return CommandGroup(cmd_name, f"{cmd_name} ", help=GROUPS[cmd_name])
        from vidtrans.cli.click_commands import click_command

        return click_command(self._prefix + cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands into the help, under headings; rare ones only for ``--help-all``."""
        lines = self.help_lines()
        if self._prefix:
            with formatter.section("Commands"):
                formatter.write_dl(list(lines.items()))
            return
        sections = SECTIONS | ({"Rare": RARE} if ctx.meta.get(HELP_ALL) else {})
        others = lines.keys() - set(RARE) - {name for names in SECTIONS.values() for name in names}
        for heading, names in (sections | ({"Of plug-ins": sorted(others)} if others else {})).items():
            with formatter.section(heading):
                formatter.write_dl([(name, lines[name]) for name in names])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command named by the first word. Raises click.UsageError with the nearest name."""
        if args and not self.has_command(args[0]) and not args[0].startswith("-"):
            other = None if self._prefix else self._error_for_other_word(args, ctx)
            raise other or unknown_command(args[0], list(self.help_lines()), ctx)
        return super().resolve_command(ctx, args)

    def _error_for_other_word(self, args: Sequence[str], ctx: click.Context) -> click.UsageError | None:
        """Return the error for a first word that is a file, a look that ships or 'help'; None for other words."""
        from vidtrans.models.paintings import shipped_looks

        word, rest = args[0], [name for name in args[1:2] if self.has_command(name)]
        if word == "help" and rest:
            return click.UsageError(f"No such command 'help': write 'vidtrans {rest[0]} --help'.", ctx)
        if os.path.isfile(word) and len(args) == 1:
            _print_commands_for(word, ctx)
        if os.path.exists(word) or os.path.splitext(word)[1]:
            return click.UsageError(f"'{word}' is no command: write 'vidtrans stylize {word} --look oil'.", ctx)
        if word in shipped_looks():
            return click.UsageError(f"'{word}' is a look: write 'vidtrans stylize VIDEO --look {word}'.", ctx)
        return None


def _print_commands_for(file: str, ctx: click.Context) -> None:
    """Print what can be done with a file, and exit."""
    from vidtrans.video.frame_format import PICTURE_SUFFIXES

    suffix, quoted = os.path.splitext(file)[1].lower(), shlex.quote(file)
    lines = _FOR_PICTURES if suffix in PICTURE_SUFFIXES else _FOR_CLIPS
    lines = _FOR_MODELS if suffix in (".safetensors", ".onnx", ".pth", ".pt") else lines
    width = max(map(len, lines.values()))
    click.echo(f"With {file} you can:\n")
    for line, purpose in lines.items():
        click.echo(f"  {purpose:<{width}}  vidtrans {line.format(quoted)}")
    ctx.exit()


def _in_british_spelling(arguments: Sequence[str]) -> list[str]:
    """Return the words of a command line with the American spellings in ``_SPELLINGS`` replaced."""
    words: list[str] = []
    for word, before in zip(arguments, ["", *arguments], strict=False):
        option, sign, value = word.partition("=")
        if option == "--keep-color":
            words.append(f"--keep-colour{sign}{value}")
        elif before in _SPELLED_OPTIONS or (sign and option in _SPELLED_OPTIONS):
            words.append(_SPELLED.sub(lambda match: _SPELLINGS[match[0]], word))
        else:
            words.append(word)
    return words


def _print_help_with_rare(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    """Print the help with rarely used commands, and exit. The callback of ``--help-all``."""
    if value and not ctx.resilient_parsing:
        ctx.meta[HELP_ALL] = True
        click.echo(ctx.get_help())
        ctx.exit()


@click.group(
    cls=CommandGroup, context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": _VARIABLE_PREFIX}
)
@click.version_option(__version__, prog_name="vidtrans")
@click.option(
    HELP_ALL,
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_help_with_rare,
    help=f"Show {len(RARE)} more commands, too.",
)
def cli() -> None:
    """Teach a look from video; render it onto video; without flicker.

    \b
      vidtrans demo
      vidtrans stylize clip.mp4 --look oil
      vidtrans look painting.jpg --on clip.mp4
      vidtrans studio
    """


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit. Exit statuses: see ``vidtrans.core.errors``; 0 on success."""
    set_up_heap()
    allow_any_text()
    arguments = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if any(word.startswith(JOB_FOLDER) for word in arguments):
        from vidtrans.cli.job_process import parse_job_folder, run_job

        folder = parse_job_folder(arguments)
        status = run_job(folder, arguments, run) if folder else run(arguments)
    else:
        status = run(arguments)
    if is_distributed():
        # Skip Python's normal exit, which ends the threads of gloo, torch's library for distributed jobs. One in twenty
        # of these exits aborts, and the launcher of the processes reports a failure.
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)
    gc.freeze()  # Python would search torch's objects for cycles, which delays the exit by a third of a second.
    sys.exit(status)


# Make the waiting threads of GNU OpenMP spin for a shorter time than by default, before torch reads this variable.
# Threads that spin slow down other processes, and themselves. Measured training steps per second on two cores, with
# this value and with the default: alone 8.3 and 8.4; while another job runs, 0.7-1.5 and 0.2-0.3; while another
# training runs, 1.5 and 2.1.
os.environ.setdefault("GOMP_SPINCOUNT", "2000")


def run(arguments: list[str], line: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status. An exception that is a bug is raised, to keep its traceback.

    ``line``: the command line for messages and records, if it differs from ``arguments``.
    """
    COMMAND_LINE.set(tuple(arguments if line is None else line))
    consoles = [Console(as_json="--json" in arguments, verbose="-v" in arguments or "--verbose" in arguments)]
    try:
        result = cli.main(
            args=_in_british_spelling(arguments), prog_name="vidtrans", standalone_mode=False, obj=consoles
        )
        return result if isinstance(result, int) else 0
    except BrokenPipeError:
        sys.stderr.close()
        return 1
    except (Exception, KeyboardInterrupt) as error:
        console = consoles[-1]  # The console of the command, if it was created
        description = _describe(error)
        if description is None:
            if console.as_json:
                console.failure(f"a bug in vidtrans: {type(error).__name__}: {error}", 1)
            raise
        if console.verbose:
            traceback.print_exc()
        console.failure(*description)
        return description[1]


def _missing_option(error: click.UsageError) -> str:
    """Return the message for a missing required option, with its purpose; '' for other errors."""
    if not isinstance(error, click.MissingParameter) or not isinstance(error.param, click.Option) or not error.ctx:
        return ""
    flag, metavar = max(error.param.opts, key=len), error.param.make_metavar(error.ctx)
    purpose = re.split(r"[.;] ", error.param.help or "")[0].rstrip(".")  # The first sentence of the help
    return shorten(f"{error.ctx.info_name}: {flag} is missing — give {flag} {metavar}: {purpose}")


def _describe(error: BaseException) -> tuple[str, int] | None:
    """Return the message and the exit status of an error that a user can fix; None for a bug."""
    if isinstance(error, click.UsageError):
        where = f" (see '{error.ctx.command_path} --help')" if error.ctx else ""
        return (_missing_option(error) or shorten(error.format_message())) + where, 2
    if isinstance(error, click.Abort | KeyboardInterrupt):
        return "stopped", 130
    if isinstance(error, click.ClickException):
        return shorten(error.format_message()), 2
    return describe_error(error)
