"""``vidtrans doctor``: is all here that a render needs, and with ``--self-test``: is what the device computes right?

A kind of check is a function in a file of its own. It takes the ``Subject``, and returns a function for each thing that
it checks, by name; each of these returns a ``Verdict``. An exception is a verdict too. Pictures, clips and networks are
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
    """The result of one check as ``doctor`` reports it; ``remedy`` says what to do unless it is "ok"."""

    name: str
    state: State
    detail: str
    remedy: str = ""


@dataclass(frozen=True)
class Verdict:
    """The result of one check of the self-test: a line for a person, and ``figures`` that JSON can hold."""

    state: State
    detail: str
    figures: Table = field(default_factory=dict)
    remedy: str = ""


Checks = Mapping[str, Callable[[], Verdict]]

CHECKS = {
    name: Entry(f"vidtrans.doctor.{path}", summary)
    for name, path, summary in (
        ("device", "device_check:device_checks", "what the device is and has"),
        ("engine", "engine_check:engine_checks", "engines paint what eager torch does on a CPU"),
        ("products", "product_check:product_checks", "convolutions and their gradients are those in fp32"),
        ("filter", "filter_check:filter_checks", "filters on the device equal those in NumPy"),
        ("flow", "flow_check:flow_checks", "flow methods find a motion that is known"),
        ("memory", "memory_check:memory_checks", "memory that runs out changes no result"),
        ("training", "training_check:training_checks", "a resumed training ends the same"),
        ("rates", "rate_check:rate_checks", "how fast each step is"),
    )
}
