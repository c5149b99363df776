"""``vidtrans doctor``: check the installation and, with ``--self-test``, whether the device computes correctly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "note", "wrong"]  # State of a check; "note": it works, but could work better


@dataclass(frozen=True)
class Finding:
    """The result of a check in the report of ``doctor``; ``remedy``: the advice if the state is not "ok"."""

    name: str
    state: State
    detail: str
    remedy: str = ""
