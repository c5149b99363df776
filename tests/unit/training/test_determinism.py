"""What a GPU does, on the CPU: the same bytes again, batches that are uploaded and augmented, steps replayed."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from chain import TINY, quick_training, said
from clips import scene
from datasets import make_dataset
from torch import Tensor, nn
from torch.nn import functional as F
from variants import least

import vidtrans as api
from vidtrans.core.errors import Interrupted, UsageError
from vidtrans.core.events import Event, Note, Progress, Stop
from vidtrans.core.options import options_of
from vidtrans.data.augment import Geometry, draw_geometry
from vidtrans.data.dataset import open_dataset
from vidtrans.data.loading import BatchPlan, Loader, signed_planes, to_planes
from vidtrans.inference.device import CPU, Device, resolve_device, to_device
from vidtrans.models.model_file import load_generator, read_record
from vidtrans.networks import DISCRIMINATORS, GENERATORS
from vidtrans.networks.init import build_discriminator, build_generator, initialise
from vidtrans.networks.layers import reflect_pad, spectral
from vidtrans.pairing import PAIRINGS
from vidtrans.pairing.pairing_records import make_pairing
from vidtrans.training.batch_upload import transform, upload, uploads
from vidtrans.training.methods import network_trainer
from vidtrans.training.methods.base import TrainingStep, deterministic, training_step
from vidtrans.training.methods.network_trainer import WARM_UP, WeightCopies
from vidtrans.training.methods.pix2pix import Pix2Pix
from vidtrans.training.settings import TrainingSettings

pytestmark = pytest.mark.usefixtures("one_thread")
CUDA = Device("cuda", "cuda")
# Steps whose gradients have no fixed order on CUDA: torch.use_deterministic_algorithms lists them.
STEPS = (
    "AdaptiveAvgPool2D AdaptiveMaxPool2D Cumsum EmbeddingBag FractionalMaxPool2D GridSampler2D MaxUnpool2D NllLoss2D"
)
STEPS += " NllLoss2D ReflectionPad2D UpsampleBicubic2D UpsampleBilinear2D"
NO_FIXED_ORDER = {f"{name}Backward0" for name in STEPS.split()}
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
    with deterministic(CPU, set()):
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
    ways = options_of(GENERATORS.load(name).Settings)[WAYS[name]].choices
    assert ways
    return [{WAYS[name]: way} for way in ways]


@pytest.mark.parametrize("name", GENERATORS)
def test_gradients_of_every_generator_add_up_in_a_fixed_order_but_of_those_named(name: str, on_no_cpu: None) -> None:
    for table in variants(name):
        generator = build_generator(name, least(GENERATORS, name) | table, 3).train()
        side = max(64, generator.smallest)
        back = steps_back(generator(torch.zeros(2, 3, side, side)))
        assert back & NO_FIXED_ORDER == NOT_REPEATABLE.get(name, set()), table


def test_the_gradients_of_what_is_kept_of_the_past_add_up_in_a_fixed_order(on_no_cpu: None) -> None:
    generator = build_generator("unet-small", {"channels": 8, "blocks": [0, 0, 0]}, 3, memory=True)
    back = steps_back(generator.compose(torch.zeros(1, 3, 64, 64), torch.zeros(1, 7, 64, 64)))
    assert "ConvolutionBackward0" in back
    assert not back & NO_FIXED_ORDER


def test_the_gradients_of_every_discriminator_add_up_in_a_fixed_order(on_no_cpu: None) -> None:
    for name in DISCRIMINATORS:
        judge = build_discriminator(name, least(DISCRIMINATORS, name, num_layers=2), 6).train().judge
        steps = (steps_back(features) for scale in judge(torch.zeros(2, 6, 64, 64)) for features in scale)
        assert not set().union(*steps) & NO_FIXED_ORDER, name


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


def test_a_record_says_what_was_not_deterministic_even_where_a_run_was_stopped_after_it(
    two_gpus: None, clip: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    step, notes = Pix2Pix._optimize, []

    def disordered(self: Pix2Pix, *arguments: Any) -> Any:
        put(torch.zeros(1))
        return step(self, *arguments)

    def train(device: str, until: int = 0) -> None:
        stop = Stop()

        def hear(event: Event) -> None:
            notes.extend([event.text] if isinstance(event, Note) else [])
            if isinstance(event, Progress) and event.task == "training" and event.done == until:
                stop.request(130)

        given: dict[str, Any] = {"settings": quick_training(3), "device": device, "report": hear}
        api.train("clip.dataset", f"{device[:3]}.safetensors", stop=stop, **given)

    api.make_dataset(clip, settings=TINY)
    with monkeypatch.context() as patch:
        patch.setattr(Pix2Pix, "_optimize", disordered)
        train("cpu")
        assert "nondeterministic" not in read_record(Path("cpu.safetensors")).training
        assert not any("different model" in text for text in notes)
        with pytest.raises(Interrupted):
            train("cuda:1", until=2)
    train("cuda:1")
    assert read_record(Path("cud.safetensors")).training["nondeterministic"] == ["put_"]
    assert any("slightly different model" in text and "put_" in text for text in notes)
    assert "not to the byte: put_" in said(capsys, 0, "model", "show", "cud.safetensors")


needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
devices = pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=needs_cuda)])


@devices
@pytest.mark.parametrize(("crop", "jitter"), [((32, 24), 1.0), ((160, 200), 1.5)])
def test_the_device_transforms_as_the_loader_does(crop: tuple[int, int], jitter: float, device: str) -> None:
    """To the bit where nothing is enlarged, else to a level of OpenCV's rounding."""
    rng = np.random.default_rng(0)
    pictures = [np.dstack([scene(64, 48, seed=n), scene(64, 48, seed=n + 9)[..., :1]]) for n in range(6)]
    geometries = [draw_geometry(rng, (64, 48), crop, jitter, True) for _ in pictures]
    assert len({(g.x, g.y, g.mirrored) for g in geometries}) > (1 if jitter > 1 or crop == (32, 24) else 0)
    expected = np.stack([to_planes(g.apply(p)) for g, p in zip(geometries, pictures, strict=True)])
    found = transform(torch.from_numpy(np.stack([to_planes(p) for p in pictures])).to(device), geometries)
    assert (found.dtype, found.is_contiguous()) == (torch.uint8, True)
    off = np.abs(found.cpu().numpy().astype(int) - expected)
    assert off.max() <= (1 if jitter > 1 else 0)
    assert off.mean() < 0.02


def loaders(folder: Path, pairing: str) -> list[Loader]:
    dataset = open_dataset(make_dataset(folder, pairing))
    plan = BatchPlan(batch_size=3, seed=5, multiple=8, crop=16, jitter=1.2, flip=True)
    return [Loader(dataset.pairs, dataset.pairing, plan, whole=whole) for whole in (False, True)]


@pytest.mark.parametrize("pairing", ["next-frame", "colorize"])
def test_a_batch_that_is_transformed_on_the_device_is_the_loaders(pairing: str, tmp_path: Path) -> None:
    plain, later = loaders(tmp_path / "a", pairing)
    assert later.whole
    for step in range(2):
        expected, given = plain.make(step), later.make(step)
        assert given.whole
        assert given.targets.shape[2:] == (32, 40)  # as stored
        assert [e.geometry for e in given.examples] == [e.geometry for e in expected.examples]
        made = upload(given, CPU)
        for found, wanted in ((made.inputs, expected.inputs), (made.targets, expected.targets)):
            assert found.shape == wanted.shape
            assert np.abs((found.numpy() + 1) * 127.5 - wanted).max() <= 1.01


def test_inputs_of_pointwise_pairings_may_be_cut_and_mirrored_instead_of_the_frames(tmp_path: Path) -> None:
    pointwise = {name for name in PAIRINGS if PAIRINGS.load(name).pointwise}
    assert pointwise == {"aligned", "colorize", "grade", "matched", "model", "next-frame", "pose", "stack", "unpaired"}
    for name in pointwise:
        pairing, rng = make_pairing(name, {}), np.random.default_rng(0)
        frames = [scene(64, 48, seed=n) for n in pairing.offsets]
        geometry = Geometry((64, 48), 5, 9, (32, 24), True)
        cut = pairing.training_input([geometry.apply(f) for f in frames], rng)
        assert np.array_equal(geometry.apply(pairing.training_input(frames, rng)), cut)
        assert rng.bit_generator.state == np.random.default_rng(0).bit_generator.state  # nothing was drawn
    plain, later = loaders(tmp_path / "a", "edges")  # looks around a pixel: the loader augments it
    assert not later.whole
    assert np.array_equal(plain.make(3).inputs, later.make(3).inputs)


@pytest.mark.parametrize("kind", ["cpu", "cuda"])
def test_batches_arrive_in_order_and_errors_too(kind: str, two_gpus: None, tmp_path: Path) -> None:
    loader = loaders(tmp_path / "a", "aligned")[0]
    device = Device(kind, kind)

    def broken() -> Iterator[Any]:
        for step in range(3):
            yield loader.make(step)
        raise UsageError("the fourth", "it is not there")

    taken = []
    with pytest.raises(UsageError, match="the fourth"):
        taken.extend(uploads(broken(), device))
    assert len(taken) == 3
    for step, batch in enumerate(taken):
        assert np.array_equal(batch.inputs.numpy(), signed_planes(loader.make(step).inputs))


@needs_cuda
def test_what_a_stream_of_its_own_uploads_is_complete_when_it_is_used(tmp_path: Path) -> None:
    loader, device = loaders(tmp_path / "a", "aligned")[1], resolve_device("cuda")
    for step, batch in enumerate(list(uploads(loader.stream(0, 30), device))):
        expected = upload(loader.make(step), device)
        assert torch.equal(batch.inputs, expected.inputs)
        assert torch.equal(batch.targets, expected.targets)


def model(device: Device, **settings: Any) -> Pix2Pix:
    made = TrainingSettings.of(**({"batch_size": 2} | settings))
    generator = build_generator("unet-64", {"channels": 4}, 3)  # it has dropout
    discriminator = build_discriminator("patchgan", {"num_layers": 1, "channels": 8}, 6)
    initialise(generator, 0)
    initialise(discriminator, 1)
    return Pix2Pix(generator, discriminator, made, device, "fp32")


def take(learner: Pix2Pix, steps: range, progress: Callable[[int], float] = lambda step: 1.0) -> list[list[float]]:
    rows = []
    for step in steps:
        x, y = (torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(2 * step + i)) * 2 - 1 for i in (0, 1))
        losses = learner.optimize(TrainingStep(x, y, lr=2e-3 / (1 + step), seed=step, progress=progress(step)))
        rows.append([*losses.values(), float(learner.last_outputs.sum())])
    return rows


def equal_weights(a: Pix2Pix, b: Pix2Pix) -> bool:
    weights = (method.trained_generator.state_dict().values() for method in (a, b))
    return all(map(torch.equal, *weights)) and all(map(torch.equal, a._tensors(), b._tensors()))


@pytest.fixture
def replays(monkeypatch: pytest.MonkeyPatch, two_gpus: None) -> list[str]:
    """Graphs that run on the CPU, with tensors of their own as those of a GPU; the list says what was done."""
    done: list[str] = []

    def record(
        body: Callable[[], tuple[Tensor, ...]], device: torch.device
    ) -> tuple[Callable[[], None], tuple[Tensor, ...]]:
        done.append("recorded")
        outputs = tuple(t.clone() for t in body())

        def replay() -> None:
            done.append("replayed")
            for own, made in zip(outputs, body(), strict=True):
                own.copy_(made)

        return replay, outputs

    monkeypatch.setattr(network_trainer, "record", record)
    return done


def test_replayed_steps_are_the_steps(replays: list[str]) -> None:
    plain, replayed = model(CUDA, cuda_graph=False, ema_decay=0.9), model(CUDA, ema_decay=0.9)
    assert plain.captured is model(CPU).captured is model(CUDA, grad_accum_steps=2).captured is None
    assert take(plain, range(9)) == take(replayed, range(9))
    assert equal_weights(plain, replayed)
    assert replays == ["recorded", *["replayed"] * (9 - WARM_UP)]
    assert not replayed.find_problems([], 9)


@pytest.mark.parametrize("fault", ["other numbers", "operation not permitted"])
def test_a_wrong_replay_or_none_loses_nothing(fault: str, replays: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    record = network_trainer.record

    def wrong(body: Any, device: Any) -> Any:
        if fault != "other numbers":
            raise RuntimeError(f"{fault}\nwhen stream is capturing")
        replay, outputs = record(body, device)
        weight = replayed._tensors()[0]

        def twice() -> None:
            replay()
            with torch.no_grad():
                weight.add_(1e-3)

        return twice, outputs

    monkeypatch.setattr(network_trainer, "record", wrong)
    plain, replayed = model(CUDA, cuda_graph=False), model(CUDA)
    assert take(plain, range(7)) == take(replayed, range(7))
    assert equal_weights(plain, replayed)
    assert replays == (["recorded", "replayed"] if fault == "other numbers" else [])
    assert [text.endswith(fault) for text in replayed.find_problems([], 7)] == [True]


@needs_cuda
@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16"])
def test_a_gpu_replays_steps_to_the_same_bits(precision: Any) -> None:
    device = resolve_device("cuda")
    there = torch.zeros(3, device="cuda")
    assert to_device(there, CUDA) is there
    plain, replayed = model(device, cuda_graph=False), model(device)
    plain.precision = plain.g.precision = replayed.precision = replayed.g.precision = precision
    assert take(plain, range(12)) == take(replayed, range(12))
    assert equal_weights(plain, replayed)
    assert replayed.captured
    assert replayed.captured.refusal == ""


def test_a_run_whose_pictures_the_device_augments_goes_on_to_the_same_weights(
    replays: list[str], clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.make_dataset(clip, "clip.dataset", pairing="colorize", settings=TINY)
    tables = quick_training(WARM_UP + 3)
    tables["training"] |= {"jitter": 1.2, "flip": True, "crop_size": 32, "batch_size": 0, "precision": "fp32"}
    seen: set[tuple[int, ...]] = set()
    optimize = Pix2Pix.optimize

    def counted(self: Pix2Pix, step: TrainingStep) -> dict[str, float]:
        seen.add(tuple(step.inputs.shape))
        return optimize(self, step)

    monkeypatch.setattr(Pix2Pix, "optimize", counted)

    def run(name: str, cache: str, until: int = 0) -> None:
        stop = Stop()

        def hear(event: Event) -> None:
            if isinstance(event, Progress) and event.task == "training" and event.done == until:
                stop.request(130)

        api.train("clip.dataset", name, settings=tables, device="cuda:1", cache_dir=cache, stop=stop, report=hear)

    run("whole.safetensors", "one")
    assert seen == {(16, 1, 32, 32)}
    assert "replayed" in replays
    with pytest.raises(Interrupted):
        run("parts.safetensors", "other", until=WARM_UP)
    run("parts.safetensors", "other")
    whole, parts = (load_generator(Path(f"{n}.safetensors"))[0].state_dict() for n in ("whole", "parts"))
    assert all(map(torch.equal, whole.values(), parts.values()))
    record = read_record(Path("whole.safetensors")).training
    assert record["settings"]["batch_size"] == 16
    assert record["engine"]["step"] == 2


def test_a_batch_is_larger_on_a_gpu_unless_it_was_said() -> None:
    automatic = TrainingSettings.of(batch_size=0, grad_accum_steps=4)
    assert [automatic.on(kind).batch_size for kind in ("cpu", "mps", "cuda")] == [4, 4, 16]
    assert TrainingSettings.of(batch_size=3).on("cuda").batch_size == 3
    assert automatic.on("cpu").for_key() == TrainingSettings.of(batch_size=4, grad_accum_steps=4).for_key()
    with pytest.raises(ValueError, match=r"grad_accum_steps = 5 is more than training\.batch_size = 4"):
        TrainingSettings.of(batch_size=0, grad_accum_steps=5)


def test_compiled_networks_are_asked_for_and_the_compilers_errors_are_the_users(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compiled: list[Any] = []

    def compiler(function: Any, *, dynamic: bool) -> Any:
        compiled.append(function)
        return function

    monkeypatch.setattr(torch, "compile", compiler)
    expected = take(model(CPU), range(2))
    assert not compiled
    assert take(model(CPU, compile=True), range(2)) == expected
    assert [isinstance(function, nn.Module) for function in compiled] == [True, False]  # G, and what D judges with
    failure = type("BackendCompilerFailed", (RuntimeError,), {"__module__": "torch._dynamo.exc"})
    with pytest.raises(UsageError, match="it cannot compile here \\(no compiler\\)"), training_step(CPU, set()):
        raise failure("no compiler\nand much more")


def test_layers_have_their_own_weights_again_after_use_and_after_an_error() -> None:
    second, twin = nn.Conv2d(8, 8, 3), nn.Conv2d(8, 8, 3)
    twin.weight = second.weight
    network = nn.Sequential(nn.Conv2d(3, 8, 3), second, twin, spectral(nn.Conv2d(8, 3, 1)), nn.Linear(3, 2))
    copies, before = WeightCopies(network), dict(network.named_parameters())
    with suppress(ZeroDivisionError), copies.use():
        with copies.use():
            assert second.weight.dtype == torch.bfloat16
        assert second.weight.dtype == torch.bfloat16
        raise ZeroDivisionError
    assert dict(network.named_parameters()).keys() == before.keys()
    assert all(after is before[name] for name, after in network.named_parameters())
