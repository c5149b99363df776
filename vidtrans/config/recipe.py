"""Presets, ``vidtrans.toml``, and which of them wins.

From low to high: defaults, the preset, ``vidtrans.toml`` in the folder, ``VIDTRANS_*`` variables, flags. A preset
named on the command line outranks the file. What runs the user's ffmpeg may not come from the file (``programs.py``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from vidtrans.config.programs import ProgramSetting, programs_from, refuse_programs
from vidtrans.errors import UsageError
from vidtrans.files import PACKAGE, check_regular_file
from vidtrans.registry import Entry, unknown_name
from vidtrans.settings import Table, from_table, read_toml

T = TypeVar("T")
PROJECT_FILE = "vidtrans.toml"
DEFAULT_PRESET = "edges"

# The tables of a preset. Those with a name choose from a registry; their other keys are that choice's settings.
CHOICES = {"pairing": "edges", "generator": "unet-256", "discriminator": "patchgan", "temporal": "window"}
SETTINGS = {
    "dataset": "vidtrans.data.dataset:DatasetSettings",
    "training": "vidtrans.training.settings:TrainingSettings",
    "rendering": "vidtrans.config.rendering:RenderingSettings",
    "dreaming": "vidtrans.dreaming.settings:DreamingSettings",
    "encoding": "vidtrans.video.io.encoding:EncodingSettings",
    "card": "vidtrans.models.model_record:Card",
}
REGISTRIES = {"pairing": "vidtrans.pairing:PAIRINGS", "temporal": "vidtrans.temporal:FILTERS"}
NETWORKS = {"generator": "vidtrans.networks:GENERATORS", "discriminator": "vidtrans.networks:DISCRIMINATORS"}
TABLES = (*CHOICES, *SETTINGS)
CHAIN = tuple(name for name in TABLES if name != "dreaming")  # what the steps from a video to a render read


def _load(path: str) -> Any:
    return Entry(path, "").load()


def preset_folder() -> Path:
    """Where the presets are: inside an installed package, beside it in a checkout."""
    package = PACKAGE
    installed = package / "_presets"
    return installed if installed.is_dir() else package.parent / "presets"


def preset_names() -> list[str]:
    return sorted(p.stem for p in preset_folder().glob("*.toml"))


def preset_path(name: str) -> Path:
    """The file of a preset: a name, or a path to a TOML file. Raises UsageError."""
    if name.endswith(".toml"):
        check_regular_file(Path(name), UsageError)
        if Path(name).is_file():
            return Path(name)
        raise UsageError(f"preset '{name}'", "no such file", "see 'vidtrans preset list'")
    if name not in preset_names():
        raise unknown_name("preset", name, preset_names())
    return preset_folder() / f"{name}.toml"


def read_tables(path: Path) -> dict[str, Table]:
    """The tables of a preset or project file; unknown tables are refused. Raises UsageError."""
    value = read_toml(path)
    for words in ("summary", "cost"):
        value.pop(words, None)
    for name, table in value.items():
        if name not in TABLES:
            raise unknown_name(f"table [{name}] in {path}: table", name, list(TABLES))
        if not isinstance(table, dict):
            raise UsageError(f"'{name}' in {path}", "it must be a table", f"write [{name}]")
    return value


def preset_summary(name: str) -> str:
    """What a preset says it is for, in a line."""
    return _words(name, "summary")


def preset_cost(name: str) -> str:
    """What a preset says that training with it costs, in a line; '' where it does not."""
    return _words(name, "cost")


def _words(name: str, key: str) -> str:
    return str(read_toml(preset_path(name)).get(key, ""))


@dataclass(frozen=True)
class Recipe:
    """Merged tables, read once into the settings classes that they are of. Picklable.

    What a table does not say is the default of its class. The settings of networks stay a table: they are checked where
    the network is built, as their classes need torch.

    Attributes:
        preset: The preset's name; "" where there is none.
        tables: What was said, by preset, files and flags together.
        from_preset: What the preset alone says.
        pairing_changes: Settings of a model's pairing that a render changes.
        programs: What a preset that was named gives the user's ffmpeg to do.

    Raises:
        UsageError: on a setting that is none.
    """

    preset: str
    tables: Mapping[str, Table]
    from_preset: Mapping[str, Table] = field(default_factory=dict)
    pairing_changes: Mapping[str, Any] = field(default_factory=dict)
    programs: tuple[ProgramSetting, ...] = ()
    _settings: dict[str, Any] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        found = {n: from_table(_load(SETTINGS[n]), t, n) for n, t in self.tables.items() if n in SETTINGS}
        for name in self.tables.keys() & REGISTRIES.keys():
            chosen, table = self.choice(name)
            found[name] = from_table(_load(REGISTRIES[name]).load(chosen).Settings, table, name)
        object.__setattr__(self, "_settings", found)

    def choice(self, name: str) -> tuple[str, Table]:
        """Return the chosen name of a table with choices, and the rest of the table."""
        table = dict(self.tables.get(name, {}))
        return str(table.pop("name", CHOICES[name])), table

    def choice_settings(self, name: str) -> tuple[str, Any]:
        """Return the chosen name of a table with choices, and the choice's settings; not for networks."""
        chosen, _ = self.choice(name)
        return chosen, self._settings.get(name) or _load(REGISTRIES[name]).load(chosen).Settings()

    def settings(self, name: str, cls: type[T]) -> T:
        """Return table ``name`` as its settings class ``cls``."""
        found = self._settings.get(name) or cls()
        assert isinstance(found, cls)
        return found

    def value(self, table: str, key: str) -> object:
        """Return one setting, or with ``key`` "name" what was chosen."""
        if key == "name":
            return self.choice(table)[0]
        return getattr(self.settings(table, _load(SETTINGS[table])), key)

    def under(self, tables: Mapping[str, Table]) -> Recipe:
        """Return this recipe with ``tables`` laid over its own. Raises UsageError."""
        return replace(self, tables=overlaid(self.tables, tables))

    def only(self, *names: str) -> dict[str, Table]:
        """Return the given tables, for the record of a request."""
        return {n: dict(self.tables.get(n, {})) for n in names}


def table_of(key: str, among: Sequence[str]) -> str:
    """The one of the tables ``among`` that has a setting ``key``, in whatever choice. Raises UsageError.

    To know those of networks takes torch.
    """
    known = {table: _keys(table) for table in among}
    found = [table for table in among if key in known[table]]
    if len(found) > 1:
        raise UsageError(
            f"--set {key}", f"{len(found)} tables have it", f"use {' or '.join(f'{t}.{key}' for t in found)}"
        )
    if not found:
        raise unknown_name("setting", key, sorted(set().union(*known.values())))
    return found[0]


def _keys(table: str) -> set[str]:
    if table in SETTINGS:
        return {f.name for f in fields(_load(SETTINGS[table]))}
    registry = _load({**REGISTRIES, **NETWORKS}[table])
    return {"name"} | {f.name for choice in registry for f in fields(registry.load(choice).Settings)}


def project_tables() -> dict[str, Table]:
    """The tables of ``vidtrans.toml`` in the current folder; none where there is none. Raises UsageError."""
    check_regular_file(Path(PROJECT_FILE), UsageError)
    tables = read_tables(Path(PROJECT_FILE)) if Path(PROJECT_FILE).is_file() else {}
    refuse_programs(tables, PROJECT_FILE)
    return tables


def make_recipe(
    preset: str | None,
    implied: str | None,
    flags: Mapping[str, Mapping[str, Any]],
    implied_tables: Mapping[str, Table] | None = None,
) -> Recipe:
    """Merge a recipe.

    ``preset`` was named by the user; ``implied`` follows from something else, and the project file outranks it.
    ``implied_tables`` are the implied preset's as they were (a dataset remembers its own). ``flags`` are tables
    from flags and variables. Raises UsageError.
    """
    from_file = project_tables()
    named = preset or implied
    if preset is None and implied_tables is not None:
        from_preset = {n: dict(t) for n, t in implied_tables.items()}
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
    programs = programs_from(f"preset {named}", from_preset, flags) if preset else ()
    return Recipe(Path(named).stem if named else "", merged, from_preset, programs=programs)


def overlaid(*layers: Mapping[str, Mapping[str, Any]]) -> dict[str, Table]:
    """Tables laid over each other, the last on top."""
    merged: dict[str, Table] = {}
    for layer in layers:
        for name, table in layer.items():
            merged[name] = _overlay(merged.get(name, {}), table)
    return merged


def _overlay(below: Mapping[str, Any], above: Mapping[str, Any]) -> Table:
    """``above`` over ``below``; another choice does not inherit the settings of the one that it replaces."""
    if "name" in above and above["name"] != below.get("name", above["name"]):
        return dict(above)
    return {**below, **above}


def dataset_recipe(preset: str | None, flags: Mapping[str, Mapping[str, Any]]) -> Recipe:
    """The recipe that a dataset begins with: without ``preset``, the one named like the pairing, if there is one."""
    pairing = flags.get("pairing", {}).get("name") or project_tables().get("pairing", {}).get("name")
    implied = pairing if pairing in preset_names() else None if pairing else DEFAULT_PRESET
    return make_recipe(preset, implied, flags)


def render_recipe(
    preset: str | None, flags: Mapping[str, Mapping[str, Any]], command: str = "", read: Sequence[str] = ()
) -> Recipe:
    """Return the recipe of a render. ``[pairing]`` among the flags changes how the model's input is made.

    A ``command`` that reads only some settings of [rendering], ``read``, refuses flags for others, as they would do
    nothing. A preset and ``vidtrans.toml`` are for all commands: what they say beyond these is dropped. Raises
    UsageError.
    """
    made = make_recipe(preset, None, {name: table for name, table in flags.items() if name != "pairing"})
    for key in flags.get("rendering", {}) if command else ():
        if key not in read:
            remedy = f"leave it out; of [rendering] it reads {', '.join(read)}"
            raise UsageError(f"rendering.{key}", f"'{command}' does not read it", remedy)
    if command and "rendering" in made.tables:
        rendering = {k: v for k, v in made.tables["rendering"].items() if k in read}
        made = replace(made, tables={**made.tables, "rendering": rendering})
    return replace(made, pairing_changes=dict(flags.get("pairing", {})))
