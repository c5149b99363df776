"""The keys of a settings class in its table: those of its fields, or of several classes together."""

from __future__ import annotations

import dataclasses
import typing
from typing import Any, Self

SettingFields = dict[str, tuple[dataclasses.Field[Any], Any]]  # the field and the type of each setting, by its key


class GroupedSettings:
    """Base of a settings class whose table has keys of other classes, too. It is made by ``of``, of values by key."""

    @classmethod
    def table_fields(cls) -> SettingFields:
        """Return the settings of all groups."""
        raise NotImplementedError

    @classmethod
    def of(cls, **values: Any) -> Self:  # noqa: ANN401  (of settings)
        """Return the settings with values by their keys; others have their defaults. Raises ValueError."""
        raise NotImplementedError

    def values(self) -> dict[str, Any]:
        """Return the values of all settings by their keys."""
        raise NotImplementedError


def setting_fields(cls: type) -> SettingFields:
    """Return the field and the type of each setting of a class, by its key in the class's table."""
    if issubclass(cls, GroupedSettings):
        return cls.table_fields()
    hints = typing.get_type_hints(cls)
    return {f.name: (f, hints[f.name]) for f in dataclasses.fields(cls)}  # type: ignore[arg-type]


def setting_values(settings: Any) -> dict[str, Any]:  # noqa: ANN401  (of any settings class)
    """Return the values of settings by their keys."""
    if isinstance(settings, GroupedSettings):
        return settings.values()
    return {f.name: getattr(settings, f.name) for f in dataclasses.fields(settings)}
