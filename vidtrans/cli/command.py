"""Synonyms of commands and options, for suggestions in errors; the running command's words and its watching program."""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, NamedTuple

import click

if TYPE_CHECKING:
    from vidtrans.core.events import Report, Stop


class Watcher(NamedTuple):
    """The program that watches a command: ``report`` gets the command's events, and ``stop`` can stop it."""

    report: Report
    stop: Stop


HELP_ALL = "--help-all"  # Flag for the help with rarely used commands or options
# Names of commands, by words that users may type instead; errors suggest the name if the group has that command
COMMAND_WORDS = {
    **dict.fromkeys(("clear", "delete", "empty", "purge", "remove", "rm"), "clean"),
    **dict.fromkeys(("ls", "all"), "list"),
    **dict.fromkeys(("cat", "describe", "info", "inspect"), "show"),  # Outside of a group, "show" maps to "probe".
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
# Flags of vidtrans, by flags that users may type instead; errors suggest the flag if the command has it
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
COMMAND_LINE: ContextVar[tuple[str, ...]] = ContextVar("line", default=())  # The user's words after ``vidtrans``
JOB_FOLDER = "--job-folder"  # Option through which another program watches and stops a command: see ``job_process``
# Program that watches the running command; None without --job-folder. ``job_process`` sets it.
WATCHER: ContextVar[Watcher | None] = ContextVar("watcher", default=None)


def unknown_command(name: str, names: Sequence[str], context: click.Context) -> click.UsageError:
    """Return the error for an unknown command, with the nearest command by meaning or spelling.

    ``names``: the names of the commands in the group.
    """
    from vidtrans.core.registry import nearest_name

    synonym = COMMAND_WORDS.get(name.lower(), "")
    synonym = synonym if synonym in names else COMMAND_WORDS.get(synonym, synonym)
    near = synonym if synonym.startswith("--") or synonym.partition(" ")[0] in names else nearest_name(name, names)
    hint = f" Did you mean '{near}'?" if near else ""
    return click.UsageError(f"No such command '{name}'.{hint}", context)
