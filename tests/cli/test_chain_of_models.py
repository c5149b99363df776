"""``vidtrans stylize --model a --model b``: several models, one after the other, in one pass."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chain import refuse, said, said_json
from clips import decode, moving_frames, sound_packets, times, write_clip
from directed_clip import EXACT, FLAGS, lossless, same
from made_models import make_grade, make_model

import vidtrans as api

pytestmark = pytest.mark.usefixtures("one_thread")
Capsys = pytest.CaptureFixture[str]
COUNT = 16


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with models, a clip and ``plain.mkv``, the clip by ``lines`` and ``tone``, with the cache of that.

    ``lines`` paints lines, ``tone`` frames, ``looks`` has two looks, and ``dark`` is a colour table.
    """
    folder = tmp_path_factory.mktemp("prepared")
    make_model(str(folder / "lines.safetensors"), "edges", seed=1)
    make_model(str(folder / "tone.safetensors"), "aligned", seed=2)
    make_model(str(folder / "looks.safetensors"), "look", {"looks": ["ink", "oil"]}, seed=3)
    make_grade(str(folder / "dark.cube"))
    clip = lossless(folder / "c.mkv", moving_frames(COUNT))
    models = [folder / f"{name}.safetensors" for name in ("lines", "tone")]
    api.stylize(clip, models, folder / "plain.mkv", settings=EXACT, cache_dir=folder / ".vidtrans")
    return folder


@pytest.fixture
def models(prepared: Path) -> None:
    shutil.copytree(prepared, Path(), dirs_exist_ok=True)


@pytest.fixture
def source(models: None) -> Path:
    return Path("c.mkv")


def frames(path: str) -> list[np.ndarray]:
    return decode(Path(path))[2]


def chained(*names: str) -> list[str]:
    return [word for name in names for word in ("--model", name)]


def render(capsys: Capsys, source: object, names: tuple[str, ...], output: str, *flags: object) -> dict[str, Any]:
    return said_json(capsys, "stylize", source, *chained(*names), "-o", output, *(flags or FLAGS))


def test_one_pass_is_the_models_in_turn_with_lossless_files_between(source: Path, capsys: Capsys) -> None:
    names = ("tone", "lines", "dark")
    table = render(capsys, source, names, "chain.mkv")
    assert (table["model"], table["frames"], table["frames_inferred"]) == ("+".join(names), COUNT, COUNT)
    shown: object = source
    for number, name in enumerate(names):
        render(capsys, shown, (name,), f"{number}.mkv")
        shown = f"{number}.mkv"
    assert np.std(frames(str(shown))[0]) > 3
    assert same(frames("chain.mkv"), frames(str(shown)))
    assert render(capsys, source, names, "chain.mkv")["cached"] is True
    make_model("lines.safetensors", "edges", seed=9)
    assert "it exists" in refuse(capsys, 2, "stylize", source, *chained(*names), "-o", "chain.mkv", *FLAGS)
    assert render(capsys, source, names, "chain.mkv", "--overwrite", *FLAGS)["frames_inferred"] == COUNT
    assert not same(frames("chain.mkv"), frames(str(shown)))


def test_the_filter_comes_once_at_the_end_with_sound_times_and_a_name(models: None, capsys: Capsys) -> None:
    clip = write_clip(Path("c.mp4"), moving_frames(COUNT, shots=(0, 9)), sound=True)
    table = said_json(capsys, "stylize", clip, *chained("lines", "tone"), "--size", "source")
    assert (table["output"], table["temporal"], table["shots"]) == ("c.lines+tone.mp4", "window", 2)
    assert times(Path("c.lines+tone.mp4")) == times(clip)
    assert [data for _, data in sound_packets(Path("c.lines+tone.mp4"))] == [data for _, data in sound_packets(clip)]
    said(capsys, 0, "stylize", clip, *chained("lines", "tone"), *FLAGS, "-o", "raw.mkv")
    said(capsys, 0, "stylize", clip, *chained("lines", "tone"), *FLAGS[:2], *FLAGS[4:], "-o", "calm.mkv")
    said(capsys, 0, "deflicker", "raw.mkv", "--source", clip, "-o", "after.mkv", "--codec", "ffv1")
    # Of a lossy source both read the same frames; a filter between the models would differ by far more.
    assert same(frames("calm.mkv"), frames("after.mkv"), within=1)
    assert not same(frames("calm.mkv"), frames("raw.mkv"), within=4)
    make_grade("warm.cube", 0.7)
    table = said_json(capsys, "stylize", clip, *chained("dark", "warm"), "--dry-run")
    assert (table["output"], table["temporal"], table["working_size"]) == ("c.dark+warm.mp4", "off", [64, 48])


@pytest.mark.thorough
def test_a_setting_of_the_pairing_is_for_the_first_model(source: Path, capsys: Capsys) -> None:
    few = ("--set=pairing.density=0.02", *FLAGS)
    render(capsys, source, ("lines",), "a.mkv", *few)
    render(capsys, "a.mkv", ("tone",), "b.mkv")
    render(capsys, source, ("lines", "tone"), "few.mkv", *few)
    assert same(frames("few.mkv"), frames("b.mkv"))
    assert not same(frames("few.mkv"), frames("plain.mkv"))
    line = refuse(capsys, 2, "stylize", source, *chained("tone", "lines"), "--set=pairing.density=0.02", "-o", "x.mkv")
    assert "pairing" in line


INLINE = ("--executor", "inline")  # to start a worker process takes seconds
LIST = """
model = ["lines", "tone"]
[[clips]]
source = "c.mkv"
[[clips]]
source = "c.mkv"
output = "graded.mkv"
model = ["lines", "dark"]
[[clips]]
source = "c.mkv"
model = "tone"
"""


def test_lists_and_folders_of_clips(source: Path, capsys: Capsys) -> None:
    Path("night.toml").write_text(LIST)
    table = said_json(capsys, "stylize", "night.toml", "-o", "out", *FLAGS, *INLINE)
    assert [Path(item["output"]).name for item in table["items"]] == ["c.lines+tone.mkv", "graded.mkv", "c.tone.mkv"]
    render(capsys, source, ("lines", "dark"), "alone.mkv")
    assert same(frames("out/graded.mkv"), frames("alone.mkv"))
    Path("night.toml").write_text(LIST.replace('model = "tone"', ""))
    table = said_json(capsys, "stylize", "night.toml", *chained("tone", "dark"), "-o", "flags", *FLAGS, *INLINE)
    assert [item["model"] for item in table["items"]] == ["tone+dark"] * 3
    for wrong in ("3", "[3]", '[["a"]]', "[]"):
        Path("wrong.toml").write_text(f'model = {wrong}\n[[clips]]\nsource = "c.mkv"')
        assert "model" in refuse(capsys, 2, "stylize", "wrong.toml", "-o", "w")


def test_a_variable_names_models_as_path_does(source: Path, capsys: Capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    make_model("my tone.safetensors", "aligned", seed=2)
    monkeypatch.setenv("VIDTRANS_STYLIZE_MODEL", os.pathsep.join(["lines", "my tone"]))
    assert said_json(capsys, "stylize", source, *FLAGS)["output"] == "c.lines+my tone.mkv"


def test_what_cannot_be_in_a_chain_is_refused_in_a_line(source: Path, capsys: Capsys) -> None:
    make_model("hole.safetensors", "inpaint")
    for names, flags, status, text in (
        (("lines", "nowhere"), (), 3, "no model of this name"),
        (("lines", "c.mkv"), (), 3, "c.mkv"),
        (("lines", "hole"), (), 2, "model 'hole' in a chain: it paints only where the mask is"),
        (("lines", "tone"), ("--look", "ink"), 2, "--look: 'lines+tone' was not made by 'vidtrans look'"),
        (("looks", "looks"), ("--look", "ink"), 2, "--look: 'looks' and 'looks' were made by 'vidtrans look'"),
        (("looks", "looks"), ("--stroke-size", "1"), 2, "--stroke-size: 'looks' and 'looks'"),
        (("lines", "looks"), ("--look", "pencil"), 2, "pencil"),
        (("tone", "lines"), ("--drawn", "yes"), 2, "pairing 'aligned' takes no drawings"),
    ):
        assert text in refuse(capsys, status, "stylize", source, *chained(*names), *flags, "-o", "o.mkv")
