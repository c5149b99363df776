"""Parse, check and write the record of a model: the metadata that model files of every format contain."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from vidtrans.core.errors import MAX_QUOTED_CHARS, ModelError, PluginError, UsageError, first_line
from vidtrans.core.files import canonical_json
from vidtrans.core.options import option
from vidtrans.core.settings import Table, from_table
from vidtrans.flow import FLOWS
from vidtrans.networks import GENERATORS
from vidtrans.networks.code_planes import CODE_RANGE, MAX_CODE_SIZE
from vidtrans.networks.ports import PortSettings
from vidtrans.pairing import LARGEST_ZOOM, PAIRINGS
from vidtrans.pairing.pairing_records import make_pairing

# Versions of a record's format: basic, and the first version with each optional table
FORMAT, WITH_PLATE, WITH_MEMORY, WITH_PORTS, WITH_EXTRACTOR, WITH_CODES = 1, 2, 3, 4, 5, 6
NORMALISATION = "uint8 / 127.5 - 1"  # Formula from 8-bit pictures to the values of the network's input and output
MAX_RECORD_BYTES = 4 << 20  # Largest size of a record's JSON, in bytes
MAX_POSITIONS = 10_000_000  # Largest number of positions in a training clip
MAX_CHANNELS = 512  # Largest number of input channels; label maps have one channel per class
RATE = re.compile(r"[0-9]{1,12}(/[0-9]{1,12})?")  # A frame rate, such as "25" or "30000/1001"
# Names of the record's tables that are left out of the file when they are empty
OPTIONAL_TABLES = ("plate", "dream", "memory", "ports", "origin", "extractor", "codes")
TABLES = ("generator", "pairing", "training", "card", *OPTIONAL_TABLES)  # Names of all tables of a record


@dataclass(frozen=True)
class Card:
    """Information for the users of a model (author, licence, notes), which does not affect rendering."""

    author: str = option("", "author of the model")
    licence: str = option("", "licence of the model")
    notes: str = option("", "training material and purpose of the model")


@dataclass(frozen=True)
class ModelRecord:
    """The metadata of a model. A table that does not apply to a model is empty."""

    generator: Table  # ``name`` and ``settings`` of the generator
    pairing: Table  # ``name`` and ``settings`` of the pairing
    in_channels: int  # Number of input channels that the pairing makes
    out_channels: int  # Number of output channels, always 3
    size: int  # Short side of the training pictures, in pixels
    normalisation: str  # Formula from 8-bit pictures to the network's values, as text
    training: Table  # Training statistics, for people
    card: Table  # Author, licence and notes, for people
    weights: str = ""  # SHA-256 (hex) over the tensors, written by ``save_model``
    # For a generator with a background plate: ``size`` (width, height), and ``still``, the camera's stillness 0 to 1.
    plate: Table = field(default_factory=dict)
    # For a next-frame model: ``positions`` of its clock (0: no clock), frame ``rate`` and ``statistics`` of its clip.
    # For stored frames: lengths of consecutive ``runs``, shot number of each run (``shots``), ``clips`` (name, rate).
    # ``frames``: clip number and frame number of each stored frame; ``zoom``: the zoom of a moving camera.
    dream: Table = field(default_factory=dict)
    memory: Table = field(default_factory=dict)  # For a recurrent model: the ``flow`` method that warps its last output
    ports: Table = field(default_factory=dict)  # For another tool's network: settings of ``PortSettings``
    origin: Table = field(default_factory=dict)  # For another tool's network: its ``family`` and further facts
    extractor: Table = field(default_factory=dict)  # Record of the embedded extractor
    # For style codes: their ``size`` (length), and the ``mean`` and ``spread`` (standard deviation) in training.
    codes: Table = field(default_factory=dict)

    def extractor_record(self, path: Path) -> ModelRecord:
        """Return the record of the embedded extractor; ``path`` names the file in errors. Raises ModelError."""
        return parse_record(canonical_json(self.extractor), path)

    @property
    def code_size(self) -> int:
        """Return the length of a style code, which is also its number of input planes; 0 for a model without codes."""
        return self.codes["size"] if self.codes else 0

    @property
    def auto_size(self) -> int:
        """Return the default short side of renders in pixels: the training size, or a larger one for a style model.

        Strokes are largest at the training size, 288 pixels, but at that size a face that is a quarter of the picture
        loses its eyes. Trained styles keep most of their strokes at 480; predicted styles are sharper and more stable
        up to 720.
        """
        # Optimised models and networks of other tools keep their training size
        is_other = self.generator["name"] == "optimised" or self.ports or self.origin
        if self.pairing["name"] != "look" or is_other:
            return self.size
        return self.size * 5 // 3 if self.training else self.size * 5 // 2

    @property
    def least_size(self) -> int:
        """Return the smallest short side in pixels to which renders enlarge a clip by default; 0 never enlarges a clip.

        A network trained on pairs detects the eyes of a face only at about the scale of its training pictures.
        """
        return self.size if self.training and self.pairing["name"] != "look" else 0

    @property
    def plugins(self) -> list[Table]:
        """Return the packages, with their versions, of the plug-ins that define the model's generator and pairing."""
        parts = [(r, part) for r, part in ((GENERATORS, self.generator), (PAIRINGS, self.pairing)) if "plugin" in part]
        return [package for registry, part in parts for package in registry.origin(part["name"]).values()]

    def to_json(self) -> str:
        """Return the record as JSON without empty optional tables, in the oldest format version with these tables."""
        tables = {k: v for k, v in self.__dict__.items() if k not in OPTIONAL_TABLES or v}
        levels = (
            (WITH_CODES, self.codes),
            (WITH_EXTRACTOR, self.extractor),
            (WITH_PORTS, self.ports or self.origin),
            (WITH_MEMORY, self.memory),
            (WITH_PLATE, self.plate),
        )
        version = next((level for level, table in levels if table), FORMAT)
        return canonical_json({"format": version, **tables})


def parse_record(text: str, path: Path) -> ModelRecord:
    """Parse and check the JSON record of the model file ``path``. Raises ModelError."""
    if len(text) > MAX_RECORD_BYTES:
        raise ModelError(str(path), "its metadata is absurdly large", "do not use this file")
    try:
        value: dict[str, Any] = json.loads(text, object_pairs_hook=reject_repeated_keys)
        version = value.pop("format")
        if version not in (FORMAT, WITH_PLATE, WITH_MEMORY, WITH_PORTS, WITH_EXTRACTOR, WITH_CODES):
            why = f"model format {str(version)[:MAX_QUOTED_CHARS]} is unknown to this version"
            raise ModelError(str(path), why, "update vidtrans, or train again")
        record = ModelRecord(**value)
        _check_record(record, path)
        if record.extractor:
            _check_embedding(record, path)
    except PluginError:
        raise
    except (UsageError, ValueError, TypeError, KeyError, AttributeError, ZeroDivisionError, RecursionError) as error:
        why = f"its metadata is damaged ({first_line(error)})"
        raise ModelError(str(path), why, "train or copy it again") from None
    return record


def reject_repeated_keys(pairs: list[tuple[str, Any]]) -> Table:
    """Return the pairs of a JSON object as a table. Raises ValueError for a repeated key, which is ambiguous."""
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("a key appears twice in it")
    return table


def _check_embedding(record: ModelRecord, path: Path) -> None:
    """Raise ValueError if the record of an embedded extractor is invalid or does not fit the pairing."""
    extraction = make_pairing(record.pairing["name"], record.pairing["settings"]).extraction
    if extraction is None or not extraction.digest:
        raise ValueError("it embeds an extractor that its pairing does not use")
    if record.extractor.get("extractor"):
        raise ValueError("its extractor embeds another extractor")
    record.extractor_record(path)


def _check_record(record: ModelRecord, path: Path) -> None:
    """Raise ValueError for an invalid record, ModelError if its plug-in is not installed."""
    for name in TABLES:
        if not isinstance(getattr(record, name), dict):
            raise ValueError(f"'{name}' is not a table")
    for name, table in (("generator", record.generator), ("pairing", record.pairing)):
        if not isinstance(table.get("name"), str) or not isinstance(table.get("settings"), dict):
            raise ValueError(f"it has no complete table '{name}'")
    for registry, part in ((PAIRINGS, record.pairing), (GENERATORS, record.generator)):
        registry.require(part, path, ModelError)
    if not all(type(n) is int for n in (record.in_channels, record.out_channels, record.size)):
        raise ValueError("its number of channels or its size is not an integer")
    pairing = make_pairing(record.pairing["name"], record.pairing["settings"])
    if pairing.extraction is not None and not pairing.extraction.digest:
        # Without a digest, an untrusted record could make any local or network file be opened.
        raise ValueError("its pairing names a network without its digest")
    if record.origin and not isinstance(record.origin.get("family"), str):
        raise ValueError("its origin names no family")
    if pairing.in_channels != record.in_channels:
        raise ValueError("its pairing and its network have different numbers of channels")
    if not 1 <= record.in_channels <= MAX_CHANNELS or record.out_channels != 3 or not 1 <= record.size <= 8192:
        raise ValueError("its number of channels or its size is out of bounds")
    steps, held_out = record.training.get("steps") or [], record.training.get("held_out") or {}
    if not isinstance(steps, list) or not isinstance(held_out, dict):
        raise ValueError("its training record is malformed")
    if record.plate:
        width, height = record.plate["size"]
        if not all(type(side) is int and 1 <= side <= 8192 for side in (width, height)):
            raise ValueError("the plate's size is out of bounds")
        if type(record.plate["still"]) not in (int, float) or not 0 <= record.plate["still"] <= 1:
            raise ValueError("the plate's stillness is out of bounds")
    if record.dream:
        positions, rate = record.dream["positions"], record.dream["rate"]
        # Restrict the syntax: a Fraction with a huge exponent exhausts the memory.
        if type(positions) is not int or not 0 <= positions <= MAX_POSITIONS or not RATE.fullmatch(rate):
            raise ValueError("its clock is out of bounds")
        if not 0 < Fraction(rate) <= 1000:
            raise ValueError("its clock is out of bounds")
        _check_stored_frames(record.dream)
    if record.ports and (record.plate or record.memory):
        raise ValueError("a network of another tool has no plate and no memory")
    if record.ports and not from_table(PortSettings, record.ports, "ports").takes(record.in_channels):
        raise ValueError("its ports do not fit the number of channels that its pairing makes")
    if record.memory and record.memory["flow"] not in FLOWS:
        raise ValueError(f"flow method '{record.memory['flow']}' is unknown to this version")
    if record.codes:
        _check_codes(record)


def _check_codes(record: ModelRecord) -> None:
    """Raise ValueError for an invalid table of style codes."""
    if record.plate or record.memory or record.ports:
        raise ValueError("a model of many looks has no plate, no memory and no ports")
    size, *values = (record.codes[name] for name in ("size", "mean", "spread"))
    if len(record.codes) != 3 or type(size) is not int or not 1 <= size <= MAX_CODE_SIZE:
        raise ValueError("its codes are out of bounds")
    for numbers in values:
        if not isinstance(numbers, list) or len(numbers) != size:
            raise ValueError("its codes' mean or spread has a wrong number of values")
        if not all(type(n) in (int, float) and -CODE_RANGE <= n <= CODE_RANGE for n in numbers):
            raise ValueError("its codes are out of bounds")
    if min(values[1]) < 0:
        raise ValueError("its codes' spread is below 0")


def _check_stored_frames(table: Table) -> None:
    """Raise ValueError for an invalid table of stored frames or of the camera's zoom."""
    runs, shots, frames = (table.get(name, []) for name in ("runs", "shots", "frames"))
    if not all(type(n) is int and 0 < n <= MAX_POSITIONS for n in (*runs, *shots)):
        raise ValueError("the runs of its kept frames are out of bounds")
    if len(shots) not in (0, len(runs)) or len(frames) not in (0, sum(runs)):
        raise ValueError("its kept frames differ in number from their runs")
    clips = table.get("clips", [])
    if not all(type(clip["name"]) is str and RATE.fullmatch(clip["rate"]) for clip in clips):
        raise ValueError("the clips of its kept frames have no names or rates")
    if not all(type(clip) is int and 0 <= clip < len(clips) and type(frame) is int for clip, frame in frames):
        raise ValueError("its kept frames are of no clip")
    zoom = table.get("zoom", 1.0)
    if type(zoom) not in (int, float) or not 1 <= zoom <= LARGEST_ZOOM:
        raise ValueError("its window is out of bounds")
