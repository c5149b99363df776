"""Stand-in for ``comfy.utils``."""

from __future__ import annotations

from typing import Any

SHOWN: list[tuple[Any, Any, Any]] = []


class ProgressBar:
    def __init__(self, total: Any, node_id: Any = None) -> None:
        self.total = total

    def update_absolute(self, value: Any, total: Any = None, preview: Any = None) -> None:
        SHOWN.append((value, total, preview))
