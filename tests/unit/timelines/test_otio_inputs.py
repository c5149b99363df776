"""Timelines that are broken, hostile, or name what is not there."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from made_timelines import Maker
from numbered_media import write_numbered

import vidtrans as api
from vidtrans.core.errors import MediaError, UsageError, VidtransError

otio = pytest.importorskip("opentimelineio", reason="OpenTimelineIO is not installed")


def refused(path: Path, folder: Path, **more: Any) -> VidtransError:
    """Return the error of a timeline, which writes nothing."""
    with pytest.raises((UsageError, MediaError)) as raised:
        api.stylize(path, model="identity", output=str(folder / "new"), **more)
    assert not (folder / "new").exists()
    assert len(str(raised.value).splitlines()) == 1
    return raised.value


def _nested(depth: int) -> str:
    inner: Any = {"OTIO_SCHEMA": "Gap.1"}
    for _ in range(depth):
        inner = {"OTIO_SCHEMA": "Stack.1", "children": [inner]}
    return json.dumps({"OTIO_SCHEMA": "Timeline.1", "tracks": inner})


ITSELF = (
    '{"OTIO_SCHEMA":"Timeline.1","tracks":{"OTIO_SCHEMA":"Stack.1","OTIO_REF_ID":"a","children":['
    '{"OTIO_SCHEMA":"SerializableObjectRef.1","id":"a"}]}}'
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("{", "it is not valid JSON"),
        ("[1]", "it holds no timeline"),
        ('{"OTIO_SCHEMA": "Unheard.1"}', "it holds no timeline"),
        ('{"OTIO_SCHEMA": "Timeline.99"}', "not a timeline that can be read"),
        (ITSELF, "stands in several places, or in itself"),
        ('{"OTIO_SCHEMA": "Timeline.1", "tracks": null}', "it has no tracks"),
        ('{"OTIO_SCHEMA": "Timeline.1", "tracks": 5}', "not a timeline that can be read"),
        (_nested(100), "nested too deeply"),
        ('{"a":' * 5000 + "1" + "}" * 5000, "nested too deeply"),
    ],
)
def test_a_broken_timeline_is_refused_in_a_line(text: str, message: str, tmp_path: Path) -> None:
    (path := tmp_path / "bad.otio").write_text(text)
    assert message in str(refused(path, tmp_path))


def test_what_is_no_file_of_a_timeline_is_refused_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "folder.otio").mkdir()
    (tmp_path / "loop.edl").symlink_to("loop.edl")
    (tmp_path / "bundle.otioz").write_bytes(b"PK")
    cases = {"folder.otio": "it is a folder", "loop.edl": "symbolic links", "bundle.otioz": "unpack it"}
    for name, message in cases.items():
        assert message in str(refused(tmp_path / name, tmp_path))


@pytest.mark.skipif(sys.platform != "linux", reason="names are UTF-8 on other systems")
def test_a_name_that_is_not_utf_8_is_refused_before_anything_is_rendered(media: Path, tmp_path: Path) -> None:
    maker = Maker(otio, media)
    text = maker.write("latin", maker.track(maker.clip("plain.mkv", 0, 9))).read_bytes()
    (path := tmp_path / os.fsdecode(b"caf\xe9.otio")).write_bytes(text)
    assert r"caf\udce9.otio: its name, or that of its folder, is not UTF-8 — rename it" in str(refused(path, tmp_path))


def _unmeasured(m: Maker) -> Any:
    track = m.track(m.clip("plain.mkv", None, known=None))
    track.markers.append(m.schema.Marker("model: ink", m.span(0, 1)))
    return track


SENSELESS: dict[str, tuple[Callable[[Maker], Any], str]] = {
    "empty": (lambda m: m.track(), "the timeline is empty"),
    "sound": (lambda m: m.track(m.clip("plain.mkv", 0, 9), kind="Audio"), "no clip of it is rendered"),
    "off": (lambda m: m.track(m.clip("plain.mkv", 0, 9, enabled=False)), "1 of its clips are disabled"),
    "no number": (lambda m: m.track(m.clip("plain.mkv", float("nan"), 9)), "is not a time"),
    "infinite": (lambda m: m.track(m.clip("plain.mkv", float("inf"), 9)), "is not a time"),
    "too late": (lambda m: m.track(m.clip("plain.mkv", 1e300, 9)), "is not a time"),
    "no rate": (lambda m: m.track(m.clip("plain.mkv", 1, 9, 1e-9)), "is not a frame rate"),
    "outside": (
        lambda m: m.track(m.clip("plain.mkv", 500, 9)),
        "clip 1 ('plain.mkv'): it shows frames 500 to 508 of plain.mkv, which has 60 frames",
    ),
    "no length": (_unmeasured, "a clip in it has no length, which markers on tracks need"),
}


@pytest.mark.parametrize("name", SENSELESS)
def test_a_timeline_without_sense_is_refused(name: str, media: Path, tmp_path: Path) -> None:
    make, message = SENSELESS[name]
    maker = Maker(otio, media)
    assert message in str(refused(maker.write(name, make(maker)), tmp_path))


@pytest.mark.parametrize(
    "name",
    ["../../etc/passwd", "https://x.org/a.mp4", "a\0b", "\x1b[31mred.mp4", "x" * 5000, "file:///no/a%2fb.mov", "."],
)
def test_hostile_names_of_media_are_missing_media(name: str, media: Path, tmp_path: Path) -> None:
    maker = Maker(otio, media)
    error = refused(maker.write("hostile", maker.track(maker.clip(name, 0, 9))), tmp_path)
    assert isinstance(error, MediaError)
    assert "\x1b" not in str(error)
    assert len(str(error)) < 2500
    assert "--media" in str(error) or "not a video" in str(error)


@pytest.mark.usefixtures("copied")
def test_missing_media_are_found_by_name_in_the_folder_that_is_given(media: Path, tmp_path: Path) -> None:
    maker = Maker(otio, tmp_path)
    for folder in ("day 1/A", "day 2/A"):
        write_numbered(tmp_path / "rushes" / folder / "a.mkv", range(20), 25)
    write_numbered(tmp_path / "rushes" / "b.mkv", range(20), 25)
    known = {"known": (0, 20)}
    path = maker.write("moved", maker.track(maker.clip("D:\\Film\\B.MKV", 2, 9, **known)))
    assert "--media FOLDER" in str(refused(path, tmp_path))
    assert api.stylize(path, model="identity", media=[tmp_path / "rushes"], dry_run=True)["clips"] == 1
    path = maker.write("two", maker.track(maker.clip("a.mkv", 2, 9, **known)))
    assert "in several folders" in str(refused(path, tmp_path, media=[tmp_path / "rushes"]))
    path = maker.write("one", maker.track(maker.clip("file:///Volumes/X/day%202/A/a.mkv", 2, 9, **known)))
    [item] = api.stylize(path, model="identity", media=[tmp_path / "rushes"], dry_run=True)["items"]
    assert Path(item["source"]) == tmp_path / "rushes/day 2/A/a.mkv"
    write_numbered(tmp_path / "cut" / "b.mkv", range(20), 25)
    event = "001 AX V C 00:00:00:00 00:00:00:10 01:00:00:00 01:00:00:10\n* FROM CLIP NAME: b.mkv\n"
    (tmp_path / "cut" / "cut.edl").write_text(event)
    for folders, parent in (([], "cut"), ([tmp_path / "rushes"], "rushes")):
        [item] = api.stylize(tmp_path / "cut/cut.edl", model="identity", media=folders, dry_run=True)["items"]
        assert Path(item["source"]).parent == tmp_path / parent
    assert "no such folder" in str(refused(path, tmp_path, media=[tmp_path / "none"]))


@pytest.mark.usefixtures("copied")
def test_clips_of_one_name_from_two_folders_have_two_results(media: Path, tmp_path: Path) -> None:
    maker = Maker(otio, tmp_path)
    names = [f"{folder}/a.mkv" for folder in ("one", "two")]
    for name in names:
        write_numbered(tmp_path / name, range(20), 25)
    path = maker.write("same", maker.track(*(maker.clip(name, 0, 9, known=(0, 20)) for name in names)))
    items = api.stylize(path, model="identity", dry_run=True, handles=0)["items"]
    assert [Path(item["output"]).name for item in items] == ["one-a.0-8.identity.mp4", "two-a.0-8.identity.mp4"]


def test_the_new_timeline_overwrites_neither_the_old_one_nor_a_source(media: Path, tmp_path: Path) -> None:
    maker = Maker(otio, media)
    path = maker.write("itself", maker.track(maker.clip("plain.mkv", 0, 9)))
    with pytest.raises(UsageError, match="the output is one of the inputs"):
        api.stylize(path, model="identity", output=str(path), overwrite=True)
    (tmp_path / "mine.otio").write_text("{}")
    with pytest.raises(UsageError, match="it exists"):
        api.stylize(path, model="identity", output=str(tmp_path / "mine.otio"))
    assert (tmp_path / "mine.otio").read_text() == "{}"


def test_the_message_says_how_to_install_the_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentimelineio", None)
    (path := tmp_path / "cut.otio").write_text(_nested(1))
    assert "pip install 'vidtrans[editors]', or export the timeline as .edl" in str(refused(path, tmp_path))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start": "5"}, "a timeline has its own"),
        ({"print_jobs": "slurm", "shard": "1/2"}, "it divides the whole timeline"),
        ({"join": True, "retry": True}, "it divides the whole timeline"),
        ({"beside": True}, "--beside"),
        ({"fps": "24"}, "keep their frame rates"),
        ({"rate": "fast"}, "it is not a frame rate"),
        ({"rate": "25"}, "states its own frame rates"),
    ],
)
def test_options_that_no_timeline_has_are_refused(options: Any, message: str, media: Path, tmp_path: Path) -> None:
    maker = Maker(otio, media)
    path = maker.write("options", maker.track(maker.clip("plain.mkv", 0, 9)))
    output = {} if "beside" in options else {"output": str(tmp_path)}
    with pytest.raises(UsageError, match=message):
        api.stylize(path, model="identity", **output, **options)
    with pytest.raises(UsageError, match=r"--handles: .* is not a timeline"):
        api.stylize(media / "plain.mkv", model="identity", handles=3)
