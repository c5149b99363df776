"""The interface of export formats, and the description of the model to export."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vidtrans.core.errors import UsageError
from vidtrans.core.files import canonical_json
from vidtrans.core.settings import Table
from vidtrans.interop.exported import DESCRIPTION_VERSION, RECORD_TABLES
from vidtrans.models.model_record import ModelRecord
from vidtrans.networks import ONNX_GRAPH
from vidtrans.pairing.base import Pairing


@dataclass(frozen=True)
class ExportSubject:
    """A model to export, with all that an export format needs.

    Attributes:
        name: The model's name, for descriptions.
        generator: The model's network, on the CPU in eval mode.
        record: The model's record.
        pairing: The pairing that makes the network's input from a frame.
        whole: Whether to include the pairing in the file, so that it maps RGB to RGB.
        conditions: Values from 0 to 1 of the constant input planes (style weights, style code) in a whole file.
    """

    name: str
    generator: Any
    record: ModelRecord
    pairing: Pairing
    whole: bool = False
    conditions: tuple[float, ...] = ()

    @property
    def in_channels(self) -> int:
        """Return the number of the network's input channels, including the planes of a style code."""
        return self.record.in_channels + self.record.code_size


class ExportFormat:
    """The interface of an export format. Importing its module may import torch."""

    def check(self, subject: ExportSubject) -> None:
        """Raise UsageError if the format cannot represent the model, or if a required package is not installed."""

    def write(self, path: Path, subject: ExportSubject) -> Table:
        """Write the model to the temporary ``path``, and compare the file with the model.

        Return facts about the file, such as its differences from the model, for the command's report.

        Raises:
            UsageError: A package that writes the format is not installed.
            ModelError: The output of the written file differs from the model's.
        """
        raise NotImplementedError


def check_exports(name: str, record: ModelRecord, pairing: Pairing, *, whole: bool) -> None:
    """Raise UsageError if model ``name`` cannot be exported or, if ``whole``, its pairing cannot be included."""
    why = ""
    if record.generator["name"] == "optimised":
        why = "it optimises each frame and has no network to export"
    elif record.memory:
        why = "its input includes its own last output, warped along the flow, which only a render provides"
    elif record.plate:
        why = "its input includes the background plate of one camera position, which only a render provides"
    if why:
        raise UsageError(f"model '{name}'", why, "render with vidtrans stylize, or train a model without it")
    if record.generator["name"] == ONNX_GRAPH:
        why = "its network is an ONNX graph, which came from an ONNX or TorchScript file"
        raise UsageError(f"model '{name}'", why, "give that file to the other program")
    if whole and not pairing.operators:
        why = f"its pairing '{pairing.name}' cannot be part of a file: {pairing.operators_refusal}"
        raise UsageError(f"model '{name}'", why, "leave --whole out, and make the network's input yourself")


def build_description(subject: ExportSubject) -> str:
    """Return the description of an exported model as JSON, which ``ExportedModel.read`` parses.

    The description has no software versions, times or paths, so the same model gives the same bytes.
    """
    record = subject.record
    record_tables = {name: table for name in RECORD_TABLES if (table := getattr(record, name))}
    table = {
        "format": DESCRIPTION_VERSION,
        "name": subject.name,
        "generator": record.generator,
        "pairing": record.pairing,
        "trained_size": record.auto_size,
        "in_channels": subject.in_channels,
        "multiple": int(subject.generator.multiple),
        "whole": subject.whole,
        "card": {key: value for key, value in record.card.items() if value},
        **record_tables,
    }
    return canonical_json(table)
