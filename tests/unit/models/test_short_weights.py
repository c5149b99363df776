"""Weights of 16 bits in a model file: half the bytes, the same network."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from made_models import make_model

from vidtrans.core.errors import ModelError
from vidtrans.models.model_file import load_generator, save_model


def test_weights_of_16_bits_are_read_as_32_and_others_are_refused() -> None:
    path = make_model("whole.safetensors", "aligned")
    generator, record = load_generator(path)
    weights = {name: tensor.clone() for name, tensor in generator.state_dict().items()}
    save_model(Path("half.safetensors"), generator.half(), record)
    assert Path("half.safetensors").stat().st_size < 0.7 * path.stat().st_size
    short = load_generator(Path("half.safetensors"))[0].state_dict()
    assert {name: tensor.dtype for name, tensor in short.items()} == {n: t.dtype for n, t in weights.items()}
    assert all(torch.equal(short[name], tensor.half().to(tensor.dtype)) for name, tensor in weights.items())
    save_model(Path("double.safetensors"), generator.double(), record)
    with pytest.raises(ModelError, match="float64, it needs"):
        load_generator(Path("double.safetensors"))
