"""Runs that begin with small pictures: which sizes a step has, and what its batch shows."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from datasets import put

from vidtrans.core.errors import UsageError
from vidtrans.data.dataset import Pair
from vidtrans.data.growing import PictureGrowth, PictureScale, plan_growth
from vidtrans.data.loading import Loader, NoiseLoader
from vidtrans.data.unpaired_loading import UnpairedLoader, UnpairedNoise
from vidtrans.pairing.base import make_pairing
from vidtrans.video.images.picture import read_picture, resize

SMALL, FULL = PictureScale((32, 16), 0.5), PictureScale((64, 32))
GROWTH = PictureGrowth((SMALL, FULL), 0.5, 8)


def crops(first: int, crop: tuple[int, int], multiple: int = 8, smallest: int = 8) -> list[tuple[int, int]]:
    growth = plan_growth(crop, first, 0.5, 100, multiple=multiple, smallest=smallest)
    return [scale.crop for scale in growth.scales]


def test_crops_double_up_to_the_full_one_and_suit_the_networks_and_the_scaled_picture() -> None:
    assert crops(128, (512, 512)) == [(128, 128), (256, 256), (512, 512)]
    assert crops(128, (448, 256), multiple=32) == [(224, 128), (448, 256)]
    assert crops(0, (448, 256)) == [(448, 256)]
    scales = [s.scale for s in plan_growth((512, 512), 128, 0.5, 9, multiple=8, smallest=8).scales]
    assert scales == [0.25, 0.5, 1.0]
    for first, crop in itertools.product((16, 40, 100, 130), ((448, 256), (192, 320))):
        growth = plan_growth(crop, first, 0.5, 100, multiple=32, smallest=48)
        assert growth.scales[-1] == PictureScale(crop)
        assert len(set(growth.scales)) == len(growth.scales) >= 2
        for scale in growth.scales:
            assert all(side % 32 == 0 and side >= 64 for side in scale.crop)
            assert all(s <= round(n * scale.scale) for s, n in zip(scale.crop, crop, strict=True))


def test_where_no_smaller_crop_suits_it_is_one_line() -> None:
    for first, multiple, smallest in ((128, 256, 256), (256, 32, 32), (300, 8, 8), (64, 8, 256)):
        with pytest.raises(UsageError, match=r"training.grow_from=.*256x256.*leave it out"):
            crops(first, (256, 256), multiple, smallest)


def test_the_step_alone_decides_the_size() -> None:
    assert [GROWTH.at(step) for step in range(8)] == [SMALL] * 4 + [FULL] * 4
    growth = plan_growth((512, 512), 128, 0.6, 10, multiple=8, smallest=8)
    assert [growth.at(step).crop[0] for step in range(12)] == [128] * 3 + [256] * 3 + [512] * 6
    assert [growth.of_run(20).at(step).crop[0] for step in (5, 6, 11, 12)] == [128, 256, 256, 512]
    always = plan_growth((512, 512), 256, 1.0, 10, multiple=8, smallest=8)
    assert [always.at(step).crop[0] for step in (0, 9, 10)] == [256, 256, 512]


def test_its_parts_are_all_of_the_run() -> None:
    growth = plan_growth((512, 512), 128, 0.6, 10, multiple=8, smallest=8)
    parts = growth.parts()
    assert [(start, end) for start, end, _ in parts] == [(0.0, 0.3), (0.3, 0.6), (0.6, 1.0)]
    assert [{part.at(step).crop[0] for step in (0, 99)} for _, _, part in parts] == [{128}, {256}, {512}]
    assert PictureGrowth((FULL,)).parts() == [(0.0, 1.0, PictureGrowth((FULL,)))]


def pair_of(name: str, seed: int, domain: int = 0) -> Pair:
    path = put(Path(name), seed, (64, 32))
    return Pair((path,), path, "train", (domain, 0), domain=domain)


def test_a_batch_shows_the_whole_picture_scaled_down_and_then_at_full_size() -> None:
    pairs = [pair_of("a.png", 1)]
    loader = Loader(pairs, make_pairing("edges", {}), batch=1, seed=0, multiple=16)
    before = [loader.make(step) for step in range(8)]
    loader.growth = GROWTH
    after = [loader.make(step) for step in range(8)]
    picture = read_picture(Path("a.png"))
    assert np.array_equal(after[3].targets[0], resize(picture, 32, 16).transpose(2, 0, 1))
    assert after[3].inputs.shape[2:] == (16, 32)
    for step in range(4, 8):
        assert np.array_equal(after[step].inputs, before[step].inputs)
        assert np.array_equal(after[step].targets, before[step].targets)
    assert [b.targets.shape for b in loader.stream(2, 6)] == [(1, 3, 16, 32)] * 2 + [(1, 3, 32, 64)] * 2


def test_pictures_are_left_to_the_device_at_full_size_only() -> None:
    loader = Loader([pair_of("a.png", 1)], make_pairing("colorize", {}), batch=1, seed=0, multiple=16, whole=True)
    loader.growth = GROWTH
    assert [loader.make(step).whole for step in (3, 4)] == [False, True]
    assert loader.make(3).inputs.shape[2:] == (16, 32)


def test_domains_and_noise_grow_alike() -> None:
    pairs = [pair_of("a.png", 1), pair_of("b.png", 2, domain=1)]
    unpaired = UnpairedLoader(pairs, ("a", "b"), batch=2, seed=0, multiple=16)
    noise = NoiseLoader((64, 32), make_pairing("edges", {}), batch=2)
    for loader in (unpaired, noise, UnpairedNoise((64, 32), batch=2)):
        loader.growth = GROWTH
        for batch, size in zip(loader.stream(3, 5), ((16, 32), (32, 64)), strict=True):
            assert batch.inputs.shape[2:] == batch.targets.shape[2:] == size
