"""``vidtrans``: the entry point, and the one place that turns errors into lines and exit statuses."""

from __future__ import annotations

import gc
import importlib
import os
import sys
import traceback
from contextlib import suppress
from typing import Any

import click

from vidtrans import __version__
from vidtrans.cli.console import Console
from vidtrans.errors import describe_error, shorten
from vidtrans.launcher import is_distributed

# Name → module:function and the line that --help shows; a command's module loads when it is used.
COMMANDS = {
    "demo": ("vidtrans.cli.demo:demo", "See a result in minutes; needs no file of yours."),
    "make-dataset": ("vidtrans.cli.make_dataset:make_dataset", "Videos in, a dataset of pairs out."),
    "train": ("vidtrans.cli.train:train", "A dataset in, a model out."),
    "stylize": ("vidtrans.cli.stylize:stylize", "Render a model onto videos."),
    "deflicker": ("vidtrans.cli.deflicker:deflicker", "Take the flicker out of what any tool has made of a video."),
    "dream": ("vidtrans.cli.dream:dream", "Let a model that predicts frames go on from a seed."),
    "try": ("vidtrans.cli.try_settings:try_out", "A grid of settings on a few frames, in seconds."),
    "run": ("vidtrans.cli.run:run", "The whole chain in one resumable command."),
    "evaluate": ("vidtrans.cli.evaluate:evaluate", "How steady, sharp and true a render is, and when it is worst."),
    "compare": ("vidtrans.cli.compare:compare", "Clips side by side, labelled."),
    "sheet": ("vidtrans.cli.sheet:sheet", "Frames of a clip, or pairs of a dataset, on one page."),
    "probe": ("vidtrans.cli.probe:probe", "What a video holds."),
    "model": ("vidtrans.cli.model:model", "List and show models."),
    "preset": ("vidtrans.cli.preset:preset", "List and show presets."),
    "cache": ("vidtrans.cli.cache:cache", "List and clean what is kept between runs."),
    "doctor": ("vidtrans.cli.doctor:doctor", "Is everything here that a render needs?"),
    "bench": ("vidtrans.cli.bench:bench", "How fast it is here, step by step, and what holds it up."),
}


class LazyGroup(click.Group):
    """Commands by name; ``--help`` needs none of their modules."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        from difflib import get_close_matches

        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            near = get_close_matches(args[0], COMMANDS, n=1)
            hint = f" Did you mean '{near[0]}'?" if near else ""
            raise click.UsageError(f"No such command '{args[0]}'.{hint}", ctx)
        return super().resolve_command(ctx, args)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "VIDTRANS"})
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
    given = sys.argv[1:] if arguments is None else arguments
    status = run(given or ["--help"])
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


def run(given: list[str]) -> int:
    """Run a command and return its exit status. A bug keeps its traceback."""
    spoken: list[Console] = [Console(as_json="--json" in given, verbose="-v" in given or "--verbose" in given)]
    try:
        result = cli.main(args=given, prog_name="vidtrans", standalone_mode=False, obj=spoken)
        return result if isinstance(result, int) else 0
    except BrokenPipeError:
        sys.stderr.close()
        return 1
    except (Exception, KeyboardInterrupt) as error:
        console = spoken[-1]  # the command's own, if it came so far
        told = _tell(error)
        if told is None:
            if console.as_json:
                console.failure(f"a bug in vidtrans: {type(error).__name__}: {error}", 1)
            raise
        if console.verbose:
            traceback.print_exc()
        console.failure(*told)
        return told[1]


def _tell(error: BaseException) -> tuple[str, int] | None:
    """The line and the exit status of an error; None for a bug."""
    if isinstance(error, click.UsageError):
        where = f" (see '{error.ctx.command_path} --help')" if error.ctx else ""
        return shorten(error.format_message()) + where, 2
    if isinstance(error, click.Abort | KeyboardInterrupt):
        return "stopped", 130
    if isinstance(error, click.ClickException):
        return shorten(error.format_message()), 2
    return describe_error(error)
