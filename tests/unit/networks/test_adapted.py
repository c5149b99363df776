"""A network of another tool gets what it takes, and its pictures come back in our range."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from vidtrans.core.settings import from_table
from vidtrans.networks.adapted import AdaptedGenerator
from vidtrans.networks.ports import PortSettings, named_range, range_ports


class Recorder(nn.Module):
    """Returns its input, and keeps it."""

    multiple = smallest = 1

    def forward(self, x: Tensor) -> Tensor:
        self.taken = x
        return x


def run(x: Tensor, **ports: object) -> tuple[Tensor, Tensor]:
    network = Recorder()
    given = AdaptedGenerator(network, x.shape[1], from_table(PortSettings, ports, "ports"))(x)
    return network.taken, given


PICTURE = torch.rand(2, 3, 4, 5) * 2 - 1


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0, 255), (-1, 1), (-0.5, 0.5)])
def test_a_range_is_what_the_network_sees_and_comes_back(low: float, high: float) -> None:
    ends = torch.tensor([-1.0, 0.0, 1.0]).reshape(1, 3, 1, 1)
    taken, given = run(ends, **range_ports(low, high))
    assert taken.flatten().tolist() == pytest.approx([low, (low + high) / 2, high])
    assert given.flatten().tolist() == pytest.approx([-1, 0, 1], abs=1e-6)


def test_a_picture_becomes_grey_for_a_network_of_one_channel_and_grey_becomes_a_picture() -> None:
    taken, given = run(PICTURE, in_channels=1, out_channels=1)
    weighed = sum(w * PICTURE[:, c] for c, w in enumerate((0.299, 0.587, 0.114)))
    torch.testing.assert_close(taken[:, 0], weighed)
    assert torch.equal(given, taken.expand(-1, 3, -1, -1))


def test_no_tensor_is_made_of_its_numbers_which_a_cuda_graph_could_not_record(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise RuntimeError("a copy from the host")

    wanted = run(PICTURE, **named_range("imagenet"))
    monkeypatch.setattr(torch, "tensor", refuse)
    monkeypatch.setattr(Tensor, "new_tensor", refuse)
    assert all(torch.equal(*pair) for pair in zip(run(PICTURE, **named_range("imagenet")), wanted, strict=True))
    assert run(PICTURE, in_channels=1)[0].shape == (2, 1, 4, 5)
