"""Compare convolutions and matrix products with fp32 once per shape, and compute wrong operators in fp32.

Libraries choose a kernel by processor, precision and shape, and a kernel can be wrong: torch 2.13 returns NaN in bf16
on processors with AMX for a convolution of stride 2 whose output is one pixel wide. Each operator is compared on its
actual input. For a convolution, the last picture of a batch and a few output channels are compared, which takes a small
part of the network's time in fp32; in fp32 itself these channels use another kernel. The result is stored in the user's
cache folder by machine, libraries, network and shape, so that other processes need not repeat the comparison.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, ClassVar, NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from vidtrans.inference.device import Device
from vidtrans.inference.user_cache import cached_check, kernel_environment
from vidtrans.networks.for_rendering import plain_weight

NUM_CHANNELS = 4  # Number of compared output channels of a convolution, evenly spread from the first to the last
# Largest number of a convolution's input values that are converted to fp32 at once, which limits the memory
_MAX_VALUES = 1 << 26
# Correct kernels round at the end: bf16 is within 2⁻⁸ of a value, fp32 within 1e-4 of the root mean square.
# A wrong kernel gives NaN or uninitialised memory, so tolerances can be larger.
# By dtype: tolerance relative to the root mean square of the output, and relative to the value itself.
TOLERANCE = {torch.bfloat16: (0.06, 2**-6), torch.float16: (0.02, 2**-8), torch.float32: (2e-3, 1e-3)}
# Functions by oneDNN's names of activations
_ACTIVATIONS: dict[str, Callable[..., Tensor]] = {
    "none": lambda x: x,
    "relu": F.relu,
    "leaky_relu": F.leaky_relu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
}
# Names of torch's operators for matrix products
_PRODUCTS = ("aten.mm.default", "aten.bmm.default", "aten.addmm.default", "aten.baddbmm.default")
# Names of operators that torch can decompose into convolutions and matrix products
_COMPOSED = (
    "aten.conv2d.default",
    "aten.conv2d.padding",
    "aten.conv_transpose2d.input",
    "aten.linear.default",
    "aten.matmul.default",
    "aten.einsum.default",
)
_BACKWARD = "aten.convolution_backward.default"  # Name of torch's operator for the gradients of a convolution
# Whether an operator is correct, by (kernel environment, operator signature)
_correct_operators: dict[tuple[str, str], bool] = {}
_thread = threading.local()  # State of each thread: ``uncorrected`` is true while wrong operators must not be corrected


class Convolution(NamedTuple):
    """The arguments of torch's operator ``aten.convolution``, and the fused activation."""

    x: Tensor
    weight: Tensor
    bias: Tensor | None
    stride: Any
    padding: Any
    dilation: Any
    transposed: bool
    output_padding: Any
    groups: int
    activation: Callable[..., Tensor] = _ACTIVATIONS["none"]
    slope: tuple[float, ...] = ()

    @classmethod
    def of(cls, name: str, args: Sequence[Any]) -> Convolution | None:
        """Return the convolution (2D, bf16, fp16 or fp32) that the operator ``name`` computes; None for any other."""
        if name == "aten.convolution.default":
            convolution = cls(*args)
        elif name == "mkldnn._convolution_pointwise.default":
            x, weight, bias, padding, stride, dilation, groups, activation, slope, _ = args
            weight = plain_weight(weight)
            geometry = (stride, padding, dilation, False, [0, 0], groups)
            convolution = cls(x, weight, bias, *geometry, _ACTIVATIONS[activation], tuple(slope))
        elif name == "mkldnn._convolution_transpose_pointwise.default" and args[7] == 1:  # args[7]: groups
            x, weight, bias, padding, output_padding, stride, dilation, groups, activation, slope, _ = args
            weight = plain_weight(weight)
            geometry = (stride, padding, dilation, True, output_padding, groups)
            convolution = cls(x, weight, bias, *geometry, _ACTIVATIONS[activation], tuple(slope))
        else:
            return None
        return convolution if convolution.x.dim() == 4 and convolution.x.dtype in TOLERANCE else None

    def in_finer_precision(self) -> Tensor:
        """Return the convolution's result in float32, or in float64 for float32 input on a CPU."""
        dtype = _finer_dtype(self.x)
        bias = None if self.bias is None else self.bias.to(dtype)
        return self.activation(self.compute(self.x.to(dtype), self.weight.to(dtype), bias), *self.slope)

    def compute(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Return a convolution of other tensors with the same stride, padding and groups, without the activation."""
        return torch.convolution(x, weight, bias, *self[3:9])

    def is_correct(self, output: Tensor) -> bool:
        """Return whether ``output`` is correct within rounding; its last picture and some channels are compared."""
        x, weight, bias, output = self.x[-1:], self.weight, self.bias, output[-1:]
        if self.groups == 1:
            axis = 1 if self.transposed else 0
            last = weight.shape[axis] - 1
            channels = sorted({round(i * last / (NUM_CHANNELS - 1)) for i in range(NUM_CHANNELS)})
            weight, output = weight.index_select(axis, torch.tensor(channels, device=x.device)), output[:, channels]
            bias = None if bias is None else bias[channels]
        expected = self._in_slices(x, weight)
        if bias is not None:
            expected += bias.to(expected.dtype)[:, None, None]
        # No activation increases a difference, so the tolerance refers to the result before the activation.
        return _is_near(output, self.activation(expected, *self.slope), x.dtype, scale=expected)

    def _in_slices(self, x: Tensor, weight: Tensor) -> Tensor:
        """Return the convolution in float32 without bias; a large input is processed in slices of its channels."""
        max_channels = max(1, _MAX_VALUES // (x.shape[2] * x.shape[3]))
        if self.groups > 1 or max_channels >= x.shape[1]:
            return self.compute(x.float(), weight.float(), None)
        slices = zip(x.split(max_channels, 1), weight.split(max_channels, 0 if self.transposed else 1), strict=True)
        first, *others = (self.compute(x.float(), weight.float(), None) for x, weight in slices)
        for other in others:
            first += other
        return first


def _finer_dtype(x: Tensor) -> torch.dtype:
    """Return the dtype for the exact result of an operator on ``x``: float64 for float32 on a CPU, otherwise float32.

    On a GPU, operators on float32 are computed again in float32, because the wrong result may have used TF32.
    """
    return torch.float64 if x.dtype == torch.float32 and x.device.type == "cpu" else torch.float32


def _is_near(output: Tensor, expected: Tensor, dtype: torch.dtype, scale: Tensor | None = None) -> bool:
    """Return whether ``output`` is ``expected`` within rounding; ``scale``: the tensor that sets the tolerance.

    The tolerance refers to the root mean square of ``scale``, by default ``expected``. Values out of the range of
    ``dtype`` are not compared.
    """
    in_range = expected.to(dtype).isfinite()
    scale = (expected if scale is None else scale)[in_range]
    of_mean, of_value = TOLERANCE[dtype]
    allowed = of_mean * scale.square().mean().sqrt() + of_value * expected.abs() + torch.finfo(dtype).smallest_normal
    return bool(((output - expected).abs() <= allowed)[in_range].all())  # A comparison with NaN is False


def _in_finer_precision(func: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> Any:  # noqa: ANN401
    """Return an operator's result in float32, or in float64 for float32 input on a CPU."""
    dtype = _finer_dtype(next(a for a in args if isinstance(a, Tensor)))
    converted = (a.to(dtype) if isinstance(a, Tensor) and a.is_floating_point() else a for a in args)
    return func(*converted, **kwargs)


def _corrected(
    convolution: Convolution | None,
    func: Callable[..., Any],
    args: Sequence[Any],
    kwargs: dict[str, Any],
    output: Any,  # noqa: ANN401
) -> Any:  # noqa: ANN401
    """Return the correct result of an operator: its ``output``, or a recomputed result of the same dtype.

    ``convolution``: the operator as a convolution, or None. ``output``: the operator's result, or None if it is known
    to be wrong.
    """
    if convolution is not None:
        if output is not None and convolution.is_correct(output):
            return output
        recomputed = convolution.in_finer_precision().to(convolution.x.dtype)
        nhwc = convolution.x.is_contiguous(memory_format=torch.channels_last)
        return recomputed.contiguous(memory_format=torch.channels_last if nhwc else torch.contiguous_format)
    expected = _in_finer_precision(func, args, kwargs)
    results = zip(_as_sequence(output), _as_sequence(expected), strict=True)
    if output is not None and all(w is None or _is_near(o, w, o.dtype) for o, w in results):
        return output
    dtype = next(a.dtype for a in args if isinstance(a, Tensor))
    converted = [None if w is None else w.to(dtype) for w in _as_sequence(expected)]
    return tuple(converted) if isinstance(expected, tuple) else converted[0]


def _as_sequence(results: Any) -> Sequence[Any]:  # noqa: ANN401
    """Return the results of an operator as a sequence, also for a single result."""
    return results if isinstance(results, tuple) else (results,)


def _signature(name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> str:
    """Return the text of all that selects a convolution's or matrix product's kernel: name, shapes, dtypes, settings.

    The result is '' for other operators.
    """
    if "convolution" not in name and name not in _PRODUCTS:
        return ""
    if next(a.dtype for a in args if isinstance(a, Tensor)) not in TOLERANCE:
        return ""
    parts = [
        "×".join(map(str, a.shape)) + f" {str(a.dtype).removeprefix('torch.')}" if isinstance(a, Tensor) else str(a)
        for a in [*args, *(f"{key}={value}" for key, value in kwargs.items())]
    ]
    return f"{name.removesuffix('.default')}({', '.join(parts)})"


class _ProductMode(TorchDispatchMode):
    """A torch dispatch mode that intercepts matrix products and convolutions, also inside composed operators."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Return False: otherwise torch imports its compiler at the first operator, which takes a second."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # noqa: ANN401
        """Return the result of an operator, by ``compute`` for a convolution or a matrix product; torch calls this."""
        kwargs = kwargs or {}
        name = str(func)
        if name in _COMPOSED and func._can_decompose():  # Inference mode does not decompose these operators
            with self:
                output = func.decompose(*args, **kwargs)
            if output is not NotImplemented:
                return output
        signature = _signature(name, args, kwargs)
        if not signature:
            return func(*args, **kwargs)
        return self.compute(name, signature, func, args, kwargs)

    def compute(self, name: str, signature: str, func: Any, args: Any, kwargs: Any) -> Any:  # noqa: ANN401
        """Return the result of the operator ``func`` with this name and signature."""
        raise NotImplementedError


class _ComparingMode(_ProductMode):
    """A mode that compares each operator signature once per process. ``wrong``: the signatures of wrong operators."""

    def __init__(self, device: Device) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._environment, self.wrong = kernel_environment(device), set[str]()

    def compute(self, name: str, signature: str, func: Any, args: Any, kwargs: Any) -> Any:  # noqa: ANN401
        """Return the operator's result, corrected if it is wrong, so that later operators get valid input."""
        with _uncorrected():
            output = func(*args, **kwargs)
        key = self._environment, signature
        if _correct_operators.get(key):
            return output
        convolution = Convolution.of(name, args)
        if convolution is None and name not in (_BACKWARD, *_PRODUCTS):
            return output
        corrected = _corrected(convolution, func, args, kwargs, None if key in _correct_operators else output)
        _correct_operators[key] = corrected is output
        if corrected is not output:
            self.wrong.add(signature)
        return corrected


class _Fp32Mode(_ProductMode):
    """A mode that computes operators with the given signatures in a higher precision."""

    def __init__(self, signatures: Sequence[str]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._signatures = frozenset(signatures)

    def compute(self, name: str, signature: str, func: Any, args: Any, kwargs: Any) -> Any:  # noqa: ANN401
        """Return the operator's result, computed in a higher precision if its signature is one of the given ones."""
        if signature in self._signatures and not getattr(_thread, "uncorrected", False):
            return _corrected(Convolution.of(name, args), func, args, kwargs, None)
        return func(*args, **kwargs)


@contextmanager
def _uncorrected() -> Iterator[None]:
    """Disable an enclosing ``_Fp32Mode`` during a comparison, because its corrections would hide wrong operators."""
    previous = getattr(_thread, "uncorrected", False)
    _thread.uncorrected = True
    try:
        yield
    finally:
        _thread.uncorrected = previous


def find_wrong_operators(run: Callable[[], object], device: Device) -> list[str]:
    """Call ``run``, which runs networks, and return the signatures (name, shapes, settings) of wrong operators."""
    with _ComparingMode(device) as comparing:
        run()
    return sorted(comparing.wrong)


def correct_operators(signatures: Sequence[str]) -> _Fp32Mode | nullcontext[None]:
    """Return a context in which operators with these signatures run in fp32, or in fp64 for fp32 operators on a CPU."""
    return _Fp32Mode(signatures) if signatures else nullcontext()


class ComparedEngine(Protocol):
    """The interface of an engine whose network is compared with fp32."""

    name: ClassVar[str]
    device: Device
    precision: Any
    identity: dict[str, str]

    def compute(self, x: Tensor) -> Tensor:
        """Run the network without corrections on ``x``, (N, C, H, W) float32."""

    def if_it_fits(self, run: Callable[[], Any]) -> Any:  # noqa: ANN401  (what ``run`` returns)
        """Return the result of ``run``; None if the memory is too small."""


class NetworkChecks:
    """The comparison of a network's operators with fp32. ``wrong``: signatures of wrong operators, by input shape.

    The object does not refer to an engine, because a reference would keep the engine's memory allocated.
    """

    compares_batches: ClassVar[bool] = False  # Compare a single picture, which is faster

    def __init__(self, network: nn.Module, generator: Any) -> None:  # noqa: ANN401  (the network's origin)
        """Create the checks of ``network``; ``generator``: the model that the network was made from."""
        self._architecture = [repr(network), [list(p.shape) for p in network.parameters()]]
        self.wrong: dict[torch.Size, list[str]] = {}

    def run(self, engine: ComparedEngine, x: Tensor) -> Tensor:
        """Run the network; operators that are wrong at the input shape of ``x`` are computed in fp32."""
        if x.shape not in self.wrong and (result := self._find(engine, x)) is not None:
            return result
        wrong = self.wrong[x.shape]
        return self._run_corrected(engine, x, wrong) if wrong else engine.compute(x)

    def wrong_at(self, engine: ComparedEngine, shape: torch.Size) -> list[str]:
        """Return the signatures of the operators whose results for random input of this ``shape`` differ from fp32."""
        if shape not in self.wrong:
            noise = torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
            self._find(engine, noise.to(engine.device.torch))
        return self.wrong[shape]

    @torch.inference_mode()
    def _find(self, engine: ComparedEngine, x: Tensor) -> Tensor | None:
        """Store the wrong operators at the shape of ``x`` in ``wrong``; return the network's correct output.

        The result is None if the wrong operators were cached, or if the comparison does not fit in memory.
        """
        results: list[Tensor] = []
        cache_key = [*self._architecture, list(x.shape), engine.identity]
        compare = lambda: cached_check(cache_key, engine.device, lambda: self._compare(engine, x, results))  # noqa: E731
        wrong = engine.if_it_fits(compare)
        # A comparison needs more memory than a run. If even a run does not fit in memory, smaller tiles are used.
        self.wrong[x.shape] = wrong or []
        return results[0] if results and wrong is not None else None

    def _compare(self, engine: ComparedEngine, x: Tensor, results: list[Tensor]) -> list[str]:
        """Return the signatures of wrong operators at the shape of ``x``; append the correct output to ``results``."""
        return find_wrong_operators(lambda: results.append(engine.compute(x)), engine.device)

    def _run_corrected(self, engine: ComparedEngine, x: Tensor, wrong: list[str]) -> Tensor:
        """Return the network's output, with the operators ``wrong`` computed in fp32."""
        with correct_operators(wrong):
            return engine.compute(x)
