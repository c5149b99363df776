"""What is found: one finding a check, for ``doctor`` to tell. This module imports nothing heavy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from vidtrans.core.settings import Table

State = Literal["ok", "note", "wrong"]


@dataclass(frozen=True)
class Finding:
    """One thing that was checked; ``remedy`` says what to do where it is not as it should be."""

    name: str
    state: State
    detail: str
    remedy: str = ""


@dataclass(frozen=True)
class Verdict:
    """What came of one check: a line for a person, and ``figures`` that JSON can hold."""

    state: State
    detail: str
    figures: Table = field(default_factory=dict)
    remedy: str = ""


Checks = Mapping[str, Callable[[], Verdict]]
