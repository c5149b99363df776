"""The same bytes again: what training does on CUDA so that they are, and what it says where they are not.

What a GPU computes is for ``test_cuda``. Here it is asked which algorithms it shall take.
"""

from __future__ import annotations

import warnings
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from chain import TINY, quick_training, said
from torch import Tensor
from torch.nn import functional as F
from variants import least

import vidtrans as api
from vidtrans.core.errors import Interrupted
from vidtrans.core.events import Event, Note, Progress, Stop
from vidtrans.inference.device import Device
from vidtrans.models.model_file import read_record
from vidtrans.networks import DISCRIMINATORS, GENERATORS
from vidtrans.networks.init import build_discriminator, build_generator
from vidtrans.networks.layers import reflect_pad
from vidtrans.training.device.determinism import deterministic
from vidtrans.training.methods.pix2pix import Pix2Pix

pytestmark = pytest.mark.usefixtures("one_thread")
CPU, CUDA = Device("cpu", "cpu"), Device("cuda", "cuda")
# Steps whose gradients have no fixed order on CUDA: torch.use_deterministic_algorithms lists them.
NO_FIXED_ORDER = {
    "AdaptiveAvgPool2DBackward0",
    "AdaptiveMaxPool2DBackward0",
    "CumsumBackward0",
    "EmbeddingBagBackward0",
    "FractionalMaxPool2DBackward0",
    "GridSampler2DBackward0",
    "MaxUnpool2DBackward0",
    "NllLoss2DBackward0",
    "PutBackward0",
    "ReflectionPad2DBackward0",
    "UpsampleBicubic2DBackward0",
    "UpsampleBilinear2DBackward0",
}
# The generators that have such steps all the same; docs/guides/training/gpus.md says so.
NOT_REPEATABLE = {"warp-mix": {"GridSampler2DBackward0"}}


def put(tensor: Tensor) -> None:
    """Do what torch has no deterministic algorithm for, not even on a CPU."""
    tensor.put_(torch.tensor([0]), torch.ones(1))


def flags() -> list[Any]:
    memory: Any = torch.utils.deterministic
    return [
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        memory.fill_uninitialized_memory,
        torch.is_warn_always_enabled(),
        warnings.showwarning,
        [f for f in warnings.filters if "determin" in str(f[1])],
    ]


def test_on_cuda_deterministic_algorithms_are_taken_and_what_has_none_is_named() -> None:
    before = flags()

    def compute() -> None:
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.is_deterministic_algorithms_warn_only_enabled()
        put(torch.zeros(4))
        put(torch.zeros(4))
        F.max_unpool2d(torch.ones(1, 1, 1, 1), torch.zeros(1, 1, 1, 1, dtype=torch.long), 2)
        warnings.warn("of another kind", stacklevel=1)

    for _ in range(2):  # a second run in the process is told the same
        found: set[str] = set()
        with pytest.warns(UserWarning, match="of another kind"), deterministic(CUDA, found):
            compute()
        assert found == {"put_", "max_unpooling2d_forward_out"}
    with pytest.raises(ZeroDivisionError), deterministic(CUDA, set()):
        raise ZeroDivisionError
    assert flags() == before
    for device in (CPU, Device("mps", "mps")):
        with deterministic(device, set()):
            assert flags() == before


def steps_back(output: Tensor) -> set[str]:
    """Return the names of all steps that the gradients of an output go through."""
    found, waiting, seen = set(), [output.grad_fn], set()
    while waiting:
        step = waiting.pop()
        if step is not None and step not in seen:
            seen.add(step)
            found.add(step.name())
            waiting += [before for before, _ in step.next_functions]
    return found


@pytest.fixture
def on_no_cpu(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let networks be built and run without numbers, as a device would that is asked for deterministic algorithms."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())  # there is none for such tensors
    monkeypatch.setattr(torch.Tensor, "is_cuda", True)  # torch 2.8 asks this, where newer ones ask for no CPU
    with torch.device("meta"), deterministic(CUDA, set()):
        yield


# Every way to double sizes.
WAYS = {"unet-64": "upsample", "unet-small": "head"}


def variants(name: str) -> list[dict[str, Any]]:
    if name not in WAYS:
        return [{}]
    return [
        {WAYS[name]: way} for way in GENERATORS.load(name).Settings.__dataclass_fields__[WAYS[name]].metadata["choices"]
    ]


@pytest.mark.parametrize("name", GENERATORS)
def test_the_gradients_of_every_generator_add_up_in_a_fixed_order_but_of_those_that_are_named(
    name: str, on_no_cpu: None
) -> None:
    for table in variants(name):
        generator = build_generator(name, least(GENERATORS, name) | table, 3).train()
        side = max(64, generator.smallest)
        back = steps_back(generator(torch.zeros(2, 3, side, side)))
        assert back & NO_FIXED_ORDER == NOT_REPEATABLE.get(name, set()), table
    if name == "unet-small":  # what is kept of the past
        generator = build_generator(name, {"channels": 8, "blocks": [0, 0, 0]}, 3, memory=True)
        back = steps_back(generator.compose(torch.zeros(1, 3, 64, 64), torch.zeros(1, 7, 64, 64)))
        assert "ConvolutionBackward0" in back
        assert not back & NO_FIXED_ORDER


@pytest.mark.parametrize("name", DISCRIMINATORS)
def test_the_gradients_of_every_discriminator_add_up_in_a_fixed_order(name: str, on_no_cpu: None) -> None:
    table = least(DISCRIMINATORS, name, num_layers=2)
    judged = build_discriminator(name, table, 6).train().judge(torch.zeros(2, 6, 64, 64))
    assert not set().union(*(steps_back(features) for scale in judged for features in scale)) & NO_FIXED_ORDER


@pytest.mark.parametrize(("width", "size"), [(1, (2, 2)), (3, (4, 9))])
def test_a_mirrored_rim_is_torchs_to_the_bit_and_has_its_gradients(width: int, size: tuple[int, int]) -> None:
    x = torch.rand(2, 3, *size, dtype=torch.float64)
    ours, theirs = (x.clone().requires_grad_() for _ in range(2))
    made, expected = reflect_pad(ours, width), F.pad(theirs, (width,) * 4, mode="reflect")
    assert torch.equal(made, expected)
    weights = torch.rand_like(made)
    (made * weights).sum().backward()
    (expected * weights).sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad)
    last = reflect_pad(x.to(memory_format=torch.channels_last), width)
    assert last.is_contiguous(memory_format=torch.channels_last)


def test_a_record_says_what_was_not_deterministic_even_where_a_run_was_stopped_after_it(
    two_gpus: None, clip: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    step, told = Pix2Pix._step, []

    def disordered(self: Pix2Pix, *arguments: Any) -> Any:
        put(torch.zeros(1))
        return step(self, *arguments)

    def train(device: str, until: int = 0) -> None:
        stop = Stop()

        def hear(event: Event) -> None:
            told.extend([event.text] if isinstance(event, Note) else [])
            if isinstance(event, Progress) and event.task == "training" and event.done == until:
                stop.request(130)

        given: dict[str, Any] = {"settings": quick_training(3), "device": device, "report": hear}
        api.train("clip.dataset", f"{device[:3]}.safetensors", stop=stop, **given)

    api.make_dataset(clip, settings=TINY)
    with monkeypatch.context() as patch:
        patch.setattr(Pix2Pix, "_step", disordered)
        train("cpu")
        assert "nondeterministic" not in read_record(Path("cpu.safetensors")).training
        assert not any("different model" in text for text in told)
        with pytest.raises(Interrupted):
            train("cuda:1", until=2)
    train("cuda:1")
    assert read_record(Path("cud.safetensors")).training["nondeterministic"] == ["put_"]
    assert any("slightly different model" in text and "put_" in text for text in told)
    assert "not to the byte: put_" in said(capsys, 0, "model", "show", "cud.safetensors")
