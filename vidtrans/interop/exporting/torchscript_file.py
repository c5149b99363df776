"""The export format for TorchScript: one tensor in and one out, for Nuke's Inference node and libtorch programs."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from vidtrans.core.settings import Table
from vidtrans.interop.exported import DESCRIPTION
from vidtrans.interop.exporting.base import ExportFormat, ExportSubject, description
from vidtrans.interop.exporting.graphs import UnitGraph, WholeGraph, check_file, graph_of


class TorchScriptExport(ExportFormat):
    """Export to a traced module, float32 (N, C, H, W) → (N, 3, H, W), with colours in [0, 1]."""

    def write(self, path: Path, subject: ExportSubject) -> Table:
        """Write the file, compare its output with the model's, and return the figures; see ``ExportFormat``."""
        graph = graph_of(subject, eight_bits=False)
        network = graph.network if isinstance(graph, WholeGraph) else graph
        channels = 3 if isinstance(graph, WholeGraph) else subject.in_channels
        side = max(2 * network.multiple, network.smallest) + 1
        module: nn.Module = graph if isinstance(graph, WholeGraph) else UnitGraph(graph).eval()
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # of sizes that are compared, and of TorchScript being old
            traced: Any = torch.jit.trace(module, torch.zeros(1, channels, side, side + 2), check_trace=False)
            # Not to the path: torch's writer of archives ends the process where the disk is full.
            buffer = io.BytesIO()
            torch.jit.save(traced, buffer, _extra_files={DESCRIPTION: description(subject)})
            path.write_bytes(buffer.getvalue())
            loaded: Any = torch.jit.load(str(path), map_location="cpu")

        @torch.no_grad()
        def run(x: np.ndarray) -> np.ndarray:
            made: np.ndarray
            if subject.whole:
                frame = torch.from_numpy(np.ascontiguousarray(x.transpose(2, 0, 1)))[None].float() / 255
                levels = torch.round(loaded(frame)[0] * 255).clamp(0, 255).to(torch.uint8)
                made = levels.permute(1, 2, 0).numpy()
            else:
                made = (loaded((torch.from_numpy(x)[None] + 1) / 2)[0] * 2 - 1).numpy()
            return made

        return {"operators": _operators(loaded), **check_file(subject, graph, run)}


def _operators(loaded: Any) -> list[str]:  # noqa: ANN401  (a ScriptModule)
    """Return the sorted names of the tensor operators (``aten::``) it calls, and "prim::Loop" if it loops."""
    loops = {"prim::Loop"} if "prim::Loop" in str(loaded.inlined_graph) else set()
    return sorted({name for name in torch.jit.export_opnames(loaded) if name.startswith("aten::")} | loops)
