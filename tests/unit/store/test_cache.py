"""The cache: keys that change only when they should, and damage that is a miss, never a result."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from chain import TINY, quick_training
from filelock import FileLock

import vidtrans as api
from vidtrans.core.events import Note, ignore_event
from vidtrans.core.files import digest_of
from vidtrans.store.cache import PIN_PREFIX, Cache, CacheEntry
from vidtrans.store.stages import (
    STAGES,
    AtOnceStage,
    CarryStage,
    DatasetStage,
    DreamStage,
    ExposureStage,
    FaultsStage,
    FilterStage,
    FoundMaskStage,
    IndexStage,
    InferStage,
    MaskLevelsStage,
    MatchStage,
    MatteNetworkStage,
    MatteStage,
    PartsStage,
    RenderStage,
    RetimeStage,
    Stage,
    TrainStage,
)

LIBRARIES = {"av": "18.1.0"}
ON_CPU: dict[str, Any] = {"engine": {"device": "cpu"}, "libraries": LIBRARIES}
NETWORKS = {"generator": {"name": "unet-small"}, "discriminator": {"name": "patchgan"}}
RUN: dict[str, Any] = {"settings": {"lr": 0.0008}, "seed": 0, "start": "", "steps": 10, "fresh": False, "card": {}}
CHUNKS: dict[str, Any] = {"first": 0, "stop": 10, "shots": [0], "chunk_frames": 60}
NO_EXTRAS: dict[str, Any] = {"sequence": {}, "loop": {}, "blend": {}, "sound": {}}
SPANS: dict[str, Any] = {"given_span": [0, 90], "target_span": [0, 60, 2]}
ENCODED = {"encoding": {"encoder": "libx264"}}
EXAMPLES: dict[str, Stage] = {
    "index": IndexStage(source="00", guides=[], survey_version=2, libraries=LIBRARIES),
    "mask-levels": MaskLevelsStage(mask="00", used=[0, 90], libraries=LIBRARIES),
    "dataset": DatasetStage(
        [{"digest": "00"}], {"name": "edges"}, {"size": "256"}, survey_version=2, libraries=LIBRARIES
    ),
    "train": TrainStage(dataset="00", pairing={"name": "edges", "version": 1}, **NETWORKS, **RUN, **ON_CPU),
    "carry": CarryStage("00", [960, 540], [0, 90], key_frame=30, onward=True, method=1, libraries=LIBRARIES),
    "matte-network": MatteNetworkStage(
        source="00",
        size=[854, 480],
        painted=[[0, "11"], [40, "22"]],
        settings={"steps": 600, "window": 320},
        seed=0,
        method=1,
        weights="33",
        **ON_CPU,
    ),
    "matte": MatteStage(network="00", key_frame=40, frames=[39, 0, -1], method=1),
    "match": MatchStage("00", "11", **SPANS, size=[228, 128], method=1, libraries=LIBRARIES),
    "found-mask": FoundMaskStage(
        "00", shots=[0, 30], term="key", screen=[1, 0.0, 0.6902, 0.251], method="1 1", libraries=LIBRARIES
    ),
    "exposure": ExposureStage("00", shots=[0, 30], method=1, libraries=LIBRARIES),
    "filter": FilterStage(source="00", graph="hflip", program="7.1", libraries=LIBRARIES),
    "infer": InferStage(
        "00",
        **CHUNKS,
        model="11",
        pairing={"name": "edges"},
        drawn=False,
        mask={},
        size=[456, 256],
        depth=8,
        transparency="laid usual",
        **ON_CPU,
    ),
    "at-once": AtOnceStage(["a", "b"], [[("00", 1.0)], [("11", 0.25), ("22", 0.75)]], "33", method=1),
    "faults": FaultsStage({"source": "00", "model": "11"}, [4, 14, 24], method=2),
    "render": RenderStage("22", {"name": "off"}, {}, {}, **ENCODED, picture={"width": "456"}, libraries=LIBRARIES),
    "parts": PartsStage(output="renders/a.mp4"),
    "retime": RetimeStage(
        clip="00",
        frames=[0, 50],
        distinct="11",
        shots=[0, 30],
        times=[["0", "0"], ["2", "4"]],
        rate="50",
        hold=1,
        shutter="0",
        holds_doubt=True,
        chunk_frames=60,
        **ENCODED,
        picture={"width": "456"},
        made_by=1,
        libraries=LIBRARIES,
    ),
    "dream": DreamStage(
        seed={"source": "00", "frames": [0, 1]},
        models=[{"digest": "11", "pairing": {"name": "next-frame"}}],
        size=[144, 80],
        rate="25",
        controls={"zoom": "1.0"},
        chunk_frames=60,
        picture={"width": "144"},
        **NO_EXTRAS,
        **ENCODED,
        **ON_CPU,
    ),
}
# Change one only together with the stage's version, and knowingly: every user's cache is missed.
GOLDEN = {
    "index": "f999ba9e02b4c5af",
    "mask-levels": "2cff94473ff7977c",
    "carry": "494d0ade56b2fb4a",
    "matte-network": "a96de122bf8c686d",
    "matte": "0f7cb4576a09ea8e",
    "match": "e136c3fae1aac934",
    "found-mask": "28c9b1dd5eec0d63",
    "exposure": "d90da0ec8ba8e3bd",
    "filter": "1deb4ff29de68a31",
    "dataset": "d733031b40c55c63",
    "train": "8518aa9e7d18f703",
    "infer": "53705c847b3fea18",
    "at-once": "1b4bb03b01a4469f",
    "faults": "69f2f8df71fdabe2",
    "render": "dcd917781b8cb1ad",
    "parts": "8a25ab19fef34ced",
    "retime": "0fe98747ff59847d",
    "dream": "0648e8ac9a154aff",
}


def test_golden_keys_of_what_another_network_makes_the_input_of() -> None:
    dataset = replace(EXAMPLES["dataset"], pairing={"name": "model"}, extractor={"device": "cpu"})
    infer = replace(EXAMPLES["infer"], pairing={"name": "model"}, extraction=EXAMPLES["infer"].key)
    assert (dataset.key[:16], infer.key[:16]) == ("896ae244ddc8767a", "b87810b9536697ad")


@pytest.mark.parametrize("name", list(STAGES))
def test_golden_keys(name: str) -> None:
    stage = EXAMPLES[name]
    assert isinstance(stage, STAGES.load(name))
    assert stage.name == name
    assert stage.key[:16] == GOLDEN[name]


def test_steps_and_card_are_in_a_runs_key_and_not_in_its_run_key(monkeypatch: pytest.MonkeyPatch) -> None:
    short: Any = EXAMPLES["train"]
    long, carded, other = replace(short, steps=20), replace(short, card={"author": "me"}), replace(short, seed=1)
    assert len({short.key, long.key, carded.key, other.key}) == 4
    assert short.run_key == long.run_key == carded.run_key != other.run_key
    before = short.run_key
    monkeypatch.setattr(TrainStage, "version", TrainStage.version + 1)
    assert short.run_key != before


def test_a_complete_entry_is_read_and_a_changed_byte_is_a_warning_and_a_miss(tmp_path: Path) -> None:
    heard: list[Any] = []
    cache = Cache(tmp_path / "c", heard.append)
    entry = cache.entry("train", "k" * 64)
    assert entry.read() is None
    with entry.locked():
        (entry.folder / "model").write_bytes(b"abc")
        entry.finish({"steps": 3}, ("model",))
    assert entry.read() == {"steps": 3}
    assert not heard
    for file in ("model", "meta.json"):
        whole = (entry.folder / file).read_bytes()
        (entry.folder / file).write_bytes(whole[:-2] + bytes([whole[-2] ^ 1]) + whole[-1:])
        assert entry.read() is None
        (entry.folder / file).write_bytes(whole)
    (entry.folder / "model").unlink()
    assert entry.read() is None
    assert [e.level for e in heard if isinstance(e, Note)] == ["warning"] * 3
    assert (tmp_path / "c/CACHEDIR.TAG").read_text().startswith("Signature: 8a477f597d28d172789f06886806bc55")


LOCKING = """
import sys
from pathlib import Path
from vidtrans.core.errors import VidtransError
from vidtrans.core.events import ignore_event
from vidtrans.store.cache import Cache
entry = Cache(Path(sys.argv[1]), ignore_event).entry("train", "k")
assert not entry.delete()
try:
    with entry.locked(wait_s=0):
        pass
except VidtransError as error:
    print(error)
"""


def test_a_locked_entry_is_not_entered_nor_deleted_nor_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry, waits = Cache(tmp_path, ignore_event).entry("train", "k"), list[float]()
    with entry.locked():
        (entry.folder / "file").write_text("x")
        monkeypatch.setattr(time, "sleep", waits.append)
        assert not entry.delete()
        assert waits == []
        monkeypatch.undo()
        # Another process: a lock is held against others.
        done = subprocess.run([sys.executable, "-c", LOCKING, tmp_path], capture_output=True, check=True)
        assert b"in use by another run" in done.stdout
        assert (entry.folder / "file").exists()
    assert entry.delete()
    assert not entry.folder.exists()


def named(cache: Cache, stage: str, name: str) -> CacheEntry:
    return cache.entry(stage, digest_of(name))


def set_last_used(entry: CacheEntry, used: int) -> None:
    """Set when an entry was last used: on Windows there is no file of a lock that nobody has."""
    lock = entry.folder / ".lock"
    os.utime(lock if lock.exists() else entry.folder, (used, used))


def fill(cache: Cache, stage: str, name: str, used: int, *, finished: bool = True) -> None:
    entry = named(cache, stage, name)
    with entry.locked():
        (entry.folder / "data").write_bytes(bytes(1000))
        if finished:
            entry.finish({})
    set_last_used(entry, used)


def test_what_costs_least_to_lose_goes_first_and_of_that_what_was_not_used_for_longest(tmp_path: Path) -> None:
    cache = Cache(tmp_path, ignore_event)
    fill(cache, "train", "stopped", 1, finished=False)
    fill(cache, "train", "finished", 2)
    fill(cache, "index", "i", 3)
    fill(cache, "render", "stopped", 4, finished=False)
    order = [("render", "old"), ("filter", "f"), ("infer", "raw"), ("dataset", "d"), ("dream", "new")]
    for used, (stage, key) in enumerate(order, 5):
        fill(cache, stage, key, used)
    order += [("render", "stopped"), ("index", "i"), ("train", "finished"), ("train", "stopped")]
    while order:
        assert {(e.stage, e.key) for e in cache.entries()} == {(stage, digest_of(name)) for stage, name in order}
        cache.trim(sum(e.size for e in cache.entries()) - 1)
        order.pop(0)
    assert cache.entries() == []


def test_a_cache_that_has_grown_is_named_once_for_each_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vidtrans.store.cache.REPORT_STEP_BYTES", 2500)
    told: list[str] = []
    grown = []
    for names in ("ab", "c", "", "d", "e"):  # a new object for each command
        cache = Cache(tmp_path, lambda event: told.append(event.text) if isinstance(event, Note) else None)
        for key in names:
            fill(cache, "render", key, 1)
        cache.trim(10**9)
        grown.append(len(told))
    assert grown == [0, 1, 1, 1, 2]
    assert told[0].startswith(f"the cache {tmp_path} has grown to 4 kB: 'vidtrans cache clean' empties it")


def test_what_is_in_use_stays_whatever_the_limit(tmp_path: Path) -> None:
    cache = Cache(tmp_path, ignore_event)
    for key in ("locked", "held", "free"):
        fill(cache, "infer", key, 1)
    locked, held = named(cache, "infer", "locked"), named(cache, "infer", "held")
    with held.locked():
        holds = [held.pin(), held.pin()]
    with locked.locked():
        cache.trim(0)
        assert {e.key for e in cache.entries()} == {locked.key, held.key}
    holds.pop().release()
    assert not held.delete()
    holds.pop().release()
    assert held.delete()


def test_another_run_is_waited_for_and_the_user_is_told(tmp_path: Path) -> None:
    heard: list[Any] = []
    entry = Cache(tmp_path / "c", heard.append).entry("infer", "k")
    with entry.locked(wait_s=0.1, wait_for="a run that paints c.mp4"):
        assert heard == []
    other_run = FileLock(entry.folder / ".lock", thread_local=False)
    other_run.acquire()
    end = threading.Timer(0.3, other_run.release)
    end.start()
    with entry.locked(wait_s=0.1, wait_for="a run that paints c.mp4"):
        assert [event.text for event in heard] == ["waiting for a run that paints c.mp4"]
    end.join()


def test_on_a_full_disk_too_an_entry_is_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even a new name, by which it is moved away first, may be too much."""
    entry = Cache(tmp_path / "c", ignore_event).entry("infer", "k")
    with entry.locked():
        (entry.folder / "data").write_bytes(b"x")
        entry.finish({"a": 1}, ("data",))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("vidtrans.store.cache.os.replace", full)
    assert entry.delete()
    assert entry.read() is None
    assert not (entry.folder / "data").exists()


def test_a_hold_of_a_killed_process_is_free(tmp_path: Path) -> None:
    entry = Cache(tmp_path, ignore_event).entry("filter", "k")
    with entry.locked():
        (entry.folder / f"{PIN_PREFIX}1-1").touch()  # what is left of one
        hold = entry.pin()
        assert len(list(entry.folder.glob(f"{PIN_PREFIX}*"))) == 1
    assert not entry.delete()
    hold.release()
    assert entry.delete()


@pytest.mark.thorough
def test_a_flipped_byte_anywhere_is_noticed_and_the_result_is_the_same(clip: Path) -> None:
    training, rendering = quick_training(), {"rendering": TINY["rendering"]}
    api.make_dataset(clip, settings=TINY)
    api.train("clip.dataset", settings=training)
    api.stylize(clip, "clip", settings=rendering)
    wanted = {n: Path(n).read_bytes() for n in ("clip.safetensors", "clip.clip.mp4")}
    shutil.copytree(".vidtrans", "whole")
    for stage in ("index", "infer", "render", "train"):
        shutil.rmtree(".vidtrans")
        shutil.copytree("whole", ".vidtrans")
        flip_a_byte_of_each_file(Path(".vidtrans", stage))
        for name in wanted:
            Path(name).unlink()
        heard: list[Any] = []
        trained = api.train("clip.dataset", settings=training, report=heard.append)
        table = api.stylize(clip, "clip", settings=rendering, report=heard.append)
        assert {n: Path(n).read_bytes() for n in wanted} == wanted, stage
        warned = [e.text for e in heard if isinstance(e, Note) and e.level == "warning"]
        # Raw outputs are not even looked at while the segments are whole.
        assert any("damaged" in w for w in warned) == (stage != "infer"), stage
        encoded = 40 if stage == "render" else 0
        assert (trained["steps"], table["frames_inferred"], table["frames_encoded"]) == (3, 0, encoded), stage


def flip_a_byte_of_each_file(folder: Path) -> None:
    files = [f for f in folder.rglob("*") if f.is_file() and f.stat().st_size > 0]
    assert files
    for file in files:
        data = bytearray(file.read_bytes())
        data[len(data) // 2] ^= 0x10
        file.write_bytes(data)


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    made = Cache(tmp_path / "c", ignore_event)
    made.prepare()
    return made


@pytest.mark.parametrize("is_folder", [False, True])
def test_links_are_neither_read_nor_written_nor_deleted(is_folder: bool, cache: Cache, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs" / cache.log.own_file.name
    theirs.parent.mkdir()
    theirs.write_text('{"clip": "secret", "ended": 1}\n')
    if is_folder:
        cache.log.folder.symlink_to(theirs.parent)
    else:
        cache.log.folder.mkdir()
        cache.log.own_file.symlink_to(theirs)
    cache.log.add({"ended": 2.0})
    assert list(cache.log.lines()) == []
    cache.log.clear()
    assert theirs.read_text().count("\n") == 1
