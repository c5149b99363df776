"""A plug-in of each kind, made of its page in docs/extend: used by commands, in keys and records, and missed."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from chain import tiny_flags, vidtrans
from clips import moving_frames, write_clip
from plugin_site import PackageSite

from vidtrans.models.formats import load_format
from vidtrans.models.model_file import load_generator

pytestmark = pytest.mark.usefixtures("one_thread")
SMALL = tiny_flags("generator")
QUICK = [*tiny_flags("discriminator", "training"), "--set=training.steps=2"]
TRAIN = ["train", "clip.dataset", "-o", "out.safetensors", *QUICK]
STYLIZE = ["stylize", "clip.mp4", "-o", "out.mkv", "--set=rendering.size=32"]
COUNT = 6


class Case(NamedTuple):
    """A command that uses a part: ``page``: of docs/extend; ``result``: what its --json says of the part."""

    page: str
    command: list[str]
    result: dict[str, Any]

    @property
    def package(self) -> str:
        return f"my-{self.page}"


CASES = {
    "pairings": Case(
        "pairing",
        ["make-dataset", "clip.mp4", "-o", "out.dataset", "--pairing=negative", *tiny_flags("dataset")],
        {"pairing": "negative"},
    ),
    "generators": Case(
        "generator",
        [*TRAIN, "--set=generator.name=context", "--set=generator.channels=8", "--set=generator.layers=2"],
        {"generator": "context"},
    ),
    "losses": Case("loss", [*TRAIN, *SMALL, "--set=training.lambda_edges=10"], {"steps": 2}),
    "training_methods": Case("training-method", [*TRAIN, *SMALL, "--set=training.method=sgd"], {"steps": 2}),
    "flow_methods": Case("flow-method", [*STYLIZE, "--model=look", "--set=temporal.flow=camera"], {"frames": COUNT}),
    "filters": Case("temporal-filter", [*STYLIZE, "--model=look", "--temporal=still"], {"frames": COUNT}),
    "engines": Case("engine", [*STYLIZE, "--model=look", "--engine=double"], {"engine": "double fp32"}),
    "segmenters": Case(
        "segmenter",
        ["matte", "clip.mp4", "-o", "out.mkv", "--at=9,9", "--segmenter=colour", "--set=matting.size=64"],
        {"frames": COUNT, "keyframes": [0]},
    ),
    "model_formats": Case("model-format", [*STYLIZE, "--model=look.npz"], {"frames_inferred": COUNT}),
}


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    """A folder with a clip, a dataset and a model."""
    folder = tmp_path_factory.mktemp("start")
    clip = write_clip(folder / "clip.mp4", moving_frames(COUNT))
    shutil.copy(tiny_model, folder / "look.safetensors")
    cache = f"--cache-dir={folder / '.vidtrans'}"
    vidtrans("make-dataset", clip, "-o", folder / "clip.dataset", cache, *tiny_flags("dataset"))
    return folder


@pytest.fixture(autouse=True)
def folder(start: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, to work in."""
    shutil.copytree(start, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def install(package_site: PackageSite, kind: str, version: str = "1.0") -> Case:
    case = CASES[kind]
    package_site.install_page(kind, case.page, version)
    if kind == "model_formats" and not Path("look.npz").exists():
        load_format("npz").save(Path("look.npz"), *load_generator(Path("look.safetensors")))
    return case


def table_of(*command: str) -> Any:
    return json.loads(vidtrans(*command, "--json").stdout)


FIRST = ("pairings", "filters")  # in the first tier; others are used below


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=[] if kind in FIRST else [pytest.mark.thorough]) for kind in CASES]
)
def test_a_part_does_its_work_and_a_new_version_does_it_again(kind: str, package_site: PackageSite) -> None:
    case = install(package_site, kind)
    first = table_of(*case.command)
    assert (case.result | {"cached": False}).items() <= first.items()
    assert table_of(*case.command)["cached"]
    install(package_site, kind, "1.1")
    again = table_of(*case.command, "--overwrite")
    assert (case.result | {"cached": False}).items() <= again.items()
    assert table_of(*case.command)["cached"]


def test_a_model_with_a_part_names_it_and_is_refused_without(package_site: PackageSite) -> None:
    case = install(package_site, "generators")
    vidtrans(*case.command)
    stylize = [*STYLIZE, "--model=out.safetensors"]
    assert table_of(*stylize)["frames_inferred"] == COUNT
    shown = vidtrans("model", "show", "out.safetensors").stdout
    assert f"  plug-in    generator context of {case.package} 1.0\n" in shown

    install(package_site, "generators", "1.1")
    made = table_of(*stylize, "--overwrite")
    assert (made["cached"], made["frames_inferred"]) == (False, COUNT)

    package_site.remove(case.package)
    for command in (stylize, ["model", "show", "out.safetensors"]):
        error = vidtrans(*command, expect=3).stderr
        name = re.escape(f"{case.package} 1.0")
        assert re.fullmatch(rf"error: .* is of the plug-in {name}, which is not installed here — if .*\n", error)


def test_losses_and_methods_are_named_in_the_model_which_renders_without_them(package_site: PackageSite) -> None:
    install(package_site, "losses")
    install(package_site, "training_methods")
    vidtrans(*TRAIN, *SMALL, "--set=training.lambda_edges=10", "--set=training.method=sgd")
    shown = vidtrans("model", "show", "out.safetensors").stdout
    assert "  plug-in    loss edges of my-loss 1.0\n" in shown
    assert "  plug-in    the training method of my-training-method 1.0\n" in shown
    package_site.remove("my-loss")
    package_site.remove("my-training-method")
    assert vidtrans("model", "show", "out.safetensors").stdout == shown
    vidtrans(*STYLIZE, "--model=out.safetensors")
