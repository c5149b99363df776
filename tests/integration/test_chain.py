"""The main job from end to end, driven as a person would drive it."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from chain import quick_training, snapshot, tiny_flags, vidtrans, vidtrans_json, vidtrans_process
from clips import decode, moving_frames, sound_packets, times, write_clip
from under_test import put_first

import vidtrans as api
from vidtrans.config.recipe import render_recipe
from vidtrans.data.dataset import open_dataset
from vidtrans.models.model_file import read_record
from vidtrans.session import Context
from vidtrans.stylizing.requested_render import stylize
from vidtrans.stylizing.requests import StylizeRequest

TRAINING = [*tiny_flags("generator", "discriminator", "training"), "--set=training.steps=4"]


@pytest.fixture(scope="module")
def _chain(_clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("chain")
    shutil.copy(_clip, folder)
    with contextlib.chdir(folder):
        vidtrans("make-dataset", "clip.mp4", *tiny_flags("dataset"))
        vidtrans("train", "clip.dataset", *TRAINING)
    return folder


@pytest.fixture
def chain(_chain: Path, tmp_path: Path) -> Path:
    """clip.mp4 with a dataset and a model made from it."""
    shutil.copytree(_chain, tmp_path, dirs_exist_ok=True)
    return Path("clip.mp4")


def test_the_chain_keeps_frames_times_size_and_sound_and_a_changed_option_runs_only_what_depends_on_it(
    chain: Path,
) -> None:
    table = vidtrans_json("stylize", chain, "--model", "clip", *tiny_flags("rendering"))
    output = Path(table["output"])
    assert (output, table["frames"], table["cached"]) == (Path("clip.clip.mp4"), 40, False)
    assert times(output) == times(chain)
    assert decode(output)[2][0].shape == (48, 64, 3)
    assert sound_packets(output) == sound_packets(chain)
    assert not [p for p in Path().iterdir() if "partial" in p.name]
    counts, settings = [], {"rendering": {"chunk_frames": 10}}
    for name, changed in (("a", {}), ("b", {"temporal": {"name": "off"}}), ("c", {"rendering": {"size": "16"}})):
        table = api.stylize(chain, "clip", f"{name}.mp4", settings=settings | changed)
        counts.append((table["frames_inferred"], table["frames_encoded"]))
    assert counts == [(0, 0), (0, 40), (40, 40)]
    assert Path("a.mp4").read_bytes() == output.read_bytes()


def test_each_step_says_up_to_date_the_second_time_and_does_not_import_torch(
    chain: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    render = ("stylize", chain, "--model", "clip", *tiny_flags("rendering"), "--temporal", "off")
    vidtrans(*render)
    before = snapshot(Path())
    Path("no_torch/torch").mkdir(parents=True)
    Path("no_torch/torch/__init__.py").write_text("raise ImportError('torch must not be imported for this')\n")
    shutil.copy(Path(torch.__file__).with_name("version.py"), "no_torch/torch")  # says whether it may use a GPU
    put_first(monkeypatch, Path("no_torch").resolve())
    for step in (("make-dataset", chain, *tiny_flags("dataset")), ("train", "clip.dataset", *TRAINING), render):
        done = vidtrans_process(*step)
        assert "up to date" in done.stdout
    assert {k: v for k, v in snapshot(Path()).items() if not k.startswith("no_torch")} == before


def test_a_render_as_a_whole_in_chunks_and_on_other_thread_counts_is_bit_identical(chain: Path) -> None:
    renders = {}
    for name, chunk, threads in (("whole", 1000, 1), ("chunks", 7, 2)):
        recipe = render_recipe(
            None, {"rendering": {"chunk_frames": chunk, "size": "32"}, "encoding": {"codec": "ffv1"}}
        )
        context = Context(decode_threads=threads, cache_dir=Path(f"cache-{name}"))
        stylize(StylizeRequest(chain, ("clip",), Path(f"{name}.mkv"), recipe), context)
        renders[name] = decode(Path(f"{name}.mkv"))
    assert times(Path("chunks.mkv")) == times(Path("whole.mkv"))
    assert all(np.array_equal(a, b) for a, b in zip(renders["chunks"][2], renders["whole"][2], strict=True))


def test_next_frame_pairs_never_span_a_cut_and_the_model_renders(clip: Path) -> None:
    vidtrans("make-dataset", clip, "--pairing", "next-frame", "--set=pairing.context_frames=2", *tiny_flags("dataset"))
    dataset = open_dataset(Path("clip.dataset"))
    assert dataset.preset == "next-frame"
    for pair in dataset.pairs:
        numbers = [int(p.stem) for p in (*pair.inputs, pair.target)]
        assert numbers == list(range(numbers[0], numbers[0] + 3))
        assert all(n < 25 for n in numbers) or all(n >= 25 for n in numbers)
    api.train("clip.dataset", settings=quick_training(1))
    assert read_record(Path("clip.safetensors")).in_channels == 6
    table = vidtrans_json("stylize", clip, "--model", "clip", "--temporal", "off")
    assert table["frames"] == 40
    assert times(Path(table["output"])) == times(clip)


def test_run_does_the_whole_chain_and_finds_it_again(clip: Path, tmp_path: Path) -> None:
    other, third = (
        write_clip(tmp_path / f"{name}.mp4", moving_frames(6, size=(80, 48)), sound=True) for name in ("other", "third")
    )
    flags = (*tiny_flags(), "--set=training.steps=1", "--temporal", "off")
    arguments = ("run", clip, "--apply", other, "-o", "out.mp4", *flags)
    table = vidtrans_json(*arguments)
    assert times(Path("out.mp4")) == times(other)
    assert Path(table["model"]).is_file()
    assert Path(table["dataset"]).is_dir()
    again = vidtrans_json(*arguments)
    assert again["cached"] is True
    two = vidtrans_json("run", clip, "--apply", other, "--apply", third, "-o", "out", *flags)
    assert sorted(p.name for p in Path("out").glob("*.mp4")) == ["other.clip.mp4", "third.clip.mp4"]
    assert two["frames"] == 12


def test_a_trimmed_render_starts_in_sync(clip: Path) -> None:
    vidtrans("stylize", clip, "--model", "identity", "--start", "10", "--end", "1s", "-o", "part.mp4")
    whole, part = times(clip), times(Path("part.mp4"))
    assert part == [t - whole[10] for t in whole[10:30]]
    begin, end = whole[10], whole[30]
    kept = [(t, data) for t, data in sound_packets(clip) if t < end]
    made = sound_packets(Path("part.mp4"))
    assert [data for _, data in made] == [data for _, data in kept][-len(made) :]
    first = kept[-len(made)][0]
    # The first packet kept is the one that sounds at the first frame, and it is moved by what the frame moved.
    assert first <= begin < first + 2 * made[1][0] - made[0][0]
    assert abs((first - begin) - made[0][0]) < 1 / 1000


def test_more_steps_go_on_from_a_finished_run_and_fresh_starts_from_nothing_once(chain: Path) -> None:
    heard: list[object] = []
    tables = quick_training(5)
    longer = api.train("clip.dataset", "b.safetensors", settings=tables, report=heard.append)
    assert longer["history"] == [4, 5]
    assert any("continuing the finished run of 4 steps" in str(e) for e in heard)
    fresh = api.train("clip.dataset", "c.safetensors", settings=tables, fresh=True)
    assert fresh["history"] == [5]
    assert api.train("clip.dataset", "c.safetensors", settings=tables, fresh=True)["cached"] is True
    assert read_record(Path("b.safetensors")).training["steps"] == [4, 5]
    assert Path("b.safetensors").read_bytes() != Path("c.safetensors").read_bytes()
