"""What may stand after an option: paths, times, and names of registries, models and presets."""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from vidtrans.errors import UsageError

# In a click context's ``meta``: the paths that were typed as folders, with a slash at their end.
FOLDERS = "vidtrans.folders"


class AnyPath(click.Path):
    """A path; whether it is there and of the right kind, the pipeline says better."""

    def __init__(self) -> None:
        super().__init__(path_type=Path, readable=False)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":  # an unset variable of the shell, as a rule; Path("") would be the current folder
            raise UsageError("an empty path", "nothing was given where a file is expected", "name the file")
        path = super().convert(value, param, ctx)
        if ctx is not None and str(value).endswith(("/", os.sep)):
            ctx.meta.setdefault(FOLDERS, set()).add(path)
        return path


class Moment(click.ParamType):
    """A time on a clip; "" is none."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from vidtrans.settings import parse_time

        return (parse_time(value) if value else None) if isinstance(value, str) else value


class RegistryName(click.ParamType):
    """A name of a registry, "module:REGISTRY", which is not read before it is needed, or of ``others``.

    ``prefix``: what begins with it is taken as it is.
    """

    name = "name"

    def __init__(self, path: str, kind: str, *others: str, prefix: str = "") -> None:
        self.path, self.kind, self.others, self.prefix = path, kind, others, prefix

    def names(self) -> Sequence[str]:
        module, _, name = self.path.partition(":")
        return [*self.others, *getattr(importlib.import_module(module), name)]

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        return "[" + "|".join(self.names()) + "]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from vidtrans.registry import unknown_name

        if value not in self.names() and not (self.prefix and value.startswith(self.prefix)):
            raise unknown_name(self.kind, value, [*self.names(), *([self.prefix + "NAME"] if self.prefix else [])])
        return value

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return [CompletionItem(name) for name in self.names() if name.startswith(incomplete)]


class ExecutorName(RegistryName):
    """An executor's name, and for some an address."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        super().convert(value.partition("://")[0], param, ctx)
        return value


class ModelName(click.ParamType):
    """A model's file or name."""

    name = "model"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from vidtrans.models.model_file import IDENTITY, known_models

        names = [CompletionItem(name) for name in [*known_models(), IDENTITY] if name.startswith(incomplete)]
        return names or [CompletionItem(incomplete, type="file")]


class PresetName(click.ParamType):
    """A preset's name or file."""

    name = "preset"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from vidtrans.config.recipe import preset_names

        names = [CompletionItem(name) for name in preset_names() if name.startswith(incomplete)]
        return names or [CompletionItem(incomplete, type="file")]


FILE, TIME, MODEL, PRESET = AnyPath(), Moment(), ModelName(), PresetName()
