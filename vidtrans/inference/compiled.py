"""Engines that compile the network for one size (torch.compile, ONNX Runtime, OpenVINO), and the choice of ``auto``.

ONNX Runtime and OpenVINO are for processors on which torch has no oneDNN.
"""

from __future__ import annotations

import importlib
import io
import warnings
from contextlib import suppress
from importlib.util import find_spec
from types import ModuleType
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from vidtrans.core.errors import UsageError
from vidtrans.core.machine import import_onnx_runtime
from vidtrans.inference.device import Device, Precision, resolve_precision
from vidtrans.inference.operator_checks import ComparedEngine, NetworkChecks
from vidtrans.inference.torch_engine import Run, TorchEngine
from vidtrans.inference.user_cache import cache_folder, kernel_environment, use_inductor_cache
from vidtrans.networks.for_rendering import can_pack, copy_sharing_weights, fold_norm

# Random networks have errors of at most 0.01 in bf16 and 1e-6 in fp32; above the limit fp32 gives the better picture.
# Largest root mean square error against fp32, for values in [−1, 1], by precision.
MAX_RMS_ERROR = {"fp32": 1e-3, "tf32": 0.02, "bf16": 0.1, "fp16": 0.05}


def choose_engine(name: str, device: Device, precision: str) -> str:
    """Return the name of the engine for ``name``; for 'auto' the fastest installed engine by our measurements.

    On a CPU, torch with packed convolutions is as fast as torch.compile and has no compilation delay; OpenVINO and ONNX
    Runtime took 1.7 and 2.5 times as long. On a GPU ``auto`` is torch: the gain of ``compile``, and the clip length
    from which it pays off, have not been measured.
    """
    if name != "auto":
        return name
    if device.kind != "cpu" or can_pack(device.kind, resolve_precision(precision, device)):
        return "torch"
    engines = (OpenVINOEngine, OnnxEngine)  # The faster engine comes first
    return next((engine.name for engine in engines if all(map(find_spec, engine.modules))), "torch")


class WholeNetworkChecks(NetworkChecks):
    """The comparison of a whole compiled network with fp32; if its output is wrong, the whole network runs in fp32."""

    compares_batches: ClassVar[bool] = True  # Compare full batches, because the network is compiled for them

    def __init__(self, network: nn.Module, generator: Any) -> None:  # noqa: ANN401
        """Create the comparison of the compiled ``network`` with the uncompiled ``generator`` that it came from."""
        super().__init__(network, generator)
        self._generator = generator
        self._exact_network: Run | None = None

    def _exact(self, x: Tensor) -> Tensor:
        """Return the output of the uncompiled network in fp32 for ``x`` (N, C, H, W)."""
        if self._exact_network is None:
            exact: Any = fold_norm(copy_sharing_weights(self._generator).eval())
            self._exact_network = exact.to(x.device, torch.float32)
        return self._exact_network(x)

    def _compare(self, engine: ComparedEngine, x: Tensor, results: list[Tensor]) -> list[str]:
        """Append the correct output for ``x`` to ``results``; return [] or, for a wrong output, the network's name."""
        output, expected = engine.compute(x), self._exact(x[-1:])
        error = (output[-1:] - expected).square().mean()
        is_correct = not bool(expected.isfinite().all()) or bool(error <= MAX_RMS_ERROR[engine.precision] ** 2)
        results.append(output if is_correct else self._exact(x))
        if is_correct:
            self._exact_network = None  # Free its memory: it is as large as the network
        return [] if is_correct else [f"{engine.name} on {'×'.join(map(str, x.shape))}"]

    def _run_corrected(self, engine: ComparedEngine, x: Tensor, wrong: list[str]) -> Tensor:
        """Return the output of the uncompiled network in fp32."""
        return self._exact(x)


class CompiledEngine(TorchEngine):
    """The engine torch.compile, with weights as constants.

    It uses no CUDA graphs: a graph is bound to one thread, and a render has several threads.
    """

    name: ClassVar[str] = "compile"
    slow_to_start: ClassVar[bool] = True
    is_recorded: ClassVar[bool] = False
    checks: ClassVar[type[NetworkChecks]] = WholeNetworkChecks

    def _prepare(self, network: nn.Module) -> Run:
        """Return a function that runs the compiled network. It raises UsageError if the compilation fails."""
        use_inductor_cache(kernel_environment(self.device))
        compiled: Run = torch.compile(network, dynamic=False, options={"freezing": True})

        def run(x: Tensor) -> Tensor:
            """Run the compiled network. Raises UsageError if the compilation fails."""
            try:
                return compiled(x)
            except torch._dynamo.exc.BackendCompilerFailed as error:
                why = str(error).strip().splitlines()[0]
            raise UsageError("--engine compile", f"compilation failed ({why})", "use --engine torch")

        return run


class ExternalEngine(TorchEngine):
    """The base class of engines that run the network in another library on a CPU.

    ``needs``: the names of the required packages, for errors. ``modules``: the modules of these packages; the last
    module runs the network. Raises UsageError if a package is not installed, or for a device that is not a CPU.
    """

    needs: ClassVar[str]
    modules: ClassVar[tuple[str, ...]]
    checks: ClassVar[type[NetworkChecks]] = WholeNetworkChecks

    def _resolve(self, precision: str) -> Precision:
        """Return the precision to use. Raises UsageError if the device is not a CPU."""
        if self.device.kind != "cpu":
            remedy = "use --device cpu, or --engine torch"
            raise UsageError(f"--engine {self.name}", "it runs on a CPU only", remedy)
        return super()._resolve(precision)

    def _prepare(self, network: nn.Module) -> Run:
        """Return a function that compiles the network for each new input shape and runs it. Raises UsageError."""
        try:
            library: Any = None
            for name in self.modules:
                library = import_onnx_runtime() if name == "onnxruntime" else importlib.import_module(name)
        except ImportError:
            remedy = f"pip install 'vidtrans[{self.name}]', or use --engine torch"
            raise UsageError(f"--engine {self.name}", f"{self.needs} is not installed", remedy) from None
        self.identity[self.modules[-1]] = library.__version__
        # These libraries take weights in fp32, whatever the precision of the computation.
        network.to(dtype=torch.float32, memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        compiled: dict[torch.Size, Run] = {}  # Networks by input shape; only the last shape is cached

        def run(x: Tensor) -> Tensor:
            """Run the network on ``x`` (N, C, H, W), compiled for its shape."""
            x = x.to(torch.float32).contiguous()
            if x.shape not in compiled:
                compiled.clear()
                compiled[x.shape] = self._compile(x, network, library)
            return compiled[x.shape](x)

        return run

    def _compile(self, x: Tensor, network: nn.Module, library: ModuleType) -> Run:
        """Return a function that runs the network on inputs of the shape of ``x``, (N, C, H, W) float32."""
        raise NotImplementedError


class OnnxEngine(ExternalEngine):
    """The engine ONNX Runtime, in fp32. Raises UsageError if the precision is set to bf16."""

    name: ClassVar[str] = "onnx"
    needs: ClassVar[str] = "ONNX Runtime, or onnx,"  # torch's exporter needs the package onnx
    modules: ClassVar[tuple[str, ...]] = ("onnx", "onnxruntime")

    def _resolve(self, precision: str) -> Precision:
        """Return fp32. Raises UsageError for bf16, or if the device is not a CPU."""
        super()._resolve(precision)
        if precision == "bf16":
            raise UsageError("--engine onnx", "no support for bf16", "leave precision at auto, or use --engine torch")
        return "fp32"

    def _compile(self, x: Tensor, network: nn.Module, library: ModuleType) -> Run:
        """Export the network to ONNX for the shape of ``x``, and return a function that runs it in ONNX Runtime."""
        options = library.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        file = io.BytesIO()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # This exporter is deprecated, but needs only the package onnx
            torch.onnx.export(
                network,
                (x,),
                file,  # type: ignore[arg-type]
                input_names=["x"],
                output_names=["y"],
                opset_version=17,  # The first version of the operator set that has all operators of the networks
                dynamo=False,
            )
        session = library.InferenceSession(file.getvalue(), options, providers=["CPUExecutionProvider"])
        return lambda x: torch.from_numpy(session.run(None, {"x": x.numpy()})[0])


class OpenVINOEngine(ExternalEngine):
    """The engine OpenVINO, for Intel processors, in fp32 or bf16: it compiles in seconds, and caches on disk."""

    name: ClassVar[str] = "openvino"
    needs: ClassVar[str] = "OpenVINO"
    modules: ClassVar[tuple[str, ...]] = ("openvino",)

    def _compile(self, x: Tensor, network: nn.Module, library: ModuleType) -> Run:
        """Convert the network for the shape of ``x``, and return a function that runs it in OpenVINO."""
        options = {
            "INFERENCE_PRECISION_HINT": {"fp32": "f32", "bf16": "bf16"}[self.precision],
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        }
        with suppress(RuntimeError):  # RuntimeError: the user has no home folder
            options["CACHE_DIR"] = str(cache_folder() / "openvino")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns about branches that depend on a size; the size is fixed here
            model = library.convert_model(network, example_input=x)
        model.reshape(list(x.shape))
        compiled = library.Core().compile_model(model, "CPU", options)
        return lambda x: torch.from_numpy(compiled([x.numpy()])[0].copy())
