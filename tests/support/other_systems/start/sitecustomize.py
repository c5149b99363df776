"""Emulate another system in this process, before any other module is imported: see ``other_systems``."""

import importlib.util
import os
import sys
from pathlib import Path

if os.environ.get("EMULATED_SYSTEM"):
    folder = Path(__file__).resolve().parents[1]
    spec = importlib.util.spec_from_file_location(
        "other_systems", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    module = sys.modules["other_systems"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.emulate(os.environ["EMULATED_SYSTEM"])
    module.emulate_output()
