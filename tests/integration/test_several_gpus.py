"""Several GPUs: only the kind of a device decides what a result is, never its number. Here two are pretended."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from chain import said_json, tiny_flags, vidtrans
from directed_clip import three_clips
from two_gpus import pretend

from vidtrans.core import machine
from vidtrans.inference import ENGINES
from vidtrans.inference.device import resolve_device
from vidtrans.networks.init import build_generator

Patch = pytest.MonkeyPatch
Capsys = pytest.CaptureFixture[str]

NAMES = ["cuda:0", "cuda:1"]


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    return three_clips(tmp_path / "clips")


def test_what_one_gpu_painted_is_not_painted_again_by_another(two_gpus: None, clips: Path, tiny_model: Path) -> None:
    env = pretend.environment(Path("devices.log").absolute())
    command = ("stylize", clips / "0.mov", "--model", tiny_model, "--size", "32", "--json")
    counts = []
    for name, codec in (("cuda:0", "h264"), ("cuda:1", "ffv1")):
        vidtrans(*command, "--device", name, "--codec", codec, "-o", f"{codec}.mkv", env=env)
        counts.append(sum(1 for _ in Path(".vidtrans/infer").iterdir()))
    assert counts == [1, 1]


# Commands, in this process


def both(*arguments: object, capsys: Capsys) -> list[dict[str, Any]]:
    """Run the same command on the one and on the other GPU."""
    return [said_json(capsys, *arguments, "--device", name) for name in NAMES]


def test_a_model_that_one_gpu_trained_is_up_to_date_for_another(two_gpus: None, dataset: str, capsys: Capsys) -> None:
    flags = [*tiny_flags("generator", "discriminator", "training"), "--set=training.steps=1"]
    first, second = both("train", dataset, *flags, "-o", "m.safetensors", capsys=capsys)
    assert (first["cached"], second["cached"]) == (False, True)
    assert first["device"] == "cuda"
    # Not only the request's digest: without the output, the finished run in the cache is found.
    Path("m.safetensors").unlink()
    said_json(capsys, "train", dataset, *flags, "-o", "m.safetensors", "--device", "cuda:1")
    assert len(list(Path(".vidtrans/train").iterdir())) == 1


# What decides


def test_no_engine_is_known_by_the_number_of_its_device(two_gpus: None) -> None:
    generator = build_generator("unet-small", {"channels": 8, "blocks": [0, 0, 0]}, 3).eval()
    one, other = (ENGINES.load("torch")(generator, resolve_device(n), "fp32").identity for n in NAMES)
    assert one == other
    assert one["device"] == "cuda"
    assert set(one) == {"engine", "torch", "precision", "device", "threads", "pixels"}


def test_the_gpus_are_those_that_cuda_shows(monkeypatch: Patch) -> None:
    counts = {"": 0, "-1": 0, "0": 1, "2, 3,0": 3, "0,-1,1": 1, "NoDevFiles": 0, "GPU-8932f937,1": 2, "MIG-1,MIG-2": 1}
    counts |= {"0,1,0": 0, "0, 0": 0, "0,-1,0": 1, "GPU-1,GPU-1": 0}  # as torch has it
    monkeypatch.setattr(machine, "_torch_build", lambda: "cuda")
    found = {}
    for visible in counts:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        found[visible] = machine.num_cuda_devices()
    assert found == counts
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    monkeypatch.setattr(machine, "_torch_build", lambda: "")
    assert machine.num_cuda_devices() == 0  # this torch could not use them


@pytest.fixture
def installed(monkeypatch: Patch) -> Iterator[None]:
    """GPUs are looked for, and what is found is not remembered."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    machine._installed_gpus.cache_clear()
    yield
    machine._installed_gpus.cache_clear()


def test_gpus_are_those_that_the_driver_lists(tmp_path: Path, monkeypatch: Patch, installed: None) -> None:
    monkeypatch.setattr(machine, "_torch_build", lambda: "cuda")
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'GPU 0: NVIDIA A (UUID: GPU-1)'\necho 'GPU 1: NVIDIA A (UUID: GPU-2)'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert machine.num_cuda_devices() == 2
    program.write_text("#!/bin/sh\nexit 9\n")
    machine._installed_gpus.cache_clear()
    assert machine.num_cuda_devices() == 0


PLACES = {
    "device files of NVIDIA": ("cuda", ["dev/nvidia0", "dev/nvidia1", "dev/nvidiactl", "dev/nvidia-uvm"], 2),
    "the driver's list": ("cuda", ["proc/driver/nvidia/gpus/0000:01:00.0", "proc/driver/nvidia/gpus/0000:02:00.0"], 2),
    "both": ("cuda", ["dev/nvidia0", "proc/driver/nvidia/gpus/0000:01:00.0", "dev/kfd"], 1),
    "ROCm": ("hip", ["dev/kfd", "dev/dri/renderD128", "dev/dri/card0"], 1),
    "ROCm in a container": ("hip", ["dev/kfd"], 1),
    "an AMD GPU for another torch": ("cuda", ["dev/kfd", "dev/dri/renderD128"], 0),
    "an NVIDIA GPU for another torch": ("hip", ["dev/nvidia0", "dev/dri/renderD128"], 0),
    "none": ("cuda", ["dev/nvidiactl"], 0),
}


def test_gpus_are_found_without_that_program(tmp_path: Path, monkeypatch: Patch, installed: None) -> None:
    """As in a slim container, and on ROCm."""
    for number, (build, files, count) in enumerate(PLACES.values()):
        root = tmp_path / str(number)
        for name in files:
            (root / name).mkdir(parents=True)
        monkeypatch.setattr(machine, "ROOT", root)
        monkeypatch.setattr(machine, "_torch_build", lambda build=build: build)
        monkeypatch.setenv("PATH", str(root))
        machine._installed_gpus.cache_clear()
        assert machine.num_cuda_devices() == count, files
        assert (machine.device_kind("auto") == "cuda") == (count > 0), files


def test_what_torch_was_built_for_is_known(tmp_path: Path, monkeypatch: Patch) -> None:
    spec = SimpleNamespace(origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(machine, "find_spec", lambda name: spec)
    for cuda, hip, build in (("'12.8'", None, "cuda"), (None, "'6.3.42131'", "hip"), (None, None, "")):
        lines = f"__version__ = '2.0'\ncuda: Optional[str] = {cuda}\nhip: Optional[str] = {hip}\n"
        (tmp_path / "version.py").write_text(lines)
        assert machine._torch_build() == build
    monkeypatch.setattr(machine, "find_spec", lambda name: None)
    assert machine._torch_build() == ""
