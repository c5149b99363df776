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


# What the libraries said in public issue threads, or say in their source.
OUT_OF_MEMORY = {
    "torch's class": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total ..."),
    "CUDA": RuntimeError("CUDA error: out of memory\nSearch for `cudaErrorMemoryAllocation' in the docs"),
    "CUDA's driver": RuntimeError("CUDA driver error: out of memory"),
    "NCCL": RuntimeError("ncclUnhandledCudaError: Call to CUDA function failed.\nCuda failure 2 'out of memory'"),
    "cuBLAS": RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    "cuDNN 8": RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    "cuDNN 9": RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
    "MPS": RuntimeError("MPS backend out of memory (MPS allocated: 5.56 GB, other allocations: 1.10 GB, ..."),
    "MPS, one buffer": RuntimeError("Invalid buffer size: 19.45 GB"),
    "Linux": RuntimeError("[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory"),
    "Windows": RuntimeError("[enforce fail at alloc_cpu.cpp:72] data. DefaultCPUAllocator: not enough memory"),
    "C++": RuntimeError("std::bad_alloc"),
    "ONNX Runtime": OnnxRuntimeException(
        "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Non-zero status code returned while running Conv node. Name:'/0' "
        "Status Message: bfc_arena.cc:376 void* onnxruntime::BFCArena::AllocateRawInternal(size_t, bool) Failed to "
        "allocate memory for requested buffer of size 8388608000"
    ),
    "OpenVINO": RuntimeError(
        "Exception from src/inference/src/cpp/core.cpp:109:\nCheck 'ptr' failed at src/plugins/intel_cpu/src/"
        "cpu_memory.cpp:257:\nFailed to allocate 7663872811008 bytes of memory"
    ),
    "cuDNN, by its plans": RuntimeError("GET was unable to find an engine to execute this computation"),
    "cuDNN 7": RuntimeError(
        "Unable to find a valid cuDNN algorithm to run convolution (try_all at aten/src/ATen/native/cudnn/Conv.cpp:693)"
    ),
    "Metal": RuntimeError(
        "/Library/Caches/com.apple.xbs/Sources/MetalPerformanceShaders/MPSCore/Utility/"
        "MPSCommandBufferImageCache.mm:1411: failed assertion `Failed to allocate private MTLBuffer for size 2717908992"
    ),
    "torch, of a mapped file": RuntimeError(
        "unable to mmap 4194304 bytes from file </torch_1234_567_0>: Cannot allocate memory (12)"
    ),
    "numpy": MemoryError("Unable to allocate 7.45 GiB for an array with shape (1000000000,) and data type float64"),
}
SOMETHING_ELSE = {
    "an illegal access": RuntimeError(
        "CUDA error: an illegal memory access was encountered\nSearch for `cudaErrorIllegalAddress' in the docs"
    ),
    # A full GPU may be the cause, but so may a driver or a cuDNN that does not fit.
    "cuDNN did not start": RuntimeError("cuDNN error: CUDNN_STATUS_NOT_INITIALIZED"),
    "cuDNN cannot": RuntimeError("cuDNN error: CUDNN_STATUS_NOT_SUPPORTED. This error may appear if you passed in ..."),
    "a memory format": RuntimeError("required rank 4 tensor to use channels_last format; unsupported memory format"),
    "an overlap": RuntimeError("some elements of the input and the written-to tensor refer to one memory location"),
    "a pinned tensor": RuntimeError("cannot pin 'torch.cuda.FloatTensor' only dense CPU tensors can be pinned"),
    "MPS": RuntimeError("Placeholder storage has not been allocated on MPS device!"),
    "a file that cannot be mapped": RuntimeError("unable to mmap 64 bytes from file </a b>: Permission denied (13)"),
    "an algorithm": RuntimeError("Unable to find a valid algorithm to run convolution"),
    "a sentence about it": ValueError("with this setting the model runs out of memory slots"),
    "a file": MediaError("clip.mp4", "CUDA out of memory is written in its title"),
    "ours, when all was tried": DeviceError("cuda", "CUDA error: out of memory for one frame", "use --device cpu"),
}


def test_an_error_that_means_too_little_memory_is_recognised_in_the_words_of_every_library() -> None:
    with pytest.raises(RuntimeError) as raised:  # this very torch's
        torch.empty(1 << 48, dtype=torch.uint8)
    for error in (*OUT_OF_MEMORY.values(), raised.value):
        assert out_of_memory(error), error
        assert describe_error(error) == ("out of memory — use smaller pictures, or close other programs", 4)
    assert [name for name, error in SOMETHING_ELSE.items() if out_of_memory(error)] == []


def small_generator() -> Any:
    generator = build_generator("unet-small", {"channels": 8, "blocks": [0, 0, 0]}, 3)
    initialise(generator, 0)
    return generator.eval()


@pytest.mark.parametrize("name", ["cuDNN did not start", "an illegal access"])
def test_any_other_error_goes_to_the_caller_as_it_is(name: str) -> None:
    engine = TorchEngine(small_generator(), CPU, "fp32", batch=4)
    engine._network = Mock(side_effect=SOMETHING_ELSE[name])
    with pytest.raises(RuntimeError) as raised:
        engine(np.zeros((1, 32, 32, 3), np.uint8))
    assert raised.value is SOMETHING_ELSE[name]
    assert engine.batch == 4


def test_training_that_runs_out_of_memory_is_a_device_error_and_another_one_is_a_bug() -> None:
    model = Pix2Pix(small_generator(), None, TrainingSettings.of(lambda_gan=0.0), CPU, "fp32")
    other = RuntimeError("a bug")
    cases = (OUT_OF_MEMORY["MPS"], DeviceError, r"training\.batch_size"), (other, RuntimeError, "a bug")
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
