"""The flags that more than one command has, and what may stand after them."""

from __future__ import annotations

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
        return super().convert(value, param, ctx)


FILE = AnyPath()


class Lazy(click.ParamType):
    """A choice from a registry that is not read before it is needed."""

    name = "name"

    def __init__(self, path: str, kind: str, *others: str) -> None:
        registered = choices(path)
        self.names, self.kind = lambda: [*others, *registered()], kind

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        return "[" + "|".join(self.names()) + "]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from vidtrans.registry import unknown

        if value not in self.names():
            raise unknown(self.kind, value, self.names())
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
    "--minutes", type=click.FloatRange(0, min_open=True), help="Instead of --steps: as many as fit, measured once."
)
codec_option = setting_option(
    "--codec",
    "encoding",
    "codec",
    "Codec of the result.",
    type=Lazy("vidtrans.video.encoder:CODECS", "codec", "auto"),
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
temporal_option = setting_option(
    "--temporal", "temporal", "name", "Temporal filter.", type=Lazy("vidtrans.temporal:FILTERS", "temporal filter")
)
