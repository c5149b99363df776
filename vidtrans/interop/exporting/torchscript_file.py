"""The export format for TorchScript: one input and one output tensor, for Nuke's Inference node and libtorch."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from vidtrans.core.settings import Table
from vidtrans.interop.exported import DESCRIPTION_NAME
from vidtrans.interop.exporting.base import ExportFormat, ExportSubject, build_description
from vidtrans.interop.exporting.graphs import UnitGraph, WholeGraph, build_graph, check_file


class TorchScriptExport(ExportFormat):
    """Export to a traced module, float32 (N, C, H, W) → (N, 3, H, W), with colours from 0 to 1."""

    def write(self, path: Path, subject: ExportSubject) -> Table:
        """Write the file, compare its output with the model's, and return statistics; see ``ExportFormat``."""
        graph = build_graph(subject, eight_bits=False)
        network = graph.network if isinstance(graph, WholeGraph) else graph
        channels = 3 if isinstance(graph, WholeGraph) else subject.in_channels
        side = max(2 * network.multiple, network.smallest) + 1
        module: nn.Module = graph if isinstance(graph, WholeGraph) else UnitGraph(graph).eval()
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # Warnings: comparisons of sizes; TorchScript is deprecated
            traced: Any = torch.jit.trace(module, torch.zeros(1, channels, side, side + 2), check_trace=False)
            # Write via a buffer: the archive writer of torch ends the process if the disk is full.
            buffer = io.BytesIO()
            torch.jit.save(traced, buffer, _extra_files={DESCRIPTION_NAME: build_description(subject)})
            path.write_bytes(buffer.getvalue())
            loaded: Any = torch.jit.load(str(path), map_location="cpu")

        @torch.no_grad()
        def run(x: np.ndarray) -> np.ndarray:
            """Return the file's output for one picture, in the shape and dtype of ``check_file``."""
            output: np.ndarray
            if subject.whole:
                frame = torch.from_numpy(np.ascontiguousarray(x.transpose(2, 0, 1)))[None].float() / 255
                levels = torch.round(loaded(frame)[0] * 255).clamp(0, 255).to(torch.uint8)
                output = levels.permute(1, 2, 0).numpy()
            else:
                output = (loaded((torch.from_numpy(x)[None] + 1) / 2)[0] * 2 - 1).numpy()
            return output

        return {"operators": _operators(loaded), **check_file(subject, graph, run)}


def _operators(loaded: Any) -> list[str]:  # noqa: ANN401  (a ScriptModule)
    """Return the sorted names of a module's tensor operators (``aten::``), and "prim::Loop" if it has loops."""
    loops = {"prim::Loop"} if "prim::Loop" in str(loaded.inlined_graph) else set()
    return sorted({name for name in torch.jit.export_opnames(loaded) if name.startswith("aten::")} | loops)
