"""pix2pixHD's order of training, as a person would do it: a coarse generator, its enhancer, all of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from chain import refuse, said_json, tiny_flags, vidtrans

from vidtrans.models.model_file import load_generator, read_record

Capsys = pytest.CaptureFixture[str]
pytestmark = pytest.mark.usefixtures("one_thread")

SHAPE = {"name": "hd", "channels": 8, "downsamplings": 2, "blocks": 1}


def training(output: str, steps: int = 2, **generator: Any) -> list[str]:
    """``train``, with a small hd generator."""
    shape = [f"--set=generator.{k}={json.dumps(v)}" for k, v in (SHAPE | generator).items()]
    return ["train", "clip.dataset", "-o", output, "--steps", str(steps), *tiny_flags("discriminator"), *shape]


def weights(path: str) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = load_generator(Path(path))[0].state_dict()
    return state


@pytest.fixture
def coarse(dataset: str) -> str:
    """A coarse model beside the dataset."""
    vidtrans(*training("coarse.safetensors"))
    return "coarse.safetensors"


@pytest.mark.thorough
def test_the_enhancer_is_trained_alone_and_then_all_of_it(coarse: str, capsys: Capsys) -> None:
    finer = {"enhancers": 1, "enhancer_blocks": 1}
    frozen = ["--from", coarse, "--set", 'training.freeze=["whole"]', "--set", "training.lr=0.01"]
    said_json(capsys, *training("enhancer.safetensors", **finer), *frozen)
    before, after = weights(coarse), weights("enhancer.safetensors")
    kept = [name for name in before if name.startswith("whole.")]
    assert kept
    assert all(torch.equal(before[name], after[name]) for name in kept)

    said_json(capsys, *training("all.safetensors", **finer), "--from", "enhancer", "--set", "training.lr=0.01")
    last = weights("all.safetensors")
    assert any(not torch.equal(after[name], last[name]) for name in kept)
    assert read_record(Path("all.safetensors")).generator["settings"]["enhancers"] == 1
    # … and it goes on to the next size.
    said_json(capsys, *training("finest.safetensors", enhancers=2, enhancer_blocks=1), "--from", "all")
    made = said_json(capsys, "stylize", "clip.mp4", "--model", "finest", "--temporal", "off")
    assert made["frames"] == 16


def test_what_is_no_coarser_one_is_refused_in_one_line(coarse: str, capsys: Capsys) -> None:
    for generator in (
        {"enhancers": 1, "channels": 16},
        {"enhancers": 1, "blocks": 2},
        {"enhancers": 1, "norm": "batch"},
        {"enhancers": 1, "upsample": "resize"},
        {"blocks": 2},
    ):
        line = refuse(capsys, 2, *training("fine.safetensors", **generator), "--from", coarse)
        assert "its generator's settings are" in line
        assert "only generator.enhancers may be higher" in line
    said_json(capsys, *training("fine.safetensors", 1, enhancers=1, enhancer_blocks=1), "--from", coarse)
    refuse(capsys, 2, *training("again.safetensors"), "--from", "fine")
    # Enhancers are put in as they are, so they have to be alike.
    other = {"enhancers": 2, "enhancer_blocks": 2}
    refuse(capsys, 2, *training("other.safetensors", **other), "--from", "fine")
