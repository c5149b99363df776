"""The small U-Net with little memory: outermost layers in strips of rows, residual blocks in place."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vidtrans.inference.device import resolve_device
from vidtrans.inference.torch_engine import TorchEngine
from vidtrans.networks import unet_small
from vidtrans.networks.unet_small import SmallResidual, UNetSmall, UNetSmallSettings


def small_unet(head: str, *, skips: bool = True, residual: bool = False) -> UNetSmall:
    torch.manual_seed(0)
    settings = UNetSmallSettings(channels=8, head=head, skip_connections=skips, residual=residual)
    return UNetSmall(3, 3, settings).eval()


@pytest.mark.parametrize(
    ("head", "skips", "residual", "height"),
    [("pixel-shuffle", True, False, 176), ("resize", True, False, 160), ("resize", False, True, 400)],
)
def test_strips_give_the_same_numbers(
    head: str, skips: bool, residual: bool, height: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = small_unet(head, skips=skips, residual=residual).to(memory_format=torch.channels_last)
    x = torch.rand(1, 3, height, 96).to(memory_format=torch.channels_last) * 2 - 1
    with torch.inference_mode():
        whole = network(x)
        monkeypatch.setattr(unet_small, "WHOLE_BYTES", 1)
        monkeypatch.setattr(unet_small, "STRIP_BYTES", 16 * 48 * 4 * 20)  # 20 rows at half size
        unet_small.use_little_memory(network)
        assert unet_small.strip_rows(*network.inner(x)) <= 20
        torch.testing.assert_close(network(x), whole, rtol=0, atol=1e-5)


def test_an_engine_on_the_cpu_runs_strips_and_leaves_the_network_that_it_was_given_unchanged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network = small_unet("pixel-shuffle")
    picture = np.random.default_rng(0).integers(0, 256, (1, 256, 64, 3), np.uint8)
    whole = TorchEngine(network, resolve_device("cpu"), "fp32")(picture)
    monkeypatch.setattr(unet_small, "WHOLE_BYTES", 1)
    monkeypatch.setattr(unet_small, "STRIP_BYTES", 1)
    engine = TorchEngine(network, resolve_device("cpu"), "fp32")
    assert np.abs(engine(picture).astype(int) - whole).max() <= 1
    assert "outermost" not in vars(network)
    assert not any("forward" in vars(m) for m in network.modules() if isinstance(m, SmallResidual))
