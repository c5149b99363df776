"""Export formats: a model written as a file for other programs.

A format is a class that does what ``base.ExportFormat`` states. To add one: a file here with such a class, and a line
below.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vidtrans.core.registry import Entry, Registry

if TYPE_CHECKING:
    from vidtrans.interop.exporting.base import ExportFormat


@dataclass(frozen=True)
class ExportEntry(Entry):
    """An export format. ``suffix``: of its files. ``takes_whole``: they can hold the pairing beside the network."""

    suffix: str
    takes_whole: bool = True


EXPORTS = Registry(
    "export format",
    {
        "onnx": ExportEntry(
            "vidtrans.interop.exporting.onnx_file:OnnxExport", "for ONNX Runtime and all that reads ONNX", ".onnx"
        ),
        "torchscript": ExportEntry(
            "vidtrans.interop.exporting.torchscript_file:TorchScriptExport",
            "for Nuke, and programs with libtorch",
            ".pt",
        ),
        "pth": ExportEntry(
            "vidtrans.interop.exporting.checkpoint_file:CheckpointExport",
            "for the tool that the network is from, under its names",
            ".pth",
            takes_whole=False,
        ),
    },
)


def load_export(name: str) -> ExportFormat:
    """Return an export format by its name. Raises UsageError."""
    made: ExportFormat = EXPORTS.load(name)()
    return made
