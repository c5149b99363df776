"""The keys and values of settings classes, including a class whose table joins the keys of several classes."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Collection
from functools import cache
from typing import Any, Self

SettingFields = dict[str, tuple[dataclasses.Field[Any], Any]]  # the field and the type of each setting, by its key


class GroupedSettings:
    """Base of a settings class whose table joins the keys of several classes; ``of`` builds it from values."""

    @classmethod
    def table_fields(cls, wanted: Collection[str] = ()) -> SettingFields:
        """Return the field and the type of each setting of all the classes, by key.

        Settings of plug-ins are among them where they are ``wanted``. Raises PluginError for one that does not load.
        """
        raise NotImplementedError

    @classmethod
    def of(cls, **values: Any) -> Self:  # noqa: ANN401  (of settings)
        """Build the settings from values by key; missing keys get their defaults. Raises ValueError."""
        raise NotImplementedError

    def values(self) -> dict[str, Any]:
        """Return the values of all settings by key."""
        raise NotImplementedError


def setting_fields(cls: type, wanted: Collection[str] = ()) -> SettingFields:
    """Return the field and the type of each setting of a class, by key; see ``GroupedSettings.table_fields``."""
    if issubclass(cls, GroupedSettings):
        return cls.table_fields(wanted)
    hints = _type_hints(cls)  # type: ignore[arg-type]  # mypy: a class cannot be hashed
    return {f.name: (f, hints[f.name]) for f in dataclasses.fields(cls)}  # type: ignore[arg-type]


@cache
def _type_hints(cls: type) -> dict[str, Any]:
    """Return the types of a class's fields; a live control that moves asks for them sixty times a second."""
    return typing.get_type_hints(cls)


def setting_values(settings: Any) -> dict[str, Any]:  # noqa: ANN401  (of any settings class)
    """Return the values of settings by key."""
    if isinstance(settings, GroupedSettings):
        return settings.values()
    return {f.name: getattr(settings, f.name) for f in dataclasses.fields(settings)}
