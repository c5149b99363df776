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


def bad_shapes(own: TensorSpec, count: int) -> Iterator[tuple[str, TensorSpec]]:
    """Yield (name, spec) in place of a good tensor ``own`` of ``count`` elements."""
    good, strides = own.shape, own.stride
    shapes: dict[str, tuple[object, object, object]] = {
        "a side of 2^63": ((1 << 63, 3, 7, 7), strides, 0),
        "sides whose product overflows to the count": ((count, 1 << 32, 1 << 32, 1), strides, 0),
        "two negative sides": ((-1, -3, 7, 7), strides, 0),
        "no side": ((), (), 0),
        "a side of 0": ((0, 3, 7, 7), strides, 0),
        "200,000 sides": ((1,) * 200_000, (1,) * 200_000, 0),
        "sides that are text": ("1377", strides, 0),
        "a side that is a fraction": ((1.5, 3, 7, 7), strides, 0),
        "a side that is a switch": ((True, 3, 7, 7), strides, 0),
        "no shape": (None, None, 0),
        "fewer strides than sides": (good, (1,), 0),
        "negative strides": (good, (-147, -49, -7, -1), 0),
        "strides beyond the storage": (good, (1000,) * 4, 0),
        "strides of 0 over a tebi-element": ((1 << 20, 1 << 20, 1, 1), (0, 0, 0, 0), 0),
        "an offset beyond the storage": (good, strides, count),
        "an offset that is text": (good, strides, "0"),
    }
    for name, (shape, stride, offset) in shapes.items():
        yield name, TensorSpec(own.storage, shape, stride, offset)


def bad_storages(key: str, count: int) -> Iterator[tuple[str, object]]:
    """Yield (name, storage) in place of a good storage."""
    yield "a storage that is not there", Storage("9999", count)
    yield "a storage of fewer elements than its bytes", Storage(key, 1)
    yield "a storage of 2^40 elements", Storage(key, 1 << 40)
    yield "a storage of -1 elements", Storage(key, -1)
    yield "a storage of no key", Storage(None, count)
    yield "a storage above the folder", Storage("../../secret", count)
    yield "a storage of quantized values", Storage(key, count, torch.QInt8Storage)
    yield "a storage of a class that is none", Storage(key, count, torch.nn.Linear)
    yield "a storage of a kind that is text", Storage(key, count, "FloatStorage")
    yield "a list for a storage", [1.0] * count


def bad_builders(spec: TensorSpec) -> Iterator[tuple[str, object]]:
    """Yield (name, what stands for a tensor): torch's other ways to build one, and what is none."""
    utils: Any = torch._utils
    sides = (torch.float32, (1 << 30, 1 << 30), (1 << 30, 1), False)
    yield "a tensor without storage, of 2^60", _Call(utils._rebuild_meta_tensor_no_storage, *sides)
    yield "a parameter of text", _Call(utils._rebuild_parameter, "weights", True, OrderedDict())
    yield "a tensor with hooks", TensorSpec(spec.storage, spec.shape, spec.stride, hooks=OrderedDict({0: print}))
    yield "text for a tensor", "weights"
    yield "a list for a tensor", [[0.0] * 3] * 3
    yield "the state itself for a tensor", {"model.1.weight": {}}


class _Call:
    """A call that a pickle makes."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.function, self.arguments


def bad_values(state: OrderedDict[str, Tensor]) -> Iterator[tuple[str, OrderedDict[str, Tensor], str]]:
    """Yield (name, state, word) of well-made files whose weights are of no use."""
    one = state[NAME]
    single = one.clone()
    single[0, 0, 0, 0] = float("nan")
    changed = {
        "one of them not a number": (single, ""),
        "infinite": (torch.full_like(one, float("inf")), ""),
        "whole numbers": (one.to(torch.int32), ""),
        "complex": (one.to(torch.complex64), ""),
        "of another kernel size": (one[:, :, :3, :3].clone(), NAME),
        "of five sides": (one[None].clone(), NAME),
        "empty": (one[:0].clone(), "model."),  # of no width, it is the first that fits
    }
    for name, (value, word) in changed.items():
        yield name, OrderedDict(state) | {NAME: value}, word
    last = next(name for name in reversed(state) if name.endswith("weight"))
    yield "one too few", OrderedDict((n, v) for n, v in state.items() if n != last), last
    yield "one too many", OrderedDict([*state.items(), ("model.99.surprise", one)]), "model.99.surprise"
    twice = OrderedDict([*state.items(), *((f"module.{n}", v) for n, v in state.items())])
    yield "twice, with and without a prefix", twice, ""
    yield "of 5,000 keys", OrderedDict((f"model.{n}.weight", one[0, 0, 0, 0]) for n in range(5_000)), ""
    variance = next(name for name in state if name.endswith("running_var"))
    yield "of a negative variance", OrderedDict(state) | {variance: -torch.ones_like(state[variance])}, ""


KEYS = {
    "a number": 7,
    "nothing": None,
    "bytes": b"model.1.weight",
    "a tuple": ("model", 1),
    "ten million letters": "x" * 10_000_000,
    "a line break and colours": "model.1.weight\n\x1b[31mTraceback\x1b[0m\r",
    "100,000 dots": "." * 100_000,
    "an index of 10^4000": f"model.{10**4000}.weight",
    "an index of other digits": "model.¹.weight",
}


def write(maker: Maker, state: OrderedDict[str, Tensor]) -> None:
    """Make them. ``state``: a good network's."""
    specs, storages = specs_of(state)
    own: Any = specs[NAME]
    key, count = str(own.storage.key), own.storage.count
    for number, (name, spec) in enumerate(bad_shapes(own, count)):
        value = OrderedDict(specs) | {NAME: spec}
        data = zipped(pickled(value), storages) if number % 4 else legacy(pickled(value, views=True), storages)
        maker.add(f"a tensor with {name}", data)
    for name, storage in bad_storages(key, count):
        value = OrderedDict(specs) | {NAME: TensorSpec(storage, own.shape, own.stride)}
        maker.add(name, zipped(pickled(value), storages, {"../secret": bytes(4 * count)}))
    for name, builder in bad_builders(own):
        maker.add(name, zipped(pickled(OrderedDict(specs) | {NAME: builder}), storages))
    for name, bad_state, word in bad_values(state):
        maker.add(f"weights {name}", saved(bad_state), says=word)
    for name, bad_key in KEYS.items():
        maker.add(f"a key that is {name}", saved(OrderedDict[Any, Tensor](state) | {bad_key: state[NAME]}))
