"""A network as the input side: its pictures in datasets, as a cached stage of renders, in grids, sheets and live."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from chain import TINY, refuse, tiny_flags, vidtrans_json
from clips import decode, moving_frames, pictures_of, write_folder
from directed_clip import lossless
from extractors import COLOURS, negative, network, showing

import vidtrans as api
from vidtrans.core.files import digest_file
from vidtrans.data.dataset import open_dataset
from vidtrans.models.model_file import read_record

COUNT = 16
LOSSLESS = ("--codec", "ffv1", "--device", "cpu")


@pytest.fixture(scope="module")
def _shot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lossless(tmp_path_factory.mktemp("shot") / "shot.mov", moving_frames(COUNT, shots=(0, 10)))


@pytest.fixture
def shot(_shot: Path) -> Path:
    """A lossless clip of two shots."""
    return Path(shutil.copy2(_shot, "shot.mov"))


def make(*flags: object, network: Path, expect: int = 0) -> Any:
    keep = ("--set=dataset.drop_duplicates=false", "--set=dataset.min_sharpness=0", "--size", "source")
    chosen = ("--pairing", "model", "--set", f"pairing.model={network}")
    return vidtrans_json("make-dataset", "shot.mov", *chosen, *keep, *flags, expect=expect)


def frames_of(path: Path | str) -> list[np.ndarray]:
    return decode(Path(path))[2]


def same(a: Iterable[np.ndarray], b: Iterable[np.ndarray]) -> bool:
    return all(np.array_equal(one, other) for one, other in zip(a, b, strict=True))


def render(model: Path, output: str, *flags: object) -> dict[str, Any]:
    plain = () if "--temporal" in flags else ("--temporal", "off")
    return vidtrans_json("stylize", "shot.mov", "--model", model, "-o", output, *LOSSLESS, *plain, *flags)


# Datasets


def test_what_the_network_makes_lies_beside_the_frames_and_is_the_input(shot: Path) -> None:
    net = negative(Path("net.cube"))
    table = make(network=net)
    assert (table["frames"], table["pairing"]) == (COUNT, "model")
    folder = Path("shot.dataset")
    assert sorted(p.name for p in folder.iterdir()) == ["dataset.json", "shot", "shot.extracted"]
    frames, extracted = pictures_of(folder / "shot"), pictures_of(folder / "shot.extracted")
    assert list(frames) == list(extracted)
    assert same(extracted.values(), (255 - frame for frame in frames.values()))
    settings = json.loads((folder / "dataset.json").read_text())["pairing"]["settings"]
    assert (settings["model"], settings["digest"]) == ("net", digest_file(net))
    pair = open_dataset(folder).pairs[0]
    assert [p.parent.name for p in pair.inputs] == ["shot", "shot.extracted"]
    assert pair.target == pair.inputs[0]
    # A deleted picture of the network drops its pair, and comes back when asked.
    doomed = folder / "shot.extracted/000003.png"
    content = doomed.read_bytes()
    doomed.unlink()
    assert make(network=net)["pairs"] == table["pairs"] - 1
    assert not doomed.exists()
    assert make("--restore", network=net)["pairs"] == table["pairs"]
    assert doomed.read_bytes() == content


@pytest.fixture
def hasty() -> list[str]:
    """Flags of a training that ends at once."""
    return [*tiny_flags("generator", "discriminator", "training"), "--set=training.steps=1", "--device", "cpu"]


def test_the_chain_from_a_plain_video_to_a_render(shot: Path, hasty: list[str]) -> None:
    net = network(Path("nets/lines.safetensors"))
    make("--set=pairing.channels=grey", "--set=pairing.invert=true", "--set=pairing.size=32", network=net)
    vidtrans_json("train", "shot.dataset", *hasty)
    record = read_record(Path("shot.safetensors"))
    assert record.in_channels == 1
    wanted = {"model": "lines", "digest": digest_file(net), "channels": "grey", "invert": True, "size": 32}
    assert record.pairing["settings"] == wanted
    flags = ("--set", f"pairing.model={net}", "-o", "out.mp4", "--device", "cpu")
    done = vidtrans_json("stylize", "shot.mov", "--model", "shot", *flags)
    assert (done["frames_extracted"], done["frames_inferred"], done["frames_encoded"]) == (COUNT,) * 3
    assert done["temporal"] == "window"


# Renders


def test_a_render_shows_the_network_every_frame(shot: Path, capsys: pytest.CaptureFixture[str]) -> None:
    net = negative(Path("net.cube"))
    model = showing(Path("look.safetensors"), net, channels="grey")
    render(model, "out.mkv", "--size", "source")
    wanted = [np.dstack([cv2.cvtColor(255 - frame, cv2.COLOR_RGB2GRAY)] * 3) for frame in frames_of(shot)]
    assert same(frames_of("out.mkv"), wanted)
    line = refuse(capsys, 2, "stylize", shot, "--model", net, "--model", model, "-o", "other.mkv")
    assert "another network makes its input from the frames of its source" in line


def test_what_a_network_made_is_shared_by_models_and_not_by_another_network(shot: Path) -> None:
    net = network(Path("net.safetensors"))
    first, second = showing(Path("a.safetensors"), net), showing(Path("b.safetensors"), net, channels="grey")
    counts = []
    for model, output, *flags in (
        (first, "one.mkv"),
        (first, "one.mkv"),  # up to date
        (second, "b.mkv", "--size", "source"),
        (net, "net.mkv"),  # its own render is that stage, too
    ):
        table = render(model, output, *flags)
        counts.append((table.get("frames_extracted"), table["frames_inferred"]))
    assert counts == [(COUNT, COUNT), (0, 0), (0, COUNT), (None, 0)]
    other = network(Path("other/net.safetensors"), seed=2)
    assert render(showing(Path("other/a.safetensors"), other), "other.mkv")["frames_extracted"] == COUNT
    assert not np.array_equal(frames_of("other.mkv")[0], frames_of("one.mkv")[0])


def test_an_extraction_that_was_stopped_goes_on_where_it_was(shot: Path, stopped: Callable[..., list[str]]) -> None:
    model = showing(Path("look.safetensors"), network(Path("net.safetensors")))
    settings = {"rendering": {"chunk_frames": 5}, "encoding": {"codec": "ffv1"}}
    clean = api.stylize(shot, model, "clean.mkv", settings=settings, device="cpu", cache_dir=Path("clean"))
    stopped(api.stylize, "net on", 12, shot, model, "out.mkv", settings=settings, device="cpu")
    table = api.stylize(shot, model, "out.mkv", settings=settings, device="cpu")
    assert clean["frames_extracted"] == COUNT
    assert table["frames_extracted"] == COUNT - 10  # two chunks were whole
    assert Path("out.mkv").read_bytes() == Path("clean.mkv").read_bytes()


def test_a_dry_run_counts_the_extraction_and_touches_nothing(shot: Path) -> None:
    model = showing(Path("look.safetensors"), network(Path("net.safetensors")))
    plain = network(Path("plain.safetensors"), COLOURS, name="aligned")
    with_network, alone = (
        vidtrans_json("stylize", shot, "--model", one, "--dry-run", "--device", "cpu")["estimate"]
        for one in (model, plain)
    )
    assert with_network["cache_bytes"] > alone["cache_bytes"]
    assert with_network["disk_bytes"] == pytest.approx(alone["disk_bytes"], rel=0.5)
    assert not Path(".vidtrans").exists()


def test_photographs_are_extracted_each_at_its_own_size() -> None:
    frames = moving_frames(4)
    write_folder(Path("photos"), [f if i % 2 else cv2.resize(f, (96, 60)) for i, f in enumerate(frames)])
    net, source = negative(Path("net.cube")), ("--size", "source")
    vidtrans_json("make-dataset", "photos", "--pairing", "model", f"--set=pairing.model={net}", *source, "-o", "made")
    stored, extracted = pictures_of(Path("made/photos")), pictures_of(Path("made/photos.extracted"))
    assert {f.shape for f in stored.values()} == {(48, 64, 3), (60, 96, 3)}
    assert same(extracted.values(), (255 - frame for frame in stored.values()))
    model = showing(Path("look.safetensors"), net)
    table = vidtrans_json("stylize", "photos", "--model", model, "-o", "out", *source, "--device", "cpu")
    assert table["frames_extracted"] == 4
    assert same(pictures_of(Path("out")).values(), (255 - f for f in pictures_of(Path("photos")).values()))


# Where a network shows what it makes


def contains(sheet: str, picture: np.ndarray) -> bool:
    """Whether a picture stands in a sheet at its own size."""
    found = cv2.matchTemplate(pictures_of(Path(sheet))[sheet], picture, cv2.TM_SQDIFF)
    return bool(found.min() <= 4 * picture.size)


def test_grids_comparisons_and_sheets_show_what_a_network_makes(shot: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frames, net = frames_of(shot), negative(Path("nets/net.cube"))
    model = showing(Path("look.safetensors"), net, side=48)
    vidtrans_json("try", shot, "--model", model, f"--set=pairing.model={net}", "--frames", 2, "-o", "grid.png")
    assert contains("grid.png", 255 - frames[4])
    given = shutil.copy(net, "net.cube")
    table = vidtrans_json("compare", shot, "--input", "look", "--frames", 1, "-o", "both.png")
    assert table["panels"] == 2
    assert contains("both.png", 255 - frames[8])
    vidtrans_json("sheet", shot, "--pairing", f"model:{given}", "--pairing", "edges", "-n", 1, "-o", "seen.png")
    assert contains("seen.png", 255 - frames[8])
    for pairing, status, why in (("model", 2, "it needs a network"), ("model:no.onnx.safetensors", 3, "no such file")):
        assert why in refuse(capsys, status, "sheet", shot, "--pairing", pairing, "-o", "other.png")


# A network inside of the model file


def test_a_model_with_its_network_inside_needs_nothing_else(shot: Path, hasty: list[str]) -> None:
    net = network(Path("net.safetensors"))
    make(network=net)
    vidtrans_json("train", "shot.dataset", *hasty, "-o", "plain.safetensors")
    embedded = ("train", "shot.dataset", *hasty, "--embed", "-o", "whole.safetensors")
    assert [vidtrans_json(*embedded)["cached"] for _ in range(2)] == [False, True]
    render(Path("plain.safetensors"), "plain.mkv")
    net.unlink()
    shutil.rmtree(".vidtrans")
    table = render(Path("whole.safetensors"), "whole.mkv")
    assert table["frames_extracted"] == COUNT
    assert Path("whole.mkv").read_bytes() == Path("plain.mkv").read_bytes()
    shown = vidtrans_json("model", "show", "whole")
    assert shown["extractor"]["pairing"]["name"] == "edges"


def test_embedding_wants_a_network_that_makes_the_input_and_is_there(
    shot: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    net = negative(Path("net.cube"))
    make(network=net)
    net.unlink()
    assert "put it beside the dataset" in refuse(capsys, 3, "train", "shot.dataset", "--embed")
    api.make_dataset(shot, "lines", pairing="edges", settings={"dataset": TINY["dataset"]})
    assert "is made by no network" in refuse(capsys, 2, "train", "lines", "--embed")


# Mistakes


def test_mistakes_are_one_line(shot: Path, capsys: pytest.CaptureFixture[str]) -> None:
    net = network(Path("net.safetensors"))
    model = showing(Path("look.safetensors"), net)
    assert "another network, 'net', makes its input" in refuse(capsys, 2, "bench", "--model", "look")
    assert "it needs a network" in refuse(capsys, 2, "make-dataset", shot, "--pairing", "model")
    other = network(Path("other/net.safetensors"), seed=5)
    line = refuse(capsys, 3, "stylize", shot, "--model", model, "--set", f"pairing.model={other}")
    assert f"its content (SHA-256 {digest_file(other)[:12]}…) differs from the required network 'net'" in line
    net.unlink()
    assert "no file with its content was found" in refuse(capsys, 3, "stylize", shot, "--model", model)
    flags = ("--pairing", "model", "--set", f"pairing.model={other}", "--set", "pairing.digest=00")
    assert "differs from the required network" in refuse(capsys, 3, "make-dataset", shot, *flags)
    looking_back = network(Path("back.safetensors"), name="next-frame", context_frames=2)
    line = refuse(capsys, 3, "make-dataset", shot, "--pairing", "model", "--set", f"pairing.model={looking_back}")
    assert "its input includes several frames" in line
