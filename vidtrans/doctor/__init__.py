"""``vidtrans doctor``: check the installation and, with ``--self-test``, whether the device computes correctly.

Each kind of check is a function in its own file. It takes the ``Subject`` and returns a table of check functions by
name; each check function returns a ``Verdict``. An exception counts as a failed check. Pictures, clips and networks are
synthetic, all files are temporary. This module imports nothing heavy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from vidtrans.core.registry import Entry
from vidtrans.core.settings import Table

State = Literal["ok", "note", "wrong"]


@dataclass(frozen=True)
class Finding:
    """The result of one check as ``doctor`` reports it; ``remedy`` says what to do if the state is not "ok"."""

    name: str
    state: State
    detail: str
    remedy: str = ""


@dataclass(frozen=True)
class Verdict:
    """The result of one check of the self-test: ``detail`` as a line of text, ``figures`` as JSON values."""

    state: State
    detail: str
    figures: Table = field(default_factory=dict)
    remedy: str = ""


Checks = Mapping[str, Callable[[], Verdict]]

CHECKS = {
    name: Entry(f"vidtrans.doctor.{path}", summary)
    for name, path, summary in (
        ("device", "device_check:device_checks", "name, memory and versions of the device"),
        ("engine", "engine_check:engine_checks", "engines agree with eager torch on a CPU"),
        ("products", "product_check:product_checks", "convolutions and their gradients agree with fp32"),
        ("filter", "filter_check:filter_checks", "filters on the device agree with NumPy"),
        ("flow", "flow_check:flow_checks", "flow methods find a known motion"),
        ("memory", "memory_check:memory_checks", "results stay the same if memory runs out"),
        ("training", "training_check:training_checks", "a resumed training ends with the same weights"),
        ("rates", "rate_check:rate_checks", "speed of each step"),
    )
}
