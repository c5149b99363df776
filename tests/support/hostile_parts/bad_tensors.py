"""Checkpoints whose tensors lie: of shapes, strides, offsets, storages, types and values."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from hostile_parts.containers import Storage, TensorSpec, legacy, pickled, saved, specs_of, zipped
from hostile_parts.maker import Maker

NAME = "model.1.weight"
HUGE = 1 << 62
# Who reads all storages to the CPU, by their names as text, need not mind these.
HARMLESS = {
    "a storage of a key that is a number",
    "a storage of a key with a null byte",
    "a storage on a device of 2^40",
    "a storage on a device that is a path",
    "a storage on a device that is a number",
}


def bad_shapes(own: TensorSpec, count: int) -> Iterator[tuple[str, TensorSpec]]:
    """Yield (name, spec) in place of a good tensor ``own`` of ``count`` elements; ``key`` names its storage."""
    store = own.storage
    good, strides = own.shape, own.stride
    shapes: dict[str, tuple[object, object, object]] = {
        "a side of 2^63": ((1 << 63, 3, 7, 7), strides, 0),
        "a side of 2^63 - 1": (((1 << 63) - 1, 3, 7, 7), strides, 0),
        "a side of 2^200": ((1 << 200, 3, 7, 7), strides, 0),
        "sides whose product overflows to 0": ((1 << 32, 1 << 32, 1, 1), strides, 0),
        "sides whose product overflows to the count": ((count, 1 << 32, 1 << 32, 1), strides, 0),
        "a negative side": ((-1, 3, 7, 7), strides, 0),
        "two negative sides": ((-1, -3, 7, 7), strides, 0),
        "no side": ((), (), 0),
        "a side of 0": ((0, 3, 7, 7), strides, 0),
        "40 sides": ((1,) * 40, (1,) * 40, 0),
        "200,000 sides": ((1,) * 200_000, (1,) * 200_000, 0),
        "sides that are text": ("1377", strides, 0),
        "a side that is a fraction": ((1.5, 3, 7, 7), strides, 0),
        "a side that is a switch": ((True, 3, 7, 7), strides, 0),
        "no shape": (None, None, 0),
        "more strides than sides": (good, (1,) * 5, 0),
        "fewer strides than sides": (good, (1,), 0),
        "negative strides": (good, tuple(-s for s in strides), 0),
        "strides of 2^62": (good, (HUGE,) * 4, 0),
        "strides beyond the storage": (good, (1000,) * 4, 0),
        "strides of 0 over a tebi-element": ((1 << 20, 1 << 20, 1, 1), (0, 0, 0, 0), 0),
        "overlapping strides over 2^36 elements": ((1 << 18, 1 << 18, 1, 1), (0, 0, 1, 1), 0),
        "an offset beyond the storage": (good, strides, count),
        "an offset of 2^62": (good, strides, HUGE),
        "a negative offset": (good, strides, -1),
        "an offset that is text": (good, strides, "0"),
    }
    for name, (shape, stride, offset) in shapes.items():
        yield name, TensorSpec(store, shape, stride, offset)


def bad_storages(key: str, count: int) -> Iterator[tuple[str, object]]:
    """Yield (name, storage) in place of a good storage."""
    yield "a storage that is not there", Storage("9999", count)
    yield "a storage of fewer elements than its bytes", Storage(key, 1)
    yield "a storage of 2^40 elements", Storage(key, 1 << 40)
    yield "a storage of 2^62 elements", Storage(key, HUGE)
    yield "a storage of -1 elements", Storage(key, -1)
    yield "a storage of elements that are text", Storage(key, "many")
    yield "a storage of a key that is a number", Storage(int(key), count)
    yield "a storage of no key", Storage(None, count)
    yield "a storage above the folder", Storage("../../secret", count)
    yield "a storage of an absolute path", Storage("/etc/passwd", count)
    yield "a storage of a key with a null byte", Storage(f"{key}\0x", count)
    yield "a storage that is the pickle", Storage("../data.pkl", count)
    yield "a storage on a device of 2^40", Storage(key, count, location=f"cuda:{1 << 40}")
    yield "a storage on a device that is a path", Storage(key, count, location="/dev/mem")
    yield "a storage on a device that is a number", Storage(key, count, location=7)
    yield "a storage of doubles", Storage(key, count, torch.DoubleStorage)
    yield "a storage of quantized values", Storage(key, count, torch.QInt8Storage)
    yield "a storage of a class that is none", Storage(key, count, torch.nn.Linear)
    yield "a storage of a kind that is text", Storage(key, count, "FloatStorage")
    yield "text for a storage", "0"
    yield "nothing for a storage", None
    yield "a list for a storage", [1.0] * count


def bad_builders(spec: TensorSpec) -> Iterator[tuple[str, object]]:
    """Yield (name, what stands for a tensor): torch's other ways to build one, and what is none."""
    utils: Any = torch._utils
    coordinates = torch.tensor([[0, 1 << 40], [0, 1 << 40]])
    yield (
        "a sparse tensor of coordinates beyond it",
        _Call(utils._rebuild_sparse_tensor, torch.sparse_coo, (coordinates, torch.ones(2), (2, 2), False)),
    )
    yield (
        "a tensor without storage, of 2^60",
        _Call(utils._rebuild_meta_tensor_no_storage, torch.float32, (1 << 30, 1 << 30), (1 << 30, 1), False),
    )
    yield "a parameter of text", _Call(utils._rebuild_parameter, "weights", True, OrderedDict())
    yield (
        "a parameter with a state of its own",
        _Call(utils._rebuild_parameter_with_state, spec, True, OrderedDict(), {"__class__": "x", "data": 0}),
    )
    yield "a tensor with hooks", TensorSpec(spec.storage, spec.shape, spec.stride, hooks=OrderedDict({0: print}))
    yield "text for a tensor", "weights"
    yield "a number for a tensor", 7
    yield "a list for a tensor", [[0.0] * 3] * 3
    yield "nothing for a tensor", None
    yield "the state itself for a tensor", {"model.1.weight": {}}


class _Call:
    """A call that a pickle makes."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.function, self.arguments


def bad_values(state: OrderedDict[str, Tensor]) -> Iterator[tuple[str, OrderedDict[str, Tensor], str, bool]]:
    """Yield (name, state, word, refused) of well-made files whose weights are of no use."""
    one = state[NAME]
    yield "not a number", _with(state, torch.full_like(one, float("nan"))), "", True
    yield (
        "one of them not a number",
        _with(state, one.clone().index_fill_(0, torch.tensor([0]), float("nan"))),
        "",
        True,
    )
    yield "infinite", _with(state, torch.full_like(one, float("inf"))), "", True
    yield "whole numbers", _with(state, one.to(torch.int32)), "", True
    yield "switches", _with(state, one > 0), "", True
    yield "complex", _with(state, one.to(torch.complex64)), "", True
    yield "half precision", _with(state, one.half()), "", False
    yield "double precision", _with(state, one.double()), "", False
    yield "of another kernel size", _with(state, one[:, :, :3, :3].clone()), NAME, True
    yield "of five sides", _with(state, one[None].clone()), NAME, True
    yield "empty", _with(state, one[:0].clone()), "model.", True  # of no width, it is the first that fits
    last = next(name for name in reversed(state) if name.endswith("weight"))
    yield "one too few", OrderedDict((n, v) for n, v in state.items() if n != last), last, True
    yield "one too many", OrderedDict([*state.items(), ("model.99.surprise", one)]), "model.99.surprise", True
    twice = OrderedDict([*state.items(), *((f"module.{n}", v) for n, v in state.items())])
    yield "twice, with and without a prefix", twice, "", True
    yield "of 5,000 keys", OrderedDict((f"model.{n}.weight", one[0, 0, 0, 0]) for n in range(5_000)), "", True
    negative = OrderedDict(state)
    variance = next(name for name in state if name.endswith("running_var"))
    negative[variance] = -torch.ones_like(state[variance])
    yield "of a negative variance", negative, "", True


def _with(state: OrderedDict[str, Tensor], value: Tensor) -> OrderedDict[str, Tensor]:
    return OrderedDict(state) | {NAME: value}


def bad_keys(state: OrderedDict[str, Tensor]) -> Iterator[tuple[str, object]]:
    """Yield (name, state) whose keys are not names."""
    keys = {
        "a number": 7,
        "nothing": None,
        "bytes": b"model.1.weight",
        "a tuple": ("model", 1),
        "ten million letters": "x" * 10_000_000,
        "a line break and colours": "model.1.weight\n\x1b[31mTraceback\x1b[0m\r",
        "a null byte": "model.1.weight\0",
        "half a character": "model.\ud800",
        "a path": "../../secret",
        "100,000 dots": "." * 100_000,
        "an index of 10^4000": f"model.{10**4000}.weight",
        "an index below 0": "model.-1.weight",
        "an index of other digits": "model.¹.weight",
    }
    for name, key in keys.items():
        yield name, OrderedDict(state) | {key: state[NAME]}


def write(maker: Maker, state: OrderedDict[str, Tensor]) -> None:
    """Make them. ``state``: a good network's."""
    specs, storages = specs_of(state)
    own: Any = specs[NAME]
    key, count = str(own.storage.key), own.storage.count
    for name, spec in bad_shapes(own, count):
        maker.add(f"a tensor with {name}", zipped(pickled(OrderedDict(specs) | {NAME: spec}), storages))
    for name, storage in bad_storages(key, count):
        spec = TensorSpec(storage, own.shape, own.stride)
        data = zipped(pickled(OrderedDict(specs) | {NAME: spec}), storages, {"../secret": bytes(4 * count)})
        maker.add(name, data, refused=name not in HARMLESS)
    for name, builder in bad_builders(own):
        value = OrderedDict(specs) | {NAME: builder}
        maker.add(name, saved(value) if name.startswith("a sparse") else zipped(pickled(value), storages))
    for name in ("a side of 2^63", "negative strides", "an offset of 2^62", "strides of 0 over a tebi-element"):
        spec = dict(bad_shapes(own, count))[name]
        value = OrderedDict(specs) | {NAME: spec}
        maker.add(f"a tensor with {name}, in the legacy format", legacy(pickled(value, views=True), storages))
    for name, value, word, refused in bad_values(state):
        maker.add(f"weights {name}", saved(value), says=word, refused=refused)
    for name, value in bad_keys(state):
        maker.add(f"a key that is {name}", saved(value))
