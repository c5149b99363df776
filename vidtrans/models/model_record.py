"""The metadata of a model file: parsed, checked and written, whatever its format."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from vidtrans.core.errors import MAX_QUOTED, ModelError, UsageError, first_line
from vidtrans.core.files import canonical_json
from vidtrans.core.settings import Table, from_table, setting
from vidtrans.flow import FLOWS
from vidtrans.networks.code_planes import CODE_RANGE, MAX_CODE_SIZE
from vidtrans.networks.ports import PortSettings
from vidtrans.pairing.base import make_pairing

FORMAT, WITH_PLATE, WITH_MEMORY, WITH_PORTS, WITH_EXTRACTOR, WITH_CODES = 1, 2, 3, 4, 5, 6
NORMALISATION = "uint8 / 127.5 - 1"  # of the pictures that networks see
MAX_BYTES = 4 << 20  # of a record's JSON
MAX_POSITIONS = 10_000_000
MAX_CHANNELS = 512  # of an input: label maps have one for each class
RATE = re.compile(r"[0-9]{1,12}(/[0-9]{1,12})?")
OPTIONAL = ("plate", "dream", "memory", "ports", "origin", "extractor", "codes")  # not in a file where they are empty
TABLES = ("generator", "pairing", "training", "card", *OPTIONAL)


@dataclass(frozen=True)
class Card:
    """What a model file says to people. It changes nothing else."""

    author: str = setting("", "who trained it")
    licence: str = setting("", "how it may be used")
    notes: str = setting("", "what it was trained on, what it is good for")


@dataclass(frozen=True)
class ModelRecord:
    """What a model file says of itself.

    ``generator`` and ``pairing`` are tables with ``name`` and ``settings``; ``size`` is the short side that was
    trained at, in pixels; ``training`` and ``card`` are for people. ``plate`` holds the ``size`` (width, height) of the
    plate that the generator paints on, which lies beside the weights as 'plate' and 'scene', and how ``still`` the
    camera was; it is empty where there is none. ``dream`` is for models that predict frames: ``positions`` of the clock
    (0: none), the ``rate`` of what was learned, and the ``statistics`` of its training frames.
    ``memory`` says by which ``flow`` method its own last output comes to a generator that remembers; it is empty where
    none does. ``ports`` says what a network of another tool takes and gives (``networks.adapted.PortSettings``), and
    ``origin`` of which ``family`` it was, and what its file had that its weights do not show; both are empty for ours.
    ``extractor`` is the record of the network that makes the input, where that is embedded in the file.
    ``codes`` is of a generator with many looks: the ``size`` of the code that it takes beside its input, and the
    ``mean`` and the ``spread`` (standard deviation) of the training pictures' codes; it is empty for another one.
    """

    generator: Table
    pairing: Table
    in_channels: int
    out_channels: int
    size: int
    normalisation: str
    training: Table
    card: Table
    weights: str = ""  # SHA-256 over the tensors, written by ``save_model``
    plate: Table = field(default_factory=dict)
    dream: Table = field(default_factory=dict)
    memory: Table = field(default_factory=dict)
    ports: Table = field(default_factory=dict)
    origin: Table = field(default_factory=dict)
    extractor: Table = field(default_factory=dict)
    codes: Table = field(default_factory=dict)

    def with_extractor(self, extractor: ModelRecord) -> ModelRecord:
        """Return the record of this model with that of its embedded extractor."""
        return replace(self, extractor=json.loads(extractor.to_json()))

    def extractor_record(self, path: Path) -> ModelRecord:
        """Return the record of the extractor that is embedded in ``path``. Raises ModelError."""
        return parse_record(canonical_json(self.extractor), path)

    @property
    def code_size(self) -> int:
        """The numbers of a code, each a plane beside the network's input; 0 of a model with one look."""
        return self.codes["size"] if self.codes else 0

    @property
    def plate_size(self) -> tuple[int, int] | None:
        """The plate's (width, height); None without a plate."""
        return (self.plate["size"][0], self.plate["size"][1]) if self.plate else None

    def to_json(self) -> str:
        """Return the record as JSON; what is optional and empty is left out, as in the first format."""
        known = {k: v for k, v in self.__dict__.items() if k not in OPTIONAL or v}
        levels = (
            (WITH_CODES, self.codes),
            (WITH_EXTRACTOR, self.extractor),
            (WITH_PORTS, self.ports or self.origin),
            (WITH_MEMORY, self.memory),
            (WITH_PLATE, self.plate),
        )
        written = next((level for level, table in levels if table), FORMAT)
        return canonical_json({"format": written, **known})


def parse_record(text: str, path: Path) -> ModelRecord:
    """Return the record in the JSON that ``path`` holds, checked. Raises ModelError."""
    if len(text) > MAX_BYTES:
        raise ModelError(str(path), "its metadata is absurdly large", "do not use this file")
    try:
        value: dict[str, Any] = json.loads(text, object_pairs_hook=_each_once)
        found = value.pop("format")
        if found not in (FORMAT, WITH_PLATE, WITH_MEMORY, WITH_PORTS, WITH_EXTRACTOR, WITH_CODES):
            why = f"model format {str(found)[:MAX_QUOTED]} is not known here"
            raise ModelError(str(path), why, "update vidtrans, or train again")
        record = ModelRecord(**value)
        _check(record)
        if record.extractor:
            _check_embedding(record, path)
    except (UsageError, ValueError, TypeError, KeyError, AttributeError, ZeroDivisionError, RecursionError) as error:
        why = f"its metadata is damaged ({first_line(error)})"
        raise ModelError(str(path), why, "train or copy it again") from None
    return record


def _each_once(pairs: list[tuple[str, Any]]) -> Table:
    """Return a table of JSON. Raises ValueError where a key has two values: nobody knows which is meant."""
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("a key stands in it twice")
    return table


def _check_embedding(record: ModelRecord, path: Path) -> None:
    extraction = make_pairing(record.pairing["name"], record.pairing["settings"]).extraction
    if extraction is None or not extraction.digest:
        raise ValueError("its pairing asks for no extractor, and one is embedded")
    if record.extractor.get("extractor"):
        raise ValueError("its extractor has one of its own")
    record.extractor_record(path)


def _check(record: ModelRecord) -> None:
    for name in TABLES:
        if not isinstance(getattr(record, name), dict):
            raise ValueError(f"'{name}' is no table")
    for name, table in (("generator", record.generator), ("pairing", record.pairing)):
        if not isinstance(table.get("name"), str) or not isinstance(table.get("settings"), dict):
            raise ValueError(f"no {name}")
    if not all(type(n) is int for n in (record.in_channels, record.out_channels, record.size)):
        raise ValueError("channels or size are no numbers")
    pairing = make_pairing(record.pairing["name"], record.pairing["settings"])
    if pairing.extraction is not None and not pairing.extraction.digest:
        # A stranger's record would name any file of this machine, or of another one, to be opened.
        raise ValueError("its pairing names a network without its digest")
    if record.origin and not isinstance(record.origin.get("family"), str):
        raise ValueError("its origin is no record of one")
    if pairing.in_channels != record.in_channels:
        raise ValueError("its pairing makes pictures of other channels than its network takes")
    if not 1 <= record.in_channels <= MAX_CHANNELS or record.out_channels != 3 or not 1 <= record.size <= 8192:
        raise ValueError("channels or size out of bounds")
    steps, held_out = record.training.get("steps") or [], record.training.get("held_out") or {}
    if not isinstance(steps, list) or not isinstance(held_out, dict):
        raise ValueError("its training is no record of one")
    if record.plate:
        width, height = record.plate["size"]
        if not all(type(side) is int and 1 <= side <= 8192 for side in (width, height)):
            raise ValueError("the plate's size is out of bounds")
        if type(record.plate["still"]) not in (int, float) or not 0 <= record.plate["still"] <= 1:
            raise ValueError("the plate's stillness is out of bounds")
    if record.dream:
        positions, rate = record.dream["positions"], record.dream["rate"]
        # Not any Fraction: one to the power of a billion takes all memory.
        if type(positions) is not int or not 0 <= positions <= MAX_POSITIONS or not RATE.fullmatch(rate):
            raise ValueError("its clock is out of bounds")
        if not 0 < Fraction(rate) <= 1000:
            raise ValueError("its clock is out of bounds")
    if record.ports and (record.plate or record.memory):
        raise ValueError("a network of another tool has no plate and no memory")
    if record.ports and not from_table(PortSettings, record.ports, "ports").takes(record.in_channels):
        raise ValueError("its network does not take the channels that its pairing makes")
    if record.memory and record.memory["flow"] not in FLOWS:
        raise ValueError(f"flow '{record.memory['flow']}' is not known here")
    if record.codes:
        _check_codes(record)


def _check_codes(record: ModelRecord) -> None:
    if record.plate or record.memory or record.ports:
        raise ValueError("a model of many looks has no plate, no memory and no ports")
    size, *values = (record.codes[name] for name in ("size", "mean", "spread"))
    if len(record.codes) != 3 or type(size) is not int or not 1 <= size <= MAX_CODE_SIZE:
        raise ValueError("its codes are out of bounds")
    for numbers in values:
        if not isinstance(numbers, list) or len(numbers) != size:
            raise ValueError("its codes have another number of values")
        if not all(type(n) in (int, float) and -CODE_RANGE <= n <= CODE_RANGE for n in numbers):
            raise ValueError("its codes are out of bounds")
    if min(values[1]) < 0:
        raise ValueError("its codes' spread is below 0")
