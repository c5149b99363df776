"""Requests on record: what a result was made of, so that it can be made again with corrections.

Paths are relative to the folder that the cache lies in: a working folder that is moved keeps its records.
"""

from __future__ import annotations

import os
from dataclasses import fields
from pathlib import Path
from typing import Any

from vidtrans.config.programs import refuse_programs
from vidtrans.config.recipe import Recipe
from vidtrans.errors import UsageError
from vidtrans.models.model_file import IDENTITY, find_model
from vidtrans.output.target import recorded
from vidtrans.requests import FixRequest, PropagateRequest, StylizeRequest
from vidtrans.session import Context
from vidtrans.settings import Table, Time, parse_time

REQUESTS: dict[str, type[Any]] = {"stylize": StylizeRequest, "propagate": PropagateRequest, "fix": FixRequest}
Remade = StylizeRequest | PropagateRequest | FixRequest


def describe(request: Remade, context: Context) -> Table:
    """Return a request and the options that decide its result, to be read by ``remake``."""
    name = next(name for name, cls in REQUESTS.items() if isinstance(request, cls))
    values = {field.name: _plain(getattr(request, field.name), _root(context)) for field in fields(request)}
    if isinstance(request, StylizeRequest) and (model := find_model(request.model)) is not None:
        values["model"] = _plain(model, _root(context))["path"]
    return {"command": name, "request": values, "options": {"seed": context.seed, "device": context.device}}


def remake(output: Path, context: Context) -> tuple[Remade, Table, str]:
    """Return the request that made an output, its options, ``seed`` and ``device``, and the digest of all of that.

    Raises UsageError where that is not on record, or it would run a program.
    """
    if not output.exists():
        raise UsageError(str(output), "no such file or folder", "give a result of 'stylize' or 'propagate'")
    value = recorded(context.cache, output)
    if value is None:
        why = "it is not on record as a result, or it was changed since"
        raise UsageError(str(output), why, "give what 'stylize' or 'propagate' has written, and their --cache-dir")
    made_of = value["made_of"]
    if made_of.get("command") not in REQUESTS:
        raise UsageError(str(output), "no result of 'stylize' or 'propagate'", "give one")
    root, cls = _root(context), REQUESTS[made_of["command"]]
    values = {name: _restored(given, root) for name, given in made_of["request"].items()}
    if cls is StylizeRequest and values["model"] != IDENTITY:
        values["model"] = os.path.relpath(root / str(values["model"]))
    recipe = values.get("recipe")
    if isinstance(recipe, Recipe):
        refuse_programs(recipe.tables, f"the record of {output.name}")
    request: Remade = cls(**values)
    return request, made_of["options"], value["request"]


def _root(context: Context) -> Path:
    return context.cache.root.resolve().parent


def _plain(value: object, root: Path) -> Any:  # noqa: ANN401  (as JSON has it)
    if isinstance(value, Path):
        return {"path": os.path.relpath(value.absolute(), root)}
    if isinstance(value, Time):
        return {"time": str(value)}
    if isinstance(value, Recipe):
        tables, from_preset = (
            {name: dict(table) for name, table in found.items()} for found in (value.tables, value.from_preset)
        )
        changes = dict(value.pairing_changes)
        return {
            "recipe": {
                "preset": value.preset,
                "tables": tables,
                "from_preset": from_preset,
                "pairing_changes": changes,
            }
        }
    return value


def _restored(value: Any, root: Path) -> object:  # noqa: ANN401
    if not isinstance(value, dict):
        return value
    ((kind, given),) = value.items()
    if kind == "path":
        return Path(os.path.relpath(root / given))
    return parse_time(given) if kind == "time" else Recipe(**given)
