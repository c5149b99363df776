"""Models of other tools: the description of such a file, and the model record that vidtrans makes from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from vidtrans.core.costs import count
from vidtrans.core.errors import ModelError, UsageError
from vidtrans.core.settings import Table, from_table, to_table
from vidtrans.models.formats import ModelFormat
from vidtrans.models.model_record import NORMALISATION, ModelRecord
from vidtrans.models.weights import build_with_weights
from vidtrans.networks.ports import MOST_PICTURE_CHANNELS, PortSettings
from vidtrans.pairing.base import Pairing
from vidtrans.pairing.pairing_records import make_pairing, pairing_record


@dataclass(frozen=True)
class Hints:
    """Facts about a file that the user supplies because the file does not contain them.

    ``range``: the value range of the network's input and output, a name of ``networks.ports.RANGES``; ``layout``: the
    axis order of its input, 'nchw' or 'nhwc'; '' means automatic detection. ``trust``: a program in the file may run
    once, for conversion. ``predictor``: the file of the network that finds the network's style vector for a picture,
    and ``styles``: names of looks, and their pictures.
    """

    range: str = ""
    layout: str = ""
    trust: bool = False
    predictor: Path | None = None
    styles: tuple[tuple[str, Path], ...] = ()


NO_HINTS = Hints()


@dataclass(frozen=True)
class ForeignModel:
    """The contents of another tool's model file, before the user has chosen how its input is made.

    Attributes:
        family: The kind of network in words, as ``vidtrans model formats`` lists it.
        generator: Table with the generator's ``name`` in ``networks`` and its complete ``settings``.
        ports: Settings of ``PortSettings`` that differ from the defaults.
        size: Short side in pixels at which it is rendered by default.
        pairing: The pairing that follows from the family, with its settings; empty if the user must choose one.
        card: Author and licence, as far as the file states them.
        origin: Facts beside the weights that an export needs; ``record`` adds the ``family``.
        notes: Sentences for the person who imports the file.
        dark_lines: Whether its training drawings have dark lines on white instead of light lines on black.
        styles: The style vectors of its looks, for a network that takes one.
        kept: Other tables of the record, by name, of a model that vidtrans exported.
    """

    family: str
    generator: Table
    ports: Table
    size: int
    pairing: Table = field(default_factory=dict)
    card: Table = field(default_factory=dict)
    origin: Table = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    dark_lines: bool = False
    styles: tuple[tuple[float, ...], ...] = ()
    kept: Table = field(default_factory=dict)

    def record(self, path: Path, pairing: Pairing | None = None) -> ModelRecord:
        """Return the model's record with ``pairing``, by default the pairing that follows from its family.

        Raises UsageError if there is no pairing, ModelError if the network takes another number of channels.
        """
        if pairing is None and not self.pairing:
            why = f"it is a {self.family}, and its file does not say what its input is made of"
            words = "NAME ('edges', 'none' for the frame itself …)"
            if (channels := self.ports.get("in_channels", 3)) > MOST_PICTURE_CHANNELS:
                words = _label_options(channels)
            raise UsageError(str(path), why, f"vidtrans model import {path} --pairing {words}")
        made = pairing or make_pairing(self.pairing["name"], self.pairing["settings"])
        ports = from_table(PortSettings, self.ports, "ports")
        if not ports.takes(made.in_channels):
            takes = count(ports.in_channels, "channel")
            why = f"its network takes {takes}, the pairing '{made.name}' makes {made.in_channels}"
            remedy = "choose another --pairing, or other settings of it"
            if made.name == "labels":
                remedy = f"--pairing {_label_options(ports.in_channels)}"
            if ports.conditions:
                why = f"it has {ports.conditions} looks, which are no part of the pairing '{made.name}' as given"
                remedy = f"leave --pairing out, or give {ports.conditions} names with --set pairing.looks=…"
            raise ModelError(str(path), why, remedy)
        named = pairing_record(made)
        return ModelRecord(
            generator=self.generator,
            pairing={"name": named["name"], "settings": named["settings"]},
            in_channels=made.in_channels,
            out_channels=3,
            size=self.size,
            normalisation=NORMALISATION,
            training={},
            card=self.card,
            ports={} if ports == PortSettings(in_channels=made.in_channels) else to_table(ports),
            origin={"family": self.family} | self.origin,
            **self.kept,
        )


def _label_options(channels: int) -> str:
    """Return the value of ``--pairing``, with options, that selects label maps with this number of channels."""
    borders = f"or {channels - 1} and --set pairing.boundaries=true, with borders of objects"
    return f"labels --set pairing.classes={channels} ({borders})"


class ForeignFormat(ModelFormat):
    """A model format of another tool, whose files may lack facts that only the user knows (``Hints``).

    ``uses_range``: whether ``describe`` itself applies ``Hints.range`` to the network's input and output;
    ``uses_predictor``: whether it uses ``Hints.predictor``.
    """

    uses_range: ClassVar[bool] = False
    uses_predictor: ClassVar[bool] = False

    def describe(self, path: Path, hints: Hints = NO_HINTS) -> ForeignModel:
        """Describe a detected file, without reading its weights or importing torch.

        Raises ModelError, and UsageError if the file is ambiguous and a hint would settle it.
        """
        raise NotImplementedError

    def read_weights(self, path: Path, model: ForeignModel) -> dict[str, Any]:
        """Return the file's tensors under the weight names of vidtrans's generator, on the CPU, floats as float32.

        Raises ModelError, OSError, ValueError.
        """
        raise NotImplementedError

    def read_record(self, path: Path) -> ModelRecord:
        """Return the record with the pairing that follows from the family. Raises ModelError, UsageError."""
        return self.describe(path).record(path)

    def load(self, path: Path) -> tuple[Any, ModelRecord]:
        """Return the generator, which takes and returns [−1, 1], and its record. Raises ModelError, UsageError."""
        return self.load_described(path, self.describe(path))

    def load_described(
        self, path: Path, model: ForeignModel, pairing: Pairing | None = None
    ) -> tuple[Any, ModelRecord]:
        """Return the generator and the record of a file that ``describe`` has read. Raises ModelError, UsageError."""
        record = model.record(path, pairing)

        def read(path: Path) -> dict[str, Any]:
            prefix = "network." if record.ports else ""
            return {prefix + name: tensor for name, tensor in self.read_weights(path, model).items()}

        return build_with_weights(path, record, read, foreign=True), record
