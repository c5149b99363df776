"""Looks of single clips, by the texts of their markers."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_timelines import Maker

import vidtrans as api
from vidtrans.core.errors import UsageError
from vidtrans.stylizing.timeline_render import read_marks


@pytest.mark.parametrize(
    ("texts", "model", "tables"),
    [
        (["model: ink"], "ink", {}),
        (["check the sky", "TODO: grade", "note: model is late"], "", {}),
        (["Strokes: PENCIL; strokes.size: 2"], "", {"strokes": {"medium": "pencil", "size": 2}}),
        (
            ["model=ink; Keep colour = 0.5", "temporal.name: off"],
            "ink",
            {"rendering": {"keep_colour": 0.5}, "temporal": {"name": "off"}},
        ),
        (["model: keep"], "keep", {}),
    ],
)
def test_a_marker_names_the_look_of_its_clip(texts: list[str], model: str, tables: object, tmp_path: Path) -> None:
    mark = read_marks(texts, "clip 1", tmp_path)
    assert (mark.model, mark.tables) == (model, tables)
    assert mark.keeps == (model == "keep")


def test_a_model_beside_the_timeline_is_found(tmp_path: Path) -> None:
    (tmp_path / "own.safetensors").write_bytes(b"")
    assert read_marks(["model: own"], "clip 1", tmp_path).model == str(tmp_path / "own.safetensors")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("modle: ink", "did you mean 'model'"),
        ("strenght: .5", "did you mean 'strength'"),
        ("model: ink; colour: red", "key 'colour'"),
        ("model: ink; and more", "a part of it is not KEY: VALUE"),
        ("model: ink; look: oil", "name a model and a look"),
        ("rendering.source_filter: hue=s=0", "may not run a program"),
    ],
)
def test_what_is_no_key_is_refused(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message):
        read_marks([text], "clip 1", tmp_path)


EDL = "001 AX V C {0} {1} 01:00:00:00 01:00:00:10\n* FROM CLIP NAME: plain.mkv\n* LOC: 01:00:00:02 RED {2}\n"
SECOND = "002 AX V C 00:00:00:12 00:00:00:22 01:00:00:10 01:00:00:20\n* FROM CLIP NAME: plain.mkv\n"


def marked(media: Path, name: str, mark: str) -> Path:
    path = media / f"{name}.edl"
    path.write_text(EDL.format("00:00:00:10", "00:00:00:20", mark) + SECOND)
    return path


@pytest.mark.usefixtures("copied")
def test_clips_of_two_looks_are_rendered_apart(media: Path, tmp_path: Path) -> None:
    path = marked(media, "looks", "mix: 0.25")
    items = api.stylize(path, model="identity", output=str(tmp_path), handles=2, dry_run=True)["items"]
    assert [Path(item["output"]).name for item in items] == ["plain.8-21.identity.mp4", "plain.10-23.identity.mp4"]
    items = api.stylize(path, model="identity", output=str(tmp_path), handles=90, dry_run=True)["items"]
    assert [Path(item["output"]).name for item in items] == ["plain.0-59.identity.mp4", "plain.0-59-2.identity.mp4"]


def test_a_model_that_is_not_there_is_named_with_its_clip(media: Path, tmp_path: Path) -> None:
    path = marked(media, "unknown", "model: nowhere")
    with pytest.raises(Exception, match=r"nowhere") as raised:
        api.stylize(path, model="identity", output=str(tmp_path / "new"))
    assert "unknown.edl, clip 1 ('plain.mkv')" in str(raised.value)
    assert not (tmp_path / "new").exists()


def test_a_clip_without_a_model_is_named(media: Path, tmp_path: Path) -> None:
    path = marked(media, "one model", "model: identity")
    with pytest.raises(UsageError, match=r"clip 2 \('plain.mkv'\): no model — give --model, or a marker"):
        api.stylize(path, output=str(tmp_path / "new"))


def test_a_marker_of_strokes_needs_no_model(media: Path, tmp_path: Path) -> None:
    path = marked(media, "in strokes", "strokes: ink; strokes.size: 2")
    items = api.stylize(path, output=str(tmp_path / "new"), strokes="oil", handles=0, dry_run=True, executor="inline")[
        "items"
    ]
    assert sorted(item["strokes"] for item in items) == ["ink", "oil"]
    assert sorted(Path(item["output"]).suffixes[-2] for item in items) == [".ink", ".oil"]


@pytest.mark.usefixtures("copied")
def test_markers_of_the_timeline_and_notes_of_resolve_count(media: Path, tmp_path: Path) -> None:
    otio = pytest.importorskip("opentimelineio", reason="OpenTimelineIO is not installed")
    m = Maker(otio, media)
    noted = m.clip("plain.mkv", 0, 10)
    noted.markers.append(m.schema.Marker("Marker 1", m.span(2, 1), metadata={"Resolve_OTIO": {"Note": "model: keep"}}))
    track = m.track(noted, m.clip("plain.mkv", 20, 10), m.clip("plain.mkv", 40, 10))
    track.markers.append(m.schema.Marker("model: keep", m.span(12, 1)))
    items = api.stylize(m.write("noted", track), model="identity", handles=0, dry_run=True)["items"]
    assert [Path(item["output"]).name for item in items] == ["plain.40-49.identity.mp4"]
