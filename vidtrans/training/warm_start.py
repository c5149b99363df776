"""Initial weights of a generator from ``--from``, and the parts that ``training.freeze`` keeps fixed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor, nn

from vidtrans.core.errors import UsageError
from vidtrans.core.registry import unknown_name
from vidtrans.core.settings import Table
from vidtrans.models.model_file import load_generator, read_record
from vidtrans.networks import GENERATORS, UNTRAINED
from vidtrans.networks.hd import is_coarser, load_coarser
from vidtrans.networks.init import complete_settings, inner_generator
from vidtrans.networks.predicted_style import is_narrower, load_narrower
from vidtrans.networks.wrappers import ClassGenerator, CodedGenerator, RecurrentGenerator
from vidtrans.pairing.pairing_records import make_pairing

FRAME_MEMORY = "frame_memory."


class Smaller(NamedTuple):
    """How a generator starts from a smaller one, in which the ``setting`` is lower."""

    is_one: Callable[[Table, Table], bool]
    load: Callable[[Any, Mapping[str, Tensor]], None]
    setting: str


SMALLER = {
    "hd": Smaller(is_coarser, load_coarser, "enhancers"),
    "predicted-style": Smaller(is_narrower, load_narrower, "channels"),
}


def start_with(
    generator: nn.Module, start: Path, name: str, table: Table, channels: int, *, plate: bool = False
) -> None:
    """Load the weights of the model ``start`` into ``generator``, a ``name`` with the settings ``table``.

    Both have a background ``plate`` or neither, and both have style codes of one size. An hd generator may start from a
    coarser one, a predicted-style generator from a narrower one, and a recurrent one from one without recurrence.
    Raises UsageError if the architecture or the number of input ``channels`` differs, ModelError.
    """
    smaller = _check(start, name, complete_settings(GENERATORS, name, table, "generator"), channels, plate)
    _check_codes(start, generator.code_size if isinstance(generator, CodedGenerator) else 0)
    _check_classes(start, generator)
    model = load_generator(start)[0]
    inner: Any = inner_generator(generator)
    weights = inner_generator(model).state_dict()
    if smaller:
        SMALLER[name].load(inner, weights)
    else:
        kept = {name: value for name, value in inner.state_dict().items() if FRAME_MEMORY in name}
        inner.load_state_dict(weights | kept)  # the frames that it keeps are those of its own clip
    if isinstance(generator, RecurrentGenerator) and isinstance(model, RecurrentGenerator):
        generator.keeper.load_state_dict(model.keeper.state_dict())
    if isinstance(generator, CodedGenerator) and isinstance(model, CodedGenerator):
        generator.encoder.load_state_dict(model.encoder.state_dict())


def _check_classes(start: Path, generator: nn.Module) -> None:
    """Raise UsageError if the model finds other classes, or if one of both paints pictures."""
    pairing = read_record(start).pairing
    its = make_pairing(pairing["name"], pairing["settings"]).class_colours
    own = generator.class_colours.tolist() if isinstance(generator, ClassGenerator) else []
    if own != (its.table.tolist() if its else []):
        why = "it finds other classes, or the same in another order" if its and own else "one of both finds no classes"
        raise UsageError(f"--from {start}", why, "give a model that was trained on the same classes, or leave it out")


def _check(start: Path, name: str, table: Table, channels: int, plate: bool) -> bool:
    """Return whether the model is a smaller one, as in ``SMALLER``. Raises UsageError if it does not fit at all."""
    record = read_record(start)
    its = record.generator["name"]
    if its in UNTRAINED or record.ports:
        why = "it is another tool's network, whose value range or order of colours may differ from vidtrans'"
        why = f"a {its} is rendered, not trained" if its in UNTRAINED else why
        raise UsageError(f"--from {start}", why, "leave it out, or give a model that 'vidtrans train' made")
    # A model from before a setting was added has that setting's default.
    settings = complete_settings(GENERATORS, its, record.generator["settings"], "generator")
    way = SMALLER.get(name)
    smaller = name == its and way is not None and way.is_one(table, settings)
    if name == its and settings != table and not smaller:
        remedy = "use the same --set generator.KEY=VALUE"
        remedy += f" (only generator.{way.setting} may be higher)" if way else ""
        raise UsageError(f"--from {start}", f"its generator's settings are {settings}", remedy)
    if bool(record.plate) != plate:
        why = "it has a plate" if record.plate else "it has no plate"
        raise UsageError(f"--from {start}", why, f"use --set background_plate={str(bool(record.plate)).lower()}")
    if name != its or record.in_channels != channels:
        why = f"it is a {its} with {record.in_channels} input channels, this run trains a {name} with {channels}"
        remedy = f"use a dataset of pairing {record.pairing['name']}"
        remedy += f" and --set generator.name={its}" if name != its else ""
        raise UsageError(f"--from {start}", why, remedy)
    return smaller


def _check_codes(start: Path, size: int) -> None:
    """Raise UsageError if the two models have style codes of different sizes, or only one has codes."""
    its = read_record(start).code_size
    if its != size:
        has = [f"{n} numbers" if n else "none" for n in (its, size)]
        why = f"its style code has {has[0]}, and the style code of this run has {has[1]}"
        raise UsageError(f"--from {start}", why, "use a model of the same training.method and size of codes")


def freeze(generator: nn.Module, names: Sequence[str]) -> None:
    """Turn off the gradients of the modules ``names``, such as 'down' or 'down.0', and of all inside them.

    BatchNorm's statistics still follow the new pictures. Raises UsageError on an unknown name, and if nothing is
    left to learn.
    """
    parts = [name for name, _ in generator.named_modules() if name]
    for name in names:
        if name not in parts:
            # Deeper names are valid too; these are enough to choose from.
            raise unknown_name("part of the generator", name, [p for p in parts if p.count(".") < 2])
        generator.get_submodule(name).requires_grad_(False)
    if not any(p.requires_grad for p in generator.parameters()):
        raise UsageError(
            f"training.freeze = {list(names)}", "no part of the generator is left to train", "name fewer parts"
        )
