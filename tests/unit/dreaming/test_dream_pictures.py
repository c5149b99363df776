"""Predicted frames at the size of the result."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F

from vidtrans.dreaming.dream_pictures import DreamPictures, by_opencv, in_torch


def test_a_faithful_picture_averages_to_the_frame() -> None:
    torch.manual_seed(0)
    frame = F.interpolate(torch.rand(1, 3, 6, 8) - 0.5, (24, 32), mode="bicubic")[0]
    make = DreamPictures((32, 24), (96, 72), "faithful", deep=True)
    made = make(frame)
    assert (made.shape, made.dtype) == ((72, 96, 3), np.uint16)
    means = made.reshape(24, 3, 32, 3, 3).mean((1, 3))
    assert np.abs(means / 65535 - (frame.permute(1, 2, 0).numpy() * 0.5 + 0.5)).max() < 2e-3
    coarse = DreamPictures((32, 24), (96, 72), "faithful", deep=False)(frame)
    assert np.abs(coarse / 255 - made / 65535).max() < 0.5 / 255 + 1e-4
    assert make.for_key() != {}


def test_the_encoder_scales_what_is_not_smaller() -> None:
    frame = torch.zeros(3, 24, 32)
    for output, mode in (((96, 72), "bicubic"), ((32, 24), "faithful"), ((96, 20), "faithful")):
        make = DreamPictures((32, 24), output, mode, deep=False)
        assert make(frame).shape == (24, 32, 3)
        assert make.picture_size == (32, 24)
        assert make.for_key() == {}


def test_devices_agree() -> None:
    frame = torch.rand(3, 24, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1
    one, other = (enlarge(frame, (83, 61), "faithful") for enlarge in (by_opencv, in_torch))
    assert one.shape == other.shape == (3, 61, 83)
    assert (one - other).abs().max() < 1e-4
