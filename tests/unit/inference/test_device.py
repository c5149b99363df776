"""Devices: which engine each gets, errors that mean too little memory, and networks that are recorded and replayed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from clips import scene
from torch import Tensor

from vidtrans.core.errors import DeviceError, MediaError, UsageError, describe_error, is_out_of_memory
from vidtrans.inference import cuda_graphs
from vidtrans.inference import device as devices
from vidtrans.inference.cuda_graphs import NUM_WARM_UP_RUNS, RecordedNetwork
from vidtrans.inference.device import CPU, Device, resolve_device, resolve_precision, tensor_float32
from vidtrans.inference.torch_engine import TorchEngine
from vidtrans.inference.user_cache import INDUCTOR_CACHE, use_inductor_cache
from vidtrans.networks.init import build_generator, initialise
from vidtrans.training.methods.base import TrainingStep
from vidtrans.training.methods.pix2pix import Pix2Pix
from vidtrans.training.settings import TrainingSettings


class OnnxRuntimeException(Exception):
    """Stand for ``onnxruntime.capi.onnxruntime_pybind11_state.RuntimeException``, which is no RuntimeError."""


# What the libraries said in public issue threads, or say in their source: CUDA, its driver, NCCL, cuBLAS, cuDNN 8 and
# 9, MPS, Linux, Windows, C++, OpenVINO, cuDNN by its plans and 7, Metal, torch of a mapped file.
FULL = """CUDA error: out of memory\\nSearch for `cudaErrorMemoryAllocation' in the docs
CUDA driver error: out of memory
ncclUnhandledCudaError: Call to CUDA function failed.\\nCuda failure 2 'out of memory'
CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`
cuDNN error: CUDNN_STATUS_ALLOC_FAILED
cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED
MPS backend out of memory (MPS allocated: 5.56 GB, other allocations: 1.10 GB, ...
Invalid buffer size: 19.45 GB
[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory
[enforce fail at alloc_cpu.cpp:72] data. DefaultCPUAllocator: not enough memory
std::bad_alloc
Exception from core.cpp:109:\\nCheck 'ptr' failed at cpu_memory.cpp:257:\\nFailed to allocate 766387281 bytes of memory
GET was unable to find an engine to execute this computation
Unable to find a valid cuDNN algorithm to run convolution (try_all at aten/src/ATen/native/cudnn/Conv.cpp:693)
MPSCommandBufferImageCache.mm:1411: failed assertion `Failed to allocate private MTLBuffer for size 2717908992
unable to mmap 4194304 bytes from file </torch_1234_567_0>: Cannot allocate memory (12)"""
ONNX_RUNTIME = """[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Non-zero status code returned while running Conv node.
bfc_arena.cc:376 BFCArena::AllocateRawInternal Failed to allocate memory for requested buffer of size 8388608000"""
OUT_OF_MEMORY = [
    *(RuntimeError(line.replace("\\n", "\n")) for line in FULL.splitlines()),
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total ..."),
    OnnxRuntimeException(ONNX_RUNTIME),
    MemoryError("Unable to allocate 7.45 GiB for an array with shape (1000000000,) and data type float64"),
]
ILLEGAL = RuntimeError("CUDA error: an illegal memory access was encountered\nSearch for `cudaErrorIllegalAddress'")
# A full GPU may be the cause, but so may a driver or a cuDNN that does not fit.
NOT_STARTED = RuntimeError("cuDNN error: CUDNN_STATUS_NOT_INITIALIZED")
OTHERS = """cuDNN error: CUDNN_STATUS_NOT_SUPPORTED. This error may appear if you passed in ...
required rank 4 tensor to use channels_last format; unsupported memory format
some elements of the input and the written-to tensor refer to one memory location
cannot pin 'torch.cuda.FloatTensor' only dense CPU tensors can be pinned
Placeholder storage has not been allocated on MPS device!
unable to mmap 64 bytes from file </a b>: Permission denied (13)
Unable to find a valid algorithm to run convolution"""
SOMETHING_ELSE = [
    *map(RuntimeError, OTHERS.splitlines()),
    *(ILLEGAL, NOT_STARTED, ValueError("with this setting the model runs out of memory slots")),
    MediaError("clip.mp4", "CUDA out of memory is written in its title"),
    DeviceError("cuda", "CUDA error: out of memory for one frame", "use --device cpu"),  # ours, when all was tried
]


def test_an_error_that_means_too_little_memory_is_recognised_in_the_words_of_every_library() -> None:
    with pytest.raises(RuntimeError) as raised:  # this very torch's
        torch.empty(1 << 48, dtype=torch.uint8)
    for error in (*OUT_OF_MEMORY, raised.value):
        assert is_out_of_memory(error), error
        assert describe_error(error) == ("out of memory — use smaller pictures, or close other programs", 4)
    assert [error for error in SOMETHING_ELSE if is_out_of_memory(error)] == []


def small_generator() -> Any:
    generator = build_generator("unet-small", {"channels": 8, "blocks": [0, 0, 0]}, 3)
    initialise(generator, 0)
    return generator.eval()


@pytest.mark.parametrize("error", [NOT_STARTED, ILLEGAL])
def test_any_other_error_goes_to_the_caller_as_it_is(error: RuntimeError) -> None:
    engine = TorchEngine(small_generator(), CPU, "fp32", batch=4)
    engine._network = Mock(side_effect=error)
    with pytest.raises(RuntimeError) as raised:
        engine(np.zeros((1, 32, 32, 3), np.uint8))
    assert raised.value is error
    assert engine.batch == 4


def test_training_that_runs_out_of_memory_is_a_device_error_and_another_one_is_a_bug() -> None:
    model = Pix2Pix(small_generator(), None, TrainingSettings.of(lambda_gan=0.0), CPU, "fp32")
    other = RuntimeError("a bug")
    cases = (OUT_OF_MEMORY[0], DeviceError, r"training\.batch_size"), (other, RuntimeError, "a bug")
    for error, kind, why in cases:
        model._optimize = Mock(side_effect=error)  # type: ignore[method-assign]
        with pytest.raises(kind, match=why):
            model.optimize(TrainingStep(torch.zeros(1, 3, 32, 32), torch.zeros(1, 3, 32, 32), lr=1e-4, seed=0))


def test_auto_is_fp32_where_bf16_is_missing_or_slower(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "processor", lambda: "AMD EPYC 9R14")
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: True)
    assert resolve_precision("auto", CPU) == "bf16"
    monkeypatch.setattr(devices, "processor", lambda: "Intel(R) Xeon(R) Processor")
    assert resolve_precision("auto", CPU) == "fp32"
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True)
    assert resolve_precision("auto", CPU) == "bf16"
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False)
    assert resolve_precision("auto", CPU) == "fp32"


def test_what_is_compiled_for_one_processor_is_not_found_by_another(monkeypatch: pytest.MonkeyPatch) -> None:
    folders = []
    for environment in ("avx2", "avx512", "avx2"):
        monkeypatch.setenv(INDUCTOR_CACHE, "/tmp/torchinductor_somebody")  # as torch sets it by itself
        use_inductor_cache(environment)
        folders.append(Path(os.environ[INDUCTOR_CACHE]))
    assert folders[0] == folders[2] != folders[1]
    assert all(folder.parent.name == "inductor" for folder in folders)


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
    assert replays == ["recorded", *["replayed"] * (1 + RUNS - NUM_WARM_UP_RUNS)]
    assert engine._recorded is not None
    assert engine._recorded.refusal == ""


@pytest.mark.parametrize("fault", ["", "other numbers", "operation not permitted"])
def test_a_wrong_or_failed_replay_is_dropped(fault: str, replays: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
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
    assert len(replays) == {"": 2 + RUNS - NUM_WARM_UP_RUNS, "other numbers": 2}.get(fault, 0)


def test_where_memory_runs_out_the_graph_is_dropped(replays: list[str]) -> None:
    engine = TorchEngine(generator(), CUDA, "fp32", batch=3)
    expected = np.stack([engine(pictures(0)) for _ in range(NUM_WARM_UP_RUNS)]).astype(int)
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
