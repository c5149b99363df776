"""The interface of families, and layouts, which map vidtrans's tensor names to another tool's names and shapes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from vidtrans.core.settings import Table
from vidtrans.networks.ports import MAX_PICTURE_CHANNELS

Shape = tuple[int, ...]  # Shape of a tensor: the length of each axis.
Shapes = Mapping[str, Shape]  # Tensor shapes of a checkpoint, by tensor name.
# Name of the tensor that counts the batches in a batch norm, in files since torch 0.4.1.
COUNTER = "num_batches_tracked"
STATISTICS = ("running_mean", "running_var")  # Names of the tensors with the running statistics of a norm.


@dataclass
class Layout:
    """The mapping from the tensors of vidtrans's generator to the tensors of another tool's file, for given settings.

    Attributes:
        file_shapes: The shapes of the file's tensors, by name.
        names: Tensor names in the file by vidtrans's tensor names.
        shapes: The required shape of each of the file's tensors, by the file's name.
        constants: Shape and constant value of each of vidtrans's tensors that the file lacks.
        unused: Names of the file's tensors that are ignored.
        counted: Whether batch norms have a batch counter (since torch 0.4.1); None: only if ``file_shapes`` has it.
        swapped: Names of vidtrans's tensors whose halves along the first axis are in the opposite order in the file.
    """

    file_shapes: Shapes = field(default_factory=dict)
    counted: bool | None = None
    names: dict[str, str] = field(default_factory=dict)
    shapes: dict[str, Shape] = field(default_factory=dict)
    constants: dict[str, tuple[Shape, float]] = field(default_factory=dict)
    unused: set[str] = field(default_factory=set)
    swapped: set[str] = field(default_factory=set)

    @classmethod
    def for_export(cls, origin: Table) -> Layout:
        """Return an empty layout for writing a file; ``origin``: the facts about the imported file in the record."""
        return cls(counted=origin.get("counters", True))

    @property
    def origin(self) -> Table:
        """Return the facts about the file that ``for_export`` needs: ``counters`` is False without batch counters."""
        return {"counters": False} if any(name.endswith(COUNTER) for name in self.constants) else {}

    def tensor(self, ours: str, theirs: str, shape: Shape) -> None:
        """Map vidtrans's tensor name ``ours`` to the file's tensor name ``theirs``; both tensors have this shape."""
        self.names[ours] = theirs
        self.shapes[theirs] = shape

    def conv(self, ours: str, theirs: str, shape: Shape, *, bias: bool, zero_bias: bool = False) -> None:
        """Map a convolution's tensor names ``ours`` to ``theirs``; ``zero_bias``: only vidtrans's has a bias, of 0.

        ``shape``: (outputs, inputs, k, k); ``bias``: vidtrans's convolution and the file's have a bias.
        """
        self._map_weights(ours, theirs, shape, shape[0], bias=bias, zero_bias=zero_bias)

    def transposed(self, ours: str, theirs: str, shape: Shape, *, bias: bool, zero_bias: bool = False) -> None:
        """Map the tensor names of a transposed convolution; ``shape``: (inputs, outputs, k, k); see ``conv``."""
        self._map_weights(ours, theirs, shape, shape[1], bias=bias, zero_bias=zero_bias)

    def _map_weights(self, ours: str, theirs: str, shape: Shape, outputs: int, *, bias: bool, zero_bias: bool) -> None:
        """Map the names of a convolution's weight, of this ``shape``, and of its bias (``outputs``,); see ``conv``."""
        self.tensor(f"{ours}.weight", f"{theirs}.weight", shape)
        if bias:
            self.tensor(f"{ours}.bias", f"{theirs}.bias", (outputs,))
        elif zero_bias:
            self.constants[f"{ours}.bias"] = ((outputs,), 0.0)

    def norm(self, ours: str, theirs: str, channels: int, norm: str) -> None:
        """Map the tensor names of a norm of type ``norm``; running statistics of old instance norms are ignored."""
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
        """Map the name of a batch norm's batch counter, or set the counter to 0 for an old file without one."""
        if self.counted or (self.counted is None and f"{theirs}.{COUNTER}" in self.file_shapes):
            self.tensor(f"{ours}.{COUNTER}", f"{theirs}.{COUNTER}", ())
        else:
            self.constants[f"{ours}.{COUNTER}"] = ((), 0)


@dataclass(frozen=True)
class Candidate:
    """The network of a family that fits the tensors of a checkpoint best.

    Attributes:
        generator: Table with the network's ``name`` in ``networks`` and its ``settings`` that differ from the defaults.
        channels: Numbers of input and output channels.
        layout: Mapping of the network's tensors to the file's tensors.
        size: Default short side of renders in pixels, unless the tool's options specify another.
        ports: Settings of ``networks.ports.PortSettings`` that differ from the defaults, without the channels.
        pairing: Name and settings of the network's pairing; empty if the user must choose one.
        origin: Facts about the file that a later export needs.
        notes: Messages for the person who imports the file.
        dark_lines: Whether the training drawings have dark lines on white instead of light lines on black.
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
    """One type of generator of another tool, with any numbers of channels and layers.

    Attributes:
        title: The family's name for messages.
        tool: Names of the tools that write such files.
    """

    title: ClassVar[str]
    tool: ClassVar[str]

    def candidate(self, shapes: Shapes) -> Candidate | None:
        """Return the network of this family that fits tensor shapes best; None without the family's tensor names.

        The network's sizes come from some of the ``shapes``. ``match_layout`` checks all shapes, and names the first
        mismatch.
        """
        raise NotImplementedError

    def with_options(self, candidate: Candidate, options: Mapping[str, str]) -> Candidate:
        """Return the candidate, completed from the tool's training ``options`` (texts by option name)."""
        return candidate

    def layout_of(self, name: str, settings: Table, channels: tuple[int, int], origin: Table) -> Layout | None:
        """Return the layout of vidtrans's generator in a file of this family; None if the family has no such type.

        Args:
            name: The generator's name.
            settings: Its complete settings.
            channels: Its numbers of input and output channels.
            origin: The ``origin`` of its record; empty if vidtrans trained it.

        Raises:
            ValueError: The family has this type of generator, but not with these settings; the message names one.
        """
        return None


@dataclass(frozen=True)
class Fit:
    """The match of a candidate and a checkpoint: the ``share`` of matching tensors, 0 to 1, and the first ``problem``.

    A tensor with the right name and another shape counts half. ``problem`` is a sentence; '' if all tensors match.
    """

    share: float
    problem: str


def match_layout(candidate: Candidate, shapes: Shapes) -> Fit:
    """Compare the tensor shapes of a checkpoint with the layout of a candidate."""
    layout = candidate.layout
    missing = [name for name in layout.shapes if name not in shapes]
    unexpected = [name for name in shapes if name not in layout.shapes and name not in layout.unused]
    mismatched = [name for name, expected in layout.shapes.items() if shapes.get(name, expected) != expected]
    problems = {
        name: f"'{name}' is {_shape_text(shapes[name])}, not {_shape_text(layout.shapes[name])}" for name in mismatched
    }
    problems |= {name: f"'{name}' is missing" for name in missing}
    ordered_problems = [problems[name] for name in layout.shapes if name in problems]
    ordered_problems += [f"'{name}' does not belong to it" for name in unexpected]
    total = max(len(layout.shapes) + len(unexpected), 1)
    share = 1 - (len(missing) + len(unexpected) + len(mismatched) / 2) / total
    return Fit(share, ordered_problems[0][:200] if ordered_problems else "")


def _shape_text(shape: Shape) -> str:
    """Return a shape as text for errors, such as "64x3x7x7"."""
    return "x".join(map(str, shape)) or "a single number"


def check_fixed_settings(settings: Table, fixed: Table) -> None:
    """Raise ValueError if settings of vidtrans's generator differ from ``fixed``, the other tool's constant settings.

    ValueError is also raised for an instance norm with scale and shift, which none of these tools has.
    """
    for name, value in fixed.items():
        if settings.get(name, value) != value:
            raise ValueError(f"generator.{name} is {settings[name]}, but this tool's is always {value}")
    if settings.get("norm") == "instance":
        raise ValueError("this tool's instance norms have no scale and shift: train with generator.norm=plain-instance")


def axis_length(shapes: Shapes, name: str, axis: int, default: int = 0) -> int:
    """Return the length of an axis of the tensor ``name``, at least 1; ``default`` without such a tensor or axis."""
    shape = shapes.get(name, ())
    return max(1, shape[axis]) if axis < len(shape) else default


def detect_norm(shapes: Shapes, norm: str, conv: str) -> str:
    """Return the value of ``generator.norm`` from the tensors with name prefixes ``norm`` (a norm) and ``conv``."""
    if f"{norm}.weight" in shapes:
        return "picture" if f"{norm}.running_mean" in shapes else "instance"
    return "plain-instance" if f"{conv}.bias" in shapes else "none"


def swap_halves(tensor: Any) -> Any:  # noqa: ANN401  (no torch here)
    """Return a tensor with the two halves along its first axis exchanged."""
    import torch

    return torch.cat(tensor.chunk(2)[::-1])


def constant_tensor(constant: tuple[Shape, float]) -> Any:  # noqa: ANN401  (no torch here)
    """Return a constant tensor for (shape, value): float32, or int64 for the shape ()."""
    import torch

    shape, value = constant
    return torch.full(shape, value) if shape else torch.tensor(int(value))


# Input scale and shift that map [−1, 1] to [0, 1], for networks with label planes of 0 and 1.
LABEL_PORTS: Table = {"in_scale": (0.5,), "in_shift": (0.5,)}


def label_ports(channels: int) -> Table:
    """Return the ``PortSettings`` for a number of input channels: {} up to 4 (a picture), else ``LABEL_PORTS``."""
    return dict(LABEL_PORTS) if channels > MAX_PICTURE_CHANNELS else {}


def label_pairing(channels: int, options: Mapping[str, str]) -> Table:
    """Return the pairing 'labels' that the training options of pix2pixHD or SPADE describe.

    It is {} if the options do not describe labels, or labels with another number of ``channels``.
    """
    num_labels = options.get("label_nc", "")
    if not num_labels.isdecimal() or len(num_labels) > 4 or not int(num_labels):
        return {}
    has_rest_class = options.get("contain_dontcare_label", "") == "True"
    settings = {
        "classes": int(num_labels) + has_rest_class,
        "rest_is_last": has_rest_class,
        "boundaries": options.get("no_instance") == "False",
    }
    fits = settings["classes"] + settings["boundaries"] == channels
    return {"name": "labels", "settings": settings} if fits else {}


class LabelFamily(Family):
    """A family of networks for label maps or pictures; the tool's training options describe the labels."""

    def with_options(self, candidate: Candidate, options: Mapping[str, str]) -> Candidate:
        """Return the candidate with the pairing 'labels' if the training ``options`` describe the labels."""
        return replace(candidate, pairing=label_pairing(candidate.channels[0], options) or candidate.pairing)
