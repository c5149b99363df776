"""Recipes: settings merged from presets, ``vidtrans.toml``, variables and flags; refusal of settings that run programs.

From low to high priority: defaults, the preset, ``vidtrans.toml`` in the current folder, ``VIDTRANS_*`` variables,
flags. A preset named on the command line outranks the file.

A filter graph can read and write any file, and so can some encoder options, which the user's own ffmpeg runs. They are
accepted from flags and variables, and, with a warning, from a preset or a list named on the command line; never from a
file that was found in the current folder.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from vidtrans.core.errors import UsageError
from vidtrans.core.files import PACKAGE, check_regular_file
from vidtrans.core.options import Group, Names, Option
from vidtrans.core.registry import Entry, unknown_name
from vidtrans.core.settings import Table, from_table, read_toml, setting_fields
from vidtrans.core.system import path_as_stored
from vidtrans.pairing.palettes import with_palette_file

if TYPE_CHECKING:
    from vidtrans.session import Context

Tables = Mapping[str, Mapping[str, Any]]  # Settings by table and key
# Reason in the error for a setting that controls ffmpeg, in a file that the user did not name
PROGRAM_REFUSAL = "a file in the folder may not run a program, as ffmpeg can write any file"
# Flags of the settings that control the user's ffmpeg program, by (table, key)
PROGRAM_FLAGS = {
    ("encoding", "filter"): "--filter",
    ("rendering", "source_filter"): "--filter-source",
    ("encoding", "codec"): "--codec",
    ("encoding", "options"): "--set encoding.options=…",
}
T = TypeVar("T")  # A settings class
PROJECT_FILE = "vidtrans.toml"  # Name of the project file in the current folder
# Default presets: for renders onto other clips, and for renders onto the training clip itself
DEFAULT_PRESET, BY_HEART_PRESET = "others", "edges"
# Value of --pairing for models whose input is the frame itself, and the pairing that it selects
NO_PAIRING, FRAME_PAIRING = "none", "aligned"
# Default values of the key ``name``, by table. The key chooses an entry of a registry, and the other keys of the table
# are settings of that entry.
CHOICES = {"pairing": "edges", "generator": "unet-256", "discriminator": "patchgan", "temporal": "window"}
# Options that set the key ``name`` of a table, by table
CHOICE_OPTIONS = {
    "pairing": Option(
        "Method that makes pairs from frames.",
        Group.INPUT,
        choices=Names("vidtrans.pairing:PAIRINGS", "pairing"),
        form="main",
    ),
    "temporal": Option(
        "Temporal filter against flicker: window averages past and future frames, causal only past ones; vote "
        "is for label maps.",
        Group.LOOK,
        choices=Names("vidtrans.temporal:FILTERS", "temporal filter"),
        form="main",
    ),
}
# Locations of the settings classes of the tables without a key ``name``, by table
SETTINGS = {
    "dataset": Entry("vidtrans.data.settings:DatasetSettings", ""),
    "training": Entry("vidtrans.training.settings:TrainingSettings", ""),
    "rendering": Entry("vidtrans.pipeline.render:RenderingSettings", ""),
    "strokes": Entry("vidtrans.strokes.settings:StrokesSettings", ""),
    "dreaming": Entry("vidtrans.dreaming.settings:DreamingSettings", ""),
    "matting": Entry("vidtrans.matting.settings:MattingSettings", ""),
    "encoding": Entry("vidtrans.video.io.encoding:EncodingSettings", ""),
    "card": Entry("vidtrans.models.model_record:Card", ""),
}
# Locations of the registries of the tables with a key ``name``, by table
REGISTRIES = {
    "pairing": Entry("vidtrans.pairing:PAIRINGS", ""),
    "temporal": Entry("vidtrans.temporal:FILTERS", ""),
    "generator": Entry("vidtrans.networks:GENERATORS", ""),  # Its settings are checked when the network is built.
    "discriminator": Entry("vidtrans.networks:DISCRIMINATORS", ""),
}
TABLES = (*CHOICES, *SETTINGS)  # Names of all tables of a recipe
# Tables for the steps from a training video to a render: pairing, dataset, training, rendering, encoding …
CHAIN = tuple(name for name in TABLES if name not in ("dreaming", "matting"))


def programs_in(tables: Tables) -> dict[str, str]:
    """Return the settings in ``tables`` that control the user's ffmpeg program: values by 'table.key'."""
    from vidtrans.video.io.encoding import FFMPEG_PREFIX  # Its module imports av.

    found = {}
    for table, key in PROGRAM_FLAGS:
        value = tables.get(table, {}).get(key, "")
        if value and isinstance(value, str | int) and (key != "codec" or str(value).startswith(FFMPEG_PREFIX)):
            found[f"{table}.{key}"] = str(value)
    return found


def refuse_programs(tables: Tables, file: str) -> None:
    """Raise UsageError if ``tables`` have settings that control ffmpeg.

    ``file``: the file with the tables, which the user did not name on the command line.
    """
    for name in programs_in(tables):
        table, _, key = name.partition(".")
        raise UsageError(
            f"{name} in {file}",
            PROGRAM_REFUSAL,
            f"take it out: 'vidtrans stylize' takes it as {PROGRAM_FLAGS[table, key]}, or in a --preset FILE",
        )


@dataclass(frozen=True)
class ProgramSetting:
    """A setting that controls ffmpeg. ``name``: its table.key. ``source``: the preset or clip list that contains it."""

    source: str
    name: str
    value: str

    def __str__(self) -> str:
        return f"{self.source}: {self.name} = {self.value!r}"


def programs_from(source: str, tables: Tables, above: Tables) -> tuple[ProgramSetting, ...]:
    """Return the settings in ``tables`` that control ffmpeg, except those that the tables ``above`` override.

    ``source``: the preset or clip list that contains ``tables``, for messages.
    """
    given = {f"{table}.{key}" for table, values in above.items() for key in values}
    return tuple(ProgramSetting(source, k, v) for k, v in programs_in(tables).items() if k not in given)


def warn_about_programs(
    settings: Iterable[ProgramSetting], context: Context, tables: Sequence[str] = ("encoding", "rendering")
) -> None:
    """Warn once about each setting of a preset or a list that controls a program. Call it just before the program runs.

    ``tables``: the tables that the command reads.
    """
    from vidtrans.video.ffmpeg import find_program

    program = Path("ffmpeg")
    with suppress(UsageError):  # If no program is found, the job itself raises the error.
        program = find_program()
    for setting in settings:
        if setting.name.partition(".")[0] in tables:
            context.warn_once(f"{setting} is run with {program}")


def _preset_folder() -> Path:
    """Return the folder of the bundled presets: inside an installed package, or beside the package in a checkout."""
    installed = PACKAGE / "_presets"
    return installed if installed.is_dir() else PACKAGE.parent / "presets"


def preset_names() -> list[str]:
    """Return the names of the bundled presets, sorted."""
    return sorted(p.stem for p in _preset_folder().glob("*.toml"))


def preset_path(name: str) -> Path:
    """Return the file of a preset, from its name or the path of a TOML file. Raises UsageError."""
    if name.endswith(".toml"):
        path = path_as_stored(Path(name))
        check_regular_file(path, UsageError)
        if path.is_file():
            return path
        raise UsageError(f"preset '{name}'", "no such file", "see 'vidtrans preset list'")
    if name not in preset_names():
        raise unknown_name("preset", name, preset_names())
    return _preset_folder() / f"{name}.toml"


def read_tables(path: Path) -> dict[str, Table]:
    """Return the tables of a preset or project file. Raises UsageError, also for unknown tables."""
    tables = {name: table for name, table in read_toml(path).items() if name not in ("summary", "cost")}
    for name, table in tables.items():
        if name not in TABLES:
            raise unknown_name(f"table [{name}] in {path}: table", name, list(TABLES))
        if not isinstance(table, dict):
            raise UsageError(f"'{name}' in {path}", "it must be a table", f"write [{name}]")
    return tables


def preset_text(name: str, key: Literal["summary", "cost"]) -> str:
    """Return the text on a preset's purpose (key "summary") or training time (key "cost"); '' if it has none."""
    return str(read_toml(preset_path(name)).get(key, ""))


@dataclass(frozen=True)
class Recipe:
    """A recipe: the merged tables of settings, parsed once into their settings classes. Picklable.

    Settings that a table leaves out have the defaults of its class. Settings of networks stay a table: they are checked
    when the network is built, because their classes need torch.

    Attributes:
        preset: The name of the preset; "" if there is none.
        tables: The merged settings of preset, files and flags.
        from_preset: The settings of the preset only.
        pairing_changes: Settings of a model's pairing that a render overrides.
        programs: Settings of a preset on the command line that control the user's ffmpeg.

    Raises:
        UsageError: A setting is unknown or invalid.
    """

    preset: str
    tables: Mapping[str, Table]
    from_preset: Mapping[str, Table] = field(default_factory=dict)
    pairing_changes: Mapping[str, Any] = field(default_factory=dict)
    programs: tuple[ProgramSetting, ...] = ()
    _settings: dict[str, Any] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        found = {n: from_table(SETTINGS[n].load(), t, n) for n, t in self.tables.items() if n in SETTINGS}
        for name in self.tables.keys() & {"pairing", "temporal"}:
            chosen, table = self.choice(name)
            found[name] = from_table(REGISTRIES[name].load().load(chosen).Settings, table, name)
        object.__setattr__(self, "_settings", found)

    def choice(self, name: str) -> tuple[str, Table]:
        """Return the component that the table ``name`` chooses by its key "name", and the table's other keys.

        ``name``: the table, such as "pairing". If the table has no key "name", return the default component.
        """
        table = dict(self.tables.get(name, {}))
        return str(table.pop("name", CHOICES[name])), table

    def choice_settings(self, name: str) -> tuple[str, Any]:
        """Return the name and the settings of the chosen pairing or temporal filter.

        ``name``: "pairing" or "temporal".
        """
        chosen, _ = self.choice(name)
        return chosen, self._settings.get(name) or REGISTRIES[name].load().load(chosen).Settings()

    def settings(self, name: str, cls: type[T]) -> T:
        """Return the table ``name`` as an instance of its settings class ``cls``."""
        settings = self._settings.get(name) or cls()
        assert isinstance(settings, cls)
        return settings

    def value(self, table: str, key: str) -> object:
        """Return the value of a setting; for the key "name", the name of the chosen pairing, network or filter."""
        if key == "name":
            return self.choice(table)[0]
        return getattr(self.settings(table, SETTINGS[table].load()), key)

    def under(self, tables: Mapping[str, Table]) -> Recipe:
        """Return this recipe with its tables overridden by ``tables``. Raises UsageError."""
        return replace(self, tables=overlaid(self.tables, tables))

    def only(self, *names: str) -> dict[str, Table]:
        """Return the tables called ``names``, for records and cache keys."""
        return {n: dict(self.tables.get(n, {})) for n in names}


def table_of(key: str, among: Sequence[str]) -> str:
    """Return the only table in ``among`` that has the setting ``key``. Raises UsageError for none or several.

    A table whose key ``name`` chooses a component has the settings of all its components. Imports torch if the tables
    of networks are among them.
    """
    known = {table: _keys(table, key) for table in among}
    found = [table for table in among if key in known[table]]
    if len(found) > 1:
        remedy = f"use {' or '.join(f'{table}.{key}' for table in found)}"
        raise UsageError(f"setting '{key}'", f"{len(found)} tables have it", remedy)
    if not found:
        raise unknown_name("setting", key, sorted(set().union(*known.values())))
    return found[0]


def _keys(table: str, key: str) -> set[str]:
    """Return the setting keys of a table. ``key``: the searched key, whose plug-in is loaded if a plug-in adds it."""
    if table in SETTINGS:
        return set(setting_fields(SETTINGS[table].load(), (key,)))
    return {"name"} | {f.name for _, cls in REGISTRIES[table].load().loaded() for f in fields(cls.Settings)}


def _project_tables() -> dict[str, Table]:
    """Return the tables of ``vidtrans.toml`` in the current folder; {} without that file. Raises UsageError."""
    check_regular_file(Path(PROJECT_FILE), UsageError)
    tables = read_tables(Path(PROJECT_FILE)) if Path(PROJECT_FILE).is_file() else {}
    refuse_programs(tables, PROJECT_FILE)
    return tables


def make_recipe(
    preset: str | None,
    default_preset: str | None,
    flags: Mapping[str, Mapping[str, Any]],
    default_tables: Mapping[str, Table] | None = None,
) -> Recipe:
    """Return the recipe merged from a preset, ``vidtrans.toml`` and ``flags``. Raises UsageError.

    ``preset``: the preset that the user named. ``default_preset``: the preset if the user named none;
    ``vidtrans.toml`` outranks it. ``default_tables``: the recorded tables of the default preset, in a dataset.
    ``flags``: tables from flags and variables.
    """
    from_file = _project_tables()
    named = preset or default_preset
    if preset is None and default_tables is not None:
        from_preset = {n: dict(t) for n, t in default_tables.items()}
        refuse_programs(from_preset, "dataset.json")
    else:
        from_preset = read_tables(preset_path(named)) if named else {}
        if preset is None:
            refuse_programs(from_preset, f"preset {named}")
    layers = [from_file, from_preset] if preset else [from_preset, from_file]
    for wanted in flags:
        if wanted not in TABLES:
            raise unknown_name("table", wanted, list(TABLES))
    merged = overlaid(*layers, flags)
    if "pairing" in merged:
        merged["pairing"] = with_palette_file(merged["pairing"])
    programs = programs_from(f"preset {named}", from_preset, flags) if preset else ()
    return Recipe(Path(named).stem if named else "", merged, from_preset, programs=programs)


def overlaid(*layers: Mapping[str, Mapping[str, Any]]) -> dict[str, Table]:
    """Return merged tables; later layers override earlier ones.

    If a layer changes the ``name`` of a table, the settings for the earlier name are dropped.
    """
    merged: dict[str, Table] = {}
    for layer in layers:
        for name, table in layer.items():
            below = merged.get(name, {})
            replaces = "name" in table and table["name"] != below.get("name", table["name"])
            merged[name] = dict(table) if replaces else {**below, **table}
    return merged


def dataset_recipe(preset: str | None, flags: Mapping[str, Mapping[str, Any]]) -> Recipe:
    """Return the recipe of a dataset. The default preset has the pairing's name; without a pairing, ``DEFAULT_PRESET``.

    If no preset has the name of the pairing, there is no default preset.
    """
    pairing = flags.get("pairing", {}).get("name") or _project_tables().get("pairing", {}).get("name")
    default_preset = pairing if pairing in preset_names() else None if pairing else DEFAULT_PRESET
    return make_recipe(preset, default_preset, flags)


def unpaired_recipe(preset: str | None, flags: Mapping[str, Mapping[str, Any]]) -> Recipe:
    """Return the recipe of a dataset of several domains without pairs; the default preset is 'unpaired'.

    The pairing in ``vidtrans.toml`` is ignored, because it is for datasets with pairs.
    """
    tables = {name: dict(table) for name, table in flags.items()}
    if preset is None:
        tables["pairing"] = {"name": "unpaired"} | tables.get("pairing", {})
    return make_recipe(preset, "unpaired", tables)


def import_recipe(preset: str | None, flags: Mapping[str, Mapping[str, Any]]) -> Recipe:
    """Return the recipe of an imported model, for its pairing and card.

    If the flags set pairing settings but no name, they become ``pairing_changes`` of the pairing in the model file.
    """
    tables = {name: dict(table) for name, table in flags.items()}
    changes: Table = {}
    if tables.get("pairing", {}).get("name") == NO_PAIRING:
        tables["pairing"]["name"] = FRAME_PAIRING
    elif "name" not in tables.get("pairing", {}):
        changes = with_palette_file(tables.pop("pairing", {}))
    return replace(make_recipe(preset, None, tables), pairing_changes=changes)


def render_recipe(
    preset: str | None, flags: Mapping[str, Mapping[str, Any]], command: str = "", read: Sequence[str] = ()
) -> Recipe:
    """Return the recipe of a render. ``[pairing]`` in the flags overrides settings of the model's pairing.

    A ``command`` that reads only the settings ``read`` of [rendering] refuses flags for other settings, which would
    have no effect. A preset and ``vidtrans.toml`` are shared by all commands: their other settings are dropped. Raises
    UsageError.
    """
    recipe = make_recipe(preset, None, {name: table for name, table in flags.items() if name != "pairing"})
    for key in flags.get("rendering", {}) if command else ():
        if key not in read:
            remedy = f"leave it out; '{command}' reads {', '.join(read)} of [rendering]"
            raise UsageError(f"rendering.{key}", f"'{command}' does not read it", remedy)
    if command and "rendering" in recipe.tables:
        rendering = {k: v for k, v in recipe.tables["rendering"].items() if k in read}
        recipe = replace(recipe, tables={**recipe.tables, "rendering": rendering})
    return replace(recipe, pairing_changes=with_palette_file(flags.get("pairing", {})))
