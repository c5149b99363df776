"""ONNX files of other tools: any network that makes one picture of one picture."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

from vidtrans.core.errors import ModelError
from vidtrans.core.settings import Table
from vidtrans.interop.onnx.checks import check_graph
from vidtrans.interop.onnx.describe import OnnxDescription, describe_onnx
from vidtrans.interop.onnx.graph_reading import is_onnx, read_graph_in
from vidtrans.models.foreign_format import NO_HINTS, ForeignFormat, ForeignModel, Hints
from vidtrans.networks import ONNX_GRAPH

FAMILY = "ONNX graph"
FREE_SIZE = 512  # pixels of the short side, by default: what most such networks are shown at
MAX_FACTOR = 4  # that the pairing ``enlarge`` has
WHAT = {
    "layout": "axes",
    "size": "size",
    "input": "range of its input",
    "output": "range of its output",
    "colours": "order of colours",
    "factor": "it gives",
    "outputs": "the picture",
}


class OnnxFormat(ForeignFormat):
    """One file with all of its weights. It is read and checked before ONNX Runtime sees it, then tried by itself."""

    suffixes: ClassVar[tuple[str, ...]] = (".onnx",)
    uses_range: ClassVar[bool] = True

    def detect(self, path: Path) -> bool:
        """Return whether its first fields are those of an ONNX model."""
        return is_onnx(path)

    def describe(self, path: Path, hints: Hints = NO_HINTS) -> ForeignModel:
        """Return what a file holds, with what a person says of it. Raises ModelError, UsageError."""
        stat = path.stat()
        return graph_model(path, _described(path.absolute(), stat.st_mtime_ns, stat.st_size, hints))

    @staticmethod
    def check_graph(path: Path, data: bytes) -> None:
        """Refuse the bytes of a graph that ``path`` holds, as ``describe`` does. Raises ModelError."""
        check_graph(path, read_graph_in(data, path))

    def read_weights(self, path: Path, model: ForeignModel) -> dict[str, Any]:
        """Return the bytes of the file."""
        import torch

        data = bytearray(path.read_bytes())
        return {"data": torch.frombuffer(data, dtype=torch.uint8)}


def graph_model(path: Path, found: OnnxDescription) -> ForeignModel:
    """Return the model of a graph that was described. Raises ModelError."""
    if found.enlarges > MAX_FACTOR:
        why = f"it makes pictures {found.enlarges} times larger, at most {MAX_FACTOR} times can be used"
        raise ModelError(str(path), why, "use another network")
    sides = [side for side in (found.generator["height"], found.generator["width"]) if side]
    return ForeignModel(
        family=FAMILY,
        generator={"name": ONNX_GRAPH, "settings": found.generator},
        ports=found.ports,
        size=min(sides) if sides else FREE_SIZE,
        pairing=_pairing(found),
        notes=tuple(
            f"{WHAT[about]}: {finding.value} ({'' if finding.sure else 'likely: '}{finding.reason})"
            for about, finding in found.findings.items()
        ),
    )


def _pairing(found: OnnxDescription) -> Table:
    """Return the frame itself as the input, or, for what enlarges, the interpolated one."""
    if found.enlarges > 1:
        return {"name": "enlarge", "settings": {"factor": found.enlarges}}
    return {"name": "aligned", "settings": {}}


@lru_cache(maxsize=16)
def _described(path: Path, mtime_ns: int, size: int, hints: Hints) -> OnnxDescription:
    return describe_onnx(path, hints.range, hints.layout)
