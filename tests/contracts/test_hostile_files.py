"""The hostile files of the tests: they are many, they would do what they are said to do, and unbent ones are good."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from hostile_checkpoints import Hostile, write_hostile
from hostile_parts import bad_onnx
from hostile_parts.containers import TensorSpec, legacy, pickled, specs_of, zipped
from hostile_parts.maker import Maker
from peer_variants import VARIANTS, checkpoint_of

# Unpickle each file carelessly, and name those after which the marker is there. Some start a process and do not wait.
CARELESS = """
import pathlib, pickle, shutil, sys, time
marker = pathlib.Path(sys.argv[1])
for path in sys.argv[2:]:
    try:
        with open(path, "rb") as file:
            pickle.load(file)
    except BaseException:
        pass
    end = time.monotonic() + 300
    while not marker.exists() and time.monotonic() < end:
        time.sleep(0.01)
    if marker.is_dir():
        marker.rmdir()
    elif marker.exists():
        marker.unlink()
    else:
        print(path, file=sys.stderr)
"""


def test_hostile_files_are_many_and_do_what_is_said_of_them(tmp_path: Path) -> None:
    """One test: writing them takes seconds, which each process that runs tests would spend again."""
    marker = tmp_path / "marker"
    hostile = write_hostile(tmp_path / "files", marker)
    assert not marker.exists(), "code ran while they were written"
    check_number_and_names(hostile)
    check_bomb(hostile)
    if os.name == "nt":
        pytest.skip("the code in them is for POSIX: it runs 'touch'")
    check_code_runs(hostile, marker)


def check_number_and_names(hostile: list[Hostile]) -> None:
    assert [name for name, count in Counter(entry.name for entry in hostile).items() if count > 1] == []
    assert sum(entry.refused for entry in hostile) >= 200
    assert [entry.name for entry in hostile if not os.path.lexists(entry.path)] == []


def check_bomb(hostile: list[Hostile]) -> None:
    """It is a gigabyte of zeros."""
    bomb = next(entry for entry in hostile if entry.name == "a gigabyte in a megabyte")
    assert bomb.path.stat().st_size < 2 << 20
    with zipfile.ZipFile(bomb.path) as archive:
        assert archive.getinfo("archive/data/0").file_size == 1 << 30
        with archive.open("archive/data/0") as record:
            assert record.read(1 << 20) == bytes(1 << 20)


def check_code_runs(hostile: list[Hostile], marker: Path) -> None:
    """A careless reader runs the code of each pickle that has some."""
    paths = [str(entry.path) for entry in hostile if entry.runs]
    assert len(paths) >= 40
    done = subprocess.run(
        [sys.executable, "-c", CARELESS, str(marker), *paths], capture_output=True, text=True, check=True
    )
    assert [line for line in done.stderr.splitlines() if line in paths] == []


@pytest.mark.parametrize("views", [False, True])
def test_a_file_made_by_hand_is_one_of_torch_s(views: bool, tmp_path: Path) -> None:
    """So what refuses its bent neighbours refuses them for the bend."""
    variant = VARIANTS[0]
    state = checkpoint_of(variant, variant.build(0))
    specs, storages = specs_of(state)
    assert isinstance(specs["model.model.0.weight"], TensorSpec)
    pack = legacy if views else zipped
    (tmp_path / "x.pth").write_bytes(pack(pickled(specs, views), storages))
    loaded = torch.load(tmp_path / "x.pth", weights_only=True)
    assert [name for name in state if not torch.equal(loaded[name], state[name])] == []


def test_an_onnx_file_made_by_hand_runs() -> None:
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(bad_onnx.picture(bad_onnx.CONV))
    image = np.random.default_rng(0).random((1, 3, 4, 5), dtype=np.float32)
    expected = np.repeat(image.sum(1, keepdims=True) * 0.1, 3, axis=1)
    assert np.allclose(session.run(None, {"x": image})[0], expected, atol=1e-6)


def test_a_system_that_cannot_make_one_leaves_it_out(tmp_path: Path) -> None:
    def fail(path: Path) -> None:
        raise OSError("no links here")

    maker = Maker(tmp_path, tmp_path / "marker")
    maker.add("a link", fail)
    maker.add("a pickle", pickle.dumps(7))
    assert maker.left_out == ["a link: no links here"]
    assert [entry.name for entry in maker.entries] == ["a pickle"]
