"""A plug-in of each kind, made of its page in docs/extend: used by commands, in keys and records, and missed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from chain import tiny_flags, vidtrans
from clips import moving_frames, write_clip
from plugin_site import PackageSite, forget_modules

from vidtrans.core.entry_points import GROUPS
from vidtrans.models.formats import load_format
from vidtrans.models.model_file import load_generator

pytestmark = pytest.mark.usefixtures("one_thread")
NETWORKS = tiny_flags("generator", "discriminator", "training")
TRAIN = ["train", "clip.dataset", "-o", "out.safetensors", *NETWORKS, "--set=training.steps=2"]
STYLIZE = ["stylize", "clip.mp4", "-o", "out.mkv", "--set=rendering.size=32"]


class Case(NamedTuple):
    """A command that uses a part: ``page``: of docs/extend; ``result``: what its --json says of the part."""

    page: str
    command: list[str]
    result: dict[str, Any]


CASES = {
    "pairings": Case(
        "pairing", ["make-dataset", "clip.mp4", "-o", "out.dataset", "--pairing", "negative"], {"pairing": "negative"}
    ),
    "generators": Case(
        "generator", [*TRAIN, "--set=generator.name=context", "--set=generator.layers=2"], {"generator": "context"}
    ),
    "losses": Case("loss", [*TRAIN, "--set=training.lambda_edges=10"], {"steps": 2}),
    "training_methods": Case("training-method", [*TRAIN, "--set=training.method=sgd"], {"steps": 2}),
    "flow_methods": Case(
        "flow-method", [*STYLIZE, "--model=look", "--set=temporal.flow=camera"], {"frames_encoded": 6}
    ),
    "filters": Case("temporal-filter", [*STYLIZE, "--model=look", "--temporal=still"], {"frames_encoded": 6}),
    "engines": Case(
        "engine", [*STYLIZE, "--model=look", "--engine=double"], {"engine": "double fp32", "frames_inferred": 6}
    ),
    "model_formats": Case("model-format", [*STYLIZE, "--model=look.npz"], {"frames_inferred": 6}),
}


@pytest.fixture
def site(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[PackageSite]:
    folder = tmp_path_factory.mktemp("site")
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delenv("VIDTRANS_PLUGINS", raising=False)
    forget_modules()
    yield PackageSite(folder)
    forget_modules()


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    """A folder with a clip, a dataset and a model."""
    folder = tmp_path_factory.mktemp("start")
    clip = write_clip(folder / "clip.mp4", moving_frames(6))
    shutil.copy(tiny_model, folder / "look.safetensors")
    cache = f"--cache-dir={folder / '.vidtrans'}"
    vidtrans("make-dataset", clip, "-o", folder / "clip.dataset", cache, *tiny_flags("dataset"))
    return folder


@pytest.fixture
def folder(start: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, to work in."""
    shutil.copytree(start, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def install(site: PackageSite, kind: str, version: str = "1.0") -> None:
    site.install_page(kind, CASES[kind].page, version)


def run(kind: str, *more: str) -> Any:
    """Run the command of a kind; return its table."""
    if kind == "model_formats" and not Path("look.npz").exists():
        load_format("npz").save(Path("look.npz"), *load_generator(Path("look.safetensors")))
    return json.loads(vidtrans(*CASES[kind].command, *more, "--json").stdout)


@pytest.mark.parametrize("kind", CASES)
def test_a_part_does_its_work_and_a_new_version_does_it_again(kind: str, folder: Path, site: PackageSite) -> None:
    install(site, kind)
    first = run(kind)
    assert CASES[kind].result.items() <= first.items()
    assert not first["cached"]
    assert run(kind)["cached"]
    install(site, kind, "1.1")
    again = run(kind, "--overwrite")
    assert not again["cached"]
    assert CASES[kind].result.items() <= again.items()
    assert run(kind)["cached"]
