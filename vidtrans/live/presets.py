"""Presets of the live page: controls saved by name in one JSON file in the user's data folder."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

from vidtrans.core.errors import UsageError
from vidtrans.core.files import read_small_json, write_json
from vidtrans.core.settings import Table
from vidtrans.live.live_controls import Controls, ControlState, describe_pairing, looks_of
from vidtrans.models.loaded_model import LoadedModel

MOST = 200
_NAME = re.compile(r"[^\x00-\x1f\x7f]{1,60}")


def default_path() -> Path:
    """Return the path of the presets file."""
    import platformdirs

    return Path(platformdirs.user_data_dir("vidtrans")) / "live-presets.json"


class SavedControls:
    """Saved controls by name. An unreadable file counts as empty, and is replaced at the next save."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._tables = self._read()

    def _read(self) -> dict[str, Table]:
        try:
            found = read_small_json(self._path)
        except (OSError, ValueError, UsageError):
            return {}
        tables = found if isinstance(found, dict) else {}
        return {name: table for name, table in tables.items() if _NAME.fullmatch(name) and isinstance(table, dict)}

    @property
    def names(self) -> list[str]:
        """Return the names of the presets, in alphabetical order."""
        return sorted(self._tables)

    def carry_out(self, message: Table, state: ControlState, models: Mapping[str, LoadedModel]) -> ControlState | None:
        """Save, delete or load a preset, as a message asks; return loaded controls. Raises UsageError, OSError."""
        name = message.get("name")
        if not isinstance(name, str):
            raise UsageError("preset", "it has no name", "give a name")
        if message.get("do") == "save":
            self.save(name, state.table())
        elif message.get("do") == "delete":
            self.delete(name)
        else:
            return ControlState().updated(that_fit(self.load(name), state, models), models)
        return None

    def load(self, name: str) -> Table:
        """Return the controls saved as ``name``. Raises UsageError."""
        if name not in self._tables:
            raise UsageError(f"preset '{name}'", "there is no preset of this name", "choose another name")
        return dict(self._tables[name])

    def save(self, name: str, table: Table) -> None:
        """Save controls as ``name``. Raises UsageError, OSError."""
        if not _NAME.fullmatch(name):
            raise UsageError("preset", "its name must have 1 to 60 printable characters", "choose another name")
        if len(self._tables) >= MOST and name not in self._tables:
            raise UsageError("preset", f"there are {MOST} presets already", "delete one first")
        self._write({**self._read(), name: dict(table)})  # another server may have saved some

    def delete(self, name: str) -> None:
        """Delete the preset ``name``, if it exists. Raises OSError."""
        self._write({known: table for known, table in self._read().items() if known != name})

    def _write(self, tables: dict[str, Table]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        write_json(self._path, tables, indent=1)
        self._tables = tables


def that_fit(values: Table, state: ControlState, models: Mapping[str, LoadedModel]) -> Table:
    """Return saved values without settings of models that are not loaded; the model may be that of ``state``."""
    controls, own = {f.name for f in fields(Controls)}, state.controls
    settings = {key for model in models.values() for key in describe_pairing(model.pairing)}
    fit = {name: value for name, value in values.items() if name in controls | settings}
    fit["model"] = fit.get("model") if fit.get("model") in models else own.model
    fit["second"] = fit.get("second") if fit.get("second") in models else ""
    if fit.get("look") not in [look for model in models.values() for look in looks_of(model)]:
        fit["look"] = ""
    return fit
