"""The export format for ONNX files: the network alone or from RGB to RGB, for pictures of any size."""

from __future__ import annotations

import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

from vidtrans.core.errors import UsageError, first_line
from vidtrans.core.machine import import_onnx_runtime
from vidtrans.core.settings import Table
from vidtrans.interop.exported import METADATA_KEY
from vidtrans.interop.exporting.base import ExportFormat, ExportSubject, build_description
from vidtrans.interop.exporting.graphs import NetworkGraph, WholeGraph, build_graph, check_file

OPSET = 17  # Version of the ONNX operator set of exported files.
# Largest number of iterations of a loop that extends edge lines in the picture, by up to 8 pixels per iteration.
# Programs refuse loops without a limit.
MAX_ITERATIONS = 4096
INPUT, OUTPUT = "input", "output"  # Names of the graph's input and output.
# Description of input and output in a file that contains the network without pairing.
NETWORK_TEXT = "float32 (N, {channels}, H, W) from -1 to 1, the network's own input; output (N, 3, H, W) from -1 to 1"
# Description of input and output in a file that includes the pairing.
WHOLE_TEXT = "uint8 (N, H, W, 3) RGB; output the same, {factor}sRGB as in pictures and video"


class OnnxExport(ExportFormat):
    """Export to ONNX, opset 17. ``write`` needs the packages onnx and ONNX Runtime, which checks the written file."""

    def check(self, subject: ExportSubject) -> None:
        """Raise UsageError if ONNX Runtime or the package onnx is not installed."""
        _runtime()

    def write(self, path: Path, subject: ExportSubject) -> Table:
        """Write the ONNX file, compare its output with the model's, and return statistics; see ``ExportFormat``."""
        runtime = _runtime()
        graph = build_graph(subject, eight_bits=True)
        network = graph.network if isinstance(graph, WholeGraph) else graph
        _export(path, graph, subject, network)
        session = _session(runtime, path, subject)

        def run(x: np.ndarray) -> np.ndarray:
            """Return the file's output for one picture, in the shape and dtype of ``check_file``."""
            output: np.ndarray = session.run(None, {INPUT: np.ascontiguousarray(x[None])})[0]
            return output[0]

        return {"opset": OPSET, "operators": _operators(path), **check_file(subject, graph, run)}


def _runtime() -> ModuleType:
    """Return the module onnxruntime. Raises UsageError if it or the package onnx is not installed."""
    try:
        import onnx  # noqa: F401  (the exporter of torch needs it)

        runtime: ModuleType = import_onnx_runtime()
    except ImportError:
        why = "onnx or ONNX Runtime, which checks the file, is not installed"
        raise UsageError("--format onnx", why, "pip install 'vidtrans[onnx]'") from None
    return runtime


def _export(path: Path, graph: NetworkGraph | WholeGraph, subject: ExportSubject, network: NetworkGraph) -> None:
    """Write a graph with free picture sizes to ``path``, with the description of the model."""
    side = max(2 * network.multiple, network.smallest) + 1  # Pixels: a trace at this size is valid for all sizes
    if subject.whole:
        example = torch.zeros(1, side, side + 2, 3, dtype=torch.uint8)
        sizes, larger = {0: "N", 1: "H", 2: "W"}, subject.pairing.upscale_factor > 1
    else:
        example = torch.zeros(1, subject.in_channels, side, side + 2)
        sizes, larger = {0: "N", 2: "H", 3: "W"}, False
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # torch warns about its older exporter, and about comparisons of sizes
        torch.onnx.export(
            graph,
            (example,),
            str(path),
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_axes={INPUT: sizes, OUTPUT: {k: f"{v}_out" if larger and k else v for k, v in sizes.items()}},
            opset_version=OPSET,
            dynamo=False,
        )
    _describe(path, subject, network)


def _describe(path: Path, subject: ExportSubject, network: NetworkGraph) -> None:
    """Write the model's description into the file: producer, value range, sizes, pairing and card."""
    import onnx

    model: Any = onnx.load(str(path))
    factor = subject.pairing.upscale_factor
    larger = f"{factor} times as large, " if factor > 1 else ""
    text = (WHOLE_TEXT if subject.whole else NETWORK_TEXT).format(factor=larger, channels=subject.in_channels)
    model.producer_name = "vidtrans"
    model.producer_version = ""
    model.doc_string = f"{subject.name}: {text}"
    table = {
        METADATA_KEY: build_description(subject),
        "input": text,
        "size": f"any; exact from {network.smallest} pixels a side; trained at {subject.record.size}",
    }
    onnx.helper.set_model_props(model, table)
    limit_loops(model.graph)
    onnx.save(model, str(path))


def limit_loops(graph: Any) -> None:  # noqa: ANN401  (of the package onnx)
    """Set the number of iterations of each loop in an ONNX graph to a constant, at most ``MAX_ITERATIONS``."""
    import onnx

    graphs, constants = [graph], {}
    while graphs:
        for node in graphs.pop().node:
            if node.op_type == "Constant":
                constants[node.output[0]] = onnx.helper.get_attribute_value(node.attribute[0])
            if node.op_type == "Loop":
                rounds = int(onnx.numpy_helper.to_array(constants[node.input[0]]))
                # Without a limit, torch writes the largest integer as the number of iterations.
                bound = np.array(min(rounds, MAX_ITERATIONS), np.int64)
                graph.initializer.append(onnx.numpy_helper.from_array(bound, f"rounds_{len(graph.initializer)}"))
                node.input[0] = graph.initializer[-1].name
                graphs += [attribute.g for attribute in node.attribute if attribute.HasField("g")]


def _session(runtime: ModuleType, path: Path, subject: ExportSubject) -> Any:  # noqa: ANN401  (of ONNX Runtime)
    """Return an ONNX Runtime session for a file, on the CPU. Raises UsageError if the file cannot be loaded."""
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    try:
        return runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's exception classes are not public
        why = f"ONNX Runtime cannot load the exported file ({first_line(error)})"
        raise UsageError(f"model '{subject.name}'", why, "update onnxruntime") from None


def _operators(path: Path) -> list[str]:
    """Return the sorted names of the operators in an ONNX file, including operators inside loops."""
    import onnx

    names: set[str] = set()
    graphs = [onnx.load(str(path), load_external_data=False).graph]
    while graphs:
        for node in graphs.pop().node:
            names.add(node.op_type)
            graphs += [attribute.g for attribute in node.attribute if attribute.HasField("g")]
    return sorted(names)
