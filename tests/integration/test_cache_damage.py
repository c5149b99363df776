"""Damage to what the cache remembers beside its entries: digests, records of results, what minutes come to."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from chain import TINY
from clips import moving_frames, write_clip
from made_models import make_model
from processes import at_most

import vidtrans as api
from vidtrans.core.errors import VidtransError
from vidtrans.core.events import Note
from vidtrans.core.files import digest_of, remove
from vidtrans.data.making import PictureMarks
from vidtrans.store.cache import Cache
from vidtrans.store.chunks import StateStore
from vidtrans.training.loop import StepCost

TRAINING = {k: TINY[k] for k in ("generator", "discriminator", "training")}


def damage(file: Path, old: bytes, new: bytes) -> None:
    data = file.read_bytes()
    assert data.count(old) == 1, "the test tells nothing"
    file.write_bytes(data.replace(old, new))


def test_a_record_of_a_result_that_was_damaged_is_none(clip: Path) -> None:
    api.stylize(clip, "identity", "a.mp4")
    assert api.stylize(clip, "identity", "a.mp4")["cached"]
    [record] = Path(".vidtrans/outputs").iterdir()
    damage(record, b'"frames":40', b'"frames":41')
    made = Path("a.mp4").read_bytes()
    with pytest.raises(VidtransError, match="it exists"):
        api.stylize(clip, "identity", "a.mp4")
    assert Path("a.mp4").read_bytes() == made
    assert api.stylize(clip, "identity", "a.mp4", overwrite=True)["frames"] == 40
    assert Path("a.mp4").read_bytes() == made


def nest(file: Path) -> None:
    """Replace a file by JSON that is nested deeper than it can be read."""
    file.write_text("[" * 100_000)


def make_pipe(file: Path) -> None:
    """Replace a file by a pipe, into which nobody writes."""
    remove(file)
    os.mkfifo(file)


needs_pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
Harm = Callable[[Path], None]


def harm_all(pattern: str, harm: Harm) -> None:
    files = list(Path(".vidtrans").glob(pattern))
    assert files, "the test tells nothing"
    for file in files:
        harm(file)


def warnings_of(heard: list[Any]) -> str:
    return "\n".join(e.text for e in heard if isinstance(e, Note) and e.level == "warning")


@needs_pipes
def test_a_render_makes_again_what_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    make_model("m.safetensors", "edges")
    monkeypatch.setattr("vidtrans.store.cache.SETTLED_NS", 0)  # digests of new files are remembered too
    clip = write_clip(Path("clip.mp4"), moving_frames(4))
    heard: list[Any] = []
    options: dict[str, Any] = {"settings": {"rendering": TINY["rendering"]}, "overwrite": True}
    api.stylize(clip, "m", "a.mp4", **options)
    made = Path("a.mp4").read_bytes()
    for pattern, lost, told, harm in (
        ("index/*/meta.json", "nothing", "cache entry index/", nest),
        ("render/*/chunk-*.json", "nothing", "cache entry render/", nest),
        ("infer/*/chunk-*.json", "render", "cache entry infer/", make_pipe),
        ("digests.jsonl", "nothing", "", make_pipe),
    ):
        heard.clear()
        harm_all(pattern, harm)
        for gone in (Path(".vidtrans", lost), Path("b.mp4")):
            remove(gone)
        with at_most():
            api.stylize(clip, "m", "b.mp4", report=heard.append, **options)
            api.stylize(clip, "m", "a.mp4", report=heard.append, **options)
        assert Path("a.mp4").read_bytes() == Path("b.mp4").read_bytes() == made, pattern
        assert told in warnings_of(heard), pattern


def test_a_training_begins_again_where_what_it_saved_cannot_be_read(
    dataset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vidtrans.training.trials.step_costs", lambda run: [StepCost(0.0, 1.0, 20.0)])
    monkeypatch.setattr("vidtrans.training.loop.TimeBudget.is_due", lambda *_: False)  # real steps are quicker
    options: dict[str, Any] = {"settings": TRAINING, "overwrite": True}
    patterns = ("resolved/*", "train/*/meta.json", "train/*/checkpoint.json", "train/*/run.json")
    api.train(dataset, "a.safetensors", minutes=1, **options)
    made = Path("a.safetensors").read_bytes()
    heard: list[Any] = []
    for pattern in patterns:
        harm_all(pattern, nest)
    assert api.train(dataset, "b.safetensors", minutes=1, report=heard.append, **options)["steps"] == 3
    assert Path("b.safetensors").read_bytes() == made
    for what in ("cache entry train/", "checkpoint is damaged", "measured again"):
        assert what in warnings_of(heard)


@pytest.mark.parametrize("harm", [nest, pytest.param(make_pipe, marks=needs_pipes)])
def test_metas_marks_and_states_that_cannot_be_read_are_not_there(harm: Harm, tmp_path: Path) -> None:
    heard: list[Any] = []
    entry = Cache(tmp_path / "c", heard.append).entry("index", digest_of("k"))
    with entry.locked(), at_most():
        (entry.folder / "pictures").mkdir()
        (entry.folder / "pictures/0.png").write_bytes(b"a picture")
        marks, states = PictureMarks(entry, [["0.png"]]), StateStore(entry)
        marks.mark(0)
        states.save(0, {})
        assert (marks.is_done(0), states.load(0)) == (True, {})
        for name in ("chunk-000000", "state-000000"):
            harm(entry.folder / f"{name}.json")
        assert (marks.is_done(0), states.load(0)) == (False, None)
        assert "is damaged" in warnings_of(heard)
        heard.clear()
        entry.finish({"a": 1})
        harm(entry.folder / "meta.json")
        assert entry.read() is None
        assert "is damaged" in warnings_of(heard)
        entry.finish({"a": 2})
        assert entry.read() == {"a": 2}
