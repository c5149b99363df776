"""The interface of export formats, and what they write."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vidtrans.core.errors import UsageError
from vidtrans.core.settings import Table
from vidtrans.models.model_record import ModelRecord
from vidtrans.networks import ONNX_GRAPH
from vidtrans.pairing.base import Pairing


@dataclass(frozen=True)
class ExportSubject:
    """A model to be exported.

    Attributes:
        name: The model's, for people.
        generator: Its network, on the CPU in eval mode.
        record: What its file says of it.
        pairing: How its input comes out of a frame.
        whole: The file is to hold the pairing as well: RGB in, RGB out.
        conditions: Of a model with looks in a whole file, the values of its planes, 0 to 1.
    """

    name: str
    generator: Any
    record: ModelRecord
    pairing: Pairing
    whole: bool = False
    conditions: tuple[float, ...] = ()

    @property
    def in_channels(self) -> int:
        """The channels that its network takes: those of the pairing, and the planes of a code."""
        return self.record.in_channels + self.record.code_size


class ExportFormat:
    """One kind of file for other programs. Importing its module may import torch."""

    def check(self, subject: ExportSubject) -> None:
        """Raise UsageError for a model that the format does not take, or where what writes it is not installed."""

    def write(self, path: Path, subject: ExportSubject) -> Table:
        """Write a file to a temporary path, compare it with the model, and return what is reported of it.

        Raises:
            UsageError: What writes the format is not installed.
            ModelError: What was written does not compute what the model does.
        """
        raise NotImplementedError


def check_exports(name: str, record: ModelRecord, pairing: Pairing, *, whole: bool) -> None:
    """Raise UsageError for a model whose pictures no network makes of its input alone; ``name`` is for the message."""
    why = ""
    if record.generator["name"] == "optimised":
        why = "it optimises each frame and has no network that could be written"
    elif record.memory:
        why = "its input holds its own last output, moved along the flow, which only a render has"
    elif record.plate:
        why = "it paints on the background plate of one camera position, which only a render puts in place"
    if why:
        raise UsageError(f"model '{name}'", why, "render with vidtrans stylize, or train a model without it")
    if record.generator["name"] == ONNX_GRAPH:
        why = "its network is an ONNX graph, which came from an ONNX or TorchScript file"
        raise UsageError(f"model '{name}'", why, "give that file to the other program")
    if whole and not pairing.operators:
        why = f"its pairing '{pairing.name}' cannot be part of a file: {pairing.operators_refusal}"
        raise UsageError(f"model '{name}'", why, "leave --whole out, and make the network's input yourself")


def description(subject: ExportSubject) -> Table:
    """Return what a file says of the model: without versions, times and paths: the same model gives the same bytes."""
    record = subject.record
    return {
        "name": subject.name,
        "generator": record.generator,
        "pairing": record.pairing,
        "trained_size": record.size,
        "in_channels": subject.in_channels,
        "multiple": int(subject.generator.multiple),
        "whole": subject.whole,
        "card": {key: value for key, value in record.card.items() if value},
    }
