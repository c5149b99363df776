"""Requests on record: what a result was made of, so that it can be made again with corrections.

Paths are relative to the folder that the cache lies in: a working folder that is moved keeps its records.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import fields, replace
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
from vidtrans.video.io.encoding import split_pattern

AUTO, OFF = "auto", "off"  # of rendering.cuts: no file
REQUESTS: dict[str, type[Any]] = {"stylize": StylizeRequest, "propagate": PropagateRequest, "fix": FixRequest}
Remade = StylizeRequest | PropagateRequest | FixRequest


def describe(request: Remade, context: Context) -> Table:
    """Return a request and the options that decide its result, to be read by ``remake``."""
    name = next(name for name, cls in REQUESTS.items() if isinstance(request, cls))
    values = {field.name: _plain(getattr(request, field.name), _root(context)) for field in fields(request)}
    if isinstance(request, StylizeRequest):
        files = [find_model(name) for name in request.models]
        values["models"] = [IDENTITY if file is None else _relative(file, _root(context)) for file in files]
    return {"command": name, "request": values, "options": {"seed": context.seed, "device": context.device}}


def remake(output: Path, context: Context) -> tuple[Remade, Table, str]:
    """Return the request that made an output, its options, ``seed`` and ``device``, and the digest of all of that.

    What is on record may come from somebody else: nothing of it says where to write, or runs a program. Raises
    UsageError where it is not on record, or not to be made again.
    """
    if not output.exists():
        raise UsageError(str(output), "no such file or folder", "give a result of 'stylize' or 'propagate'")
    value = recorded(context.cache, output)
    if value is None:
        why = "it is not on record as a result, or it was changed since"
        raise UsageError(str(output), why, "give what 'stylize' or 'propagate' has written, and their --cache-dir")
    made_of = value.get("made_of") or {}
    if not isinstance(made_of, dict) or made_of.get("command") not in REQUESTS:
        raise UsageError(str(output), "no result of 'stylize' or 'propagate'", "give one")
    try:
        request = _request(made_of, output, _root(context))
        options = {"seed": int(made_of["options"]["seed"]), "device": str(made_of["options"]["device"])}
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise UsageError(str(output), f"what is on record of it is damaged ({error})", "make it anew first") from None
    if not isinstance(request, FixRequest):
        refuse_programs(request.recipe.tables, f"the record of {output.name}")
    return request, options, str(value["request"])


def _request(made_of: Table, output: Path, root: Path) -> Remade:
    values: dict[str, Any] = {name: _restored(given, root) for name, given in made_of["request"].items()}
    cls = REQUESTS[made_of["command"]]
    if cls is StylizeRequest:
        names = [str(name) for name in values["models"]]
        values["models"] = tuple(name if name == IDENTITY else os.path.relpath(root / name) for name in names)
    request: Remade = cls(**values)
    if isinstance(request, PropagateRequest):
        request = replace(request, preview=False)
    return request if isinstance(request, FixRequest) else replace(request, output=_place(request.output, output))


def _place(asked: Path | None, output: Path) -> Path:
    """Return an output as it was asked for: with the numbers of its pictures, where they have some."""
    pattern = split_pattern(asked)[1] if asked else ""
    return output / pattern if pattern else output


def _root(context: Context) -> Path:
    return context.cache.root.resolve().parent


def _relative(path: Path, root: Path) -> str:
    try:
        return os.path.relpath(path.absolute(), root)
    except ValueError:  # Windows: another drive
        return str(path.absolute())


def _plain(value: object, root: Path) -> Any:  # noqa: ANN401  (as JSON has it)
    if isinstance(value, Path):
        return {"path": _relative(value, root)}
    if isinstance(value, Time):
        return {"time": str(value)}
    if isinstance(value, Recipe):
        tables, from_preset = (
            {name: dict(table) for name, table in found.items()} for found in (value.tables, value.from_preset)
        )
        if (cuts := _cut_list(tables)) is not None:
            tables["rendering"]["cuts"] = _relative(Path(cuts), root)
        recipe = {"preset": value.preset, "tables": tables, "from_preset": from_preset}
        return {"recipe": recipe | {"pairing_changes": dict(value.pairing_changes)}}
    return value


def _restored(value: Any, root: Path) -> object:  # noqa: ANN401
    if not isinstance(value, dict):
        return value
    ((kind, given),) = value.items()
    if kind == "path":
        return Path(_relative(root / given, Path.cwd()))
    if kind == "time":
        return parse_time(given)
    if (cuts := _cut_list(given["tables"])) is not None:
        given["tables"]["rendering"]["cuts"] = _relative(root / cuts, Path.cwd())
    return Recipe(**given)


def _cut_list(tables: Mapping[str, Table]) -> str | None:
    """Return the file of cuts that a recipe names; None where it names none."""
    cuts = tables.get("rendering", {}).get("cuts", AUTO)
    return None if cuts in (AUTO, OFF) else str(cuts)
