"""Stand-ins for libraries that this system does not have."""

from __future__ import annotations

import types
from typing import Any


def module(name: str, **names: Any) -> types.ModuleType:
    """Return a module with these names."""
    made = types.ModuleType(name)
    made.__dict__.update(names)
    return made


def foundation() -> types.ModuleType:
    """Return a stand-in for macOS's Foundation, whose event loop does nothing."""
    date = types.SimpleNamespace(dateWithTimeIntervalSinceNow_=lambda seconds: seconds)
    loop = types.SimpleNamespace(currentRunLoop=lambda: types.SimpleNamespace(runUntilDate_=lambda until: None))
    return module("Foundation", NSDate=date, NSRunLoop=loop)
