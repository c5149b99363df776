"""``vidtrans model export``: what is written and said, what is refused."""

from __future__ import annotations

import builtins
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chain import refuse, said, said_json
from clips import decode, moving_frames, pictures_of, write_folder
from directed_clip import same
from made_models import make_grade

from vidtrans.models.model_file import save_model
from vidtrans.models.model_record import NORMALISATION, ModelRecord
from vidtrans.networks.init import build_generator, initialise

pytestmark = pytest.mark.usefixtures("one_thread")
Capsys = pytest.CaptureFixture[str]


def model(pairing: str, channels: int, **settings: Any) -> Path:
    """A model file of the smallest network, with a pairing of so many channels."""
    network = build_generator("few-shot", {"channels": 8, "blocks": 1}, channels)
    initialise(network, 0)
    record = ModelRecord(
        {"name": "few-shot", "settings": {"channels": 8, "blocks": 1}},
        {"name": pairing, "settings": settings},
        channels,
        3,
        64,
        NORMALISATION,
        {},
        {"author": "A. Painter", "licence": "CC0"},
    )
    path = Path(f"{pairing}.safetensors")
    save_model(path, network, record)
    return path


def test_an_onnx_file_is_described_and_takes_any_size(capsys: Capsys) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    export = ("model", "export", model("edges", 1), "--format", "onnx")
    table = said_json(capsys, *export)
    assert table["output"] == "edges.onnx"
    said(capsys, 0, *export, "-o", "again.onnx")
    assert Path("again.onnx").read_bytes() == Path("edges.onnx").read_bytes()
    assert table["opset"] <= 17
    assert table["max_difference"] <= 1e-3
    assert len(table["compared_sizes"]) == 3
    session = onnxruntime.InferenceSession("edges.onnx", providers=["CPUExecutionProvider"])
    about = session.get_modelmeta()
    assert about.producer_name == "vidtrans"
    assert json.loads(about.custom_metadata_map["vidtrans"])["card"] == {"author": "A. Painter", "licence": "CC0"}
    assert "from -1 to 1" in about.custom_metadata_map["input"]
    for count, height, width in ((1, 5, 7), (2, 33, 20)):
        [output] = session.run(None, {"input": np.zeros((count, 1, height, width), np.float32)})
        assert output.shape == (count, 3, height, width)
    [[name, *sizes]] = [(i.name, *i.shape) for i in session.get_inputs()]
    assert (name, sizes) == ("input", ["N", 1, "H", "W"])


@pytest.mark.thorough
def test_what_follows_lines_can_be_imported_again(capsys: Capsys, clip: Path) -> None:
    pytest.importorskip("onnxruntime")
    path = model("edges", 1)
    export = ("model", "export", path, "--format", "onnx")
    said(capsys, 0, *export, "--whole", "-o", "whole.onnx")
    said(capsys, 0, "model", "import", "whole.onnx", "-o", "again.safetensors")
    common = ("--temporal", "off", "--size", "source", "--codec", "ffv1", "--set=rendering.precision='fp32'")
    for name in (path, "again.safetensors"):
        said(capsys, 0, "stylize", clip, "--model", name, *common, "--engine", "torch", "-o", f"{Path(name).stem}.mkv")
    ours, again = (decode(Path(f"{Path(name).stem}.mkv"))[2] for name in (path, "again"))
    assert same(ours, again, within=1)
    said(capsys, 0, *export, "-o", "network.onnx")
    said(capsys, 0, "model", "import", "network.onnx")


def test_a_grade_is_read_back_without_a_question(capsys: Capsys) -> None:
    pytest.importorskip("onnxruntime")
    write_folder(Path("in"), moving_frames(2))
    for name, options in (("grade.cube", ()), ("net.onnx", ()), ("whole.onnx", ("--whole",))):
        if name == "grade.cube":
            make_grade(name)
        else:
            said(capsys, 0, "model", "export", "grade.cube", "--format", "onnx", *options, "-o", name)
        said(capsys, 0, "stylize", "in", "--model", name, "--codec", "png", "-o", f"{name}.out")
        made = pictures_of(Path(f"{name}.out")).values()
        wanted = pictures_of(Path("grade.cube.out")).values()
        assert all(int(np.abs(a.astype(int) - b).max()) <= 1 for a, b in zip(made, wanted, strict=True))


def test_a_file_that_is_there_is_up_to_date_or_not_replaced(capsys: Capsys) -> None:
    options = (model("aligned", 3), "--format", "torchscript", "-o", "m.pt")
    assert "would write m.pt" in said(capsys, 0, "model", "export", *options, "--dry-run")
    assert not Path("m.pt").exists()
    said(capsys, 0, "model", "export", *options)
    assert "up to date" in said(capsys, 0, "model", "export", *options)
    assert "use --overwrite" in refuse(capsys, 2, "model", "export", *options, "--whole")
    said(capsys, 0, "model", "export", *options, "--whole", "--overwrite")


def test_what_cannot_be_written_is_refused_in_a_line(capsys: Capsys) -> None:
    inpaint, aligned, look = model("inpaint", 4), model("aligned", 3), model("look", 6, looks=["oil", "ink"])
    for arguments, line in (
        ((inpaint, "--whole"), "its pairing 'inpaint' cannot be part of a file: a mask comes beside"),
        ((inpaint, "--look", "oil"), "add --whole, or leave --look out"),
        ((inpaint, "-o", "m.onnx"), "--format torchscript is a .pt file"),
        ((aligned, "--whole", "--look", "oil"), "was not made by 'vidtrans look'"),
        ((aligned, "--whole", "--stroke-size", "nan"), "--stroke-size nan: out of bounds"),
        ((look, "--whole", "--look", "oill"), "did you mean 'oil'?"),
    ):
        assert line in refuse(capsys, 2, "model", "export", *arguments, "--format", "torchscript")
    said(capsys, 3, "model", "export", "identity", "--format", "onnx")


def test_without_the_extra_a_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch, capsys: Capsys) -> None:
    real = builtins.__import__

    def missing(name: str, *rest: Any) -> Any:
        if name in ("onnx", "onnxruntime"):
            raise ImportError(name)
        return real(name, *rest)

    path = model("aligned", 3)
    monkeypatch.setattr(builtins, "__import__", missing)
    assert "pip install 'vidtrans[onnx]'" in refuse(capsys, 2, "model", "export", path, "--format", "onnx")
    assert list(Path().glob("*.onnx")) == []
