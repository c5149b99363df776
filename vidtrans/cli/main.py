"""``vidtrans``: the entry point, and the one place that turns errors into lines and exit statuses."""

from __future__ import annotations

import errno
import importlib
import sys
import traceback
from typing import Any

import click

from vidtrans import __version__
from vidtrans.cli.console import Console
from vidtrans.errors import VidtransError

# Name → module:function and the line that --help shows; a command's module loads when it is used.
COMMANDS = {
    "make-dataset": ("vidtrans.cli.steps:make_dataset", "Videos in, a dataset of pairs out."),
    "train": ("vidtrans.cli.steps:train", "A dataset in, a model out."),
    "stylize": ("vidtrans.cli.steps:stylize", "Render a model onto videos."),
    "run": ("vidtrans.cli.steps:run", "The whole chain in one resumable command."),
    "probe": ("vidtrans.cli.library:probe", "What a video holds."),
    "model": ("vidtrans.cli.library:model", "List and show models."),
    "preset": ("vidtrans.cli.library:preset", "List and show presets."),
    "cache": ("vidtrans.cli.library:cache", "List and clean what is kept between runs."),
}


DISK = {
    errno.ENOSPC: "free some space and run the same command again",
    errno.EDQUOT: "free some space and run the same command again",
    errno.EACCES: "choose a folder that can be written",
    errno.EROFS: "choose a folder that can be written",
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
      vidtrans make-dataset clip.mp4
      vidtrans train clip.dataset
      vidtrans stylize other.mp4 --model clip
    """


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 failure, 2 usage, 3 media or model, 4 device, 5 part of a batch."""
    given = sys.argv[1:] if arguments is None else arguments
    sys.exit(run(given))


def run(given: list[str]) -> int:
    """Run a command and return its exit status."""
    as_json = "--json" in given
    console = Console(as_json=as_json)
    try:
        result = cli.main(args=given, prog_name="vidtrans", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except VidtransError as error:
        if "-v" in given or "--verbose" in given:
            traceback.print_exc()
        console.failure(str(error), error.exit_status)
        return error.exit_status
    except click.UsageError as error:
        where = f" (see '{error.ctx.command_path} --help')" if error.ctx else ""
        console.failure(error.format_message() + where, 2)
        return 2
    except (click.Abort, KeyboardInterrupt):
        console.failure("stopped", 130)
        return 130
    except click.ClickException as error:
        console.failure(error.format_message(), 2)
        return 2
    except BrokenPipeError:
        sys.stderr.close()
        return 1
    except OSError as error:
        if error.errno not in DISK:
            raise
        where = f"{error.filename}: " if error.filename else ""
        console.failure(f"{where}{str(error.strerror).lower()} — {DISK[error.errno]}", 1)
        return 1
    except MemoryError:
        console.failure("out of memory — use a smaller --size", 4)
        return 4
    except Exception as error:
        if as_json:
            console.failure(f"a bug in vidtrans: {type(error).__name__}: {error}", 1)
        raise
