"""``vidtrans model import`` and ``model export``: what is made, written and said, and what is refused."""

from __future__ import annotations

import builtins
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from chain import refuse, said, said_json, snapshot
from clips import moving_frames, pictures_of, write_clip, write_folder
from directed_clip import same
from made_models import make_grade
from peer_variants import VARIANTS, Variant, save_experiment, save_variant

from vidtrans.core.errors import ModelError
from vidtrans.models.model_file import find_model, load_generator, read_record, save_model
from vidtrans.models.model_record import NORMALISATION, ModelRecord
from vidtrans.networks.init import build_generator, initialise
from vidtrans.video.images.picture import read_picture

pytestmark = pytest.mark.usefixtures("one_thread")
Capsys = pytest.CaptureFixture[str]
BY_NAME = {variant.name: variant for variant in VARIANTS}
UNET, STYLE = BY_NAME["unet-64-batch-3to3-w2"], BY_NAME["fast-style-w5"]
RESNET = BY_NAME["resnet-4-instance-3to3-w4"]
IMPORT = ("model", "import")


def checkpoint(variant: Variant = UNET, name: str = "paint.pth", seed: int = 0) -> Path:
    save_variant(variant, Path(name), "zip", seed)
    return Path(name)


def rendered(capsys: Capsys, model: Path | str, folder: str) -> list[np.ndarray]:
    said(capsys, 0, "stylize", "clip.mkv", "--model", model, "--temporal", "off", "-o", f"{folder}/%04d.png")
    return [read_picture(path) for path in sorted(Path(folder).glob("*.png"))]


def test_a_model_is_made_once_and_named_after_its_file(capsys: Capsys) -> None:
    edges = (*IMPORT, checkpoint(), "--pairing", "edges")
    table = said_json(capsys, *edges)
    assert (table["output"], table["cached"]) == ("paint.safetensors", False)
    assert (table["family"], table["pairing"], table["working_size"]) == ("pix2pix-unet", "edges", 64)
    text = said(capsys, 0, *edges)
    assert "up to date: paint.safetensors: pix2pix-unet, pairing 'edges', rendered at 64 px" in text
    assert "next: vidtrans stylize VIDEO --model paint.safetensors" in text
    assert "made with other inputs or options" in refuse(capsys, 2, *IMPORT, "paint.pth", "--pairing", "sketch")
    own = ("--set", "pairing.sigma=2", "--set", "card.author=A. P.", "--overwrite")
    assert "made paint.safetensors" in said(capsys, 0, *edges, *own)
    shown = said_json(capsys, "model", "show", "paint")
    assert (shown["pairing"]["settings"]["sigma"], shown["origin"]["family"]) == (2.0, "pix2pix-unet")
    assert shown["ports"]["invert"] is True, "pix2pix learned from dark lines on white"
    text = said(capsys, 0, "model", "show", "paint")
    for line in ("pairing 'edges', rendered at 64 px", "A. P.", "from       pix2pix-unet"):
        assert line in text
    said(capsys, 0, *edges, "--no-invert", "-o", "light.safetensors")
    assert not read_record(Path("light.safetensors")).ports.get("invert", False)


def test_options_beside_a_checkpoint_say_its_size_and_input_and_a_dry_run_makes_nothing(capsys: Capsys) -> None:
    save_experiment(RESNET, Path("horse2zebra"), crop_size=48)
    before = snapshot(Path())
    text = said(capsys, 0, *IMPORT, "horse2zebra", "--dry-run")
    assert "would make horse2zebra.safetensors: resnet, takes the frame itself, rendered at 48 px" in text
    assert "its options are: model cycle_gan" in text
    assert snapshot(Path()) == before
    table = said_json(capsys, *IMPORT, "horse2zebra", "--size", 96)
    assert (table["output"], table["pairing"], table["working_size"]) == ("horse2zebra.safetensors", "aligned", 96)


def test_both_directions_of_cyclegan_have_names_of_their_own(capsys: Capsys) -> None:
    for seed, suffix in enumerate(("G_A", "G_B")):
        save_experiment(RESNET, Path("h2z"), suffix)
        save_variant(RESNET, Path(f"h2z/latest_net_{suffix}.pth"), "zip", seed)
    message = refuse(capsys, 3, *IMPORT, "h2z")
    assert "one for each direction — give one of them: h2z/latest_net_G_A.pth or h2z/latest_net_G_B.pth" in message
    for suffix in ("A", "B"):
        assert said_json(capsys, *IMPORT, f"h2z/latest_net_G_{suffix}.pth")["output"] == f"h2z_{suffix}.safetensors"
    assert Path("h2z_A.safetensors").read_bytes() != Path("h2z_B.safetensors").read_bytes()


def test_a_name_means_the_imported_model_and_not_the_folder_that_it_is_from(capsys: Capsys) -> None:
    save_experiment(UNET, Path("facades"), model="pix2pix")
    said(capsys, 0, *IMPORT, "facades", "--pairing", "edges")
    assert find_model("facades") == Path("facades.safetensors")
    assert find_model("facades/") == Path("facades/latest_net_G.pth")
    with pytest.raises(ModelError, match="no model of this name"):
        find_model("")
    Path("flower.onnx").write_bytes(b"")  # an export of the model that ships, in the current folder
    found = find_model("flower")
    assert found is not None
    assert found.suffix == ".safetensors"


def test_classes_follow_from_the_options_and_another_number_is_refused_with_the_right_one(capsys: Capsys) -> None:
    hd = BY_NAME["hd-global-4-9-instance-36to3-w4"]  # 35 classes, with borders of objects
    save_experiment(hd, Path("street"), label_nc=35, no_instance=False, model="pix2pixHD")
    said(capsys, 0, *IMPORT, "street", "--set", "pairing.clean=false")
    settings = read_record(Path("street.safetensors")).pairing["settings"]
    assert (settings["classes"], settings["boundaries"], settings["clean"]) == (35, True, False)
    checkpoint(BY_NAME["spade-normal-spectral-batch-5labels"])
    remedy = (
        "--pairing labels --set pairing.classes=5 (or 4 and --set pairing.boundaries=true, with borders of objects)"
    )
    assert remedy in refuse(capsys, 2, *IMPORT, "paint.pth")
    wrong = ("--pairing", "labels", "--set", "pairing.classes=7")
    assert remedy in refuse(capsys, 3, *IMPORT, "paint.pth", *wrong)


def test_what_does_not_fit_is_one_line_and_changes_nothing(capsys: Capsys) -> None:
    checkpoint()
    checkpoint(STYLE, "style.pth")
    Path("clip.mkv").write_bytes(b"")
    edges = ("paint.pth", "--pairing", "edges")
    for arguments, status, message in (
        (("paint.pth",), 2, "what its input is made of — vidtrans model import paint.pth --pairing NAME"),
        ((*edges, "-o", "paint.onnx"), 2, "a model is a .safetensors file"),
        ((*edges, "--size", 3), 2, "a short side is 16 to 8192 pixels"),
        (("paint.pth", "--set", "pairing.sigma=2"), 2, "its file does not say what its input is made of"),
        ((*edges, "--embed"), 2, "no other network makes the model's input"),
        ((*edges, "--norms", "stored", "--calibrate", "clip.mkv"), 2, "leave one of them out"),
        (("paint.pth", "--pairing", "labels"), 3, "its network takes 3 channels"),
        (("style.pth", "--norms", "stored"), 2, "no statistics to choose from"),
    ):
        assert message in refuse(capsys, status, *IMPORT, *arguments)


def test_files_that_are_no_models_are_one_line(capsys: Capsys) -> None:
    Path("words.pth").write_text("hello")
    Path("half.pth").write_bytes(checkpoint().read_bytes()[:2000])
    for name in ("words.pth", "half.pth"):
        message = refuse(capsys, 3, *IMPORT, name)
        assert "or it is cut off — copy it again, or see which are known: vidtrans model formats" in message
    assert "no such file" in refuse(capsys, 3, *IMPORT, "nowhere.pth")
    Path("empty").mkdir()
    assert "none of latest_net_G.pth, " in refuse(capsys, 3, *IMPORT, "empty")
    said(capsys, 0, *IMPORT, "paint.pth", "--pairing", "edges")
    assert "vidtrans uses it as it is" in refuse(capsys, 2, *IMPORT, "paint.safetensors")


def test_norms_are_of_each_picture_or_of_the_file_or_of_a_clip(capsys: Capsys) -> None:
    write_clip(Path("clip.mkv"), moving_frames(3, (64, 64)))
    checkpoint()
    found = {}
    for name, options in {"picture": (), "stored": ("--norms", "stored"), "clip": ("--calibrate", "clip.mkv")}.items():
        said(capsys, 0, *IMPORT, "paint.pth", "--pairing", "none", "-o", f"{name}.safetensors", *options)
        generator, record = load_generator(Path(f"{name}.safetensors"))
        found[name] = {k: v for k, v in generator.state_dict().items() if k.endswith("running_mean")}
        assert record.generator["settings"]["norm"] == ("picture" if name == "picture" else "batch")
    assert all(torch.equal(v, found["picture"][k]) for k, v in found["stored"].items())
    assert any(not torch.equal(v, found["stored"][k]) for k, v in found["clip"].items())


def test_an_imported_model_renders_what_its_file_renders_on_the_fly(capsys: Capsys) -> None:
    write_clip(Path("clip.mkv"), moving_frames(3))
    save_experiment(STYLE, Path("folder"), crop_size=48)
    said(capsys, 0, *IMPORT, "folder", "-o", "ours.safetensors")
    ours = rendered(capsys, "ours", "imported")
    theirs = rendered(capsys, "folder/latest_net_G.pth", "direct")
    assert len(ours) == len(theirs) == 3
    assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))
    assert np.ptp(ours[0]) > 0


def test_an_onnx_graph_is_imported_and_not_exported_again(capsys: Capsys) -> None:
    pytest.importorskip("onnxruntime")
    graphs = pytest.importorskip("onnx_graphs")
    graphs.save(Path("turned.onnx"), graphs.painter((0.0, 1.0), (0.0, 1.0)))
    text = said(capsys, 0, *IMPORT, "turned.onnx")
    assert "size: any (other sizes were tried)" in text
    assert "made turned.safetensors: ONNX graph, takes the frame itself, rendered at 512 px" in text
    message = refuse(capsys, 2, "model", "export", "turned", "--format", "onnx")
    assert "its network is an ONNX graph" in message
    larger = [graphs.helper.make_node("Resize", ["x", "", "scales"], ["y"], mode="nearest")]
    graphs.save(Path("x2.onnx"), graphs.model(larger, constants=[graphs.constant("scales", [1, 1, 2, 2])]))
    warning = "each frame is shrunk to 1/2 first: leave --pairing out for results 2 times as large"
    assert warning in said(capsys, 0, *IMPORT, "x2.onnx", "--pairing", "none", "-o", "none.safetensors")
    assert warning not in said(capsys, 0, *IMPORT, "x2.onnx")


def model(pairing: str, channels: int, **settings: Any) -> Path:
    network = build_generator("few-shot", {"channels": 8, "blocks": 1}, channels)
    initialise(network, 0)
    generator, card = {"name": "few-shot", "settings": {"channels": 8, "blocks": 1}}, {"author": "A. Painter"}
    made = {"name": pairing, "settings": settings}
    record = ModelRecord(generator, made, channels, 3, 64, NORMALISATION, {}, card)
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
    assert json.loads(about.custom_metadata_map["vidtrans"])["card"] == {"author": "A. Painter"}
    assert "from -1 to 1" in about.custom_metadata_map["input"]
    for count, height, width in ((1, 5, 7), (2, 33, 20)):
        [output] = session.run(None, {"input": np.zeros((count, 1, height, width), np.float32)})
        assert output.shape == (count, 3, height, width)
    [[name, *sizes]] = [(i.name, *i.shape) for i in session.get_inputs()]
    assert (name, sizes) == ("input", ["N", 1, "H", "W"])


@pytest.mark.thorough
def test_a_grade_is_read_back_without_a_question(capsys: Capsys) -> None:
    pytest.importorskip("onnxruntime")
    write_folder(Path("in"), moving_frames(2))
    make_grade("grade.cube")
    for name, options in (("net.onnx", ()), ("whole.onnx", ("--whole",))):
        said(capsys, 0, "model", "export", "grade.cube", "--format", "onnx", *options, "-o", name)
    made = []
    for name in ("grade.cube", "net.onnx", "whole.onnx"):
        said(capsys, 0, "stylize", "in", "--model", name, "--codec", "png", "-o", f"{name}.out")
        made.append(list(pictures_of(Path(f"{name}.out")).values()))
    assert same(made[0], made[1], within=1)
    assert same(made[0], made[2], within=1)


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
        ((inpaint, "--whole"), "its pairing 'inpaint' cannot be part of a file: the input includes a mask"),
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

    path = model("edges", 1)
    monkeypatch.setattr(builtins, "__import__", missing)
    assert "pip install 'vidtrans[onnx]'" in refuse(capsys, 2, "model", "export", path, "--format", "onnx")
    assert list(Path().glob("*.onnx")) == []
