"""The reference of settings: the tables of a preset, and those of a medium."""

from __future__ import annotations

from dataclasses import MISSING
from typing import Any

from generator.markdown import NOTE, cell, code, table
from vidtrans.config import recipe
from vidtrans.core.options import Names, Option, option_of
from vidtrans.core.settings import setting_fields
from vidtrans.strokes.media import TABLES, load_medium, medium_names
from vidtrans.strokes.medium import LINES


def settings_page() -> str:
    """Return the page with every setting of every table."""
    text = f"{NOTE}# Settings\n\nThe tables of a preset. `--set TABLE.KEY=VALUE` sets one for a run; "
    text += "[which one counts](../guides/settings.md#which-one-counts) says what outranks what.\n"
    for section in recipe.TABLES:
        text += f"\n## Table [{section}]\n"
        if section in recipe.SETTINGS:
            text += f"\n{_settings(recipe.SETTINGS[section].load())}"
            continue
        registry = recipe.REGISTRIES[section].load()
        text += f"\n`name` chooses one of those below; the default is `{recipe.CHOICES[section]}`. The other keys are "
        text += "the settings of the choice.\n"
        for name, entry in registry.builtin.items():
            text += (
                f"\n### {section}.name = {name}\n\n{cell(entry.summary)}\n\n{_settings(registry.load(name).Settings)}"
            )
    return text


def media_page() -> str:
    """Return the page with every key of every table of a medium, and the media that ship."""
    text = f"{NOTE}# Media of painters\n\nThe tables of a medium's file; [a medium](../extend/medium.md) shows one. "
    text += f"Every key may be left out. Lengths are in lines of a picture of {LINES} lines.\n"
    for name, (cls, is_list) in TABLES.items():
        title = f"[[{name}]]" if is_list else f"[{name}]"
        summary = (cls.__doc__ or "").partition(": ")[2] or cls.__doc__ or ""
        text += f"\n## {title}\n\n{cell(summary[:1].upper() + summary[1:])}\n\n{_settings(cls)}"
    rows = [[code(name), cell(load_medium(name).summary)] for name in medium_names()]
    text += "\n## The media that ship\n\nA file for each is in `vidtrans/assets/media/`.\n\n"
    return text + table(["name", "what it looks like"], rows)


def _settings(cls: type) -> str:
    """Return a table of the settings of one class."""
    rows = []
    for name, (field, hint) in setting_fields(cls).items():
        default = field.default if field.default is not MISSING else field.default_factory()  # type: ignore[misc]
        kind = getattr(hint, "__name__", "") if isinstance(hint, type) else ""
        rows.append(
            [
                code(name),
                code(_value(default)),
                _range(option_of(field)) or cell(kind or str(hint).replace("NoneType", "None")),
                cell(option_of(field).help),
            ]
        )
    return table(["key", "default", "values", "what it does"], rows) if rows else "It has no settings.\n"


def _value(value: Any) -> str:
    """Return a default as TOML writes it; None is written "none"."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return "[" + ", ".join(_value(v) for v in value) + "]"
    return '"none"' if value is None else f'"{value}"' if isinstance(value, str) else f"{value}"


def _range(given: Option) -> str:
    """Return the choices or bounds of a setting in words; '' where it has none."""
    if given.choices is not None and not (isinstance(given.choices, Names) and given.choices.prefix):
        return ", ".join(f"`{choice}`" for choice in given.choices)
    low, high = given.bounds or (None, None)
    if low is None and high is None:
        return ""
    return f"{low} to {high}" if None not in (low, high) else f"at least {low}" if high is None else f"at most {high}"
