"""What every engine keeps to. A new one is tested by being in the table."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from clips import scene

from vidtrans.core.errors import UsageError
from vidtrans.inference import ENGINES
from vidtrans.inference.device import Device
from vidtrans.inference.torch_engine import MAX_PIXELS, TorchEngine
from vidtrans.networks.init import build_generator, initialise

pytestmark = pytest.mark.usefixtures("one_thread")
CPU = Device("cpu", "cpu")
SIZES = [(48, 32), (41, 27)]  # the network sees both at one size: some engines take long to prepare another


def generator() -> Any:
    network = build_generator("unet-small", {"channels": 8, "blocks": [0, 0, 0]}, 3)
    initialise(network, 0)
    for module in network.modules():  # colours over the whole range, and norms that fold into something
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_var.fill_(0.01)
            module.running_mean.uniform_(-0.01, 0.01, generator=torch.Generator().manual_seed(1))
    return network.eval()


def pictures(size: tuple[int, int], count: int = 4) -> np.ndarray:
    """(count, H, W, 3) uint8; by default a batch of three, and one of one, which is prepared anyway."""
    return np.stack([scene(*size, seed=seed) for seed in range(count)])


def params() -> list[Any]:
    slow = {name: ENGINES.load(name).slow_to_start for name in ENGINES}
    return [pytest.param(name, marks=[pytest.mark.thorough] if slow[name] else []) for name in ENGINES]


@pytest.fixture(scope="module", params=params())
def engine(request: pytest.FixtureRequest) -> Any:
    """Return each engine of the table, in fp32, in batches of three; one that this machine lacks is skipped.

    It is made on one thread, as tests run it: ``compile`` would compile again, for 20 seconds, on another number.
    """
    torch.set_num_threads(1)
    try:
        made = ENGINES.load(request.param)(generator(), CPU, "fp32", 3)
        made(pictures(SIZES[0], 1))
    except UsageError as error:
        if "not installed" not in str(error) and "compilation failed" not in str(error):
            raise
        pytest.skip(str(error))
    assert made.identity["engine"].startswith(request.param)
    assert {"torch", "precision", "device", "threads"} <= set(made.identity)  # what decides the pictures, for keys
    assert all(isinstance(value, str) for value in made.identity.values())
    return made


@pytest.mark.parametrize("size", SIZES)
def test_an_engine_paints_what_torch_paints_in_8_and_in_16_bits(engine: Any, size: tuple[int, int]) -> None:
    shown = pictures(size)
    before, expected = shown.copy(), TorchEngine(generator(), CPU, "fp32")(shown).astype(int)
    assert expected.std() > 10
    made, deep = engine(shown), engine(shown, deep=True)
    assert (made.shape, made.dtype) == (shown.shape, np.uint8)
    assert (deep.shape, deep.dtype) == (shown.shape, np.uint16)
    assert np.abs(made - expected).max() <= 2
    assert np.abs(deep / 257 - expected).max() <= 2.5
    assert np.array_equal(engine(shown.astype(np.uint16) * 257), made)
    assert np.array_equal(shown, before)


def test_a_picture_is_the_same_every_time_and_whatever_is_beside_it(engine: Any) -> None:
    shown = pictures(SIZES[0])
    made = engine(shown)
    assert np.array_equal(engine(shown), made)
    assert np.array_equal(np.concatenate([engine(picture[None]) for picture in shown]), made)


def test_large_pictures_go_through_a_cpu_one_at_a_time_and_the_limit_is_in_keys(engine: Any) -> None:
    # 300x300 is not taken by two: of a batch of three it would be filled up with a fourth.
    assert [engine.batch_for(*size) for size in (SIZES[0], (300, 300), (512, 512), (2160, 3840))] == [3, 1, 1, 1]
    assert engine.identity["pixels"] == str(MAX_PIXELS["cpu"])
