"""Models of other tools: what is found out about a file, and the record that vidtrans needs to use it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from vidtrans.core.errors import ModelError, UsageError
from vidtrans.core.settings import Table, from_table, to_table
from vidtrans.models.formats import ModelFormat
from vidtrans.models.model_record import NORMALISATION, ModelRecord
from vidtrans.models.weights import build_with_weights
from vidtrans.networks.ports import MOST_PICTURE_CHANNELS, PortSettings
from vidtrans.pairing.base import Pairing, make_pairing, pairing_record


@dataclass(frozen=True)
class Hints:
    """What a person says of a file where it does not say it itself.

    ``range``: the numbers that its network takes and gives, of ``networks.ports.RANGES``; ``layout``: the order of its
    input's axes, 'nchw' or 'nhwc'; '' is for what is found out. ``trust``: a program in it may run once, to be
    converted.
    """

    range: str = ""
    layout: str = ""
    trust: bool = False


NO_HINTS = Hints()


@dataclass(frozen=True)
class ForeignModel:
    """What a file of another tool holds, before anyone said how its input is made.

    Attributes:
        family: The kind of network in words, as ``vidtrans model formats`` lists it.
        generator: Its ``name`` in ``networks`` and complete ``settings``.
        ports: Settings of ``PortSettings`` that are not the default.
        size: The short side in pixels at which it is rendered by default.
        pairing: The pairing that follows from the family, with its settings; empty where a person has to say it.
        card: What the file says of author and licence.
        origin: What an export needs to know beside the weights; ``family`` is added.
        notes: What a person should know who imports it, a sentence each.
        dark_lines: The drawings that it learned from have dark lines on white, not light ones on black.
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

    def record(self, path: Path, pairing: Pairing | None = None) -> ModelRecord:
        """Return the record of the model with a pairing, by default the one that follows from its family.

        Raises UsageError where none follows, ModelError where the network does not take what the pairing makes.
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
            why = f"its network takes {ports.in_channels} channels, the pairing '{made.name}' makes {made.in_channels}"
            remedy = "choose another --pairing, or other settings of it"
            if made.name == "labels":
                remedy = f"--pairing {_label_options(ports.in_channels)}"
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
        )


def _label_options(channels: int) -> str:
    """Return the pairing of label maps that makes so many channels, as it is written behind ``--pairing``."""
    borders = f"or {channels - 1} and --set pairing.boundaries=true, with borders of objects"
    return f"labels --set pairing.classes={channels} ({borders})"


class ForeignFormat(ModelFormat):
    """A format of another tool: its files are described, and may lack what only a person knows.

    ``uses_range``: ``describe`` makes of a hint of the range what it means for both sides of the network.
    """

    uses_range: ClassVar[bool] = False

    def describe(self, path: Path, hints: Hints = NO_HINTS) -> ForeignModel:
        """Return what a detected file holds; reads no weights, imports no torch.

        Raises ModelError, and UsageError where it is in doubt and a hint would help.
        """
        raise NotImplementedError

    def read_weights(self, path: Path, model: ForeignModel) -> dict[str, Any]:
        """Return the tensors of a described file by our generator's names, on the CPU, floats as float32.

        Raises ModelError, OSError, ValueError.
        """
        raise NotImplementedError

    def read_record(self, path: Path) -> ModelRecord:
        """Return the record with the pairing that follows from the family. Raises ModelError, UsageError."""
        return self.describe(path).record(path)

    def load(self, path: Path) -> tuple[Any, ModelRecord]:
        """Return the generator behind its ports, and its record. Raises ModelError, UsageError."""
        return self.load_described(path, self.describe(path))

    def load_described(
        self, path: Path, model: ForeignModel, pairing: Pairing | None = None
    ) -> tuple[Any, ModelRecord]:
        """Return the generator of a file that was described, and its record. Raises ModelError, UsageError."""
        record = model.record(path, pairing)

        def read(path: Path) -> dict[str, Any]:
            prefix = "network." if record.ports else ""
            return {prefix + name: tensor for name, tensor in self.read_weights(path, model).items()}

        return build_with_weights(path, record, read, foreign=True), record
