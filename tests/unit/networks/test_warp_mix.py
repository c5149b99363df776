"""The generator that moves the latest frame and mixes in a picture painted anew; codes of looks; classes."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from chain import TINY
from clips import moving_frames, scene, write_clip
from method_setup import ToySetup
from torch import nn
from torch.nn import functional as F

import vidtrans as api
from vidtrans.core.errors import UsageError
from vidtrans.data.loading import to_signed
from vidtrans.dreaming.drift_correction import frame_statistics
from vidtrans.inference.device import Device
from vidtrans.inference.tiles import run_tiled
from vidtrans.inference.torch_engine import TorchEngine
from vidtrans.models.model_file import load_generator, read_record
from vidtrans.networks.code_planes import CODE_RANGE, append_planes, plane_values
from vidtrans.networks.frame_memory import FrameMemory, pack_pictures, unpack_pictures
from vidtrans.networks.init import build_generator, initialise, inner_generator
from vidtrans.networks.picture_encoder import code_planes
from vidtrans.networks.wrappers import CodedGenerator, CodedNorm
from vidtrans.pairing.next_frame import CHANNELS, ClipConditions, append_condition_planes
from vidtrans.training.methods.base import TrainingStep
from vidtrans.training.methods.class_method import NO_CLASS, ClassMethod, class_weights, labels_of
from vidtrans.training.settings import TrainingSettings
from vidtrans.video.images.picture import read_picture

pytestmark = pytest.mark.usefixtures("one_thread")


def network(channels: int = 6, **settings: Any) -> Any:
    made = build_generator("warp-mix", {"channels": 8, "blocks": [0, 0, 0], **settings}, channels).eval()
    initialise(made, 0)
    return made


def told(generator: Any, *, share: float = 0.0, paint: float = 0.0) -> Any:
    """The generator, its head answering the same everywhere, before it is bounded."""
    answers = [paint] * 3 + [share, 0.0, 0.0] + [0.0] * 3 * (generator.frame_memory is not None)
    bias = torch.tensor(answers).repeat_interleave(4)
    with torch.no_grad():
        generator.head[0].weight.zero_()
        generator.head[0].bias.copy_(bias)
    return generator


def frames(width: int = 48, height: int = 32, count: int = 2) -> torch.Tensor:
    return torch.from_numpy(np.concatenate([to_signed(scene(width, height, seed=i)) for i in range(count)]))[None]


@torch.no_grad()
def test_what_is_not_painted_is_the_latest_frame_and_a_leak_is_always_painted() -> None:
    x = frames()
    assert torch.allclose(told(network(min_synthesis=0.0), share=-99)(x), x[:, 3:], atol=1e-6)
    leaked = told(network(min_synthesis=0.05), share=-99, paint=99)(x)
    assert torch.allclose(leaked, 0.95 * x[:, 3:] + 0.05, atol=1e-5)
    assert torch.allclose(told(network(), share=99, paint=99)(x), torch.ones(1, 3, 32, 48), atol=1e-6)


def test_an_engine_of_half_precision_moves_pixels_to_the_right_place() -> None:
    """Places of hundreds of pixels have no bits left in bf16 for the part behind the point."""
    shown = np.dstack([scene(512, 32, seed=i) for i in range(2)])
    still = told(network(min_synthesis=0.0), share=-99)
    made = TorchEngine(still, Device("cpu", "cpu"), "bf16")(shown[None])[0]
    assert np.abs(made.astype(int) - shown[..., 3:]).max() <= 1


@torch.no_grad()
def test_a_kept_frame_goes_past_the_network_by_as_much_as_is_recalled() -> None:
    generator = network(6 + CHANNELS, told_channels=CHANNELS, memory_frames=3, memory_size=[32, 48], free_changes=True)
    generator.frame_memory.fill(np.stack([scene(48, 32, seed=i) for i in range(3)]))
    kept = generator.frame_memory.pictures.permute(0, 2, 3, 1).numpy()  # as compression leaves them
    told(generator, share=99)
    shown = np.dstack([scene(48, 32, seed=i) for i in (7, 8)])

    def given(recall: float) -> torch.Tensor:
        planes = append_condition_planes(shown, ClipConditions(0.25, recall))
        return torch.from_numpy(to_signed(planes))[None]

    wanted = torch.from_numpy(to_signed(kept[1]))[None]
    assert (generator(given(1.0)) - wanted).abs().max() < 0.03  # but for what is too bright or dark to be opened
    latest = torch.from_numpy(to_signed(shown[..., 3:]))[None]
    assert (generator(given(0.0)) - latest).abs().max() < 0.03
    assert (generator(given(0.5)) - (wanted + latest) / 2).abs().max() < 0.03
    generator.changes = False
    assert generator(given(0.0)).abs().max() < 1e-2


@torch.no_grad()
def test_a_kept_frame_is_seen_as_the_camera_sees_it() -> None:
    generator = network(6 + CHANNELS, told_channels=CHANNELS, memory_frames=3, memory_size=[64, 96])
    generator.frame_memory.fill(np.stack([scene(96, 64, seed=i) for i in range(3)]))
    kept = generator.frame_memory.pictures[1].permute(1, 2, 0).numpy()
    told(generator, share=99)
    shown = np.dstack([scene(48, 32, seed=i) for i in (7, 8)])
    for view in (np.diag([0.5, 0.5, 1.0]), np.array([[0.5, 0, 0.25], [0, 0.5, -0.375], [0, 0, 1]])):
        rows = tuple(map(float, view[:2].ravel()))
        given = torch.from_numpy(to_signed(append_condition_planes(shown, ClipConditions(0.25, view=rows))))[None]
        left, top = round((1 + view[0, 2]) * 48 - 24), round((1 + view[1, 2]) * 32 - 16)
        wanted = torch.from_numpy(to_signed(kept[top : top + 32, left : left + 48]))[None]
        assert (generator(given) - wanted).abs().max() < 0.04


def test_kept_frames_are_compressed_to_fit_and_come_back_as_they_were_kept() -> None:
    frames = np.stack([scene(96, 64, seed=i) for i in range(6)])
    files, ends = pack_pictures(frames)
    assert np.abs(unpack_pictures(files, ends, (64, 96)).astype(int) - frames).mean() < 2
    smaller, _ = pack_pictures(frames, max_bytes=len(files) // 2)
    assert len(smaller) <= len(files) // 2
    memory = FrameMemory(6, (64, 96))
    memory.take(files, ends)
    other = FrameMemory(6, (64, 96))
    other.load_state_dict(memory.state_dict())
    assert torch.equal(other.pictures, memory.pictures)
    assert copy.deepcopy(memory).state_dict().keys() == {"files", "ends"}


@pytest.mark.parametrize("harm", ["cut", "ends", "count", "size", "other"])
def test_damaged_kept_frames_are_refused(harm: str) -> None:
    files, ends = pack_pictures(np.stack([scene(32, 32, seed=i) for i in range(3)]))
    if harm == "cut":
        files = np.concatenate([files[: ends[0]], np.zeros_like(files[ends[0] :])])
    elif harm == "ends":
        ends = ends + 1
    elif harm == "size":  # which would take gigabytes
        at = bytes(files).index(b"\xff\xc0") + 5
        files[at : at + 4] = 255
    elif harm == "other":
        file = cv2.imencode(".png", scene(32, 32, seed=1))[1]
        files, ends = np.tile(file, 3), len(file) * np.arange(1, 4)
    memory = FrameMemory(2 if harm == "count" else 3, (32, 32))
    state = {"files": torch.from_numpy(files), "ends": torch.from_numpy(ends)}
    with pytest.raises(RuntimeError, match="kept frame"):
        memory.load_state_dict(state)


def test_what_it_takes_and_what_it_refuses() -> None:
    assert [network(n).warps for n in (1, 2, 3, 12)] == [False, False, True, True]  # without a frame all is painted
    assert not network(2 + CHANNELS, told_channels=CHANNELS).warps
    cases: list[tuple[int, dict[str, Any], str]] = [
        (6 + CHANNELS, {"told_channels": CHANNELS, "memory_frames": 1024, "memory_size": [4096, 4096]}, "pixels"),
        (CHANNELS, {"told_channels": CHANNELS}, "none is left for frames"),
        (9, {"told_channels": 8}, "must be 0, or more than 14"),
        (6, {"memory_frames": 4}, r"pairing.position=clock"),
        (6 + CHANNELS, {"told_channels": CHANNELS, "memory_frames": 1}, "at least 2"),
    ]
    for channels, table, why in cases:
        with pytest.raises(UsageError, match=why):
            network(channels, **table)
    with pytest.raises(UsageError, match="background_plate=false"):
        build_generator("warp-mix", {}, 6, plate=(64, 64))


def test_training_tells_it_of_the_clock_and_the_model_file_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vidtrans.metrics.dreams.ROLLOUT_FRAMES", 30)
    monkeypatch.setattr("vidtrans.metrics.dreams.STRIP_FRAMES", (1, 30))
    clip, cache = write_clip(Path("c.mp4"), moving_frames(12)), {"cache_dir": Path("cache")}
    pairing = {"name": "next-frame", "context_frames": 2, "position": "clock"}
    dataset = {**TINY["dataset"], "val_fraction": 0, "drop_duplicates": False, "min_sharpness": 0}
    api.make_dataset(clip, Path("c.dataset"), settings={"dataset": dataset, "pairing": pairing}, **cache)
    generator_table = {"name": "warp-mix", "channels": 8, "memory_frames": 99}
    small = {"generator": generator_table, "training": {**TINY["training"], "steps": 2, "lambda_gan": 0.0}}
    made = api.train(Path("c.dataset"), Path("c.safetensors"), settings=small, **cache)
    record = read_record(Path("c.safetensors"))
    assert record.generator["settings"]["told_channels"] == CHANNELS
    assert record.generator["settings"]["memory_frames"] == 12  # all of the clip's
    assert (record.dream["positions"], record.dream["rate"]) == (22, "30")
    learned = [read_picture(path) for path in sorted(Path("c.dataset/c").glob("*.png"))]
    assert record.dream["statistics"] == frame_statistics(learned)
    generator, _ = load_generator(Path("c.safetensors"))
    shown = append_condition_planes(np.zeros((32, 48, 6), np.uint8), ClipConditions(0.5))
    assert TorchEngine(generator, Device("cpu", "cpu"))(shown[None]).shape == (1, 32, 48, 3)
    assert made["dreamt"]["frames"] == 30
    small["generator"] |= {"told_channels": 15}
    with pytest.raises(UsageError, match="the pairing of this dataset tells 22 channels"):
        api.train(Path("c.dataset"), Path("d.safetensors"), settings=small, **cache)


SIZE = 4
KINDS = {
    "batch": ("unet-small", {"channels": 8, "blocks": [1, 1, 1]}),
    "instance": ("residual", {"channels": 4, "blocks": 1, "norm": "instance"}),
    "plain-instance": ("residual", {"channels": 4, "blocks": 1, "norm": "plain-instance"}),
    "none": ("few-shot", {"channels": 8, "blocks": 1}),
}


def coded(kind: str = "batch", seed: int = 0) -> CodedGenerator:
    """A generator whose norms listen to the code, as after some training."""
    made: CodedGenerator = build_generator(*KINDS[kind], 1, code_size=SIZE)
    initialise(made, seed)
    random = torch.Generator().manual_seed(seed)
    for module in made.modules():
        if isinstance(module, CodedNorm):
            for weight in (module.scale, module.shift):
                nn.init.normal_(weight, 0.0, 0.3, generator=random)
    return made.eval()


def lines(side: int = 32) -> torch.Tensor:
    return torch.from_numpy(scene(side, side, 0)[..., 0].copy())[None, None].float() / 127.5 - 1


def painted(network: nn.Module, code: list[float], x: torch.Tensor) -> torch.Tensor:
    planes = code_planes(torch.tensor([code]), *x.shape[2:])
    with torch.no_grad():
        made: torch.Tensor = network(torch.cat([x, planes], 1))
    return made


def test_planes_hold_a_code_to_a_sixtieth_of_a_standard_deviation_beside_a_picture_in_its_depth() -> None:
    code = np.linspace(-CODE_RANGE, CODE_RANGE, 41)
    levels = plane_values(code)
    assert levels.dtype == np.uint8
    assert (levels[0], levels[-1]) == (0, 255)
    assert np.abs(levels / 127.5 - 1 - code / CODE_RANGE).max() * CODE_RANGE <= 1 / 60
    assert plane_values([99.0, -99.0]).tolist() == [255, 0]
    plain = scene(8, 6, 0)
    made = append_planes(plain.astype(np.uint16) * 257, np.array([0, 128, 255], np.uint8))
    assert np.array_equal(made[..., :3], plain.astype(np.uint16) * 257)
    assert [np.unique(made[..., 3 + n]).tolist() for n in range(3)] == [[0], [32896], [65535]]


@pytest.mark.parametrize("kind", KINDS)
def test_another_code_is_another_picture_and_none_is_the_middle(kind: str) -> None:
    network, x = coded(kind), lines()
    one, other = (painted(network, code, x) for code in ([1.0, 0, 0, -1], [-1.0, 2, 0, 1]))
    assert one.shape == (1, 3, 32, 32)
    assert (one - other).abs().mean() > 1e-4
    with torch.no_grad():
        assert torch.equal(network(x), painted(network, [0.0] * SIZE, x))


def test_every_example_of_a_batch_has_its_own_code_and_a_copy_may_be_made_before_its_gradients() -> None:
    network, x = coded(), lines()
    codes = torch.tensor([[1.0, 0, 0, -1], [-1.0, 2, 0, 1]])
    with torch.no_grad():
        both = network(torch.cat([x.repeat(2, 1, 1, 1), code_planes(codes, 32, 32)], 1))
    alone = [painted(network, code, x) for code in codes.tolist()]
    assert torch.allclose(both, torch.cat(alone), atol=1e-5)
    made = network.train()(torch.cat([x, code_planes(network.encoder(scene_tensor(1)), 32, 32)], 1))
    other = copy.deepcopy(network)
    made.mean().backward()
    assert next(network.encoder.parameters()).grad is not None
    assert next(other.encoder.parameters()).grad is None
    assert torch.isfinite(other(x)).all()


def scene_tensor(seed: int, gain: float = 1.0, side: int = 40) -> torch.Tensor:
    picture = torch.from_numpy(scene(side, side, seed).copy()).permute(2, 0, 1)[None].float() / 255
    return 2 * (picture * gain) - 1


COLOURS = np.array([[10, 20, 30], [200, 0, 0], [0, 90, 255], [1, 1, 1]], np.uint8)
SHARES = torch.tensor([0.5, 0.3, 0.15, 0.05])


def of_classes(seed: int = 0, **settings: Any) -> Any:
    made = build_generator("unet-small", {"channels": 8, "blocks": [0, 0, 0], **settings}, 3, classes=COLOURS)
    initialise(made, seed)
    return made


def pictures(count: int = 4, side: int = 32) -> torch.Tensor:
    return torch.rand((count, 3, side, side), generator=torch.Generator().manual_seed(3)) * 2 - 1


def targets(count: int = 4, side: int = 32) -> torch.Tensor:
    """Label maps in colours, of which every fifth pixel is of no class."""
    rng = np.random.default_rng(5)
    labels = rng.integers(0, len(COLOURS), (count, side, side))
    rgb = COLOURS[labels]
    rgb[labels.cumsum(axis=2) % 5 == 0] = (7, 7, 7)
    return torch.from_numpy(rgb.transpose(0, 3, 1, 2).astype(np.float32) / 127.5 - 1)


def toy(**settings: Any) -> ClassMethod:
    class OfClasses(ToySetup):
        in_channels = 3

        def make_generator(self, number: int = 0, *, reverse: bool = False) -> Any:
            return of_classes(self.seed + number)

        def find_class_shares(self) -> torch.Tensor:
            return SHARES

    torch.manual_seed(0)
    table = {"method": "classes", "precision": "fp32", **settings}
    return ClassMethod.make(OfClasses(TrainingSettings.of(**table)))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_each_pixel_has_exactly_the_colour_of_its_best_class(precision: str) -> None:
    made, x = of_classes(), pictures()
    engine = TorchEngine(made, Device("cpu", "cpu"), precision)
    given = ((x + 1) * 127.5).round().byte().permute(0, 2, 3, 1).contiguous().numpy()
    found = engine(given)
    assert {tuple(c) for c in np.unique(found.reshape(-1, 3), axis=0).tolist()} <= set(map(tuple, COLOURS.tolist()))
    if precision == "fp32":
        with torch.inference_mode():
            best = made.eval().logits(torch.from_numpy(given).permute(0, 3, 1, 2).float() / 127.5 - 1).argmax(1)
        assert (found == COLOURS[best.numpy()]).mean() > 0.99  # of equal ones, kernels may choose another


def test_tiles_of_classes_are_cut_not_faded() -> None:
    colours = torch.tensor([[-1.0, 1.0]]).reshape(1, 2, 1, 1)

    def by_place(x: torch.Tensor) -> torch.Tensor:  # neighbouring tiles disagree everywhere
        by_place.calls += 1  # type: ignore[attr-defined]
        return colours[:, by_place.calls % 2].expand(1, 3, *x.shape[2:])  # type: ignore[attr-defined]

    for fades in (True, False):
        by_place.calls = 0  # type: ignore[attr-defined]
        whole = run_tiled(by_place, torch.zeros(1, 3, 64, 96), 64, 8, fades=fades)
        assert (set(whole.unique().tolist()) == {-1.0, 1.0}) == (not fades)


def test_a_step_is_cross_entropy_whatever_the_parts() -> None:
    whole, method = toy(), toy(batch_size=4, grad_accum_steps=3)
    weights = class_weights(SHARES, 0.25)
    with torch.no_grad():
        logits = whole.generator.train().logits(pictures())
    wanted = F.cross_entropy(logits, labels_of(targets(), torch.from_numpy(COLOURS)), weights, ignore_index=NO_CLASS)
    losses = [m.optimize(TrainingStep(pictures(), targets(), lr=1e-3, seed=1)) for m in (whole, method)]
    assert losses[0]["cross_entropy"] == pytest.approx(float(wanted), rel=1e-4)
    # Batch norms see only their part, so that other parts are near, not equal.
    assert losses[1]["cross_entropy"] == pytest.approx(losses[0]["cross_entropy"], rel=0.02)
    assert method.last_outputs.shape == (4, 3, 32, 32)


def test_a_batch_without_a_class_changes_nothing_that_is_not_finite() -> None:
    method = toy()
    nothing = torch.full((2, 3, 32, 32), 7 / 127.5 - 1)
    assert method.optimize(TrainingStep(pictures(2), nothing, lr=1e-3, seed=1))["cross_entropy"] == 0
    assert method.is_finite()


def test_a_network_that_adds_to_its_frame_has_no_classes() -> None:
    with pytest.raises(UsageError, match=r"generator\.residual"):
        of_classes(residual=True)
    assert inner_generator(of_classes()) is not None
