"""A network as the input side: its pictures in datasets, as a cached stage of renders, in grids, sheets and live."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from chain import TINY, refuse, snapshot, tiny_flags, vidtrans_json
from clips import decode, moving_frames, pictures_of, write_folder
from directed_clip import lossless
from extractors import COLOURS, negative, network, showing
from processes import Started, until

import vidtrans as api
from vidtrans.config.rendering_settings import RenderingSettings
from vidtrans.data.dataset import open_dataset
from vidtrans.errors import Interrupted
from vidtrans.events import Stop
from vidtrans.files import digest_file
from vidtrans.live.live_controls import Controls, ControlState
from vidtrans.live.live_model import LiveModel, SourceFrame
from vidtrans.models.loaded_model import load_model
from vidtrans.models.model_file import read_record
from vidtrans.rendering.extraction import FrameExtractor
from vidtrans.session import Context
from vidtrans.store.chunks import read_lossless
from vidtrans.video.io.clip import Frame

COUNT = 24
LOSSLESS = ("--codec", "ffv1", "--device", "cpu")


@pytest.fixture
def shot() -> Path:
    """A lossless clip of two shots."""
    return lossless(Path("shot.mov"), moving_frames(COUNT, shots=(0, 14)))


def make(*flags: object, network: Path, expect: int = 0) -> Any:
    keep = ("--set=dataset.drop_duplicates=false", "--set=dataset.min_sharpness=0", "--size", "source")
    chosen = ("--pairing", "model", "--set", f"pairing.model={network}")
    return vidtrans_json("make-dataset", "shot.mov", *chosen, *keep, *flags, expect=expect)


def frames_of(path: Path) -> list[np.ndarray]:
    return decode(path)[2]


def render(model: Path, output: str, *flags: object) -> dict[str, Any]:
    plain = () if "--temporal" in flags else ("--temporal", "off")
    return vidtrans_json("stylize", "shot.mov", "--model", model, "-o", output, *LOSSLESS, *plain, *flags)


# Datasets


def test_what_the_network_makes_lies_beside_the_frames_and_is_the_input(shot: Path) -> None:
    table = make(network=negative(Path("net.cube")))
    assert (table["frames"], table["pairing"]) == (COUNT, "model")
    folder = Path("shot.dataset")
    assert sorted(p.name for p in folder.iterdir()) == ["dataset.json", "shot", "shot.extracted"]
    frames, extracted = pictures_of(folder / "shot"), pictures_of(folder / "shot.extracted")
    assert list(frames) == list(extracted)
    assert all(np.array_equal(extracted[name], 255 - frame) for name, frame in frames.items())
    settings = json.loads((folder / "dataset.json").read_text())["pairing"]["settings"]
    assert (settings["model"], settings["digest"]) == ("net", digest_file(Path("net.cube")))
    pair = open_dataset(folder).pairs[0]
    assert [p.parent.name for p in pair.inputs] == ["shot", "shot.extracted"]
    assert pair.target == pair.inputs[0]


def test_a_deleted_picture_of_the_network_drops_its_pair_and_comes_back_when_asked(shot: Path) -> None:
    net = negative(Path("net.cube"))
    before = make(network=net)["pairs"]
    doomed = Path("shot.dataset/shot.extracted/000003.png")
    content = doomed.read_bytes()
    doomed.unlink()
    assert make(network=net)["pairs"] == before - 1
    assert not doomed.exists()
    assert make("--restore", network=net)["pairs"] == before
    assert doomed.read_bytes() == content


def test_the_network_sees_frames_at_its_own_size_or_at_the_one_that_is_set(shot: Path) -> None:
    net, stored, shown = network(Path("net.safetensors")), [], []
    for size in (0, 40):
        make("-o", f"{size}", f"--set=pairing.size={size}", network=net)
        render(showing(Path(f"{size}.safetensors"), net, size=size), f"{size}.mkv", "--size", "source")
        stored.append(next(iter(pictures_of(Path(f"{size}/shot.extracted")).values())))
        shown.append(frames_of(Path(f"{size}.mkv"))[0])
    assert [picture.shape for picture in stored] == [(48, 64, 3)] * 2  # the size of the frames
    assert not np.array_equal(*stored)
    assert all(np.array_equal(a, b) for a, b in zip(stored, shown, strict=True))


def test_a_render_extracts_what_the_dataset_stored(shot: Path) -> None:
    net = network(Path("net.safetensors"))
    make(network=net)
    render(showing(Path("look.safetensors"), net), "out.mkv", "--size", "source")
    stored = list(pictures_of(Path("shot.dataset/shot.extracted")).values())
    assert all(np.array_equal(a, b) for a, b in zip(frames_of(Path("out.mkv")), stored, strict=True))


def test_a_dataset_that_was_stopped_goes_on_without_extracting_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    clip = lossless(Path("long.mov"), moving_frames(70))
    net, seen = network(Path("net.safetensors")), list[int]()
    settings = {"dataset": {"drop_duplicates": False, "size": "32"}, "pairing": {"model": str(net)}}
    whole = FrameExtractor.pictures

    def counted(extractor: FrameExtractor, frames: Iterable[Frame]) -> Iterator[np.ndarray]:
        return whole(extractor, (seen.append(frame.index) or frame for frame in frames))  # type: ignore[func-returns-value]

    monkeypatch.setattr(FrameExtractor, "pictures", counted)
    common: Any = {"pairing": "model", "settings": settings, "device": "cpu"}
    api.make_dataset(clip, "clean", cache_dir=Path("clean-cache"), **common)
    seen.clear()
    stop, report = stop_after(60, "frames")
    with pytest.raises(Interrupted):
        api.make_dataset(clip, "made", stop=stop, report=report, **common)
    seen.clear()
    api.make_dataset(clip, "made", **common)
    assert seen == list(range(50, 70))  # a chunk of 50 was whole
    assert snapshot(Path("made")).keys() == snapshot(Path("clean")).keys()
    pairs = zip(snapshot(Path("made")).items(), snapshot(Path("clean")).values(), strict=True)
    assert all(made == clean for (_, made), clean in pairs)


def test_pictures_of_several_sizes_are_extracted_each_at_its_own(tmp_path: Path) -> None:
    frames = moving_frames(4)
    write_folder(Path("photos"), [f if i % 2 else cv2.resize(f, (96, 60)) for i, f in enumerate(frames)])
    net = negative(Path("net.cube"))
    flags = ("--pairing", "model", "--set", f"pairing.model={net}", "--size", "source")
    vidtrans_json("make-dataset", "photos", *flags, "-o", "made")
    stored = (pictures_of(Path("made/photos")), pictures_of(Path("made/photos.extracted")))
    assert {f.shape for f in stored[0].values()} == {(48, 64, 3), (60, 96, 3)}
    assert all(np.array_equal(stored[1][name], 255 - frame) for name, frame in stored[0].items())


def test_the_chain_from_a_plain_video_to_a_render(shot: Path) -> None:
    net = network(Path("nets/lines.safetensors"))
    flags = ("--set=pairing.channels=grey", "--set=pairing.invert=true", "--set=pairing.size=32")
    make(*flags, network=net)
    training = tiny_flags("generator", "discriminator", "training")
    vidtrans_json("train", "shot.dataset", *training, "--device", "cpu")
    record = read_record(Path("shot.safetensors"))
    assert record.in_channels == 1
    wanted = {"model": "lines", "digest": digest_file(net), "channels": "grey", "invert": True, "size": 32}
    assert record.pairing["settings"] == wanted
    done = vidtrans_json(
        "stylize", "shot.mov", "--model", "shot", "--set", f"pairing.model={net}", "-o", "out.mp4", "--device", "cpu"
    )
    assert (done["frames_extracted"], done["frames_inferred"], done["frames_encoded"]) == (COUNT,) * 3
    assert done["temporal"] == "window"


def test_run_takes_the_network_of_the_dataset_along_to_the_render(shot: Path) -> None:
    net = network(Path("nets/lines.safetensors"))
    chosen = ("--pairing", "model", "--set", f"pairing.model={net}", *tiny_flags(), "--device", "cpu")
    planned = vidtrans_json("run", shot, "--apply", shot, "-o", "out.mp4", *chosen, "--dry-run")
    assert planned["estimate"]["seconds"] > 0
    done = vidtrans_json("run", shot, "--apply", shot, "-o", "out.mp4", *chosen)
    assert (done["frames"], done["cached"]) == (COUNT, False)
    assert vidtrans_json("run", shot, "--apply", shot, "-o", "out.mp4", *chosen)["cached"]


# Renders


def test_a_render_shows_the_network_every_frame(shot: Path) -> None:
    source = frames_of(shot)
    model = showing(Path("look.safetensors"), negative(Path("net.cube")), channels="grey")
    render(model, "out.mkv", "--size", "source", "--temporal", "off")
    for frame, made in zip(source, frames_of(Path("out.mkv")), strict=True):
        grey = cv2.cvtColor(255 - frame, cv2.COLOR_RGB2GRAY)
        assert np.array_equal(made, np.dstack([grey] * 3))


def test_pictures_of_a_network_are_filtered_whatever_the_model_makes_of_them(shot: Path) -> None:
    model = showing(Path("look.safetensors"), negative(Path("net.cube")))
    table = vidtrans_json("stylize", shot, "--model", model, "-o", "out.mkv", *LOSSLESS)
    assert table["temporal"] == "window"


def test_another_codec_extracts_and_infers_nothing(shot: Path) -> None:
    model = showing(Path("look.safetensors"), network(Path("net.safetensors")))
    first = render(model, "one.mkv")
    assert (first["frames_extracted"], first["frames_inferred"]) == (COUNT, COUNT)
    again = render(model, "two.mkv", "--temporal", "window")
    assert (again["frames_extracted"], again["frames_inferred"], again["frames_encoded"]) == (0, 0, COUNT)
    assert render(model, "one.mkv")["frames_extracted"] == 0  # up to date


def test_models_with_the_same_network_share_what_it_made(shot: Path) -> None:
    net = network(Path("net.safetensors"))
    first = render(showing(Path("a.safetensors"), net), "a.mkv")
    second = render(showing(Path("b.safetensors"), net, channels="grey"), "b.mkv", "--size", "source")
    assert (first["frames_extracted"], second["frames_extracted"], second["frames_inferred"]) == (COUNT, 0, COUNT)
    own = render(net, "net.mkv")  # its own render is that stage, too
    assert own["frames_inferred"] == 0
    third = render(showing(Path("c.safetensors"), net, size=24), "c.mkv")
    assert third["frames_extracted"] == COUNT


def test_the_renders_of_two_networks_are_two(shot: Path) -> None:
    for seed in (1, 2):
        net = network(Path(f"{seed}/net.safetensors"), seed=seed)
        assert render(showing(Path(f"{seed}/look.safetensors"), net), f"{seed}.mkv")["frames_extracted"] == COUNT
    assert not np.array_equal(frames_of(Path("1.mkv"))[0], frames_of(Path("2.mkv"))[0])


def test_the_first_model_of_a_chain_may_have_one_and_no_other(shot: Path, capsys: pytest.CaptureFixture[str]) -> None:
    net = negative(Path("net.cube"))
    look = showing(Path("look.safetensors"), net)
    table = render(look, "out.mkv", "--model", net, "--size", "source")
    assert table["frames_extracted"] == table["frames_inferred"] == COUNT
    assert all(np.array_equal(a, b) for a, b in zip(frames_of(shot), frames_of(Path("out.mkv")), strict=True))
    line = refuse(capsys, 2, "stylize", shot, "--model", net, "--model", look, "-o", "other.mkv")
    assert "another network makes its input, of frames of its source" in line


def test_a_damaged_picture_of_the_network_is_made_again(shot: Path, capsys: pytest.CaptureFixture[str]) -> None:
    net = network(Path("net.safetensors"))
    one, chunks = showing(Path("one.safetensors"), net), ("--set=rendering.chunk_frames=7", "--size", "source")
    render(one, "one.mkv", *chunks)
    (stage,) = [p.parent for p in Path(".vidtrans/infer").glob("*/chunk-*") if is_of_size(p, (43, 32))][:1]
    damaged = stage / "chunk-000001.nut"
    damaged.write_bytes(damaged.read_bytes()[:-9] + b"different")
    again = render(showing(Path("two.safetensors"), net, invert=True), "two.mkv", *chunks)
    assert again["frames_extracted"] == 7
    assert all(
        np.array_equal(255 - a, b) for a, b in zip(*map(frames_of, (Path("one.mkv"), Path("two.mkv"))), strict=True)
    )


def is_of_size(chunk: Path, size: tuple[int, int]) -> bool:
    return chunk.suffix == ".nut" and next(read_lossless(chunk)).shape[1::-1] == size


def stop_after(frames: int, task: str) -> tuple[Stop, Callable[[Any], None]]:
    """A request to stop that is made when so many frames of a task are done, and the report that makes it."""
    stop = Stop()

    def report(event: Any) -> None:
        if getattr(event, "task", "").startswith(task) and event.done >= frames:
            stop.request(130)

    return stop, report


def test_an_extraction_that_was_stopped_goes_on_where_it_was(shot: Path) -> None:
    model = showing(Path("look.safetensors"), network(Path("net.safetensors")))
    settings = {"rendering": {"chunk_frames": 7}, "encoding": {"codec": "ffv1"}}
    clean = api.stylize(shot, model, "clean.mkv", settings=settings, device="cpu", cache_dir=Path("clean"))
    stop, report = stop_after(16, "net on")
    with pytest.raises(Interrupted):
        api.stylize(shot, model, "out.mkv", settings=settings, device="cpu", stop=stop, report=report)
    table = api.stylize(shot, model, "out.mkv", settings=settings, device="cpu")
    assert clean["frames_extracted"] == COUNT
    assert table["frames_extracted"] == COUNT - 14  # two chunks were whole
    assert Path("out.mkv").read_bytes() == Path("clean.mkv").read_bytes()


@pytest.mark.parametrize("temporal", ["window", "causal"])
def test_two_processes_extract_and_render_as_one_does(temporal: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from under_test import put_first

    put_first(monkeypatch, Path(__file__).parents[1] / "support" / "short_parts")
    clip = lossless(Path("long.mov"), moving_frames(120, size=(48, 32), shots=(0, 50)))
    model = showing(Path("look.safetensors"), network(Path("net.safetensors")))
    flags = ("--set=rendering.chunk_frames=20", "--temporal", temporal, *LOSSLESS)
    one = vidtrans_json("stylize", clip, "--model", model, *flags, "-o", "one.mkv", "--cache-dir", "one")
    two = vidtrans_json("stylize", clip, "--model", model, *flags, "-o", "two.mkv", "--jobs", "2")
    assert Path("one.mkv").read_bytes() == Path("two.mkv").read_bytes()
    # A frame that repeats the last one is not counted, and at the seam both may need the same chunk.
    assert 100 < one["frames_extracted"] <= two["frames_extracted"]


@pytest.mark.slow
def test_a_killed_extraction_goes_on_and_ends_byte_identical() -> None:
    clip = lossless(Path("long.mov"), moving_frames(160, size=(160, 120), shots=(0, 100)))
    wide = {"name": "unet-small", "settings": {"channels": 24, "blocks": [1, 1, 1]}}
    model = showing(Path("look.safetensors"), network(Path("net.safetensors"), wide, side=112))
    command = [
        "stylize",
        str(clip),
        "--model",
        str(model),
        "-o",
        "out.mkv",
        *LOSSLESS,
        "--set=rendering.chunk_frames=9",
    ]
    wanted = vidtrans_json(*command)
    clean = Path("out.mkv").read_bytes()
    shutil.rmtree(".vidtrans")
    Path("out.mkv").unlink()
    for count in (3, 8):
        kill_at(command, count)
    table = vidtrans_json(*command)
    assert table["frames_extracted"] <= wanted["frames_extracted"] - 8 * 9
    assert Path("out.mkv").read_bytes() == clean


def kill_at(command: list[str], count: int) -> None:
    """Start a command and kill it when so many chunks of raw outputs are stored."""
    process = Started.vidtrans(*command, "-q")

    def is_stored() -> bool:
        assert process.poll() is None, "it ended before it was killed"
        return len(list(Path(".vidtrans/infer").glob("*/chunk-*.json"))) >= count

    until(is_stored)
    process.kill()


def test_a_dry_run_counts_the_extraction_and_touches_nothing(shot: Path) -> None:
    net = network(Path("net.safetensors"))
    model = showing(Path("look.safetensors"), net)
    table = vidtrans_json("stylize", shot, "--model", model, "--dry-run", "--device", "cpu")
    plain = network(Path("plain.safetensors"), COLOURS, name="aligned")
    alone = vidtrans_json("stylize", shot, "--model", plain, "--dry-run", "--device", "cpu")
    assert table["estimate"]["cache_bytes"] > alone["estimate"]["cache_bytes"]
    assert table["estimate"]["disk_bytes"] == pytest.approx(alone["estimate"]["disk_bytes"], rel=0.5)
    assert sorted(p.suffix for p in Path().iterdir()) == [".mov", *[".safetensors"] * 3]
    assert not Path(".vidtrans").exists()


def test_a_folder_of_photographs_is_extracted_one_by_one() -> None:
    frames = moving_frames(3)
    write_folder(Path("photos"), [f if i % 2 else cv2.resize(f, (96, 60)) for i, f in enumerate(frames)])
    model = showing(Path("look.safetensors"), negative(Path("net.cube")))
    table = vidtrans_json("stylize", "photos", "--model", model, "-o", "out", "--size", "source", "--device", "cpu")
    assert table["frames_extracted"] == 3
    sources, made = pictures_of(Path("photos")), pictures_of(Path("out"))
    assert all(np.array_equal(made[name], 255 - frame) for name, frame in sources.items())


def test_a_drawing_is_the_input_itself_and_runs_no_network() -> None:
    page = np.full((60, 80, 3), 250, np.uint8)
    cv2.line(page, (10, 10), (70, 50), (20, 20, 20), 2)
    write_folder(Path("."), [page], ["page.png"])
    model = showing(Path("look.safetensors"), network(Path("net.safetensors")), channels="grey", invert=True)
    flags = ("--size", "source", "--device", "cpu")
    table = vidtrans_json("stylize", "page.png", "--model", model, "-o", "out.png", *flags)
    assert "frames_extracted" not in table
    (made,) = pictures_of(Path("out.png")).values()
    assert made[30, 40, 0] < 64
    assert (made[5] == 255).all()
    other = vidtrans_json("stylize", "page.png", "--model", model, "-o", "found.png", *flags, "--drawn", "no")
    assert other["frames_extracted"] == 1


# Where a network shows what it makes


def test_try_shows_it(shot: Path) -> None:
    net = negative(Path("nets/net.cube"))
    model = showing(Path("look.safetensors"), net)
    vidtrans_json("try", shot, "--model", model, "--set", f"pairing.model={net}", "--frames", 2, "-o", "grid.png")
    grid = pictures_of(Path("grid.png"))["grid.png"]
    first = 255 - frames_of(shot)[6]
    assert contains(grid, first)


def contains(sheet: np.ndarray, picture: np.ndarray) -> bool:
    """Whether a picture stands in a sheet at its own size."""
    found = cv2.matchTemplate(sheet, picture, cv2.TM_SQDIFF)
    return bool(found.min() <= 4 * picture.size)


def test_compare_shows_what_a_model_sees(shot: Path) -> None:
    showing(Path("look.safetensors"), negative(Path("net.cube")), side=48)
    table = vidtrans_json("compare", shot, "--input", "look", "--frames", 1, "-o", "seen.png")
    assert table["panels"] == 2
    seen = 255 - frames_of(shot)[12]
    assert contains(pictures_of(Path("seen.png"))["seen.png"], seen)


def test_a_sheet_shows_what_a_network_makes_of_frames(shot: Path, capsys: pytest.CaptureFixture[str]) -> None:
    net = negative(Path("net.cube"))
    vidtrans_json("sheet", shot, "--pairing", f"model:{net}", "--pairing", "edges", "-n", 1, "-o", "seen.png")
    assert contains(pictures_of(Path("seen.png"))["seen.png"], 255 - frames_of(shot)[12])
    assert "it needs a network" in refuse(capsys, 2, "sheet", shot, "--pairing", "model", "-o", "other.png")
    assert "no such file" in refuse(
        capsys, 3, "sheet", shot, "--pairing", "model:no.onnx.safetensors", "-o", "other.png"
    )


def test_a_live_model_shows_the_network_every_frame(shot: Path) -> None:
    model = load_model(str(showing(Path("look.safetensors"), negative(Path("net.cube")), channels="grey")), Context())
    live = LiveModel(model, RenderingSettings(size="source"), Context(device="cpu"))
    state = ControlState(Controls(model="look", past="off"))
    for frame in frames_of(shot)[:3]:
        painting = live.paint(SourceFrame(frame), state)
        grey = cv2.cvtColor(255 - frame, cv2.COLOR_RGB2GRAY)
        assert np.array_equal(painting.picture, np.dstack([grey] * 3))
        assert np.array_equal(painting.model_input, painting.picture)
        assert np.array_equal(painting.guide, frame)


def test_live_finds_a_network_that_is_given(shot: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from vidtrans.commands.live import Live
    from vidtrans.config.recipe import render_recipe

    net = negative(Path("nets/net.cube"))
    model = showing(Path("look.safetensors"), net)
    recipe = render_recipe(None, {"pairing": {"model": str(net)}})
    loaded = Live((str(model), "identity"), recipe=recipe)._load_models(Context())
    assert loaded["look"].extractor is not None
    assert loaded["identity"].extractor is None


def test_bench_says_that_it_measures_one_network(capsys: pytest.CaptureFixture[str]) -> None:
    showing(Path("look.safetensors"), negative(Path("net.cube")))
    assert "another network, 'net', makes its input" in refuse(capsys, 2, "bench", "--model", "look")


# A network inside of the model file


def test_a_model_with_its_network_inside_needs_nothing_else(shot: Path) -> None:
    net = network(Path("net.safetensors"))
    make(network=net)
    training = tiny_flags("generator", "discriminator", "training")
    vidtrans_json("train", "shot.dataset", *training, "--device", "cpu", "-o", "plain.safetensors")
    done = vidtrans_json("train", "shot.dataset", *training, "--device", "cpu", "--embed", "-o", "whole.safetensors")
    assert vidtrans_json("train", "shot.dataset", *training, "--device", "cpu", "--embed", "-o", "whole.safetensors")[
        "cached"
    ]
    assert done["steps"] == TINY["training"]["steps"]
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
    assert "it needs a network" in refuse(capsys, 2, "make-dataset", shot, "--pairing", "model")
    other = network(Path("other/net.safetensors"), seed=5)
    line = refuse(capsys, 3, "stylize", shot, "--model", model, "--set", f"pairing.model={other}")
    assert f"its content (SHA-256 {digest_file(other)[:12]}…) is not that of the network 'net'" in line
    net.unlink()
    assert "no file here has its content" in refuse(capsys, 3, "stylize", shot, "--model", model)
    flags = ("--pairing", "model", "--set", f"pairing.model={other}", "--set", "pairing.digest=00")
    assert "is not that of the network" in refuse(capsys, 3, "make-dataset", shot, *flags)
    looking_back = network(Path("back.safetensors"), name="next-frame", context_frames=2)
    line = refuse(capsys, 3, "make-dataset", shot, "--pairing", "model", "--set", f"pairing.model={looking_back}")
    assert "it looks at several frames" in line
