"""Devices: which engine each one gets, and how an error that means too little memory is recognised."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import torch

from vidtrans.core.errors import DeviceError, MediaError, describe_error, out_of_memory
from vidtrans.inference.device import Device, resolve_precision
from vidtrans.inference.torch_engine import TorchEngine
from vidtrans.inference.user_cache import INDUCTOR_CACHE, use_inductor_cache
from vidtrans.networks.init import build_generator, initialise
from vidtrans.training.methods.pix2pix import Pix2Pix
from vidtrans.training.settings import TrainingSettings

CPU = Device("cpu", "cpu")


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
        assert out_of_memory(error), error
        assert describe_error(error) == ("out of memory — use smaller pictures, or close other programs", 4)
    assert [error for error in SOMETHING_ELSE if out_of_memory(error)] == []


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
        model._step = Mock(side_effect=error)  # type: ignore[method-assign]
        with pytest.raises(kind, match=why):
            model.step(torch.zeros(1, 3, 32, 32), torch.zeros(1, 3, 32, 32), lr=1e-4, seed=0)


def test_auto_is_fp32_where_onednn_may_not_use_what_the_processor_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: True)
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
