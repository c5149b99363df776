"""What the pages of ``docs/extend`` say is done: each adds one file and one table line, and uses the part."""

from __future__ import annotations

import csv
import importlib
import re
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chain import TINY, _toml
from clips import decode, moving_frames, write_clip
from extending import PAGES, ROOT, Page, use

import vidtrans as api
from vidtrans.metrics.picture_quality import psnr
from vidtrans.models.model_file import load_generator, read_record, save_model
from vidtrans.models.model_record import NORMALISATION, ModelRecord
from vidtrans.networks.init import build_generator, initialise
from vidtrans.strokes.media import load_medium
from vidtrans.strokes.painter import StrokePainter
from vidtrans.strokes.settings import CURVES, StrokesSettings
from vidtrans.video.images.picture import write_picture

pytestmark = pytest.mark.usefixtures("one_thread")  # as the pages were done
COUNT = 8
Do = Callable[[str], list[dict[str, Any]]]


SLOW = ("loss", "training-method", "look-measure", "discriminator", "generator", "pairing", "executor")
OTHERS = sorted({path.stem for path in PAGES.glob("[!i]*.md")} - {"command", "medium", *SLOW})
QUICK = TINY | {"training": {**TINY["training"], "steps": 1, "lambda_perceptual": 0.0}}
# A method is seen to learn, and a look is learned with settings of its own.
TABLES = {
    "training-method": QUICK | {"training": {**QUICK["training"], "steps": 4}},
    "look-measure": {"dataset": {"size": "48"}, "training": {"steps": 1, "crop_size": 32}},
}
BEFORE = {
    "model-family": "import torch\n"
    "from vidtrans.interop.exporting.checkpoint_file import foreign_state_dict\n"
    "from vidtrans.models.model_file import load_generator\n"
    "from pathlib import Path\n"
    "generator, record = load_generator(Path('../cyclegan.safetensors'))\n"
    "state = foreign_state_dict(record, generator)[1]\n"
    "torch.save({name.replace('model.', 'net.', 1): tensor for name, tensor in state.items()}, 'friend.pth')",
    "export-format": "import shutil; shutil.copy('../cyclegan.safetensors', '.')",
    "model-format": "from pathlib import Path\n"
    "from vidtrans.models.formats import load_format\n"
    "from vidtrans.models.model_file import load_generator\n"
    "load_format('npz').save(Path('look.npz'), *load_generator(Path('look.safetensors')))",
}


def pages_done(model: Path, monkeypatch: pytest.MonkeyPatch, names: Iterable[str]) -> Do:
    """Do what pages say in one process, each in a folder with clips, a dataset, a model and quick settings.

    Return what goes to the folder of a page, and gives what its commands reported.
    """
    start = Path("start")
    (start / "clips").mkdir(parents=True)
    write_clip(start / "clip.mp4", moving_frames(COUNT))
    for name in ("one", "two"):
        write_clip(start / "clips" / f"{name}.mp4", moving_frames(3))
    write_picture(start / "painting.png", moving_frames(1)[0])
    dataset = QUICK | {"dataset": {**TINY["dataset"], "val_fraction": 0.3}}
    api.make_dataset(start / "clip.mp4", start / "clip.dataset", preset="edges", settings=dataset, cache_dir="cache")
    shutil.copy(model, start / "look.safetensors")
    for name, temporal in (("filtered", "window"), ("unfiltered", "off")):
        settings = {"temporal": {"name": temporal}}
        api.stylize(start / "clip.mp4", model, start / f"{name}.mp4", settings=settings, cache_dir="cache")
    write_cyclegan(Path("cyclegan.safetensors"))
    for name in names:
        shutil.copytree(start, name)
        Path(name, "vidtrans.toml").write_text(recipe_text(TABLES.get(name, QUICK)))
        Path(name, "before.py").write_text(BEFORE.get(name, ""))
    found, here = use(list(names)), Path.cwd()

    def done(name: str) -> list[dict[str, Any]]:
        monkeypatch.chdir(here / name)
        assert found[name]["error"] == ""
        results: list[dict[str, Any]] = found[name]["results"]
        return results

    return done


def write_cyclegan(path: Path) -> None:
    """Write a model with CycleGAN's generator, untrained."""
    settings = {"channels": 4, "blocks": 4, "norm": "plain-instance"}
    generator = build_generator("residual", settings, 3)
    initialise(generator, 0)
    table = {"name": "residual", "settings": settings}
    pairing = {"name": "aligned", "settings": {}}
    save_model(path, generator, ModelRecord(table, pairing, 3, 3, 32, NORMALISATION, {}, {}))


def recipe_text(tables: dict[str, dict[str, Any]]) -> str:
    """Return tables as TOML."""
    return "".join(
        f"[{name}]\n" + "".join(f"{key} = {_toml(value)}\n" for key, value in table.items())
        for name, table in tables.items()
    )


def losses(folder: str) -> list[dict[str, float]]:
    with Path(folder, "losses.csv").open() as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def same(one: str, other: str) -> bool:
    """Return whether two videos have the same pictures."""
    pictures = [decode(Path(name))[2] for name in (one, other)]
    return all((a == b).all() for a, b in zip(*pictures, strict=True))


@pytest.mark.thorough
def test_parts_of_a_training_and_workers(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    do = pages_done(tiny_model, monkeypatch, SLOW)
    do("loss")
    rows, training = losses("sharp.train"), read_record(Path("sharp.safetensors")).training
    assert all(row["generator_edges"] > 0 for row in rows)
    assert "G: edges" in Path("sharp.train/report.html").read_text()
    assert training["settings"]["lambda_edges"] == 10
    assert training["losses"].keys() == {"gan", "l1", "discriminator", "edges"}
    do("training-method")
    rows, settings = losses("plain.train"), read_record(Path("plain.safetensors")).training["settings"]
    assert rows[-1]["generator_l1"] < rows[0]["generator_l1"]
    assert {"method": "sgd", "momentum": 0.5}.items() <= settings.items()
    [learned] = do("look-measure")
    assert learned["looks"] == ["painting"]
    assert read_record(Path("waves.safetensors")).training["settings"]["look_measure"] == "gabor"
    do("discriminator")
    assert read_record(Path("fine.safetensors")).training["discriminator"]["name"] == "texture"
    *_, rendered = do("generator")
    assert read_record(Path("far.safetensors")).generator["name"] == "context"
    assert rendered["frames_inferred"] == COUNT
    made, _, rendered = do("pairing")
    assert (made["pairing"], rendered["frames_inferred"]) == ("negative", COUNT)
    [batch] = do("executor")
    assert [Path(item["output"]).stem for item in batch["items"]] == ["one.look", "two.look"]


def test_parts_of_a_render_and_files_of_models(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    do = pages_done(tiny_model, monkeypatch, OTHERS)
    rendered, scores = do("flow-method")
    assert (rendered["frames_encoded"], scores["flow"]) == (COUNT, "camera")
    assert not same("steady.mp4", "filtered.mp4")
    [rendered] = do("temporal-filter")
    assert rendered["frames_encoded"] == COUNT
    assert not same("steady.mp4", "unfiltered.mp4")
    tried, rendered = do("picture-stage")
    assert tried["columns"][-2:] == ["--sepia 0.3", "--sepia 1"]
    first, *_, last = decode(Path("old.mp4"))[2]
    assert np.ptp(last.reshape(-1, 3).mean(0)) > 10  # brown
    plain = decode(Path("unfiltered.mp4"))[2]
    assert psnr(first, plain[0]) > 35  # only the encoder differs
    assert psnr(last, plain[-1]) < psnr(first, plain[0]) - 5
    [rendered] = do("engine")
    assert rendered["engine"].startswith("double")
    [printed] = do("job-format")
    assert printed["format"] == "make"
    assert "clip-1:" in printed["job"]
    [rendered] = do("codec")
    assert (rendered["codec"], rendered["depth"]) == ("prores-lt", 10)
    assert len(decode(Path("small.mov"))[2]) == COUNT
    [cut_out] = do("segmenter")
    assert (cut_out["frames"], cut_out["keyframes"]) == (COUNT, [2])
    shown, _ = do("model-format")
    assert shown["format"] == "npz"
    assert same("look.mp4", "filtered.mp4")
    written, imported = do("export-format")
    assert written["family"] == imported["family"] == "resnet"
    first, again = (load_generator(Path(f"{name}.safetensors"))[0].state_dict() for name in ("cyclegan", "again"))
    assert all((again[name] == tensor).all() for name, tensor in first.items())
    made, _ = do("model-family")
    assert made["family"] == "friends-resnet"
    api.stylize("clip.mp4", "../cyclegan.safetensors", "again.mp4", settings={"rendering": {"size": "256"}})
    assert same("friend.mp4", "again.mp4")


@pytest.mark.thorough
def test_a_medium(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = Page("medium").text
    name, table = re.findall(r"^`(\w+\.toml)`:\n\n```toml\n(.*?)```$", text, re.DOTALL | re.MULTILINE)[0]
    Path(name).write_text(table)
    exec(re.findall(r"```python\n(.*?)```", text, re.DOTALL)[0], {})
    medium = load_medium(name)
    assert list(medium.brushes) == ["mine.png"]
    frame = np.full((72, 96, 3), 40, np.uint8)
    frame[:, 48:] = 220
    painter = StrokePainter(medium, StrokesSettings(), (96, 72), 1)
    tones = painter.paint(0, frame, frame, dict.fromkeys(CURVES, 1.0), starts_shot=True).mean(2)
    assert tones[:, :36].max() < 60  # the bare blackboard
    assert tones[:, 44:52].max() > 150  # the outline
    assert tones[:, 60:].mean() > 90


def test_every_page_is_done_here_and_in_the_index_with_every_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    done = set(re.findall(r"\bdo\(\"([\w-]+)\"\)", Path(__file__).read_text("utf-8"))) | {"medium"}
    # tests/contracts/test_commands.py does the other.
    assert done == {path.stem for path in PAGES.glob("[!i]*.md")} - {"command"}
    monkeypatch.syspath_prepend(ROOT / "docs")
    text, registries = Page("index").text, importlib.import_module("generator.registry_pages").registries()
    assert [name for name in done if f"]({name}.md)" not in text] == []
    assert [name for name, _ in registries if f"`{name}`" not in text] == []
