"""The flags that more than one command has, and what may stand after them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from vidtrans.cli.options import choices, setting_option
from vidtrans.errors import UsageError


class AnyPath(click.Path):
    """A path; whether it is there and of the right kind, the pipeline says better."""

    def __init__(self) -> None:
        super().__init__(path_type=Path, readable=False)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":  # an unset variable of the shell, as a rule; Path("") would be the current folder
            raise UsageError("an empty path", "nothing was given where a file is expected", "name the file")
        path = super().convert(value, param, ctx)
        if ctx is not None and str(value).endswith(("/", os.sep)):
            ctx.meta.setdefault(FOLDERS, set()).add(path)
        return path


# In a click context's ``meta``: the paths that were typed as folders, with a slash at their end.
FOLDERS = "vidtrans.folders"
FILE = AnyPath()


class Lazy(click.ParamType):
    """A choice from a registry that is not read before it is needed."""

    name = "name"

    def __init__(self, path: str, kind: str, *others: str, prefix: str = "") -> None:
        registered = choices(path)
        self.names, self.kind, self.prefix = lambda: [*others, *registered()], kind, prefix

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        return "[" + "|".join(self.names()) + "]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from vidtrans.registry import unknown_name

        if value not in self.names() and not (self.prefix and value.startswith(self.prefix)):
            raise unknown_name(self.kind, value, [*self.names(), *([self.prefix + "NAME"] if self.prefix else [])])
        return value

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return [CompletionItem(name) for name in self.names() if name.startswith(incomplete)]


start_option = click.option("--start", metavar="TIME", help="HH:MM:SS.mmm, 12.5s, or a frame number from 0.")
end_option = click.option("--end", metavar="TIME", help="The first moment that is left out.")


pairing_option = setting_option(
    "--pairing",
    "pairing",
    "name",
    "How pairs come out of frames.",
    type=Lazy("vidtrans.pairing:PAIRINGS", "pairing"),
)
target_option = click.option(
    "--target", type=FILE, help="A second clip (or folder) in step, for --pairing aligned and stack."
)
steps_option = setting_option(
    "--steps", "training", "steps", "Updates; raise it later to go on.", type=click.IntRange(1)
)
minutes_option = click.option(
    "--minutes", type=click.FloatRange(0, 1e6, min_open=True), help="Instead of --steps: as many as fit, measured once."
)
ablate_option = click.option(
    "--ablate",
    type=Lazy("vidtrans.pipeline.ablate:ABLATIONS", "ablation"),
    help="Train variants, each with another loss, discriminator or without skips, and put them in a table.",
)
codec_option = setting_option(
    "--codec",
    "encoding",
    "codec",
    "Codec of the result, or ffmpeg:NAME for an encoder of your own ffmpeg.",
    type=Lazy("vidtrans.video.io.codecs:CODECS", "codec", "auto", prefix="ffmpeg:"),
)
fps_option = setting_option(
    "--fps",
    "encoding",
    "fps",
    "N frames a second, constant; source keeps every frame and its time.",
    metavar="source|N",
)
filter_option = setting_option(
    "--filter", "encoding", "filter", "A filter graph of your own ffmpeg, on the result.", metavar="GRAPH"
)
source_filter_option = setting_option(
    "--filter-source",
    "rendering",
    "source_filter",
    "A filter graph of your own ffmpeg, on the source, before the model sees it.",
    metavar="GRAPH",
)
strength_option = setting_option(
    "--strength",
    "rendering",
    "strength",
    "0 is the source, 1 the look, 2 twice as far; or keyframes: '0: 0.2, 120: 1'.",
    metavar="S",
)
mix_option = setting_option(
    "--mix", "rendering", "mix", "Share of the source laid over the result, 0 to 1; or keyframes.", metavar="X"
)
colour_option = setting_option(
    "--keep-colour",
    "rendering",
    "keep_colour",
    "Keep the source's own colours.",
    is_flag=True,
    flag_value="1",
    allow_from_autoenv=False,  # a variable of a flag is a yes or a no; shares are for --set and vidtrans.toml
)
engine_option = setting_option(
    "--engine",
    "rendering",
    "engine",
    "What runs the network.",
    type=Lazy("vidtrans.inference:ENGINES", "engine", "auto"),
)
draft_option = setting_option(
    "--draft",
    "rendering",
    "draft",
    "A quick look: paint every n-th frame, up to the 12th, carry the others along the motion.",
    type=click.IntRange(1, 12),
    metavar="N",
)
temporal_option = setting_option(
    "--temporal", "temporal", "name", "Temporal filter.", type=Lazy("vidtrans.temporal:FILTERS", "temporal filter")
)


def cuts_option(across: str, counted: str = "", table: str = "rendering") -> Callable[..., Any]:
    """``across``: what ends at a cut; ``counted``: whose frames and times are listed, where there are two clips."""
    what = f"Where shots begin, across which {across}: auto, off, or a file with a frame or a time on each line."
    return setting_option("--cuts", table, "cuts", f"{what} {counted}".strip(), metavar="auto|off|FILE")
