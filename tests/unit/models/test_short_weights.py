"""Weights of 16 and of 8 bits in a model file: fewer bytes, the same network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from made_models import make_model
from safetensors.torch import save_file

from vidtrans.core.errors import ModelError
from vidtrans.models.model_file import load_generator, save_model
from vidtrans.models.model_record import ModelRecord
from vidtrans.models.native_format import METADATA_KEY
from vidtrans.models.weights import STEP, to_8_bits, weights_digest, weights_of


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


def saved(name: str, stored: dict[str, Any], record: ModelRecord) -> Path:
    """A model file with these tensors, and their digest in its record."""
    record = replace(record, weights=weights_digest(stored))
    save_file(stored, name, metadata={METADATA_KEY: record.to_json()})
    return Path(name)


def test_weights_of_8_bits_are_read_within_half_a_step() -> None:
    path = make_model("whole.safetensors", "aligned")
    generator, record = load_generator(path)
    weights = {name: tensor.clone() for name, tensor in weights_of(generator).items()}
    short = saved("short.safetensors", to_8_bits(weights), record)
    assert short.stat().st_size < 0.4 * path.stat().st_size
    read = load_generator(short)[0].state_dict()
    assert {name: tensor.dtype for name, tensor in read.items()} == {n: t.dtype for n, t in weights.items()}
    for name, tensor in weights.items():
        half_a_step = (tensor.flatten(1).abs().amax(1) / 127 / 2).max() if tensor.ndim > 1 else 1e-3
        assert (read[name] - tensor).abs().max() <= 1.05 * half_a_step, name


def test_steps_that_fit_no_weights_or_make_them_infinite_are_refused() -> None:
    generator, record = load_generator(make_model("whole.safetensors", "aligned"))
    stored = to_8_bits(weights_of(generator))
    name = next(name for name in stored if name.endswith(STEP))
    for step, why in (
        (stored[name].repeat(2), "does not fit its weights"),
        (stored[name].float() * 0 + 3e38, "finite"),
    ):
        with pytest.raises(ModelError, match=why):
            load_generator(saved("wrong.safetensors", stored | {name: step}, record))
