"""The Python functions: the reference page, and the stub that type checkers read."""

from __future__ import annotations

import dataclasses
import inspect
import types
import typing
from pathlib import Path
from typing import Any

import vidtrans
from generator.markdown import NOTE
from vidtrans.commands import COMMANDS, FUNCTIONS
from vidtrans.commands.python_functions import function_of
from vidtrans.commands.results import CommandResult, ResultField
from vidtrans.core import errors, events
from vidtrans.core.events import Report

FRAMES = """Frames go in and come out: numpy arrays or torch tensors, (H, W, 3) RGB in uint8 or uint16; results are of
the same kind. Nothing of the command line is imported. Threads may share clips and models."""
PYTHON = """The commands as functions, with plain arguments: paths and times may be text, and of several one may be
given as it is. Each returns the table that `--json` prints, as a [result](#results) with
typed attributes. `settings` are tables as in a preset, say
`{"training": {"lr": 4e-4}}`. `report` is called with [progress](#progress-and-stops), and `stop` ends a job. Mistakes
raise [errors](#errors); where some of several clips or trainings failed, that is `BatchError`, after all others are
done."""
NAMES = """Lists of the media, and of the endings of model files, for programs that show them."""
EVENTS = """A callback, `report=`, gets an `Event`: one of the classes here. A job whose `Stop` was requested finishes
the frame or the step, keeps what is done, and raises `Interrupted`."""
ERRORS = """All of them are `VidtransError`s: `str(error)` is one line that says what happened, why, and what to do;
`exit_status` is that of the command line. Other exceptions are bugs, or come from your own generator or callback."""


def python_page() -> str:
    """Return the page with the functions of the Python API and what all of them take."""
    text = f"{NOTE}# Python\n\n{PYTHON}\n"
    for name in sorted(FUNCTIONS):
        function = getattr(vidtrans, name)
        text += (
            f"\n## vidtrans.{name}\n\n```python\nvidtrans.{name}{_signature(function)}\n```\n\n{_docstring(function)}\n"
        )
    return text + _results_section() + _frames_section() + _names_section() + _events_section() + _errors_section()


def _results_section() -> str:
    """Return the section on what the functions return."""
    text = f"\n## Results\n\n{_docstring(CommandResult)}\n"
    for name, kind in sorted(_results().items()):
        facts = {n: f for cls in kind.__mro__ for n, f in vars(cls).items() if isinstance(f, ResultField | property)}
        functions = [n for n in sorted(FUNCTIONS) if _result_of(getattr(vidtrans, n)) is kind]
        text += f"\n### vidtrans.{name}\n\n{_docstring(kind)}"
        if kind is not CommandResult:
            text += f" Of {', '.join(f'`{function}`' for function in functions)}."
        text += "\n\n| attribute | type | |\n|---|---|---|\n"
        for attribute, fact in sorted(facts.items()):
            shown = _type_of(fact).replace("|", "\\|")
            text += f"| `{attribute}` | `{shown}` | {_docstring(fact)} |\n"
    return text


def _results() -> dict[str, type[CommandResult]]:
    things = {name: getattr(vidtrans, name) for name in vidtrans.LIBRARY}
    return {n: thing for n, thing in things.items() if inspect.isclass(thing) and issubclass(thing, CommandResult)}


def _result_of(function: Any) -> Any:
    return inspect.signature(function).return_annotation


def _type_of(fact: ResultField[Any] | property) -> str:
    """Return the type of an attribute: that of the function that reads it."""
    if isinstance(fact, property):
        return str(inspect.signature(fact.fget).return_annotation)
    name: str = fact.read.__name__
    return name if inspect.isclass(fact.read) or " | " in name else str(inspect.signature(fact.read).return_annotation)


def _frames_section() -> str:
    """Return the section on the classes and functions that take and give frames."""
    text = f"\n## Frames\n\n{FRAMES}\n"
    for name in _names_in("vidtrans.library"):
        thing = getattr(vidtrans, name)
        text += f"\n### vidtrans.{name}\n\n{_docstring(thing)}\n"
        if not inspect.isclass(thing):
            continue
        for member, value in vars(thing).items():
            if member in ("__call__", "__iter__", "__init__") or not member.startswith("_"):
                found = value.fget if isinstance(value, property) else value
                if inspect.isfunction(found) and found.__doc__ and "Not for users" not in found.__doc__:
                    shown = name if member == "__init__" else f"{name}.{member}"
                    text += f"\n#### vidtrans.{shown}\n\n{_docstring(found)}\n"
    return text


def _names_in(*places: str) -> list[str]:
    """Return the public names whose module is one of ``places``, or in it."""
    return sorted((n for n, found in vidtrans.LIBRARY.items() if found.startswith(places)), key=str.casefold)


def _names_section() -> str:
    """Return the section on the functions that list media and files of models."""
    names = _names_in("vidtrans.strokes", "vidtrans.models")
    return f"\n## Names\n\n{NAMES}\n" + "".join(
        f"\n### vidtrans.{n}\n\n{_docstring(getattr(vidtrans, n))}\n" for n in names
    )


def _events_section() -> str:
    """Return the section on what callbacks get, and on stops."""
    text = f"\n## Progress and stops\n\n{EVENTS}\n"
    for name in _names_in(events.__name__):
        thing = getattr(vidtrans, name)
        if not inspect.isclass(thing):
            continue
        text += f"\n### vidtrans.{name}\n\n{_docstring(thing)}\n"
        fields = [f"`{one.name}: {one.type}`" for one in dataclasses.fields(thing)] if name != "Stop" else []
        text += f"\nAttributes: {', '.join(fields)}.\n" if fields else ""
        for member, function in vars(thing).items():
            if inspect.isfunction(function) and not member.startswith("_"):
                text += f"\n#### vidtrans.{name}.{member}\n\n{_docstring(function)}\n"
    kinds = " | ".join(f"`{kind.__name__}`" for kind in typing.get_args(events.Event))
    return f"{text}\n`Event` is {kinds}, and `Report` a callable that takes one: to annotate callbacks.\n"


def _errors_section() -> str:
    """Return the section on the errors."""
    text = f"\n## Errors\n\n{ERRORS}\n\n| error | is a | exit | |\n|---|---|---|---|\n"
    for name in _names_in(errors.__name__):
        error = getattr(vidtrans, name)
        status = "130, 143" if error is errors.Interrupted else error.exit_status
        first = _docstring(error).partition("\n")[0]
        text += f"| `{name}` | `{error.__base__.__name__}` | {status} | {first} |\n"
    return text


def _signature(function: Any) -> str:
    """Return a function's signature, one parameter a line."""
    signature = inspect.signature(function)
    parts = [_typed(parameter, with_default=True) for parameter in signature.parameters.values()]
    at = next((i for i, p in enumerate(signature.parameters.values()) if p.kind is p.KEYWORD_ONLY), None)
    if at is not None:
        parts.insert(at, "*")
    result = signature.return_annotation.__name__
    return "(\n" + "".join(f"    {part},\n" for part in parts) + f") -> {result}"


def stub() -> str:
    """Return what type checkers and editors read of the package: every command as a function, fully typed."""
    text = '''"""The commands as functions, and frames. Written by docs/generate.py: change these, not this file."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vidtrans.core.settings import Time
LIBRARY_IMPORTS
__version__: str
LIBRARY: dict[str, str]
'''
    places = [(name, *place.split(":")) for name, place in sorted(vidtrans.LIBRARY.items())]
    imported = sorted(f"from {module} import {own} as {own}\n" for _, module, own in places)
    renamed = [f"\n{name} = {own}\n" for name, _, own in places if name != own]
    text = text.replace("LIBRARY_IMPORTS\n", "".join(imported) + "\n") + "".join(renamed)
    for name in sorted(FUNCTIONS):
        function = function_of(COMMANDS.load(FUNCTIONS[name]), name)
        parameters = inspect.signature(function).parameters.values()
        parts = [_typed(parameter) for parameter in parameters]
        at = next((i for i, p in enumerate(parameters) if p.kind is p.KEYWORD_ONLY), None)
        if at is not None:
            parts.insert(at, "*")
        doc = inspect.cleandoc(function.__doc__ or "").replace("\n", "\n    ").replace("\n    \n", "\n\n")
        lines = "".join(f"    {part},\n" for part in parts)
        result = inspect.signature(function).return_annotation.__name__
        text += f'\ndef {name}(\n{lines}) -> {result}:\n    """{doc}"""\n'
    return text


def _typed(parameter: inspect.Parameter, *, with_default: bool = False) -> str:
    """Return a parameter as signatures have it; without its default, as a stub."""
    default = parameter.default
    if with_default and default is not parameter.empty:
        shown = (
            default.__name__
            if inspect.isfunction(default)
            else f'"{default}"'
            if isinstance(default, Path)
            else repr(default)
        )
    else:
        shown = "..."
    return f"{parameter.name}: {_type_name(parameter.annotation)}" + (
        "" if default is parameter.empty else f" = {shown}"
    )


def _type_name(kind: Any) -> str:
    """Return a type as the stub's imports name it."""
    if kind is Report:
        return "Report"
    args = typing.get_args(kind)
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        # The order of a union is that of the first equal one in the process.
        names = sorted(_type_name(arg) for arg in args if arg is not type(None))
        return " | ".join([*names, *(["None"] if type(None) in args else [])])
    if args:
        return f"{typing.get_origin(kind).__name__}[{', '.join(map(_type_name, args))}]"
    return "Any" if kind is Any else str(kind.__name__)


def _docstring(thing: Any) -> str:
    return inspect.cleandoc(thing.__doc__ or "").replace("``", "`")
