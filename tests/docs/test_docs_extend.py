"""What the pages of ``docs/extend`` say is done: each adds one file and one table line to a copy of the checkout."""

from __future__ import annotations

import csv
import importlib
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from chain import TINY, _toml
from clips import decode, moving_frames, write_clip
from extending import PAGES, ROOT, Page, add, copy_checkout, use

import vidtrans as api
from vidtrans.models.model_file import read_record
from vidtrans.video.images.picture import write_picture

COUNT = 16


@pytest.fixture
def tree(tmp_path: Path, tiny_model: Path) -> Path:
    """Return a copy of the checkout, apart from this folder, which has clips, a dataset, a model and quick settings."""
    clip = write_clip(Path("clip.mp4"), moving_frames(COUNT))
    Path("clips").mkdir()
    for name in ("one", "two"):
        write_clip(Path("clips") / f"{name}.mp4", moving_frames(6))
    api.make_dataset(clip, settings=TINY)
    shutil.copy(tiny_model, "look.safetensors")
    tables = TINY | {"training": {**TINY["training"], "steps": 4}}
    Path("vidtrans.toml").write_text(recipe_text(tables))
    return copy_checkout(tmp_path / "checkout")


def recipe_text(tables: dict[str, dict[str, Any]]) -> str:
    """Return tables as TOML."""
    return "".join(
        f"[{name}]\n" + "".join(f"{key} = {_toml(value)}\n" for key, value in table.items())
        for name, table in tables.items()
    )


def do(name: str, tree: Path, before: str = "") -> list[dict[str, Any]]:
    """Do what a page says, and return what its commands report."""
    page = Page(name)
    add(page, tree)
    return use(page, tree, before)


def losses(folder: str) -> list[dict[str, float]]:
    with Path(folder, "losses.csv").open() as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def same(one: str, other: str) -> bool:
    """Return whether two videos have the same pictures."""
    pictures = [decode(Path(name))[2] for name in (one, other)]
    return all((a == b).all() for a, b in zip(*pictures, strict=True))


def test_a_loss(tree: Path) -> None:
    do("loss", tree)
    rows = losses("sharp.train")
    assert list(rows[0]) == ["step", "generator_gan", "generator_l1", "discriminator", "generator_edges"]
    assert all(row["generator_edges"] > 0 for row in rows)
    assert "G: edges" in Path("sharp.train/report.html").read_text()
    training = read_record(Path("sharp.safetensors")).training
    assert training["settings"]["lambda_edges"] == 10
    assert training["losses"].keys() == {"gan", "l1", "discriminator", "edges"}


def test_a_training_method(tree: Path) -> None:
    do("training-method", tree)
    rows = losses("plain.train")
    assert list(rows[0]) == ["step", "generator_gan", "generator_l1"]
    assert rows[-1]["generator_l1"] < rows[0]["generator_l1"]
    settings = read_record(Path("plain.safetensors")).training["settings"]
    assert {"method": "sgd", "momentum": 0.5}.items() <= settings.items()


def test_a_look_measure(tree: Path) -> None:
    tables = {"dataset": {"size": "48"}, "training": {"steps": 4, "crop_size": 32}, "generator": {"channels": 4}}
    Path("vidtrans.toml").write_text(recipe_text(tables))
    write_picture(Path("painting.png"), moving_frames(1)[0])
    [learned] = do("look-measure", tree)
    assert learned["looks"] == ["painting"]
    assert read_record(Path("waves.safetensors")).training["settings"]["look_measure"] == "gabor"


def test_a_generator(tree: Path) -> None:
    *_, rendered = do("generator", tree)
    assert read_record(Path("far.safetensors")).generator["name"] == "context"
    assert rendered["frames_inferred"] == COUNT


def test_a_discriminator(tree: Path) -> None:
    do("discriminator", tree)
    assert read_record(Path("fine.safetensors")).training["discriminator"]["name"] == "texture"
    assert losses("fine.train")[-1]["discriminator"] > 0


def test_a_pairing(tree: Path) -> None:
    made, _, rendered = do("pairing", tree)
    assert made["pairing"] == "negative"
    assert rendered["frames_inferred"] == COUNT


def test_a_flow_method(tree: Path) -> None:
    rendered, scores = do("flow-method", tree)
    assert rendered["frames_encoded"] == COUNT
    assert scores["flow"] == "camera"
    api.stylize("clip.mp4", "look", "other.mp4")
    assert not same("steady.mp4", "other.mp4")


def test_a_temporal_filter(tree: Path) -> None:
    [rendered] = do("temporal-filter", tree)
    assert rendered["frames_encoded"] == COUNT
    api.stylize("clip.mp4", "look", "unfiltered.mp4", settings={"temporal": {"name": "off"}})
    assert not same("steady.mp4", "unfiltered.mp4")


def test_an_engine(tree: Path) -> None:
    [rendered] = do("engine", tree)
    assert rendered["engine"].startswith("double")


def test_an_executor(tree: Path) -> None:
    [batch] = do("executor", tree)
    assert [Path(item["output"]).stem for item in batch["items"]] == ["one.look", "two.look"]
    assert all(Path(item["output"]).is_file() for item in batch["items"])


def test_a_model_format(tree: Path) -> None:
    before = "from vidtrans.models.formats import load_format\nfrom vidtrans.models.model_file import load_generator\n"
    before += (
        "from pathlib import Path\nload_format('npz').save(Path('look.npz'), *load_generator(Path('look.safetensors')))"
    )
    shown, _ = do("model-format", tree, before)
    assert shown["format"] == "npz"
    api.stylize("clip.mp4", "look.safetensors", "again.mp4")
    assert same("look.mp4", "again.mp4")


def test_a_codec(tree: Path) -> None:
    [rendered] = do("codec", tree)
    assert (rendered["codec"], rendered["depth"]) == ("prores-lt", 10)
    assert len(decode(Path("small.mov"))[2]) == COUNT


def test_every_page_is_done_here() -> None:
    done = set(re.findall(r"\bdo\(\"([\w-]+)\", tree", Path(__file__).read_text("utf-8")))
    assert done == {path.stem for path in PAGES.glob("*.md")} - {"index"}


def test_the_index_lists_every_page_and_every_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "docs")
    text = Page("index").text
    assert [path.name for path in PAGES.glob("[!i]*.md") if f"]({path.name})" not in text] == []
    assert [name for name, _ in importlib.import_module("generate").registries() if f"`{name}`" not in text] == []
