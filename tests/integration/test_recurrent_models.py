"""Memory: a model's last output, brought along the source's motion, in the network, in training and in renders."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from chain import TINY, quick_training, refuse, said
from clips import decode, moving_frames, scene, write_clip
from directed_clip import lossless
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

import vidtrans as api
from vidtrans.data.augment import draw_geometry
from vidtrans.data.dataset import open_dataset
from vidtrans.data.loading import BatchPlan, Example, Loader
from vidtrans.flow.history import (
    CHANNELS,
    BackwardFlow,
    BackwardFlowEstimator,
    from_signed_range,
    history,
    no_history,
    to_signed_range,
)
from vidtrans.flow.warping import warp
from vidtrans.inference.device import Device
from vidtrans.models.model_file import load_generator, read_record
from vidtrans.networks.init import build_generator, initialise
from vidtrans.networks.wrappers import RecurrentGenerator
from vidtrans.training.feedback import RecurrentFeedback, RolloutPool
from vidtrans.training.losses.pixels import temporal, texture_distance
from vidtrans.training.methods.base import TrainingStep
from vidtrans.training.methods.pix2pix import Pix2Pix
from vidtrans.training.settings import TrainingSettings
from vidtrans.video.images.picture import write_picture

Stopped = Callable[..., list[str]]
Capsys = pytest.CaptureFixture[str]

pytestmark = pytest.mark.usefixtures("one_thread")
repeatable = hypothesis_settings(max_examples=8)

CPU = Device("cpu", "cpu")
WITH_MEMORY = {"recurrent": True, "synthetic_motion_fraction": 0.3}
FRAMES, CUT, CHUNK = 24, 13, 5  # chunks begin at 0, 5, 10 | 13, 18, 23
STEPS = 8


def remembering() -> RecurrentGenerator:
    settings = {"channels": 8, "blocks": [0, 0, 0]}
    made: RecurrentGenerator = build_generator("unet-small", settings, 3, memory=True)
    initialise(made, 1)
    return made


def seen(count: int, past: float, size: int = 32) -> torch.Tensor:
    """Noise with a past that is as sure as that, from -1 to 1."""
    x = torch.rand(count, 3 + CHANNELS, size, size, generator=torch.Generator().manual_seed(count)) * 2 - 1
    x[:, -1] = past
    x[:, 3:6] *= (past + 1) / 2
    return x


# The past itself


def test_what_moved_is_found_where_it_went_and_nothing_from_another_scene() -> None:
    wide, dis = scene(96, 64, 3), BackwardFlowEstimator("dis")
    before, here = (np.ascontiguousarray(wide[:, at : at + 64]) for at in (0, 4))
    still = history(to_signed_range(here), dis(before, before))
    assert np.allclose(still[..., :3], to_signed_range(here), atol=1e-6)
    assert (still[..., 3] == 1).all()
    assert history(to_signed_range(here), dis(scene(64, 64, 5), here))[..., 3].mean() < -0.5
    found = history(to_signed_range(before), dis(before, here))
    sure = (found[..., 3] + 1) / 2
    assert np.median(sure[:, :58]) > 0.8
    assert sure[:, 61:].max() < 0.1
    known = sure > 0.8
    assert np.abs(found[..., :3] / np.maximum(sure, 1e-6)[..., None] - to_signed_range(here))[known].mean() < 0.03


def test_no_past_is_grey_and_sure_of_nothing_and_a_stored_one_comes_back() -> None:
    nothing = to_signed_range(no_history(4, 5))
    assert nothing.shape == (4, 5, CHANNELS)
    assert (nothing[..., 3] == -1).all()
    assert np.abs(nothing[..., :3]).max() < 0.005
    for kind in (np.uint8, np.uint16):
        every = np.linspace(0, np.iinfo(kind).max, 256).astype(kind)[None, :, None]
        assert np.array_equal(from_signed_range(to_signed_range(every), np.dtype(kind)), every)


@repeatable
@given(
    st.integers(0, 10**6),
    st.floats(1, 1.5),
    st.booleans(),
    st.sampled_from([(32, 32), (96, 64), (48, 80), (128, 64)]),
    st.tuples(st.integers(-3, 3), st.integers(-3, 3)),
)
def test_a_trail_leads_where_the_cut_and_mirrored_pictures_do(
    seed: int, jitter: float, flip: bool, crop: tuple[int, int], shift: tuple[int, int]
) -> None:
    wide = scene(112, 80, seed % 100)
    before = np.ascontiguousarray(wide[8:72, 8:104])
    here = np.ascontiguousarray(wide[8 + shift[1] : 72 + shift[1], 8 + shift[0] : 104 + shift[0]])
    geometry = draw_geometry(np.random.default_rng(seed), (96, 64), crop, jitter, flip)
    flow = np.broadcast_to(np.array(shift, np.float32), (64, 96, 2)).copy()
    trail = geometry.apply_to_flow(BackwardFlow(flow, np.ones((64, 96), np.float32)).within())
    assert trail.flow.shape == (crop[1], crop[0], 2)
    first, second = (geometry.apply(p).astype(np.float32) for p in (before, here))
    known = trail.confidence > 0.99
    assert known.mean() > 0.5
    assert np.abs(warp(first, trail.flow) - second)[known].mean() < 4


# The network, the engine, the file


def test_without_a_past_it_paints_what_its_painter_does_and_it_keeps_no_more_than_it_trusts() -> None:
    g = remembering().eval()
    with torch.no_grad():
        x = seen(2, -1.0)
        assert torch.equal(g(x), g.painter(x[:, :3]))
        torch.nn.init.constant_(g.keeper[-3].bias, 50.0)  # keeps all that it may
        x = seen(1, 1.0)
        assert torch.allclose(g(x), x[:, 3:6], atol=1e-6)
        half = seen(1, 0.0)
        assert torch.allclose(g(half), g.painter(half[:, :3]) / 2 + half[:, 3:6], atol=1e-6)


def test_a_batch_of_both_kinds_is_what_each_is_alone_and_the_painter_learns_from_all() -> None:
    g = remembering().eval()
    x = torch.cat([seen(1, -1.0), seen(2, 0.7)])
    out, anew = g.forward_with_repaint(x)
    with torch.no_grad():
        assert torch.allclose(out, g(x), atol=1e-6)
    assert torch.equal(out[0], anew[0])
    assert not torch.allclose(out[1:], anew[1:], atol=1e-3)
    (gradient,) = torch.autograd.grad(out.square().sum(), g.keeper[0].weight, retain_graph=True)
    assert gradient.abs().sum() > 0
    weights = list(g.painter.parameters())
    kept = torch.autograd.grad(out.square().sum(), weights, retain_graph=True, allow_unused=True)
    assert not any(g is not None and g.abs().any() for g in kept)  # it does not learn what is easily kept
    for row in torch.autograd.grad(anew.square().sum(), weights):
        assert torch.isfinite(row).all()
    assert torch.autograd.grad(g.forward_with_repaint(x)[1][1:].square().sum(), weights)[0].abs().sum() > 0


def test_a_step_without_a_past_teaches_what_it_would_without_a_memory() -> None:
    """Were the output taken for something that was kept, all would be learned twice."""
    settings = TrainingSettings.of(recurrent=True, lambda_temporal=3.0, lambda_gan=0.0, lambda_texture=5.0, lr=1e-3)
    with_memory, without = remembering(), remembering()
    without.load_state_dict(with_memory.state_dict())
    x, y = seen(2, -1.0), torch.rand(2, 3, 32, 32)
    learner = Pix2Pix(with_memory, None, settings, CPU, "fp32")
    alone = Pix2Pix(without.painter, None, replace(settings, recurrent=False), CPU, "fp32")
    kept, plain = (
        learner.optimize(TrainingStep(x, y, lr=1e-3, seed=0)),
        alone.optimize(TrainingStep(x[:, :3], y, lr=1e-3, seed=0)),
    )
    names = ("l1", "texture")
    assert [kept[n] for n in names] == pytest.approx([plain[n] for n in names], rel=1e-5)
    for (name, a), b in zip(with_memory.painter.named_parameters(), without.painter.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-6), name


def share_kept(g: RecurrentGenerator, x: torch.Tensor) -> float:
    with torch.no_grad():
        return float(g.keeper(torch.cat([g.painter(x[:, :-CHANNELS]), x], 1)).mean())


STEADY = {"recurrent": True, "lambda_l1": 1.0, "lambda_temporal": 100.0}


@pytest.mark.parametrize(
    ("settings", "sign", "keeps_more"),
    [({"lambda_temporal": 0.0}, 1, True), ({"lambda_temporal": 0.0}, -1, False), (STEADY, -1, True)],
    ids=["right", "wrong", "wrong-but-steady"],
)
def test_the_keeper_keeps_a_past_that_is_right(settings: dict[str, Any], sign: int, keeps_more: bool) -> None:
    g, x = remembering(), seen(4, past=1.0)
    model = Pix2Pix(g, None, TrainingSettings.of(lambda_gan=0.0, **settings), CPU, "fp32")
    targets = x[:, 3:6].clone() if sign > 0 else -x[:, 3:6].sign()
    before = share_kept(g, x)
    found = [model.optimize(TrainingStep(x, targets, lr=0.01, seed=0)) for _ in range(6)]
    assert (share_kept(g, x) > before) is keeps_more
    assert all(one["l1"] > 0 for one in found)


def test_the_losses_of_a_generator_that_remembers_are_the_painters_and_the_outputs() -> None:
    g = remembering()
    settings = TrainingSettings.of(recurrent=True, lambda_gan=0.0, lambda_texture=2.0, lambda_temporal=3.0)
    x, targets = seen(2, past=0.5), torch.rand(2, 3, 32, 32) * 2 - 1
    with torch.no_grad():
        output, anew = g.train().forward_with_repaint(x)
    assert not torch.allclose(output, anew)
    wanted = {
        "l1": (output - targets).abs().mean() + (anew - targets).abs().mean(),
        "texture": texture_distance(anew, targets) + texture_distance(output, targets),
        "temporal": temporal(output, x[:, -CHANNELS:]),
    }
    found = Pix2Pix(g, None, settings, CPU, "fp32").optimize(TrainingStep(x, targets, lr=0.0, seed=0))
    assert {name: found[name] for name in wanted} == {
        name: pytest.approx(float(value), rel=1e-4) for name, value in wanted.items()
    }


# Training


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory, one_thread: None) -> Path:
    """A folder with a clip in two shots, its dataset and a model that remembers."""
    folder = tmp_path_factory.mktemp("taught")
    lossless(folder / "clip.mp4", moving_frames(FRAMES, shots=(0, CUT)))
    cache = {"cache_dir": folder / "cache"}
    api.make_dataset(folder / "clip.mp4", folder / "clip.dataset", settings=TINY, **cache)
    tables = quick_training(STEPS)
    tables["training"] |= WITH_MEMORY
    api.train(folder / "clip.dataset", folder / "m.safetensors", settings=tables, **cache)
    return folder


def own_past(folder: Path, drifting: float) -> tuple[Loader, RecurrentFeedback]:
    dataset = open_dataset(folder)
    plan = BatchPlan(batch_size=2, seed=0, multiple=16)
    loader = Loader(dataset.role("train"), dataset.pairing, plan, recurrent=True)
    return loader, RecurrentFeedback(loader, "dis", drifting)


def test_a_chain_goes_on_in_time_to_cuts_and_gaps_or_drifts_from_its_first_step_on(taught: Path) -> None:
    loader, past = own_past(taught / "clip.dataset", 0.0)
    rng = np.random.default_rng(0)
    chains = RolloutPool(loader, past, TrainingSettings.of(recurrent=True))
    numbers = [int(p.target.stem) for p in loader.pairs]
    example = Example(0, draw_geometry(rng, loader.crop, loader.crop, 1.0, False))
    for i, number in enumerate(numbers):
        following = past.following(replace(example, index=i), chains._successors[i], 3, rng)
        goes_on = number + 1 in numbers and number + 1 != CUT
        assert (following and numbers[following.index]) == (number + 1 if goes_on else None)
    for drifting, age, drifts in ((1.0, 1, True), (1.0, 2, False), (0.0, 1, False)):
        _, past = own_past(taught / "clip.dataset", drifting)
        following = past.following(replace(example, index=3), 4, age, rng)
        assert following is not None
        assert (following.geometry.motion is not None, following.index) == (drifts, 3 if drifts else 4)


def train(folder: Path, steps: int, **options: Any) -> dict[str, Any]:
    tables = quick_training(steps)
    tables["training"] |= WITH_MEMORY
    return api.train(folder / "clip.dataset", "m.safetensors", settings=tables, **options)


@pytest.mark.thorough
def test_training_that_was_stopped_twice_ends_byte_identical(taught: Path, stopped: Stopped) -> None:
    for step in (3, 6):
        stopped(train, "training", step, taught, STEPS)
    train(taught, STEPS)
    assert Path("m.safetensors").read_bytes() == (taught / "m.safetensors").read_bytes()
    record = read_record(Path("m.safetensors"))
    assert record.memory == {"flow": "dis"}
    assert set(record.training["losses"]) == {"gan", "l1", "discriminator", "perceptual", "temporal"}
    assert record.training["losses"]["temporal"] > 0


def test_a_model_goes_on_from_one_without_a_memory(taught: Path) -> None:
    api.train(taught / "clip.dataset", "plain.safetensors", settings=quick_training(1))
    tables = quick_training(1)
    tables["training"] |= {"recurrent": True, "lr": 0.0, "lr_warmup_steps": 0}
    api.train(taught / "clip.dataset", "new.safetensors", settings=tables, start_from="plain.safetensors")
    old, new = (load_generator(Path(f"{n}.safetensors"))[0] for n in ("plain", "new"))
    for name, weights in old.named_parameters():
        assert torch.equal(weights, new.painter.get_parameter(name))


def test_what_does_not_go_together_is_refused(taught: Path, capsys: Capsys) -> None:
    dataset = taught / "clip.dataset"
    for other in ("background_plate=true", "training.rollout_fraction=0.5"):
        assert "choose one of them" in said(capsys, 2, "train", dataset, "--set=recurrent=true", f"--set={other}")
    write_clip(Path("c.mp4"), moving_frames(12))
    said(capsys, 0, "make-dataset", "c.mp4", "--pairing", "next-frame", "--size", "32")
    unchained = ("--set=training.rollout_fraction=0", "--set=generator.name=unet-small")
    assert "rollout_fraction" in refuse(capsys, 2, "train", "c.dataset", "--set=recurrent=true", *unchained)


# Rendering

EXACT = {"rendering": {"chunk_frames": CHUNK}, "temporal": {"name": "off"}, "encoding": {"codec": "ffv1"}}


@pytest.fixture(scope="module")
def rendered(taught: Path) -> bytes:
    """What the model makes of the clip in one go."""
    api.stylize(taught / "clip.mp4", taught / "m.safetensors", taught / "o.mkv", settings=EXACT, cache_dir=taught / "r")
    return (taught / "o.mkv").read_bytes()


def stylize(taught: Path, output: str = "o.mkv", **options: Any) -> dict[str, Any]:
    settings = options.pop("settings", EXACT)
    return api.stylize(taught / "clip.mp4", taught / "m.safetensors", output, settings=settings, **options)


def test_it_begins_anew_at_cuts_and_goes_on_elsewhere(taught: Path, rendered: bytes) -> None:
    """Each frame alone, as a trimmed clip, has no past."""
    frames = decode(taught / "o.mkv")[2]
    for number in (0, 1, CUT - 1, CUT):
        stylize(taught, f"{number}.mkv", start=str(number), end=str(number + 1))
        (alone,) = decode(Path(f"{number}.mkv"))[2]
        assert np.array_equal(alone, frames[number]) == (number in (0, CUT)), number


@pytest.mark.usefixtures("in_turns")
def test_an_interrupted_render_ends_byte_identical(taught: Path, rendered: bytes, stopped: Stopped) -> None:
    stopped(stylize, "rendering", 8, taught)
    done = stylize(taught)
    assert Path("o.mkv").read_bytes() == rendered
    assert done["frames_inferred"] == FRAMES - 5


def chunks(stage: str, *numbers: int) -> list[Path]:
    return [next(iter(Path(".vidtrans").glob(f"{stage}/*/chunk-{n:06d}.nut"))) for n in numbers]


@pytest.mark.parametrize(
    ("raw", "segments", "inferred"),
    [
        ((0, 1, 2), (2,), 13),  # what was there before it is made again, for what comes after
        ((1,), (2,), 0),
    ],
)
def test_a_lost_chunk_is_made_again_the_same(
    taught: Path, rendered: bytes, raw: tuple[int, ...], segments: tuple[int, ...], inferred: int
) -> None:
    """Chunk 2 goes on from chunk 1, that from 0; 3 and 4 are another shot."""
    shutil.copytree(taught / "r", ".vidtrans")
    for path in [*chunks("infer", *raw), *chunks("render", *segments)]:
        path.write_bytes(path.read_bytes()[:-9])
    done = stylize(taught)
    assert Path("o.mkv").read_bytes() == rendered
    assert done["frames_inferred"] == inferred


def test_photographs_all_drift() -> None:
    for i in range(8):
        write_picture(Path(f"A/{i}.png"), scene(64, 48, 3 * i))
        write_picture(Path(f"B/{i}.png"), 255 - scene(64, 48, 3 * i))
    settings = {"dataset": {"size": "32", "val_fraction": 0.0}}
    api.make_dataset(".", "photos.dataset", pairing="aligned", settings=settings)
    loader, past = own_past(Path("photos.dataset"), 0.0)
    rng = np.random.default_rng(0)
    assert not past._before
    for i in range(len(loader.pairs)):
        following = past.following(Example(i, loader.make(0).examples[0].geometry), None, 1, rng)
        assert following is not None
        assert following.geometry.motion is not None
