"""What files, folders and globs come to, and names that never collide."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidtrans.batch.batch_options import BatchOptions, parse_shard
from vidtrans.batch.inputs import Item, exclude_results, expand_sources, result_names
from vidtrans.core.errors import UsageError

NAMES = st.text("aAäÄb .-_", min_size=1, max_size=3).map(lambda s: f"x{s}")
PATHS = st.builds(
    lambda folders, name, ending: Path("/", *folders, f"{name}.{ending}"),
    st.lists(NAMES, max_size=2),
    NAMES,
    st.sampled_from(["mov", "mp4", "MOV"]),
)


CLIPS = ["clips/a.MP4", "clips/b2.mov", "clips/b10.mov"]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for name in ("clips/b10.mov", "clips/b2.mov", "clips/a.MP4", "clips/notes.txt", "clips/.hidden.mov", "more/c.mkv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "frames").mkdir()
    (tmp_path / "frames" / "1.png").touch()
    return tmp_path


def told(*given: str, **options: bool) -> list[str]:
    return [p.as_posix() for p in expand_sources([Path(g) for g in given], **options)]


def test_folders_of_videos_stand_for_these_and_others_for_themselves(place: Path) -> None:
    assert told("clips", "frames", "more") == [*CLIPS, "frames", "more/c.mkv"]
    assert told("clips", whole_folders=True) == ["clips"]


def test_a_glob_stands_for_what_a_shell_would_find(place: Path) -> None:
    assert told("clips/*.mov") == CLIPS[1:]
    # Where names have no case, the first is one of them.
    assert told("**/*.m*") in ([*CLIPS, "more/c.mkv"], [*CLIPS[1:], "more/c.mkv"])
    assert told("*") == [*CLIPS, "frames", "more/c.mkv"]
    with pytest.raises(UsageError, match="nothing matches"):
        told("clips/*.webm")


def test_what_is_given_twice_is_taken_once_and_a_name_with_signs_is_a_name(place: Path) -> None:
    (place / "clips" / "take[1].mov").touch()
    assert told("clips/a.MP4", "clips/take[1].mov", "clips/../clips/a.MP4") == ["clips/a.MP4", "clips/take[1].mov"]
    assert told("no such file.mp4", "frames/%05d.png") == ["no such file.mp4", "frames/%05d.png"]


def test_results_beside_their_sources_are_no_sources(place: Path) -> None:
    for name in ("b2.x.mp4", "b10.x.mp4", "own.x.mp4"):
        (place / "clips" / name).touch()
    found = expand_sources([Path("clips")])
    kept = exclude_results(found, lambda p: Path("clips") / f"{p.stem}.x.mp4")
    assert [p.name for p in kept] == ["a.MP4", "b2.mov", "b10.mov", "own.x.mp4"]


@settings(max_examples=30)
@given(st.lists(PATHS, min_size=1, max_size=8, unique=True))
def test_no_two_results_have_one_name_and_the_order_decides_nothing(sources: list[Path]) -> None:
    names = result_names(sources, [".x.mp4"] * len(sources))
    plain = [unicodedata.normalize("NFC", name).casefold() for name in names]
    assert len(set(plain)) == len(sources)
    assert all(name.endswith(".x.mp4") and "/" not in name for name in names)
    backwards = result_names(sources[::-1], [".x.mp4"] * len(sources))[::-1]
    numbered = any(name.removesuffix(".x.mp4")[-2:] in {f"-{n}" for n in range(2, 9)} for name in names)
    assert numbered or backwards == names


def test_clips_of_one_name_are_called_by_what_tells_them_apart() -> None:
    sources = [Path(p) for p in ("/day/cam1/a.mov", "/day/cam2/a.mov", "/day/cam1/b.mov", "/day/cam1/b.mp4", "/c.mov")]
    names = ("cam1-a", "cam2-a", "b-mov", "b-mp4", "c")
    assert result_names(sources, [".x.mp4"] * 5) == [f"{name}.x.mp4" for name in names]


@settings(max_examples=30)
@given(st.integers(0, 40), st.integers(1, 9))
def test_shards_are_the_whole_each_item_once(count: int, parts: int) -> None:
    items = [Item(Path(str(n)), None, dict) for n in range(count)]
    found = [BatchOptions(shard=f"{n}/{parts}").share_of(items) for n in range(1, parts + 1)]
    assert sorted(int(i.source.name) for part in found for i in part) == list(range(count))
    assert max(map(len, found)) - min(map(len, found)) <= 1


def test_what_is_no_shard_is_refused() -> None:
    for text in ("0/3", "4/3", "1", "a/b", "1/0", "1/3/5"):
        with pytest.raises(UsageError, match="shard"):
            parse_shard(text)
