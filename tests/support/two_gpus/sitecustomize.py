"""Python imports this in processes whose PYTHONPATH holds its folder; see ``pretend``."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import pretend

AFTER = {"vidtrans.machine": pretend.of_machine, "vidtrans.inference.device": pretend.of_torch}


class Loader(importlib.abc.Loader):
    """Run a module, and then change what ``AFTER`` says."""

    def __init__(self, loader: Any) -> None:
        self.loader = loader

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        made: ModuleType | None = self.loader.create_module(spec)
        return made

    def exec_module(self, module: ModuleType) -> None:
        self.loader.exec_module(module)
        for owner, name, value in AFTER[module.__name__](module):
            setattr(owner, name, value)


class Finder(importlib.abc.MetaPathFinder):
    """Find the modules of ``AFTER`` as Python does."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name not in AFTER:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        assert spec is not None
        spec.loader = Loader(spec.loader)
        return spec


sys.meta_path.insert(0, Finder())
