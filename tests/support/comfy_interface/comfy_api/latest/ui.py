"""Stand-in for ``comfy_api.latest.ui``."""

from __future__ import annotations

from typing import Any


class SavedResult(dict[str, Any]):
    def __init__(self, filename: str, subfolder: str, type: Any) -> None:
        super().__init__(filename=filename, subfolder=subfolder, type=str(type.value))


class PreviewVideo:
    def __init__(self, values: list[Any]) -> None:
        self.values = values


class PreviewText:
    def __init__(self, value: str) -> None:
        self.value = value
