"""Compare convolutions and matrix products with fp32 once for each shape, and compute those that are wrong in fp32.

Libraries choose a kernel by the processor, the precision and the shape, and a kernel can be wrong: torch 2.13 returns
NaN in bf16 on processors with AMX where a convolution of stride 2 has an output one pixel wide. Each operator is
compared on what it is given: a convolution on the last picture of a batch and on a few of its output channels, which
costs a small part of the network in fp32; in fp32 itself these few channels go through another kernel. What is found
is kept in the user's cache folder for the machine, the libraries, the network and the shape, so that another process
does not compare again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from vidtrans.inference.device import Device
from vidtrans.inference.packed import plain_weight
from vidtrans.inference.user_cache import environment

CHANNELS = 4  # output channels of a convolution that are compared, spread evenly from the first to the last
_MOST_VALUES = 1 << 26  # of a convolution's input that are converted to fp32 at once
# How far a right result may be off, as a share of the output's root mean square and of the value itself. Right kernels
# add up in fp32 and round at the end, so that bf16 is within 2⁻⁸ of a value, and fp32 by another algorithm within 1e-4
# of the mean; a wrong one gives NaN, or what lay in memory.
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
_known: dict[tuple[str, str], bool] = {}  # by the environment and the signature: whether it is right


class Convolution(NamedTuple):
    """The arguments of ``aten.convolution``, and the activation behind it."""

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
        """Return the convolution that an operator computes; None for other operators and for shapes not compared."""
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
        """Return the result in float32, of float32 on a CPU in float64."""
        dtype = _finer(self.x)
        bias = None if self.bias is None else self.bias.to(dtype)
        return self.activation(self.compute(self.x.to(dtype), self.weight.to(dtype), bias), *self.slope)

    def compute(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Return a convolution of this geometry, without the activation."""
        return torch.convolution(x, weight, bias, *self[3:9])

    def is_right(self, output: Tensor) -> bool:
        """Return whether ``output`` is the result within rounding, by its last picture and some channels."""
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
        # None of the activations makes a difference larger.
        return _is_near(output, self.activation(wanted, *self.slope), x.dtype, scale=wanted)

    def _in_slices(self, x: Tensor, weight: Tensor) -> Tensor:
        """Return the convolution in float32 without bias, a few input channels at a time where the input is large."""
        most = max(1, _MOST_VALUES // (x.shape[2] * x.shape[3]))
        if self.groups > 1 or most >= x.shape[1]:
            return self.compute(x.float(), weight.float(), None)
        parts = zip(x.split(most, 1), weight.split(most, 0 if self.transposed else 1), strict=True)
        first, *others = (self.compute(some.float(), own.float(), None) for some, own in parts)
        for other in others:
            first += other
        return first


def _finer(x: Tensor) -> torch.dtype:
    """Return the precision in which operators of ``x`` are computed instead. On a GPU float32 may be meant as TF32."""
    return torch.float64 if x.dtype == torch.float32 and x.device.type == "cpu" else torch.float32


def _is_near(output: Tensor, wanted: Tensor, dtype: torch.dtype, scale: Tensor | None = None) -> bool:
    """Return whether a result is right within rounding. Values that ``dtype`` cannot hold are not compared."""
    held = wanted.to(dtype).isfinite()
    scale = (wanted if scale is None else scale)[held]
    of_mean, of_value = TOLERANCE[dtype]
    allowed = of_mean * scale.square().mean().sqrt() + of_value * wanted.abs() + torch.finfo(dtype).smallest_normal
    return bool(((output - wanted).abs() <= allowed)[held].all())  # NaN is not


def _in_finer_precision(func: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> Any:  # noqa: ANN401
    """Return what an operator gives in float32, of float32 on a CPU in float64."""
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
    """Return the right result of an operator, of the type of its ``output``: that, or, where it is wrong, another.

    ``convolution``: what it computes, if it is one. ``output`` None: the operator is known to be wrong.
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
    """Return what decides which kernel runs: the operator, its shapes, types and settings; '' for other operators."""
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
    """A mode that sees products as operators that kernels compute, also those of which others are composed."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Return False: otherwise torch imports its compiler at the first operator, which takes a second."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # noqa: ANN401
        kwargs = kwargs or {}
        name = str(func)
        if name in _COMPOSED and func._can_decompose():  # in inference mode they come whole
            with self:
                output = func.decompose(*args, **kwargs)
            if output is not NotImplemented:
                return output
        signature = _signature(name, args, kwargs)
        if not signature:
            return func(*args, **kwargs)
        return self.compute(name, signature, func, args, kwargs)

    def compute(self, name: str, signature: str, func: Any, args: Any, kwargs: Any) -> Any:  # noqa: ANN401
        """Return the result of a product."""
        raise NotImplementedError


class _Comparing(_Mode):
    """Compares the products that are computed in it, each signature once in a process. ``wrong``: what is found."""

    def __init__(self, device: Device) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._environment, self.wrong = environment(device), set[str]()

    def compute(self, name: str, signature: str, func: Any, args: Any, kwargs: Any) -> Any:  # noqa: ANN401
        """Return the right result, so that what comes behind it is compared on numbers."""
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
    """Computes products of some signatures in a finer precision."""

    def __init__(self, signatures: Sequence[str]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._signatures = frozenset(signatures)

    def compute(self, name: str, signature: str, func: Any, args: Any, kwargs: Any) -> Any:  # noqa: ANN401
        """Return the right result."""
        if signature in self._signatures and not getattr(_thread, "uncorrected", False):
            return _right(Convolution.of(name, args), func, args, kwargs, None)
        return func(*args, **kwargs)


_thread = threading.local()


@contextmanager
def _uncorrected() -> Iterator[None]:
    """Let an ``_InFp32`` around a comparison correct nothing: what it corrects would be taken for right."""
    before = getattr(_thread, "uncorrected", False)
    _thread.uncorrected = True
    try:
        yield
    finally:
        _thread.uncorrected = before


def find_wrong(run: Callable[[], object], device: Device) -> list[str]:
    """Run networks, and return the signatures of what was computed wrongly: operators, shapes and settings."""
    with _Comparing(device) as comparing:
        run()
    return sorted(comparing.wrong)


def computed_in_fp32(signatures: Sequence[str]) -> _InFp32 | nullcontext[None]:
    """Return a context in which operators of these signatures are computed in fp32, with their results converted."""
    return _InFp32(signatures) if signatures else nullcontext()
