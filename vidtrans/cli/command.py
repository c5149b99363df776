"""Other words for commands and options, which errors suggest; the running command's line and its watcher."""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, NamedTuple

import click

if TYPE_CHECKING:
    from vidtrans.core.events import Report, Stop


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
