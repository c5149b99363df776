"""What every model format does: whole files come back, bad ones are refused."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from chain import refuse, said, said_json
from clips import decode, moving_frames, write_clip
from hostile_models import bad_models

from vidtrans.core.errors import ModelError
from vidtrans.models.formats import FORMATS, NATIVE, ModelFormat, detect_format, load_format
from vidtrans.models.model_file import find_model, list_models, load_generator, read_record

WRITABLE = [name for name in FORMATS if FORMATS.load(name).save is not ModelFormat.save]
each_writable = pytest.mark.parametrize("writable", WRITABLE)
FOREIGN = {"nothing", "seven-bytes", "an-empty-header", "no-tensors", "200,000-tensors", "deep-header", "a-zip"}
PICKLES = {"a-pickle", "a-pickle-of-torch"}  # the format of checkpoints says what is wrong with them


@pytest.fixture(scope="module")
def hostile_models(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Bad models, each a file."""
    folder, here = tmp_path_factory.mktemp("hostile_models"), Path.cwd()
    os.chdir(folder)
    try:
        return [path.absolute() for path in bad_models(tiny_model)]
    finally:
        os.chdir(here)


def weights(path: Path) -> dict[str, Any]:
    return dict(load_generator(path)[0].state_dict())


@each_writable
def test_a_saved_model_comes_back_ready_to_render_by_any_name_and_is_refused_where_it_is_cut_off(
    writable: str, tiny_model: Path
) -> None:
    kind = load_format(writable)
    paths = [Path(f"{name}{kind.suffixes[0]}") for name in ("first", "second")]
    kind.save(paths[0], *load_generator(tiny_model))
    kind.save(paths[1], *kind.load(paths[0]))
    data = paths[0].read_bytes()
    assert data == paths[1].read_bytes()
    assert sorted(p.name for p in Path().iterdir()) == [p.name for p in paths]
    assert kind.read_record(paths[0]) == kind.load(paths[0])[1] == read_record(tiny_model) == read_record(paths[0])
    before, after = weights(tiny_model), weights(paths[0])
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    other = paths[0].rename("look.jpg")
    assert [name for name in FORMATS if load_format(name).detect(other)] == [writable] == [detect_format(other)]
    generator, record = load_generator(other)
    assert not generator.training
    assert not any(parameter.requires_grad for parameter in generator.parameters())
    assert generator(torch.zeros(1, record.in_channels, 32, 32)).shape == (1, 3, 32, 32)
    for length in (0, 7, 8, 200, len(data) // 2, len(data) - 1):
        Path("cut").write_bytes(data[:length])
        with pytest.raises(ModelError, match="cut"):
            load_generator(Path("cut"))


@pytest.mark.parametrize("every", FORMATS)
def test_bad_files_are_not_detected_unless_they_say_that_they_are_of_the_format(
    every: str, hostile_models: list[Path]
) -> None:
    assert len(hostile_models) > 70
    assert {path.stem for path in hostile_models} > FOREIGN | PICKLES
    claimed = {path.stem for path in hostile_models if load_format(every).detect(path)}
    everything = {path.stem for path in hostile_models}
    assert claimed == {NATIVE: everything - FOREIGN - PICKLES, "checkpoint": PICKLES}.get(every, set())


def test_a_file_of_no_format_is_refused_with_where_the_known_ones_are_listed(
    hostile_models: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    for path in (path for path in hostile_models if path.stem in FOREIGN):
        assert "vidtrans model formats" in refuse(capsys, 3, "model", "show", path)


@each_writable
def test_a_model_of_any_format_is_found_shown_and_rendered(
    writable: str, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip, path = (
        write_clip(Path("clip.mp4"), moving_frames(3)),
        Path(f"models/other{load_format(writable).suffixes[0]}"),
    )
    path.parent.mkdir()
    load_format(writable).save(path, *load_generator(tiny_model))
    assert find_model("other") == list_models()["other"] == path
    listed = said_json(capsys, "model", "list")
    assert listed["models"]["other"] == str(path)
    assert set(listed["formats"]) == set(FORMATS)
    assert said_json(capsys, "model", "show", "other")["format"] == writable
    frames = []
    for model in ("other", tiny_model):
        flags = ("--model", model, "--size", 32, "--codec", "ffv1", "-o", "o.mkv", "--overwrite")
        said(capsys, 0, "stylize", clip, *flags)
        frames.append(decode(Path("o.mkv"))[2])
    assert all((one == other).all() for one, other in zip(*frames, strict=True))
