"""Stand-in for ``comfy.model_management``."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any


class InterruptProcessingException(Exception): ...


DEVICE = SimpleNamespace(type="cpu")
CALLS: list[str] = []


def get_torch_device() -> Any:
    return DEVICE


def unload_all_models() -> None:
    CALLS.append("unload_all_models")


def soft_empty_cache(force: bool = False) -> None:
    CALLS.append("soft_empty_cache")


def throw_exception_if_processing_interrupted() -> None: ...
