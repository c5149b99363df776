"""The model format for TorchScript files: programs that are converted to ONNX, if the user trusts them."""

from __future__ import annotations

import tempfile
import zipfile
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

from vidtrans.core.child_process import module_command
from vidtrans.core.errors import ModelError, UsageError
from vidtrans.interop.exported import ExportedModel, read_description
from vidtrans.interop.onnx.graph_reading import read_graph
from vidtrans.interop.onnx.onnx_format import describe_onnx, exported_graph, graph_model, graph_weights
from vidtrans.interop.onnx.trial import check_installed, run_request
from vidtrans.models.formats import NO_HINTS, ForeignFormat, ForeignModel, Hints

FAMILY = "TorchScript program"  # Family name of TorchScript models.
TIMEOUT_S = 300  # Time limit of a conversion to ONNX, in seconds.
# Limit of the conversion process's address space in bytes; torch reserves many times more than it uses.
MEMORY_BYTES = 24 << 30
MAX_ENTRIES = 100_000  # Largest number of files in a TorchScript archive.
COMMAND = module_command("vidtrans.interop.torchscript_process")  # Command line of the conversion process.


class TorchScriptFormat(ForeignFormat):
    """The model format for programs of torch.jit, converted to an ONNX graph in a separate process with limits."""

    suffixes: ClassVar[tuple[str, ...]] = (".ts",)
    uses_range: ClassVar[bool] = True

    def detect(self, path: Path) -> bool:
        """Return whether a file is a TorchScript archive, from the names of its entries. Raises OSError."""
        with path.open("rb") as file:
            if file.read(4) != b"PK\x03\x04":
                return False
        try:
            with zipfile.ZipFile(path) as archive:
                names = archive.namelist() if len(archive.filelist) <= MAX_ENTRIES else []
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, UnicodeError, EOFError):
            return False
        return any(n.endswith("/constants.pkl") for n in names) and any("/code/" in n for n in names)

    def describe(self, path: Path, hints: Hints = NO_HINTS) -> ForeignModel:
        """Convert the program to ONNX and describe it. Raises ModelError, UsageError without ``hints.trust``."""
        if not hints.trust:
            why, remedy = "a TorchScript file contains a program", f"vidtrans model import {path} --trust"
            raise UsageError(str(path), why, f"if you trust its author: {remedy}")
        data, model_description = _convert_once(path.absolute(), path.stat().st_mtime_ns), read_description(path)
        with tempfile.TemporaryDirectory() as folder:
            graph = Path(folder, f"{path.stem}.onnx")
            graph.write_bytes(data)
            try:
                if model_description and not (hints.range or hints.layout):
                    model = exported_graph(graph, read_graph(graph), model_description)
                    if model is not None:
                        return replace(model, family=FAMILY)
                graph_description = describe_onnx(graph, hints)
            except ModelError as error:
                raise ModelError(str(path), f"as an ONNX graph, {error.why}", error.remedy) from None
            except UsageError as error:
                remedy = error.remedy.replace(str(graph), f"{path} --trust")
                raise UsageError(error.what.replace(str(graph), str(path)), error.why, remedy) from None
        return replace(graph_model(path, graph_description), family=FAMILY)

    def read_weights(self, path: Path, model: ForeignModel) -> dict[str, Any]:
        """Return the bytes of the converted ONNX graph as 'data' (uint8); ``describe`` has checked the trust."""
        return graph_weights(_convert_once(path.absolute(), path.stat().st_mtime_ns), model)


@lru_cache(maxsize=1)
def _convert_once(path: Path, mtime_ns: int) -> bytes:
    """Convert a program to the bytes of an ONNX file, cached by modification time. Raises ModelError, UsageError."""
    check_installed(str(path))
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "graph.onnx")
        exported = ExportedModel.read(read_description(path))
        request = {
            "path": str(path),
            "target": str(target),
            "seconds": TIMEOUT_S,
            "memory": MEMORY_BYTES,
            "exported": exported is not None,
            "channels": exported.in_channels if exported and not exported.whole else 0,
        }
        run_request(path, COMMAND, request, TIMEOUT_S, "export it as ONNX in the program that made it")
        return target.read_bytes()
