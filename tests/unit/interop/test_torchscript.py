"""TorchScript: a program, which runs only where its author is trusted, once, in a process of its own."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

pytest.importorskip("onnx", reason="onnx is not installed: pip install 'vidtrans[onnx]'")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install 'vidtrans[onnx]'")

from vidtrans.core.errors import ModelError, UsageError
from vidtrans.interop import torchscript_process
from vidtrans.interop.torchscript import TorchScriptFormat
from vidtrans.models.formats import Hints, detect_format

TRUSTED = Hints(range="-1..1", trust=True)


class Painter(nn.Module):
    """Three convolutions, free of size."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 12, 3, 1, 1), nn.PixelShuffle(2))

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.body(x))


class Endless(nn.Module):
    """A loop that depends on the numbers of a picture."""

    def forward(self, x: Tensor) -> Tensor:
        while bool(x.max() > 0.5):
            x = x * 0.9
        return x


def script(module: nn.Module, traced: bool = False) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = torch.jit.trace(module, torch.rand(1, 3, 32, 32)) if traced else torch.jit.script(module)
        torch.jit.save(made, "net.pt")
    return Path("net.pt")


def test_a_trusted_program_becomes_a_graph_that_paints_the_same() -> None:
    module = Painter().eval()
    assert detect_format(script(module, traced=True)) == "torchscript"
    path = script(module)
    assert detect_format(path) == "torchscript"
    made = TorchScriptFormat().describe(path, TRUSTED)
    assert made.generator["settings"]["multiple"] == 2
    generator, record = TorchScriptFormat().load_described(path, made)
    assert record.generator["name"] == "onnx-graph"
    x = torch.rand(2, 3, 40, 56) * 2 - 1
    with torch.inference_mode():
        assert np.allclose(generator(x).numpy(), module(x).numpy(), atol=1e-4)


def test_without_trust_nothing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vidtrans.interop.torchscript.COMMAND", ["/nothing/that/runs"])
    with pytest.raises(UsageError, match=r"contains a program.*--trust"):
        TorchScriptFormat().describe(script(Painter()))


# Stands for the process that converts, whose start takes seconds: what it makes is there already.
COPIES = (
    "import json, shutil, sys; shutil.copy(sys.argv[1], json.load(sys.stdin)['target']); print('{\"error\": \"\"}')"
)


def test_a_program_that_is_no_graph_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    path, made = script(Endless()), Path("net.onnx").absolute()
    torchscript_process.convert(str(path), str(made))
    monkeypatch.setattr("vidtrans.interop.torchscript.COMMAND", [sys.executable, "-c", COPIES, str(made)])
    with pytest.raises(ModelError, match=r"net\.pt: as an ONNX graph, it has branches, or loops"):
        TorchScriptFormat().describe(path, TRUSTED)


def test_a_damaged_program_is_refused() -> None:
    path = script(Painter())
    data = bytearray(path.read_bytes())
    data[len(data) // 8 : len(data) // 2] = bytes(len(data) // 2 - len(data) // 8)
    path.write_bytes(data)
    assert TorchScriptFormat().detect(path)  # the list of its entries is at its end
    with pytest.raises(torchscript_process.ConversionError, match="torch cannot load it"):
        torchscript_process.convert(str(path), "net.onnx")


@pytest.mark.parametrize(
    ("program", "why"),
    [('print(\'{"error": "why"}\')', "net.pt: why — export it as ONNX"), ("exit(7)", r"\(status 7\)")],
)
def test_what_ends_a_conversion_is_said(program: str, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vidtrans.interop.torchscript.COMMAND", [sys.executable, "-c", program])
    with pytest.raises(ModelError, match=why):
        TorchScriptFormat().describe(script(Painter()), TRUSTED)
