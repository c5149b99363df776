"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vidtrans.cli.types import FILE, MODEL, PRESET, TIME, RegistryName
from vidtrans.video.io.codecs import CPU, HARDWARE_DECODERS

if TYPE_CHECKING:
    from vidtrans.batch.options import BatchOptions
    from vidtrans.config.recipe import Recipe

Function = Callable[..., Any]  # of a command: its arguments are its parameters
Decorator = Callable[[Function], Function]


class _DefaultOption(click.Option):
    """An option whose help ends with the default in force, which is defined elsewhere."""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        text = self.help
        with suppress(Exception):  # help is shown even where vidtrans.toml is broken
            self.help = f"{text}  [default: {self.default_in_force(ctx)}]"
        record = super().get_help_record(ctx)
        self.help = text
        return record

    def default_in_force(self, ctx: click.Context) -> object:
        from vidtrans.session import Context

        return getattr(Context, str(self.name))


class SettingOption(_DefaultOption):
    """A flag for ``table.key`` of a recipe; without the flag it is None.

    ``recipes``: the functions of ``config.recipe`` that decide the default, with words for all but the first.
    ``default_words``: what the help says of the default instead.
    """

    def __init__(
        self,
        *names: object,
        table: str,
        key: str,
        recipes: Mapping[str, str] | None = None,
        default_words: str = "",
        **attributes: object,
    ) -> None:
        self.table, self.key, self.recipes, self.default_words = table, key, recipes, default_words
        super().__init__(*names, **attributes)  # type: ignore[arg-type]  # click.Option checks them

    def default_in_force(self, ctx: click.Context) -> object:
        """Return the value without the flag: a variable's, else that of the recipe."""
        from vidtrans.config import recipe

        if variable := self.resolve_envvar_value(ctx):
            return variable
        if self.default_words:
            return self.default_words
        if self.recipes is None and self.table in ("rendering", "temporal", "dreaming", "encoding"):
            return self._words(recipe.make_recipe(None, None, {}))
        recipes = self.recipes or {"": "dataset_recipe"}
        found = [(when, self._words(getattr(recipe, name)(None, {}))) for when, name in recipes.items()]
        return ", ".join(f"{when} {value}".strip() for when, value in found)

    def _words(self, recipe: Recipe) -> object:
        value = recipe.value(self.table, self.key)
        if self.is_flag:
            return "yes" if value else "no"
        return "none" if value in (None, "") else value


def _context_option(flag: str, *names: str, help: str, type: click.ParamType | None = None) -> Decorator:
    variable = "VIDTRANS_" + flag.strip("-").replace("-", "_").upper()
    return click.option(flag, *names, cls=_DefaultOption, default=None, envvar=variable, type=type, help=help)


# The options for fields of the Context, by the fields' names.
CONTEXT_OPTIONS: dict[str, Decorator] = {
    "device": _context_option("--device", help="auto, cuda, cuda:N, mps or cpu."),
    "decoder": _context_option(
        "--decoder",
        type=click.Choice((CPU, *HARDWARE_DECODERS)),
        help="What decodes the source: the CPU, or an NVIDIA GPU (nvdec), where it can. The frames are the same.",
    ),
    "seed": _context_option("--seed", type=click.IntRange(0, 2**63 - 1), help="Random seed."),
    "cache_dir": _context_option(
        "--cache-dir", type=click.Path(path_type=Path), help="Where stages are kept: a folder with no other files."
    ),
    "cache_limit_gb": _context_option(
        "--cache-limit", "cache_limit_gb", type=click.FloatRange(0, 1e6), help="Gigabytes that are kept between runs."
    ),
    "overwrite": click.option("--overwrite", is_flag=True, help="Replace an existing output."),
    "allow_damaged": click.option(
        "--allow-damaged", is_flag=True, help="Use what is left of a damaged video, and count what is lost."
    ),
    "dry_run": click.option("--dry-run", is_flag=True, help="Say what would be done; touch nothing."),
}
# Fields of the Context that commands read: those that read clips, also write results, and also fill the cache.
READING = ("cache_dir", "allow_damaged", "dry_run")
WRITING = (*READING, "overwrite")
CACHING = (*WRITING, "cache_limit_gb")


def setting_option(flag: str, table: str, key: str, help: str, **attributes: object) -> Decorator:
    """Return an option for one setting of the recipe."""
    return click.option(flag, cls=SettingOption, table=table, key=key, default=None, help=help, **attributes)


def output_option(help: str, *names: str, required: bool = False) -> Decorator:
    """Return ``-o``."""
    return click.option("-o", "--output", *names, type=FILE, required=required, help=help)


def start_option(help: str = "HH:MM:SS.mmm, 12.5s, or a frame number from 0.") -> Decorator:
    """Return ``--start``."""
    return click.option("--start", type=TIME, metavar="TIME", help=help)


def end_option(help: str = "The first moment that is left out.") -> Decorator:
    """Return ``--end``."""
    return click.option("--end", type=TIME, metavar="TIME", help=help)


def cuts_option(across: str, counted: str = "", table: str = "rendering") -> Decorator:
    """Return ``--cuts``. ``across``: what ends at a cut; ``counted``: whose frames are listed, of two clips."""
    what = f"Where shots begin, across which {across}: auto, off, or a file with a frame or a time on each line."
    return setting_option("--cuts", table, "cuts", f"{what} {counted}".strip(), metavar="auto|off|FILE")


def models_option(help: str, *, required: bool = True) -> Decorator:
    """Return ``--model`` of a command that takes several."""
    return click.option("--model", "models", required=required, multiple=True, metavar="MODEL", type=MODEL, help=help)


videos_argument = click.argument("videos", nargs=-1, required=True, type=FILE, metavar="VIDEO...")
set_option = click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="[TABLE.]KEY=VALUE",
    help="Any setting of a preset; may be repeated. The table may be left out where only one has the key.",
)
preset_option = click.option(
    "--preset", metavar="NAME|FILE", type=PRESET, help="A whole recipe; see 'vidtrans preset list'."
)
pairing_option = setting_option(
    "--pairing",
    "pairing",
    "name",
    "How pairs come out of frames.",
    type=RegistryName("vidtrans.pairing:PAIRINGS", "pairing"),
)
target_option = click.option(
    "--target",
    type=FILE,
    help="A second clip (or folder): in step for --pairing aligned and stack, of the same things for matched.",
)


def steps_option(recipe: str = "dataset_recipe", **others: str) -> Decorator:
    """Return ``--steps``. ``recipe``: the function that decides its default, and ``others`` when, in words."""
    recipes = {"": recipe} | {words.replace("_", " "): name for words, name in others.items()}
    help = "Updates; raise it later to go on."
    return setting_option("--steps", "training", "steps", help, type=click.IntRange(1), recipes=recipes)


minutes_option = click.option(
    "--minutes", type=click.FloatRange(0, 1e6, min_open=True), help="Instead of --steps: as many as fit, measured once."
)
size_option = setting_option("--size", "rendering", "size", "Working size: short side, WxH, trained, or source.")
codec_option = setting_option(
    "--codec",
    "encoding",
    "codec",
    "Codec of the result, or ffmpeg:NAME for an encoder of your own ffmpeg.",
    type=RegistryName("vidtrans.video.io.codecs:CODECS", "codec", "auto", prefix="ffmpeg:"),
)
filter_option = setting_option(
    "--filter", "encoding", "filter", "A filter graph of your own ffmpeg, on the result.", metavar="GRAPH"
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


def filter_choice(recipe: str | None = None) -> Decorator:
    """Return ``--temporal``. ``recipe``: the function that decides its default; None for that of a plain render."""
    kind = RegistryName("vidtrans.temporal:FILTERS", "temporal filter")
    recipes = {"": recipe} if recipe else None
    return setting_option("--temporal", "temporal", "name", "Temporal filter.", type=kind, recipes=recipes)


temporal_option = filter_choice()


def _jobs_options(jobs: str, executor: str) -> Decorator:
    """Return ``--jobs`` and ``--executor``, with their help."""

    def add(function: Function) -> Function:
        kind = RegistryName("vidtrans.batch.executors:EXECUTORS", "executor", "auto", has_address=True)
        function = click.option("--executor", type=kind, default="auto", help=executor)(function)
        return click.option("--jobs", type=click.IntRange(1, 1024), help=jobs)(function)

    return add


def trainings_options(function: Function) -> Function:
    """Add the options of a batch of trainings; the command gets ``batch``, its ``BatchOptions``."""

    @_jobs_options(
        "Trainings at a time, of --sweep and --ablate.  [default: one on each device]",
        "Where those are trained: in this process, in worker processes, or on a cluster.  [default: auto, which is "
        "local]",
    )
    @wraps(function)
    def wrapped(*, jobs: int | None, executor: str, **arguments: object) -> object:
        from vidtrans.batch.options import BatchOptions

        return function(**arguments, batch=BatchOptions(jobs, executor=executor))

    return wrapped


def batch_options(function: Function) -> Function:
    """Add the options of a batch; the command gets ``batch``, its ``BatchOptions``."""

    @_jobs_options(
        "Clips at a time, of several.  [default: one on each device]",
        "Where clips are made: in this process, or in worker processes.  [default: auto, one clip on one device "
        "inline, else local]",
    )
    @click.option("--shard", metavar="I/N", default="", help="Only the I-th of N parts of the clips, for job arrays.")
    @click.option("--retry-failed", "retry", is_flag=True, help="Only the clips that failed the last time.")
    @click.option("--halt-on-error", "halt", is_flag=True, help="Begin no further clip when one has failed.")
    @wraps(function)
    def wrapped(*, jobs: int | None, executor: str, shard: str, retry: bool, halt: bool, **arguments: object) -> object:
        from vidtrans.batch.options import BatchOptions

        return function(**arguments, batch=BatchOptions(jobs, shard, halt, retry, executor))

    return wrapped


def no_shared_disk_option(function: Function) -> Function:
    """Add ``--no-shared-disk`` to a command with ``batch_options`` whose clips can be divided."""

    @click.option(
        "--no-shared-disk",
        is_flag=True,
        help="The machines of --executor do not see these folders: files go there, and parts of clips come back.",
    )
    @wraps(function)
    def wrapped(*, no_shared_disk: bool, batch: BatchOptions, **arguments: object) -> object:
        return function(**arguments, batch=replace(batch, shared_disk=not no_shared_disk))

    return wrapped
