"""The interface of families, and how tensors' names and shapes are laid out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from vidtrans.core.settings import Table
from vidtrans.networks.ports import MOST_PICTURE_CHANNELS

Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]  # of a checkpoint's tensors, by its own names
COUNTER = "num_batches_tracked"  # of batch norms since torch 0.4.1
STATISTICS = ("running_mean", "running_var")


@dataclass
class Layout:
    """Which tensor of a file is which of our generator's, for one choice of sizes.

    Attributes:
        given: The tensors of the file.
        names: Our names to theirs.
        shapes: The shapes that theirs have to have.
        constants: Of ours that the file has not: shape and value.
        unused: Theirs that play no part.
        counted: Whether batch norms count what they saw, as they do since torch 0.4.1; None: as ``given`` has it.
        swapped: Ours whose halves along the first axis have changed places: what two tensors were joined to.
    """

    given: Shapes = field(default_factory=dict)
    counted: bool | None = None
    names: dict[str, str] = field(default_factory=dict)
    shapes: dict[str, Shape] = field(default_factory=dict)
    constants: dict[str, tuple[Shape, float]] = field(default_factory=dict)
    unused: set[str] = field(default_factory=set)
    swapped: set[str] = field(default_factory=set)

    @classmethod
    def for_export(cls, origin: Table) -> Layout:
        """Return an empty layout of a file to be written, for a model of that ``origin``."""
        return cls(counted=origin.get("counters", True))

    @property
    def origin(self) -> Table:
        """Return what ``for_export`` has to know of a file that was read."""
        return {"counters": False} if any(name.endswith(COUNTER) for name in self.constants) else {}

    def tensor(self, ours: str, theirs: str, shape: Shape) -> None:
        """Lay out one tensor."""
        self.names[ours] = theirs
        self.shapes[theirs] = shape

    def conv(self, ours: str, theirs: str, shape: Shape, *, bias: bool, zero_bias: bool = False) -> None:
        """Lay out a convolution, its weight (outputs, inputs, k, k).

        ``zero_bias``: ours has a bias where theirs has none.
        """
        self._biased(ours, theirs, shape, shape[0], bias=bias, zero_bias=zero_bias)

    def transposed(self, ours: str, theirs: str, shape: Shape, *, bias: bool, zero_bias: bool = False) -> None:
        """Lay out a transposed convolution, its weight (inputs, outputs, k, k); see ``conv``."""
        self._biased(ours, theirs, shape, shape[1], bias=bias, zero_bias=zero_bias)

    def _biased(self, ours: str, theirs: str, shape: Shape, outputs: int, *, bias: bool, zero_bias: bool) -> None:
        self.tensor(f"{ours}.weight", f"{theirs}.weight", shape)
        if bias:
            self.tensor(f"{ours}.bias", f"{theirs}.bias", (outputs,))
        elif zero_bias:
            self.constants[f"{ours}.bias"] = ((outputs,), 0.0)

    def norm(self, ours: str, theirs: str, channels: int, norm: str) -> None:
        """Lay out what a norm holds; what old instance norms learned of pictures plays no part."""
        if norm in ("batch", "picture"):
            for name in ("weight", "bias", *STATISTICS):
                self.tensor(f"{ours}.{name}", f"{theirs}.{name}", (channels,))
            self.counter(ours, theirs)
        else:
            if norm == "instance":
                for name in ("weight", "bias"):
                    self.tensor(f"{ours}.{name}", f"{theirs}.{name}", (channels,))
            self.unused |= {f"{theirs}.{name}" for name in (*STATISTICS, COUNTER)}

    def counter(self, ours: str, theirs: str) -> None:
        """Lay out how many batches a norm has seen, which old files do not say."""
        if self.counted or (self.counted is None and f"{theirs}.{COUNTER}" in self.given):
            self.tensor(f"{ours}.{COUNTER}", f"{theirs}.{COUNTER}", ())
        else:
            self.constants[f"{ours}.{COUNTER}"] = ((), 0)


@dataclass(frozen=True)
class Candidate:
    """The network of a family that is the nearest to a checkpoint.

    Attributes:
        generator: Its name in ``networks``, and settings that are not the default.
        channels: What it takes and gives.
        layout: Which tensor is which.
        size: The short side in pixels at which it is rendered, unless its options say another.
        ports: Settings of ``networks.ports.PortSettings`` that are not the default, but for the channels.
        pairing: The pairing that follows, with its settings; empty where a person has to say it.
        origin: What an export needs to know beside the weights.
        notes: What a person should know, a sentence each.
        dark_lines: The drawings that such networks learned from have dark lines on white, not light ones on black.
    """

    generator: Table
    channels: tuple[int, int]
    layout: Layout
    size: int = 256
    ports: Table = field(default_factory=dict)
    pairing: Table = field(default_factory=dict)
    origin: Table = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    dark_lines: bool = False


class Family:
    """A tool's generators of one kind, of any sizes.

    Attributes:
        title: What it is in words.
        tool: Which tools make such files.
    """

    title: ClassVar[str]
    tool: ClassVar[str]

    def candidate(self, shapes: Shapes) -> Candidate | None:
        """Return the network that is the nearest to a checkpoint; None where nothing of it looks like one.

        Sizes are read off the shapes, which may be any; what does not fit shows in a comparison.
        """
        raise NotImplementedError

    def with_options(self, candidate: Candidate, options: Mapping[str, str]) -> Candidate:
        """Return the candidate with what the options of its training say, by their names, and its tensors do not."""
        return candidate

    def layout_of(self, name: str, settings: Table, channels: tuple[int, int], origin: Table) -> Layout | None:
        """Return the layout of one of our generators in a file of theirs; None for a generator of another kind.

        Args:
            name: Of the generator.
            settings: Its complete settings.
            channels: What it takes and gives.
            origin: Of its record; empty where it was trained here.

        Raises:
            ValueError: It is of this kind, but theirs has no setting for something, which is said.
        """
        return None


@dataclass(frozen=True)
class Fit:
    """How well a candidate accounts for a checkpoint: the share of tensors that fit, and the first that does not.

    A tensor of the right name and another shape counts half.
    """

    share: float
    first: str


def compare(candidate: Candidate, shapes: Shapes) -> Fit:
    """Return how well a candidate accounts for a checkpoint's tensors; ``first`` is empty where all fit."""
    layout = candidate.layout
    missing = [name for name in layout.shapes if name not in shapes]
    strangers = [name for name in shapes if name not in layout.shapes and name not in layout.unused]
    unequal = [name for name, wanted in layout.shapes.items() if shapes.get(name, wanted) != wanted]
    problems = {
        name: f"'{name}' is {_in_words(shapes[name])}, not {_in_words(layout.shapes[name])}" for name in unequal
    }
    problems |= {name: f"'{name}' is missing" for name in missing}
    in_order = [problems[name] for name in layout.shapes if name in problems]
    in_order += [f"'{name}' has no place in it" for name in strangers]
    total = max(len(layout.shapes) + len(strangers), 1)
    share = 1 - (len(missing) + len(strangers) + len(unequal) / 2) / total
    return Fit(share, in_order[0][:200] if in_order else "")


def _in_words(shape: Shape) -> str:
    return "x".join(map(str, shape)) or "a single number"


def refuse_others(settings: Table, wanted: Table) -> None:
    """Raise ValueError where settings of one of our generators are not the ones that another tool's has.

    An instance norm with a scale and a shift is nowhere among these tools.
    """
    found = [name for name, value in wanted.items() if settings.get(name, value) != value]
    if found:
        raise ValueError(f"generator.{found[0]} is {settings[found[0]]}, theirs is always {wanted[found[0]]}")
    if settings["norm"] == "instance":
        raise ValueError("generator.norm is instance, theirs have no scale and shift: train with norm=plain-instance")


def side(shapes: Shapes, name: str, axis: int, default: int = 0) -> int:
    """Return a tensor's length along an axis, 1 of an empty one; a default where there is no such tensor or axis."""
    shape = shapes.get(name, ())
    return max(1, shape[axis]) if axis < len(shape) else default


def norm_kind(shapes: Shapes, norm: str, conv: str) -> str:
    """Return the ``generator.norm`` that a norm and the convolution before it show; its statistics are as tested."""
    if f"{norm}.weight" in shapes:
        return "picture" if f"{norm}.running_mean" in shapes else "instance"
    return "plain-instance" if f"{conv}.bias" in shapes else "none"


def swap_halves(tensor: Any) -> Any:  # noqa: ANN401  (no torch here)
    """Return a tensor whose halves along the first axis have changed places."""
    import torch

    return torch.cat(tensor.chunk(2)[::-1])


def value_of(constant: tuple[Shape, float]) -> Any:  # noqa: ANN401  (no torch here)
    """Return the tensor of one of a layout's constants."""
    import torch

    shape, value = constant
    return torch.full(shape, value) if shape else torch.tensor(int(value))


LABEL_PORTS: Table = {"in_scale": (0.5,), "in_shift": (0.5,)}  # planes of 0 and 1


def label_ports(channels: int) -> Table:
    """Return the ports of a network that takes pictures of up to four channels in [−1, 1], and label maps of more."""
    return dict(LABEL_PORTS) if channels > MOST_PICTURE_CHANNELS else {}


def label_pairing(channels: int, options: Mapping[str, str]) -> Table:
    """Return the pairing 'labels' as the options of a training of pix2pixHD or SPADE name it; {} where they do not."""
    given = options.get("label_nc", "")
    if not given.isdecimal() or len(given) > 4 or not int(given):
        return {}
    rest = options.get("contain_dontcare_label", "") == "True"
    settings = {"classes": int(given) + rest, "rest_is_last": rest, "boundaries": options.get("no_instance") == "False"}
    fits = settings["classes"] + settings["boundaries"] == channels
    return {"name": "labels", "settings": settings} if fits else {}


class LabelFamily(Family):
    """A family whose networks may take label maps; which, the options of their training say."""

    def with_options(self, candidate: Candidate, options: Mapping[str, str]) -> Candidate:
        """Return the candidate with the pairing of its labels."""
        return replace(candidate, pairing=label_pairing(candidate.channels[0], options) or candidate.pairing)
