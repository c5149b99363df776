"""Click types of option values: paths, times, and names of registries, models and presets."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from vidtrans.core.errors import UsageError
from vidtrans.core.parameters import FileName, Names, Parameter
from vidtrans.core.registry import unknown_name, with_package

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
WIDEST_CHOICE = 30  # characters; longer lists of names are not shown next to the flag


def _refuse_address(value: object) -> None:
    """Raise UsageError for a URL: only files are read and written."""
    if _ADDRESS.match(str(value)):
        remedy = "give a path; download what is on the web first"
        raise UsageError(str(value), "it is an address, not a file of this machine", remedy)


class _AnyPath(click.Path):
    """A path, which only the command checks, with better messages. ``as_typed``: convert to text, not a Path."""

    def __init__(self, *, as_typed: bool = False) -> None:
        super().__init__(path_type=str if as_typed else Path, readable=False)

    def convert(
        self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None
    ) -> str | bytes | os.PathLike[str]:
        if value == "":  # usually an unset shell variable; Path("") would be the current folder
            raise UsageError("an empty path", "a file name is expected", "give the name of a file")
        _refuse_address(value)
        return super().convert(value, param, ctx)


class _PathAsTyped(_AnyPath):
    """A path as text, or a text with one, as not:FILE; environment variables hold one on each line."""

    envvar_list_splitter = "\n"

    def __init__(self) -> None:
        super().__init__(as_typed=True)


class _PartOfClip(click.ParamType):
    """A part of a clip, as in 3/8 or 3-5/8; "" gives None."""

    name = "part"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> object:
        from vidtrans.store.chunking import ClipPart

        return (ClipPart.parse(value) if value else None) if isinstance(value, str) else value


class _TimeOnClip(click.ParamType):
    """A time in a clip; "" gives None."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> object:
        from vidtrans.core.settings import parse_time

        return (parse_time(value) if value else None) if isinstance(value, str) else value


class RegistryName(click.ParamType):
    """A name in a registry, which is imported only when needed."""

    name = "name"

    def __init__(self, values: Names) -> None:
        self.values = values

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        """Return all names, or NAME if they are too long."""
        whole = f"[{'|'.join(self.values.all())}]"
        return whole if len(whole) <= WIDEST_CHOICE else "NAME"

    def words(self) -> str:
        """Return the names as text for the help, or '' if the metavar shows them."""
        all_names, packages = self.values.all(), self.values.packages()
        if len(", ".join(all_names)) + 2 <= WIDEST_CHOICE:
            return ""
        return ", ".join(with_package(name, packages) for name in all_names)

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the value. Raises UsageError if it is not a known name."""
        prefix = self.values.prefix
        name = value.partition("://")[0] if self.values.has_address else value
        if name not in self.values and not (prefix and name.startswith(prefix)):
            names = [*self.values, *([prefix + "NAME"] if prefix else [])]
            raise unknown_name(self.values.kind, name, names, self.values.packages())
        return value

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return the names that start with ``incomplete``."""
        return [CompletionItem(name) for name in self.values.all() if name.startswith(incomplete)]


class FileOrName(click.ParamType):
    """A file, or one of the names that ``names`` returns. Environment variables hold lists separated as in PATH."""

    envvar_list_splitter = os.pathsep

    def __init__(self, name: str, names: Callable[[], list[str]]) -> None:
        self.name, self._names = name, names

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the value. Raises UsageError for a URL."""
        _refuse_address(value)
        return value

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return the names that start with ``incomplete``; if none, let the shell complete a file name."""
        names = [CompletionItem(name) for name in self._names() if name.startswith(incomplete)]
        return names or [CompletionItem(incomplete, type="file")]


def _model_names() -> list[str]:
    from vidtrans.models.model_file import IDENTITY, known_models

    return [*known_models(), IDENTITY]


def _preset_names() -> list[str]:
    from vidtrans.config.recipe import preset_names

    return preset_names()


def _medium_names() -> list[str]:
    from vidtrans.strokes.media import medium_names

    return list(medium_names())


FILE, PATH_AS_TYPED, TIME, PART = _AnyPath(), _PathAsTyped(), _TimeOnClip(), _PartOfClip()
FILES_OR_NAMES = {
    "model": FileOrName("model", _model_names),
    "preset": FileOrName("preset", _preset_names),
    "look": FileOrName("look", _medium_names),
    "medium": FileOrName("medium", _medium_names),
}


def refuse_second_look(args: Sequence[str], parameters: Mapping[str, Parameter]) -> None:
    """Raise UsageError for two looks where one is taken: the last would win, and the other go unnoticed."""
    own = (p for p in parameters.values() if p.given.values == FileName("look") and not p.many)
    for flag in (flag for p in own for flag in p.flags):
        if sum(arg.partition("=")[0] == flag for arg in args) > 1:
            remedy = 'mix pictures as in "a.jpg: 0.5, b.jpg: 0.5", or let them follow as in "0: a.jpg, 5s: b.jpg"'
            raise UsageError(flag, "it was given twice", remedy)
