"""A network that is recorded and replayed, where the recording is pretended: the same pictures, or none of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from clips import scene
from torch import Tensor

from vidtrans.core.errors import UsageError
from vidtrans.inference import cuda_graphs
from vidtrans.inference.cuda_graphs import WARM_UP, RecordedNetwork
from vidtrans.inference.device import CPU, Device, resolve_device, resolve_precision, tensor_float32
from vidtrans.inference.torch_engine import TorchEngine
from vidtrans.networks.init import build_generator, initialise

pytestmark = pytest.mark.usefixtures("two_gpus", "one_thread")
CUDA = Device("cuda", "cuda")  # whose work the CPU does
RUNS = 6


@pytest.fixture
def replays(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Graphs that run on the CPU, with tensors of their own as those of a GPU; the list says what was done."""
    done: list[str] = []

    def record(body: Callable[[], tuple[Tensor, ...]], device: Any) -> tuple[Callable[[], None], tuple[Tensor, ...]]:
        done.append("recorded")
        (output,) = (t.clone() for t in body())

        def replay() -> None:
            done.append("replayed")
            output.copy_(body()[0])

        return replay, (output,)

    monkeypatch.setattr(cuda_graphs, "record", record)
    return done


def generator() -> Any:
    network = build_generator("unet-small", {"channels": 8, "blocks": [0, 0, 0]}, 3)
    initialise(network, 0)
    return network.eval()


def pictures(seed: int, size: tuple[int, int] = (48, 32)) -> np.ndarray:
    return np.stack([scene(*size, seed=100 * seed + n) for n in range(3)])


def test_a_replayed_engine_paints_what_it_paints_without(replays: list[str]) -> None:
    engine, plain = (TorchEngine(generator(), CUDA, "fp32", batch=3) for _ in range(2))
    plain._recorded = None
    made = [engine(pictures(n)) for n in range(RUNS)]  # all are kept: no replay may write into an earlier result
    assert np.array_equal(made, [plain(pictures(n)) for n in range(RUNS)])
    assert not np.array_equal(made[-1], made[-2])
    assert replays == ["recorded", *["replayed"] * (1 + RUNS - WARM_UP)]
    assert engine._recorded is not None
    assert engine._recorded.refusal == ""


@pytest.mark.parametrize("fault", ["", "other numbers", "operation not permitted"])
def test_a_replay_that_is_wrong_or_cannot_be_is_dropped(
    fault: str, replays: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    record = cuda_graphs.record

    def wrong(body: Any, device: Any) -> Any:
        if fault == "operation not permitted":
            raise RuntimeError(f"{fault}\nwhen stream is capturing")
        replay, (output,) = record(body, device)

        def off() -> None:
            replay()
            output.add_(1e-6 if fault else 0)

        return off, (output,)

    monkeypatch.setattr(cuda_graphs, "record", wrong)
    network = RecordedNetwork(lambda x: 2 * x, torch.device("cpu"))
    made = [network(torch.full((2,), float(n))) for n in range(RUNS)]  # each is the caller's
    assert [float(t[0]) for t in made] == [2.0 * n for n in range(RUNS)]
    assert network.refusal.endswith(fault)
    assert bool(network.refusal) == bool(fault)
    assert replays[:2] == ([] if fault == "operation not permitted" else ["recorded", "replayed"])
    assert len(replays) == {"": 2 + RUNS - WARM_UP, "other numbers": 2}.get(fault, 0)


def test_where_memory_runs_out_the_graph_is_dropped(replays: list[str]) -> None:
    engine = TorchEngine(generator(), CUDA, "fp32", batch=3)
    expected = np.stack([engine(pictures(0)) for _ in range(WARM_UP)]).astype(int)
    recorded: Any = engine._recorded

    def full() -> None:
        raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")

    recorded._replay = full
    assert np.abs(engine(pictures(0)) - expected[0]).max() <= 1
    assert recorded._replay is not full
    assert engine.batch == 1


@pytest.mark.parametrize("precision", ["fp16", "tf32"])
def test_what_only_cuda_has_is_refused_elsewhere_in_one_line(precision: str) -> None:
    for device in (CPU, Device("mps", "mps")):
        with pytest.raises(UsageError, match="needs CUDA") as raised:
            resolve_precision(precision, device)
        assert "\n" not in str(raised.value)
    assert resolve_precision(precision, CUDA) == precision
    engine = TorchEngine(generator(), CUDA, precision)
    assert engine.identity["precision"] == precision
    half = next(engine._network.parameters()).dtype == torch.float16  # type: ignore[union-attr]
    assert half == (precision == "fp16")
    off = np.abs(engine(pictures(0)).astype(int) - TorchEngine(generator(), CUDA, "fp32")(pictures(0)))
    assert bool(off.any()) == half
    assert off.max() <= 4


def test_tf32_is_allowed_while_its_network_runs_and_at_no_other_time() -> None:
    resolve_device("cuda")
    for precision, wanted in (("tf32", True), ("fp32", False)):
        engine, seen = TorchEngine(generator(), CUDA, precision), []
        network = engine._network

        def spy(x: Tensor, network: Any = network, seen: list[bool] = seen) -> Tensor:
            seen.append(torch.backends.cuda.matmul.allow_tf32 and torch.backends.cudnn.allow_tf32)
            return network(x)

        engine._network = spy
        engine(pictures(0))
        assert seen == [wanted]
    with pytest.raises(KeyError), tensor_float32("tf32"):
        raise KeyError
    assert not torch.backends.cuda.matmul.allow_tf32
    assert not torch.backends.cudnn.allow_tf32
