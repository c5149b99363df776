"""A picture in tiles has no seams, no frame is lost for want of memory; what a CPU computes by other means."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from clips import scene
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from vidtrans.core.errors import DeviceError
from vidtrans.inference import tiles, torch_engine
from vidtrans.inference.device import Device
from vidtrans.inference.device_pixels import from_levels_serially, to_levels_serially
from vidtrans.inference.tiles import record_statistics, run_tiled, tile_starts
from vidtrans.inference.torch_engine import TorchEngine, to_levels
from vidtrans.networks.for_rendering import PackedConvolution, can_pack, pack, use_fast_norms
from vidtrans.networks.init import build_generator, initialise
from vidtrans.networks.layers import PictureNorm

CPU = Device("cpu", "cpu")
INSTANCE = {"channels": 8, "blocks": 2, "norm": "instance"}
MULTIPLES = st.sampled_from([2, 16, 64, 256])
CELLS = st.integers(1, 40)


def generator_of(name: str, table: dict[str, Any], channels: int = 3) -> Any:
    generator = build_generator(name, table, channels)
    initialise(generator, 0)
    return generator.eval()


def engine_with_room(generator: Any, pixels: int, precision: str = "fp32", batch: int | None = None) -> TorchEngine:
    """An engine whose device runs out of memory for more pixels than these at once, of all pictures together."""
    engine = TorchEngine(generator, CPU, precision, batch)
    network: Any = engine._network

    def small_device(x: Tensor) -> Tensor:
        if x.shape[0] * x.shape[2] * x.shape[3] > pixels:
            raise RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")
        made: Tensor = network(x)
        return made

    engine._network = small_device
    return engine


def seams(length: int, tile: int, multiple: int) -> list[int]:
    """Pixels before which a tile begins or ends, or the passing from one into the next does, or is halfway."""
    at = tile_starts(length, tile, multiple)
    found: set[int] = set()
    for start, before in zip(at[1:], at, strict=False):
        overlap = before + tile - start
        found |= {start + overlap * eighth // 8 for eighth in (0, 3, 4, 5, 8)}
    return sorted(found - {0, length})


def steps(picture: np.ndarray, axis: int) -> np.ndarray:
    """For each line between two rows (axis 0) or columns (1), how much they differ in the mean."""
    apart = np.abs(np.diff(picture.astype(float), axis=axis))
    return apart.mean(axis=(1 - axis, 2))


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / max(np.mean((one.astype(float) - other) ** 2), 1e-9)))


@given(CELLS, CELLS, MULTIPLES)
def test_tiles_cover_a_length_lie_within_it_and_overlap(length: int, tile: int, multiple: int) -> None:
    length, tile = length * multiple, min(length, tile) * multiple
    at = tile_starts(length, tile, multiple)
    assert (at[0], at[-1] + tile) == (0, length)
    least = tile // 2 if tile <= multiple else min(multiple, tile // 2)
    assert all(0 < b - a <= tile - least for a, b in itertools.pairwise(at))
    assert tile <= multiple or all(start % multiple == 0 for start in at)


@given(st.integers(1, 400), st.integers(1, 400), st.sampled_from([64, 128]), st.integers(0, 99))
@settings(max_examples=25)
def test_tiles_of_equal_size_weigh_one_max_pixels_at_every_pixel(height: int, width: int, side: int, seed: int) -> None:
    height, width = (length + -length % 16 for length in (height, width))
    x = torch.rand(1, 1, height, width, generator=torch.Generator().manual_seed(seed))
    sizes: list[torch.Size] = []

    def seen(tile: Tensor) -> Tensor:
        sizes.append(tile.shape[2:])
        return tile

    assert torch.equal(run_tiled(seen, x, side, 16), x)  # to the bit
    assert set(sizes) == {(min(side, height), min(side, width))}

    calls = itertools.count()
    own = torch.eye(len(sizes))[..., None, None]  # a channel for each tile
    shares = run_tiled(lambda tile: own[next(calls), None].expand(-1, -1, *tile.shape[2:]), x, side, 16)
    assert shares.min() >= 0
    assert torch.allclose(shares.sum(1, keepdim=True), torch.ones_like(x), atol=1e-6)
    steepest = max(float(shares.diff(dim=d).abs().max()) for d in (-2, -1) if shares.shape[d] > 1)
    assert steepest < 0.2  # from one tile to the next in no less than 16 pixels


def test_tiles_go_by_what_the_whole_picture_holds() -> None:
    whole = [
        ("residual", {**INSTANCE, "squeeze_excitation": True}),
        ("warp-mix", {"channels": 8}),
        ("spade", {"channels": 4, "upsamplings": 3, "norm": "instance"}),
        ("unet-64", {"channels": 4, "norm": "instance"}),
    ]
    for name, table in whole:
        generator = generator_of(name, table)
        looking = [m for m in generator.modules() if isinstance(m, tiles.GlobalLayer)]
        x = torch.rand(2, 3, 64, 64) * 2 - 1
        with torch.inference_mode():
            with record_statistics(looking) as found:
                wanted = generator(x)
            with tiles.use_statistics(found):
                assert torch.allclose(generator(x), wanted, atol=1e-4)
                other = generator(x * 0.3 + 0.5)
            assert len(found) == len(looking) > 0
            own = generator(x * 0.3 + 0.5)
        assert not torch.allclose(other, own, atol=1e-3)
        assert not any("forward" in vars(m) for m in looking)


def assert_no_seams(made: np.ndarray, whole: np.ndarray, engine: TorchEngine) -> None:
    """At seams, neighbouring pixels do not differ more than they do there in the whole picture, but as elsewhere."""
    assert engine.tile is not None
    for axis, length in enumerate(made.shape[:2]):
        padded = length + -length % engine.multiple
        lines = [s - 1 for s in seams(padded, min(padded, engine.tile), engine.multiple) if s < length]
        more = steps(made, axis) / steps(whole, axis)
        assert more[lines].mean() < 1.05 * np.delete(more, lines).mean()
        assert more[lines].max() < 1.5


@pytest.mark.parametrize("precision", ["fp32", pytest.param("bf16", marks=pytest.mark.thorough)])
def test_a_network_that_norms_each_picture_has_no_seams_and_its_colours(precision: str) -> None:
    if precision == "bf16" and not can_pack("cpu", "bf16"):
        pytest.skip("this processor has no bf16")
    generator = generator_of("residual", INSTANCE)
    frame = scene(420, 300, 0)
    frame[:, 210:] //= 4  # halves so unlike that tiles by themselves would differ
    plain = TorchEngine(generator, CPU, precision)
    whole = plain(frame[None])[0]
    engine = engine_with_room(generator, 260 * 260, precision)
    made = engine(frame[None])[0]
    assert engine.tile == 256
    assert_no_seams(made, whole, engine)
    alone = engine_with_room(generator, 260 * 260, precision)
    alone._global_layers = []  # each tile by its own statistics
    assert psnr(made, whole) > psnr(alone(frame[None])[0], whole) + 3


def test_the_batch_is_halved_first_then_the_picture_and_no_frame_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    released: list[str] = []
    monkeypatch.setattr("vidtrans.inference.torch_engine.release_cached_memory", released.append)
    generator = generator_of("unet-small", {"channels": 8})
    frames = np.stack([scene(264, 260, seed) for seed in range(3)])
    wanted = TorchEngine(generator, CPU, "fp32")(frames)
    halved = engine_with_room(generator, 272 * 272, batch=2)
    halved._max_pixels = None  # as where convolutions are not packed
    assert np.abs(halved(frames).astype(int) - wanted).max() <= 1
    assert (halved.batch, halved.tile) == (1, None)
    engine = engine_with_room(generator, 256 * 256, batch=2)
    engine._max_pixels = None
    made = engine(frames)
    assert made.shape == wanted.shape
    assert engine.tile == 256
    assert all(psnr(one, other) > 30 for one, other in zip(made, wanted, strict=True))
    floats = engine.predict(torch.from_numpy(frames[:2]).permute(0, 3, 1, 2) / 127.5 - 1)  # tiled as pictures are
    pictures = ((floats + 1) * 127.5).round().clamp(0, 255).permute(0, 2, 3, 1).numpy()
    assert np.abs(pictures - made[:2]).max() <= 1
    assert set(released) == {"cpu"}  # before each retry the memory that torch holds is given back


@pytest.mark.parametrize(("name", "channels", "size"), [("unet-small", 8, (256, 256)), ("unet-512", 4, (300, 500))])
def test_where_no_tile_fits_it_is_a_device_error(name: str, channels: int, size: tuple[int, int]) -> None:
    engine = engine_with_room(generator_of(name, {"channels": channels}), 255 * 255)
    with pytest.raises(DeviceError, match="out of memory for one frame"):
        engine(scene(*size, 0)[None])
    with pytest.raises(DeviceError, match="smaller size"):
        engine.predict(torch.zeros(2, 3, *size))


def test_what_shows_the_network_where_it_is_in_the_picture_is_not_tiled() -> None:
    memory = generator_of("warp-mix", {"channels": 8, "told_channels": 16, "memory_frames": 2}, channels=19)
    with pytest.raises(DeviceError):
        engine_with_room(memory, 256 * 256)(np.zeros((1, 320, 320, 19), np.uint8))
    clock = generator_of("warp-mix", {"channels": 8, "told_channels": 16}, channels=19)
    engine = engine_with_room(clock, 256 * 256)
    assert engine(np.zeros((1, 320, 320, 19), np.uint8)).shape == (1, 320, 320, 3)
    assert engine.tile == 256


needs_packing = pytest.mark.skipif(not can_pack("cpu", "fp32"), reason="this torch has no oneDNN")
SMALL = {"unet-256": {"channels": 8}, "unet-512": {"channels": 4}, "residual": {"channels": 8, "blocks": 2}}
SMALL |= {"unet-64": {"channels": 8}, "unet-128": {"channels": 8}, "hd": {"channels": 8}, "spade": {"channels": 8}}


def default_generator(name: str) -> nn.Module:
    generator = build_generator(name, SMALL.get(name, {}), 3)
    initialise(generator, 0)
    return generator


def engine_of(generator: nn.Module, precision: str, monkeypatch: pytest.MonkeyPatch, *, packed: bool) -> TorchEngine:
    with monkeypatch.context() as patch:
        if not packed:
            patch.setattr(torch_engine, "can_pack", lambda kind, precision: False)
        return TorchEngine(generator, CPU, precision)


@needs_packing
@pytest.mark.parametrize("name", ["hd", "residual", "unet-128", "unet-small", "warp-mix"])
def test_every_generator_paints_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = default_generator(name)
    frames = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)
    plain, packed = (engine_of(generator, "fp32", monkeypatch, packed=p) for p in (False, True))
    assert (packed.identity["engine"], plain.identity["engine"]) == ("torch-packed", "torch")
    has_convolutions = any(isinstance(m, nn.Conv2d) for m in generator.modules())
    assert any(isinstance(m, PackedConvolution) for m in packed._network.modules()) == has_convolutions
    apart = np.abs(plain(frames).astype(int) - packed(frames).astype(int))
    assert apart.max() <= 1
    assert apart.mean() < 0.01


LAYERS: dict[str, Callable[[], nn.Module]] = {
    "strided": lambda: nn.Conv2d(8, 8, 4, 2, 1),
    "dilated": lambda: nn.Conv2d(8, 8, 3, 1, 2, dilation=2, bias=False),
    "grouped": lambda: nn.Conv2d(8, 8, 3, 1, 1, groups=2),
    "one": lambda: nn.Conv2d(8, 8, 1),
    "transposed": lambda: nn.ConvTranspose2d(8, 8, 4, 2, 1),
    "odd transposed": lambda: nn.ConvTranspose2d(8, 8, 3, 2, 1, output_padding=1, bias=False),
    "mirrored": lambda: nn.Conv2d(8, 8, 3, 1, 1, padding_mode="reflect"),
    "same": lambda: nn.Conv2d(8, 8, 3, padding="same"),
    "spectral": lambda: parametrizations.spectral_norm(nn.Conv2d(8, 8, 3, 1, 1)),
    "relu": nn.ReLU,
    "leaky": lambda: nn.LeakyReLU(0.3),
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "gelu": nn.GELU,
    "nothing": nn.Identity,
    "norm": lambda: nn.InstanceNorm2d(8, affine=True),
}


# No more than two that halve the picture: behind the fourth it is one pixel, which not every layer takes.
ROWS = st.lists(st.sampled_from(sorted(LAYERS)), min_size=1, max_size=6).filter(lambda r: r.count("strided") <= 2)


@needs_packing
@given(ROWS, st.integers(0, 99))
@settings(max_examples=30)
def test_any_layers_in_a_row(names: list[str], seed: int) -> None:
    torch.manual_seed(seed)
    network = nn.Sequential(*(LAYERS[name]() for name in names)).eval()
    packed = pack(copy.deepcopy(network))
    with torch.inference_mode():
        for size in ((16, 24), (24, 16), (16, 24)):  # laid out anew, and back
            x = torch.randn(2, 8, *size)
            assert torch.allclose(network(x), packed(x), atol=1e-5)


def normed() -> nn.Sequential:
    torch.manual_seed(0)
    norms = nn.InstanceNorm2d(5, affine=True), nn.InstanceNorm2d(5), PictureNorm(5)
    made = nn.Sequential(nn.Conv2d(3, 5, 3), *norms)
    for parameter in made.parameters():
        nn.init.normal_(parameter, 1, 0.3)
    return made


def outputs_and_gradients(made: nn.Module, x: Tensor) -> list[Tensor]:
    x = x.detach().requires_grad_()
    y = made(x)
    (y * torch.linspace(0, 1, y.numel()).view_as(y)).sum().backward()
    gradients = [x.grad, *(parameter.grad for parameter in made.parameters())]
    return [y.detach(), *(g for g in gradients if g is not None)]


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_they_learn_as_torchs_own_do(count: int, layout: torch.memory_format) -> None:
    x = torch.randn(count, 3, 9, 7, generator=torch.Generator().manual_seed(1)).to(memory_format=layout)
    own, quick = normed(), normed()
    assert use_fast_norms(quick, training=True)
    wanted, found = outputs_and_gradients(own, x), outputs_and_gradients(quick, x)
    assert len(found) == len(wanted) == 2 + 6
    for a, b in zip(found, wanted, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)
    for name, value in own.state_dict().items():  # statistics that are learned, too
        torch.testing.assert_close(quick.state_dict()[name], value)


@pytest.mark.parametrize("deep", [False, True])
def test_both_ways_give_the_same_levels_and_leave_their_input_as_it_is(deep: bool) -> None:
    top = 65535 if deep else 255
    exact = torch.arange(0, 512).reshape(1, 1, 16, 32).expand(2, 3, -1, -1) / 255 - 1.01  # beyond both ends, and halves
    before = exact.clone()
    made = to_levels_serially(exact[..., :30], deep=deep)
    assert torch.equal(made, to_levels(exact[..., :30], deep=deep))
    assert made.shape == (2, 16, 30, 3)
    assert torch.equal(exact, before)
    levels = torch.from_numpy(np.random.default_rng(0).integers(0, top + 1, (2, 9, 7, 3), np.int32))
    values = from_levels_serially(levels.permute(0, 3, 1, 2), top / 2)
    assert torch.equal(values, levels.permute(0, 3, 1, 2).to(torch.float32) / (top / 2) - 1)
    assert torch.equal(to_levels_serially(values, deep=deep), to_levels(values, deep=deep))
