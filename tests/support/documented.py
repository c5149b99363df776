"""Which keys of a JSON result the reference describes."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

FILE = Path(__file__).resolve().parents[2] / "docs" / "json_keys.toml"


@cache
def described() -> dict[str, Any]:
    """Return docs/json_keys.toml."""
    return tomllib.loads(FILE.read_text(encoding="utf-8"))


@cache
def _pattern(command: str) -> re.Pattern[str]:
    keys = [key for group in described()["commands"][command] for key in described()["groups"][group]["keys"]]
    # A key describes what it lies in as well: "held_out.psnr" says that there is a table held_out.
    keys += [".".join(key.split(".")[:n]) for key in keys for n in range(1, key.count(".") + 1)]
    parts = [re.escape(key).replace(r"\*\*", ".+").replace(r"\*", r"[^\[]+") for key in keys]
    return re.compile("|".join(parts))


def _paths(value: Any, path: str = "") -> Iterator[str]:
    for key, inner in value.items() if isinstance(value, dict) else ():
        yield f"{path}{key}"
        yield from _paths(inner, f"{path}{key}.")
    for inner in value if isinstance(value, list) else ():
        yield from _paths(inner, f"{path.rstrip('.')}[].")


def undescribed(command: str, table: dict[str, Any]) -> set[str]:
    """Return the keys of a command's result that the reference does not describe; the items of a batch are results."""
    paths = {path.removeprefix("items[].") for path in _paths(table)}
    return {path for path in paths if not _pattern(command).fullmatch(path)}


def check_described(arguments: tuple[object, ...], table: dict[str, Any]) -> dict[str, Any]:
    """Return the result of ``vidtrans ARGUMENTS --json``; fail where a key of it is not described."""
    words = [str(argument) for argument in arguments]
    [command] = [name for name in described()["commands"] if name.split() == words[: len(name.split())]]
    missing = undescribed(command, table)
    assert missing == set(), f"describe {missing} in {FILE.name}"
    return table
