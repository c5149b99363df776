"""Every clip of a relinked timeline shows the same frames at the same times."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from made_timelines import TIMELINES, Maker
from timeline_samples import OtioSamples

import vidtrans as api

otio = pytest.importorskip("opentimelineio", reason="OpenTimelineIO is not installed")


def sampled(path: Path, rate: float = 25) -> list[Any]:
    return OtioSamples(otio, path).all(rate)


@pytest.mark.usefixtures("copied")
@pytest.mark.parametrize("name", TIMELINES)
def test_each_moment_shows_the_frame_that_it_showed(name: str, media: Path, tmp_path: Path) -> None:
    maker = Maker(otio, media)
    path = maker.write(name, *TIMELINES[name](maker))
    before = [sampled(path, rate) for rate in (25, 30)]
    assert any(isinstance(one, int) for one in _flat(before)) or name == "generators"
    result = api.stylize(path, model="identity", output=str(tmp_path / "out.otio"), handles=3)
    assert result["timeline"] == str(tmp_path / "out.otio")
    after = [sampled(tmp_path / "out.otio", rate) for rate in (25, 30)]
    assert after == before
    assert _links(tmp_path / "out.otio", tmp_path), "nothing was relinked"
    old, new = (otio.adapters.read_from_file(str(p)) for p in (path, tmp_path / "out.otio"))
    assert _kept(old) == _kept(new)


def _flat(value: Any) -> list[Any]:
    return [leaf for one in value for leaf in _flat(one)] if isinstance(value, list | tuple) else [value]


def _links(path: Path, folder: Path) -> list[Path]:
    """Return the new media of a timeline, all of which exist."""
    timeline = otio.adapters.read_from_file(str(path))
    found = []
    for clip in timeline.find_clips():
        reference = clip.media_reference
        url = getattr(reference, "target_url", None) or getattr(reference, "target_url_base", None)
        place = (folder / unquote(url or "")).resolve()
        if url and place.is_relative_to(folder):
            assert place.exists(), url
            found.append(place)
    return found


def _kept(timeline: Any) -> Any:
    """Return all that a relinked timeline keeps: names, lengths, effects, markers, metadata."""

    def one(item: Any) -> Any:
        own = [type(item).__name__, item.name, str(dict(item.metadata))]
        if isinstance(item, otio.schema.Transition):
            return [*own, item.in_offset, item.out_offset, item.transition_type]
        own += [item.enabled, item.duration(), [(m.name, m.marked_range) for m in item.markers]]
        own += [[(type(e).__name__, getattr(e, "time_scalar", 0)) for e in item.effects]]
        return [*own, *(_joined(map(one, item)) if isinstance(item, otio.core.Composition) else ())]

    return [timeline.name, str(dict(timeline.metadata)), timeline.global_start_time, one(timeline.tracks)]


def _joined(children: Iterable[Any]) -> list[Any]:
    """Return children of which pieces of one clip are one."""
    found: list[Any] = []
    for child in children:
        if found and child[:3] == found[-1][:3] and child[0] == "Clip" and child[3]:
            child = [*child[:4], found[-1][4] + child[4], found[-1][5] + child[5], *child[6:]]
            found.pop()
        found.append(child)
    return found
