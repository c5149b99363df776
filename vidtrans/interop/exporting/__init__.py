"""Export formats, which write a model to a file for other programs.

A format is a subclass of ``base.ExportFormat``. To add a format, add a file with such a class here, and a line to
``EXPORTS``.
"""

from __future__ import annotations

from dataclasses import dataclass

from vidtrans.core.registry import Entry, Registry


@dataclass(frozen=True)
class ExportEntry(Entry):
    """An export format in the registry: ``suffix`` of its files; ``takes_whole``: its files can include the pairing."""

    suffix: str
    takes_whole: bool = True


# Export formats by the name for ``vidtrans model export --format``.
EXPORTS = Registry(
    "export format",
    {
        "onnx": ExportEntry(
            "vidtrans.interop.exporting.onnx_file:OnnxExport",
            "for ONNX Runtime and other programs that read ONNX",
            ".onnx",
        ),
        "torchscript": ExportEntry(
            "vidtrans.interop.exporting.torchscript_file:TorchScriptExport",
            "for Nuke and other programs with libtorch",
            ".pt",
        ),
        "pth": ExportEntry(
            "vidtrans.interop.exporting.checkpoint_file:CheckpointExport",
            "for the original tool of the network, with that tool's tensor names",
            ".pth",
            takes_whole=False,
        ),
    },
)
