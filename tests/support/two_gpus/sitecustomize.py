"""Python imports this in processes whose PYTHONPATH holds its folder; see ``pretend``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

import pretend

AFTER = {"vidtrans.core.machine": pretend.of_machine, "vidtrans.inference.device": pretend.of_torch}


class Finder(MetaPathFinder):
    """Find the modules of ``AFTER`` as Python does, and change what that says when they have run."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name not in AFTER:
            return None
        spec = PathFinder.find_spec(name, path, target)
        assert spec is not None
        loader: Any = spec.loader
        run = loader.exec_module

        def run_and_change(module: ModuleType) -> None:
            run(module)
            for owner, attribute, value in AFTER[name](module):
                setattr(owner, attribute, value)

        loader.exec_module = run_and_change
        return spec


sys.meta_path.insert(0, Finder())
