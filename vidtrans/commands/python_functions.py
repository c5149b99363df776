"""Functions of the Python API, made from commands: plain arguments in, a typed result out."""

from __future__ import annotations

import inspect
import math
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING
from pathlib import Path
from typing import Any

from vidtrans.commands.base import Command, build, parameters_of
from vidtrans.commands.results import CommandResult
from vidtrans.core.errors import BatchError, UsageError
from vidtrans.core.events import Report, Stop
from vidtrans.core.options import Parameter
from vidtrans.core.settings import Time, parse_time
from vidtrans.notebooks.progress import notebook_report
from vidtrans.session import Context
from vidtrans.store.chunking import ClipPart


def convert(parameter: Parameter, value: Any) -> Any:  # noqa: ANN401  (of any parameter)
    """Convert an argument of a Python function: text to a path or time, and a single value to a tuple.

    Raises UsageError.
    """
    if value is None or (value == "" and parameter.type in (Time, ClipPart)):
        return None
    if parameter.many:
        items = [value] if isinstance(value, str | Path) else value
        return tuple(_convert_item(parameter.type, item) for item in items)
    return _convert_item(parameter.type, value)


def _convert_item(kind: Any, value: Any) -> Any:  # noqa: ANN401
    """Convert a single value to the type ``kind``: text to a path, time or part of a clip, or a path to text."""
    if kind is Path:
        return Path(value)
    if kind is Time and isinstance(value, str):
        return parse_time(value)
    if kind is ClipPart and isinstance(value, str):
        return ClipPart.parse(value)
    return str(value) if kind is str and isinstance(value, Path) else value


def check_ranges(parameters: Mapping[str, Parameter], values: Mapping[str, Any]) -> None:
    """Raise UsageError if a number is out of its parameter's bounds. The recipe checks the settings itself.

    ``parameters`` and ``values`` are by Python name.
    """
    for name, value in values.items():
        parameter = parameters.get(name)
        if value is None or parameter is None or parameter.owner == "recipe" or parameter.option.bounds is None:
            continue
        option, (low, high) = parameter.option, parameter.option.ends
        if not (low < value if option.low_open else low <= value) or value > high:
            least = "" if low == -math.inf else f"{'more than' if option.low_open else 'at least'} {low:g}"
            most = "" if high == math.inf else f"at most {high:g}"
            remedy = f"choose {' and '.join(filter(None, (least, most)))}"
            raise UsageError(f"{parameter.flags[-1]} {value}", "out of bounds", remedy)


def function_of(cls: type[Command], name: str) -> Callable[..., CommandResult]:
    """Return a Python function that runs a command; it also accepts paths and times as text.

    ``name``: the function's name.
    """
    known = parameters_of(cls)
    signature = _signature(cls)

    def call(*args: Any, **kwargs: Any) -> CommandResult:  # noqa: ANN401  (the signature names them)
        """Run the command with Python arguments; return its result. Raises BatchError if items failed."""
        option = signature.bind(*args, **kwargs).arguments
        report, stop = option.pop("report", None), option.pop("stop", None)
        preset, settings = option.pop("preset", None), option.pop("settings", None)
        values = {n: convert(known[n], value) for n, value in option.items() if n in known}
        check_ranges(known, values)
        command, options = build(cls, {n: v for n, v in values.items() if v is not None}, preset, settings)
        with notebook_report(report) as show:
            table = command.make(Context(**options, report=show, stop=stop or Stop()))
        if failed := table.get("failed"):
            errors = "; ".join(f"{what}: {error}" for what, error in failed.items())
            total = len(failed) + sum(len(table.get(key, ())) for key in ("items", "rows", "pending"))
            raise BatchError(f"{len(failed)} of {total} failed", errors)
        return cls.RESULT(table, command.describe)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = cls.__doc__
    call.__signature__ = signature  # type: ignore[attr-defined]
    return call


def _signature(cls: type[Command]) -> inspect.Signature:
    """Return the signature of a command's Python function: arguments and ``output`` positional, others keyword-only."""
    keyword_only: list[inspect.Parameter] = []
    positional: list[inspect.Parameter] = []
    for parameter in parameters_of(cls).values():
        default = None if parameter.owner == "recipe" else parameter.default
        default = inspect.Parameter.empty if default is MISSING else default
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD if parameter.is_positional else inspect.Parameter.KEYWORD_ONLY
        one = inspect.Parameter(parameter.name, kind, default=default, annotation=python_annotation(parameter))
        (positional if parameter.is_positional else keyword_only).append(one)
    extra: list[tuple[str, Any, Any]] = []
    if cls.TABLES:
        extra += [("preset", str | None, None), ("settings", Mapping[str, Mapping[str, Any]] | None, None)]
    extra += [("report", Report | None, None), ("stop", Stop | None, None)]
    keyword = inspect.Parameter.KEYWORD_ONLY
    keyword_only += [inspect.Parameter(n, keyword, default=d, annotation=a) for n, a, d in extra]
    return inspect.Signature([*positional, *keyword_only], return_annotation=cls.RESULT)


def python_annotation(parameter: Parameter) -> Any:  # noqa: ANN401  (a type)
    """Return the type annotation of a parameter in the signature of the Python function."""
    kind = {Path: str | Path, Time: str | Time, ClipPart: str}.get(parameter.type, parameter.type)
    if parameter.type is str and parameter.access == "path":
        kind = str | Path
    if parameter.many:
        kind = kind | Sequence[kind]  # type: ignore[valid-type]
    optional = parameter.owner == "recipe" or parameter.default is None
    return typing.Optional[kind] if optional else kind  # noqa: UP045  (a type that is only known here)
