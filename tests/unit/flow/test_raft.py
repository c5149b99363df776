"""RAFT without torchvision: what is said where it is missing, and what the network is given where it is there."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from chain import refuse, said_json
from clips import scene
from directed_clip import lossless
from flicker import drifting, flickering, look

from vidtrans.core.errors import ModelError, UsageError
from vidtrans.flow import FLOWS
from vidtrans.flow.estimator import FlowEstimator

Place, Command = Callable[[str], Path], tuple[object, ...]
ADDRESS = "https://example.invalid/models/{}-1234.pth"


class Steady(torch.nn.Module):
    """Stands in for the network: the same shift everywhere, and notes of what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.shift = torch.nn.Parameter(torch.zeros(2))
        self.given: list[torch.Tensor] = []

    def forward(self, first: torch.Tensor, second: torch.Tensor) -> list[torch.Tensor]:
        self.given += [first, second]
        flow = self.shift[None, :, None, None].expand(1, 2, *first.shape[2:])
        return [flow * 0, flow]


@pytest.fixture
def weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], Path]:
    """A torchvision of our own; gives the place of a network's weights."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    flows: Any = ModuleType("torchvision.models.optical_flow")
    for network, enum in (("raft_large", "Raft_Large_Weights"), ("raft_small", "Raft_Small_Weights")):
        setattr(flows, network, lambda weights: Steady())
        setattr(flows, enum, SimpleNamespace(DEFAULT=SimpleNamespace(url=ADDRESS.format(network))))
    for name in ("torchvision", "torchvision.models"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setattr(sys.modules["torchvision"], "__version__", "0.1.0+cpu", raising=False)
    monkeypatch.setitem(sys.modules, "torchvision.models.optical_flow", flows)

    def place(network: str) -> Path:
        folder = tmp_path / "torch" / "hub" / "checkpoints"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{network}-1234.pth"

    return place


def test_without_torchvision_one_line_says_what_to_install_and_nothing_is_begun(
    deflicker: Command, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith("torchvision.")]:
        monkeypatch.delitem(sys.modules, name)  # where it is installed, and was imported
    monkeypatch.setitem(sys.modules, "torchvision", None)
    told = refuse(capsys, 2, *deflicker)
    assert "the flow method 'raft' is not installed: " in told
    assert "install the torchvision that goes with your torch" in told
    assert not Path(".vidtrans/render").exists()


def test_weights_that_are_not_there_or_damaged_are_told_of_and_never_downloaded(weights: Callable[[str], Path]) -> None:
    path = weights("raft_large")
    with pytest.raises(UsageError) as caught:
        FLOWS.load("raft")()
    assert str(path) in str(caught.value)
    assert f"download {ADDRESS.format('raft_large')} to that path" in str(caught.value)
    assert not path.exists()
    for damage in (b"", b"PK\x03\x04 cut off", b"<html>404</html>"):
        path.write_bytes(damage)
        with pytest.raises(ModelError, match="delete it and download"):
            FLOWS.load("raft")()
    torch.save({"other": torch.zeros(1)}, path)
    with pytest.raises(ModelError, match="not the weights"):
        FLOWS.load("raft")()


@pytest.mark.parametrize("size", [(1, 1), (200, 130)])
def test_the_network_is_given_what_it_can_take(weights: Callable[[str], Path], size: tuple[int, int]) -> None:
    torch.save({"shift": torch.tensor([2.0, -1.0])}, weights("raft_small"))
    estimator = FlowEstimator("raft-small", 32)
    frame = scene(96, 64, 1)
    assert estimator.prepare(frame).shape == (32, 48, 3)  # in colour
    assert estimator.prepare(frame.astype(np.uint16) * 257).dtype == np.uint8
    method = FLOWS.load("raft-small")()
    a, b = (scene(*size, seed) for seed in (1, 2))
    flow = method(a, b)
    assert (flow.shape, flow.dtype) == ((size[1], size[0], 2), np.float32)
    assert np.array_equal(flow, np.broadcast_to(np.float32((2, -1)), flow.shape))
    for given, picture in zip(method._network.given, (a, b), strict=True):
        assert given.shape[:2] == (1, 3)
        assert all(side >= 128 and side % 8 == 0 for side in given.shape[2:])
        seen = given[0].permute(1, 2, 0).numpy()[: size[1], : size[0]]
        assert np.allclose(seen, picture / 127.5 - 1, atol=1e-6)
    assert not any(p.requires_grad and p.grad is not None for p in method._network.parameters())


def shift_by(path: Path, x: float) -> None:
    torch.save({"shift": torch.tensor([x, 0.0])}, path)


@pytest.fixture
def deflicker() -> tuple[object, ...]:
    """A command that follows RAFT's flow, for a clip that flickers."""
    frames = drifting(8, 1, grain=True)
    lossless(Path("s.mp4"), frames)
    lossless(Path("p.mp4"), flickering([look(f) for f in frames]))
    return ("deflicker", "p.mp4", "--source", "s.mp4", "--codec", "ffv1", "-o", "o.mkv", "--set=temporal.flow=raft")


def test_results_are_of_these_weights_only(
    weights: Place, deflicker: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    shift_by(weights("raft_large"), 1.0)
    assert said_json(capsys, *deflicker)["frames_encoded"] == 8
    assert said_json(capsys, *deflicker)["cached"]
    followed = Path("o.mkv").read_bytes()
    shift_by(weights("raft_large"), -3.0)
    assert "made with other inputs or options" in refuse(capsys, 2, *deflicker)
    assert said_json(capsys, *deflicker, "--overwrite")["frames_encoded"] == 8
    assert Path("o.mkv").read_bytes() != followed
    shift_by(weights("raft_large"), 1.0)
    assert said_json(capsys, *deflicker, "--overwrite")["frames_encoded"] == 0
    assert Path("o.mkv").read_bytes() == followed


def test_a_device_that_is_not_there_is_missed_by_all_that_would_run_there(
    weights: Place, deflicker: Command, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shift_by(weights("raft_large"), 1.0)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert "no CUDA device here" in refuse(capsys, 4, *deflicker, "--device", "cuda")
    assert "no CUDA device here" in refuse(capsys, 4, *deflicker, "--set=temporal.flow=dis", "--device", "cuda")
    assert said_json(capsys, *deflicker, "--set=temporal.flow=dis", "--device", "cpu")["frames"] == 8
