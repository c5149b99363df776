"""The entry point `vidtrans`, and the one place that turns errors into messages and exit statuses."""

from __future__ import annotations

import gc
import importlib
import os
import sys
import traceback
from contextlib import suppress

import click

from vidtrans import __version__
from vidtrans.cli.console import Console, write_any_text
from vidtrans.commands import COMMANDS as DECLARED
from vidtrans.commands import GROUPS
from vidtrans.errors import describe_error, shorten
from vidtrans.launcher import is_distributed
from vidtrans.machine import set_up_heap

# Name → module of this folder, whose function has the same name, and the line that --help shows. A module loads on use.
COMMANDS = {
    "demo": ("demo", "See a result in minutes; needs no file of yours."),
    "make-dataset": ("make_dataset", "Videos in, a dataset of pairs out."),
    "train": ("train", "A dataset in, a model out."),
    "stylize": ("stylize", "Render a model onto videos."),
    "deflicker": ("deflicker", "Take the flicker out of what any tool has made of a video."),
    "dream": ("dream", "Let a model that predicts frames go on from a seed."),
    "try": ("try_out", "A grid of settings on a few frames, in seconds."),
    "look": ("look", "A painting in, a model that paints like it out."),
    "keyframes": ("keyframes", "Which frames of a clip to paint."),
    "propagate": ("propagate", "Painted frames in, the whole clip painted out."),
    "fix": ("fix", "Paint over frames of a result, and the others follow."),
    "grade": ("grade", "A colour grade, learned from pictures before and after it."),
    "live": ("live", "Draw, or stand before the camera, and see a model answer."),
    "run": ("run", "The whole chain in one resumable command."),
    "evaluate": ("evaluate", "How steady, sharp and true a render is, and when it is worst."),
    "compare": ("compare", "Clips side by side, labelled."),
    "sheet": ("sheet", "Frames of a clip, or pairs of a dataset, on one page."),
    "probe": ("probe", "What a video holds."),
    "batch": ("batch", "A page of a night: who rendered what, and what failed."),
    "model": ("model", "List and show models."),
    "preset": ("preset", "List and show presets."),
    "cache": ("cache", "List and clean what is kept between runs."),
    "doctor": ("doctor", "Is everything here that a render needs?"),
    "bench": ("bench", "How fast it is here, step by step, and what holds it up."),
}


_VARIABLES = "VIDTRANS"


def _with_variables(command: click.Command, prefix: str) -> click.Command:
    """Name the variable of each option, of subcommands too, after its flag; click names it after the parameter."""
    for option in command.params:
        flags = [flag for flag in option.opts if flag.startswith("--")]
        if isinstance(option, click.Option) and option.allow_from_autoenv and option.envvar is None and flags:
            option.envvar = f"{prefix}_{flags[0][2:]}".replace("-", "_").upper()
    if isinstance(command, click.Group):
        for name, sub in command.commands.items():
            _with_variables(sub, f"{prefix}_{name}")
    return command


class _LazyGroup(click.Group):
    """Commands by name; ``--help`` needs none of their modules."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in DECLARED or cmd_name in GROUPS:
            from vidtrans.cli.building import click_command

            return _with_variables(click_command(cmd_name), f"{_VARIABLES}_{cmd_name}")
        if cmd_name not in COMMANDS:
            return None
        name = COMMANDS[cmd_name][0]
        command: click.Command = getattr(importlib.import_module(f"vidtrans.cli.{name}"), name)
        return _with_variables(command, f"{_VARIABLES}_{cmd_name}")

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        from difflib import get_close_matches

        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            near = get_close_matches(args[0], COMMANDS, n=1)
            hint = f" Did you mean '{near[0]}'?" if near else ""
            raise click.UsageError(f"No such command '{args[0]}'.{hint}", ctx)
        return super().resolve_command(ctx, args)


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": _VARIABLES})
@click.version_option(__version__, prog_name="vidtrans")
def cli() -> None:
    """Teach a look from video; render it onto video; without flicker.

    \b
      vidtrans demo
      vidtrans make-dataset clip.mp4
      vidtrans train clip.dataset
      vidtrans stylize other.mp4 --model clip
    """


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 failure, 2 usage, 3 media or model, 4 device, 5 part of a batch."""
    set_up_heap()
    write_any_text()
    status = run((sys.argv[1:] if arguments is None else arguments) or ["--help"])
    if is_distributed():
        # One in twenty aborts when C++ takes down gloo's threads, and the launcher says that what is done has failed.
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)
    gc.freeze()  # else Python looks through all that torch is made of for cycles, and ends a third of a second later
    sys.exit(status)


# Threads that wait for each other by spinning slow everything beside them, themselves first. Measured on two cores,
# training steps a second: alone 8.3 against 8.4 with GNU OpenMP's own long spin; beside another job 0.7-1.5 against
# 0.2-0.3 (beside another training 1.5 against 2.1). torch reads this when it is imported.
os.environ.setdefault("GOMP_SPINCOUNT", "2000")


def run(arguments: list[str]) -> int:
    """Run a command and return its exit status. A bug keeps its traceback."""
    consoles = [Console(as_json="--json" in arguments, verbose="-v" in arguments or "--verbose" in arguments)]
    try:
        result = cli.main(args=arguments, prog_name="vidtrans", standalone_mode=False, obj=consoles)
        return result if isinstance(result, int) else 0
    except BrokenPipeError:
        sys.stderr.close()
        return 1
    except (Exception, KeyboardInterrupt) as error:
        console = consoles[-1]  # the command's own, if it came so far
        described = _describe(error)
        if described is None:
            if console.as_json:
                console.failure(f"a bug in vidtrans: {type(error).__name__}: {error}", 1)
            raise
        if console.verbose:
            traceback.print_exc()
        console.failure(*described)
        return described[1]


def _describe(error: BaseException) -> tuple[str, int] | None:
    """The line and the exit status of an error; None for a bug."""
    if isinstance(error, click.UsageError):
        where = f" (see '{error.ctx.command_path} --help')" if error.ctx else ""
        return shorten(error.format_message()) + where, 2
    if isinstance(error, click.Abort | KeyboardInterrupt):
        return "stopped", 130
    if isinstance(error, click.ClickException):
        return shorten(error.format_message()), 2
    return describe_error(error)
