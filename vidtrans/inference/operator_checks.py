"""Compare convolutions and matrix products with fp32 once per shape, and compute the wrong ones in fp32.

Libraries choose a kernel by processor, precision and shape, and a kernel can be wrong: torch 2.13 returns NaN in bf16
on processors with AMX for a convolution of stride 2 whose output is one pixel wide. Each operator is compared on its
actual input: a convolution on the last picture of a batch and a few output channels, a small part of the network's cost
in fp32; in fp32 itself these channels go through another kernel. The result is cached in the user's cache folder, by
machine, libraries, network and shape, so that other processes need not repeat it.
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
from vidtrans.inference.user_cache import environment, remembered
from vidtrans.networks.for_rendering import plain_weight

CHANNELS = 4  # compared output channels of a convolution, spread evenly from the first to the last
_MOST_VALUES = 1 << 26  # limit of a convolution's input values that are converted to fp32 at once
# Tolerances: a share of the output's root mean square, and a share of the value itself. Correct kernels accumulate in
# fp32 and round at the end, so that bf16 is within 2⁻⁸ of a value, and fp32 by another algorithm within 1e-4 of the
# root mean square; a wrong kernel gives NaN, or uninitialised memory.
TOLERANCE = {torch.bfloat16: (0.06, 2**-6), torch.float16: (0.02, 2**-8), torch.float32: (2e-3, 1e-3)}
_ACTIVATIONS: dict[str, Callable[..., Tensor]] = {
    "none": lambda x: x,
    "relu": F.relu,
    "leaky_relu": F.leaky_relu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
}
_PRODUCTS = ("aten.mm.default", "aten.bmm.default", "aten.addmm.default", "aten.baddbmm.default")
# Operators that are composed of products.
_COMPOSED = (
    "aten.conv2d.default",
    "aten.conv2d.padding",
    "aten.conv_transpose2d.input",
    "aten.linear.default",
    "aten.matmul.default",
    "aten.einsum.default",
)
_BACKWARD = "aten.convolution_backward.default"
_known: dict[tuple[str, str], bool] = {}  # by environment and signature: whether the operator is right
_thread = threading.local()


class Convolution(NamedTuple):
    """The arguments of ``aten.convolution``, and the fused activation."""

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
        """Return the convolution that an operator computes; None for other operators, types and shapes."""
        if name == "aten.convolution.default":
            made = cls(*args)
        elif name == "mkldnn._convolution_pointwise.default":
            x, weight, bias, padding, stride, dilation, groups, activation, slope, _ = args
            weight = plain_weight(weight)
            own = (stride, padding, dilation, False, [0, 0], groups)
            made = cls(x, weight, bias, *own, _ACTIVATIONS[activation], tuple(slope))
        elif name == "mkldnn._convolution_transpose_pointwise.default" and args[7] == 1:  # groups
            x, weight, bias, padding, output_padding, stride, dilation, groups, activation, slope, _ = args
            weight = plain_weight(weight)
            own = (stride, padding, dilation, True, output_padding, groups)
            made = cls(x, weight, bias, *own, _ACTIVATIONS[activation], tuple(slope))
        else:
            return None
        return made if made.x.dim() == 4 and made.x.dtype in TOLERANCE else None

    def in_finer_precision(self) -> Tensor:
        """Return the result computed in float32, or in float64 for float32 input on a CPU."""
        dtype = _finer(self.x)
        bias = None if self.bias is None else self.bias.to(dtype)
        return self.activation(self.compute(self.x.to(dtype), self.weight.to(dtype), bias), *self.slope)

    def compute(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Return a convolution of this geometry, without the activation."""
        return torch.convolution(x, weight, bias, *self[3:9])

    def is_right(self, output: Tensor) -> bool:
        """Return whether ``output`` is correct within rounding, tested on its last picture and some channels."""
        x, weight, bias, output = self.x[-1:], self.weight, self.bias, output[-1:]
        if self.groups == 1:
            side = 1 if self.transposed else 0
            last = weight.shape[side] - 1
            channels = sorted({round(i * last / (CHANNELS - 1)) for i in range(CHANNELS)})
            weight, output = weight.index_select(side, torch.tensor(channels, device=x.device)), output[:, channels]
            bias = None if bias is None else bias[channels]
        wanted = self._in_slices(x, weight)
        if bias is not None:
            wanted += bias.to(wanted.dtype)[:, None, None]
        # No activation enlarges a difference.
        return _is_near(output, self.activation(wanted, *self.slope), x.dtype, scale=wanted)

    def _in_slices(self, x: Tensor, weight: Tensor) -> Tensor:
        """Return the convolution in float32 without bias; a large input is processed a few input channels at a time."""
        most = max(1, _MOST_VALUES // (x.shape[2] * x.shape[3]))
        if self.groups > 1 or most >= x.shape[1]:
            return self.compute(x.float(), weight.float(), None)
        parts = zip(x.split(most, 1), weight.split(most, 0 if self.transposed else 1), strict=True)
        first, *others = (self.compute(some.float(), own.float(), None) for some, own in parts)
        for other in others:
            first += other
        return first


def _finer(x: Tensor) -> torch.dtype:
    """Return the dtype to recompute operators of ``x`` in; float32 on a GPU, where TF32 may have been used, stays."""
    return torch.float64 if x.dtype == torch.float32 and x.device.type == "cpu" else torch.float32


def _is_near(output: Tensor, wanted: Tensor, dtype: torch.dtype, scale: Tensor | None = None) -> bool:
    """Return whether a result is correct within rounding. Values beyond the range of ``dtype`` are not compared."""
    in_range = wanted.to(dtype).isfinite()
    scale = (wanted if scale is None else scale)[in_range]
    of_mean, of_value = TOLERANCE[dtype]
    allowed = of_mean * scale.square().mean().sqrt() + of_value * wanted.abs() + torch.finfo(dtype).smallest_normal
    return bool(((output - wanted).abs() <= allowed)[in_range].all())  # False for NaN


def _in_finer_precision(func: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> Any:  # noqa: ANN401
    """Return an operator's result computed in float32, or in float64 for float32 input on a CPU."""
    dtype = _finer(next(a for a in args if isinstance(a, Tensor)))
    converted = (a.to(dtype) if isinstance(a, Tensor) and a.is_floating_point() else a for a in args)
    return func(*converted, **kwargs)


def _right(
    convolution: Convolution | None,
    func: Callable[..., Any],
    args: Sequence[Any],
    kwargs: dict[str, Any],
    output: Any,  # noqa: ANN401
) -> Any:  # noqa: ANN401
    """Return the correct result of an operator: its ``output``, or, if wrong, a recomputed one of the same type.

    ``convolution``: the operator as a convolution, if it is one. ``output`` None: the operator is known to be wrong.
    """
    if convolution is not None:
        if output is not None and convolution.is_right(output):
            return output
        made = convolution.in_finer_precision().to(convolution.x.dtype)
        nhwc = convolution.x.is_contiguous(memory_format=torch.channels_last)
        return made.contiguous(memory_format=torch.channels_last if nhwc else torch.contiguous_format)
    wanted = _in_finer_precision(func, args, kwargs)
    results = zip(_many(output), _many(wanted), strict=True)
    if output is not None and all(w is None or _is_near(o, w, o.dtype) for o, w in results):
        return output
    dtype = next(a.dtype for a in args if isinstance(a, Tensor))
    converted = [None if w is None else w.to(dtype) for w in _many(wanted)]
    return tuple(converted) if isinstance(wanted, tuple) else converted[0]


def _many(results: Any) -> Sequence[Any]:  # noqa: ANN401
    return results if isinstance(results, tuple) else (results,)


def _signature(name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> str:
    """Return the properties that select the kernel: operator, shapes, types and settings; '' for other operators."""
    if "convolution" not in name and name not in _PRODUCTS:
        return ""
    if next(a.dtype for a in args if isinstance(a, Tensor)) not in TOLERANCE:
        return ""
    parts = [
        "×".join(map(str, a.shape)) + f" {str(a.dtype).removeprefix('torch.')}" if isinstance(a, Tensor) else str(a)
        for a in [*args, *(f"{key}={value}" for key, value in kwargs.items())]
    ]
    return f"{name.removesuffix('.default')}({', '.join(parts)})"


class _Mode(TorchDispatchMode):
    """A dispatch mode that intercepts matrix products and convolutions, decomposing the operators built from them."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Return False: otherwise torch imports its compiler at the first operator, which takes a second."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # noqa: ANN401
        kwargs = kwargs or {}
        name = str(func)
        if name in _COMPOSED and func._can_decompose():  # in inference mode torch does not decompose them
            with self:
                output = func.decompose(*args, **kwargs)
            if output is not NotImplemented:
                return output
        signature = _signature(name, args, kwargs)
        if not signature:
            return func(*args, **kwargs)
        return self.compute(name, signature, func, args, kwargs)

    def compute(self, name: str, signature: str, func: Any, args: Any, kwargs: Any) -> Any:  # noqa: ANN401
        """Return the result of a matrix product or convolution."""
        raise NotImplementedError


class _Comparing(_Mode):
    """A mode that compares each operator signature once per process. ``wrong``: the signatures of wrong operators."""

    def __init__(self, device: Device) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._environment, self.wrong = environment(device), set[str]()

    def compute(self, name: str, signature: str, func: Any, args: Any, kwargs: Any) -> Any:  # noqa: ANN401
        """Return the result, recomputed if it is wrong, so that later operators are compared on valid numbers."""
        with _uncorrected():
            output = func(*args, **kwargs)
        key = self._environment, signature
        if _known.get(key):
            return output
        convolution = Convolution.of(name, args)
        if convolution is None and name not in (_BACKWARD, *_PRODUCTS):
            return output
        right = _right(convolution, func, args, kwargs, None if key in _known else output)
        _known[key] = right is output
        if right is not output:
            self.wrong.add(signature)
        return right


class _InFp32(_Mode):
    """A mode that computes operators with the given signatures in a finer precision."""

    def __init__(self, signatures: Sequence[str]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._signatures = frozenset(signatures)

    def compute(self, name: str, signature: str, func: Any, args: Any, kwargs: Any) -> Any:  # noqa: ANN401
        """Return the result, in a finer precision for the given signatures."""
        if signature in self._signatures and not getattr(_thread, "uncorrected", False):
            return _right(Convolution.of(name, args), func, args, kwargs, None)
        return func(*args, **kwargs)


@contextmanager
def _uncorrected() -> Iterator[None]:
    """Disable an enclosing ``_InFp32`` during a comparison, whose corrections would hide wrong operators."""
    before = getattr(_thread, "uncorrected", False)
    _thread.uncorrected = True
    try:
        yield
    finally:
        _thread.uncorrected = before


def find_wrong(run: Callable[[], object], device: Device) -> list[str]:
    """Call ``run``, which runs networks, and return the signatures (name, shapes, settings) of wrong operators."""
    with _Comparing(device) as comparing:
        run()
    return sorted(comparing.wrong)


def computed_in_fp32(signatures: Sequence[str]) -> _InFp32 | nullcontext[None]:
    """Return a context in which operators with these signatures run in fp32 (fp32 operators on a CPU: in fp64)."""
    return _InFp32(signatures) if signatures else nullcontext()


class ComparedEngine(Protocol):
    """The interface of an engine whose network is compared."""

    name: ClassVar[str]
    device: Device
    precision: Any
    identity: dict[str, str]

    def compute(self, x: Tensor) -> Tensor:
        """Run the network, without corrections, on (N, C, H, W) float32."""

    def if_it_fits(self, run: Callable[[], Any]) -> Any:  # noqa: ANN401  (what ``run`` returns)
        """Return what ``run`` returns; None where memory runs out."""


class NetworkChecks:
    """The comparison of a network's operators with fp32. ``wrong``: by input shape, the operators to compute in fp32.

    The object holds no reference to an engine, which would keep the engine's memory alive.
    """

    compares_batches: ClassVar[bool] = False  # comparing one picture is faster

    def __init__(self, network: nn.Module, generator: Any) -> None:  # noqa: ANN401  (the network's origin)
        self._architecture = [repr(network), [list(p.shape) for p in network.parameters()]]
        self.wrong: dict[torch.Size, list[str]] = {}

    def run(self, engine: ComparedEngine, x: Tensor) -> Tensor:
        """Run the network, computing the operators that are wrong at the shape of ``x`` in fp32."""
        if x.shape not in self.wrong and (made := self._find(engine, x)) is not None:
            return made
        wrong = self.wrong[x.shape]
        return self._run_right(engine, x, wrong) if wrong else engine.compute(x)

    def wrong_at(self, engine: ComparedEngine, shape: torch.Size) -> list[str]:
        """Return the operators that are wrong at a shape, tested on noise."""
        if shape not in self.wrong:
            noise = torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
            self._find(engine, noise.to(engine.device.torch))
        return self.wrong[shape]

    @torch.inference_mode()
    def _find(self, engine: ComparedEngine, x: Tensor) -> Tensor | None:
        """Find the wrong operators at the shape of ``x``; return the correct result, or None if known before."""
        made: list[Tensor] = []
        question = [*self._architecture, list(x.shape), engine.identity]
        compare = lambda: remembered(question, engine.device, lambda: self._compare(engine, x, made))  # noqa: E731
        wrong = engine.if_it_fits(compare)
        # Comparing needs more memory than running. If running does not fit either, tiles are used: another shape.
        self.wrong[x.shape] = wrong or []
        return made[0] if made and wrong is not None else None

    def _compare(self, engine: ComparedEngine, x: Tensor, made: list[Tensor]) -> list[str]:
        """Return the wrong operators at the shape of ``x``, and append the correct result to ``made``."""
        return find_wrong(lambda: made.append(engine.compute(x)), engine.device)

    def _run_right(self, engine: ComparedEngine, x: Tensor, wrong: list[str]) -> Tensor:
        with computed_in_fp32(wrong):
            return engine.compute(x)
