"""Results that a user keeps: known again, never overwritten unasked, never a source."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vidtrans.core.errors import UsageError
from vidtrans.core.events import ignore_event
from vidtrans.core.files import digest_of
from vidtrans.output.result import Result, Work, check_foreign, check_place, produce_all, record, recorded, up_to_date
from vidtrans.session import Context
from vidtrans.store.cache import Cache

REQUEST, RESULT = "request", {"frames": 7, "frames_inferred": 7, "frames_spared": 3, "frames_encoded": 2, "codec": "x"}


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / ".vidtrans", ignore_event)


def file_of(name: str = "out.mp4", content: bytes = b"made") -> Path:
    path = Path(name).absolute()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def folder_of(name: str = "out") -> Path:
    for i in range(2):
        file_of(f"{name}/{i}.png", bytes([i]))
    return Path(name).absolute()


MAKE: dict[str, Callable[[], Path]] = {"file": file_of, "folder": folder_of}


def put_on_record(cache: Cache, output: Path) -> None:
    record(cache, output, output, REQUEST, RESULT)


def check(cache: Cache, output: Path, request: str = REQUEST, overwrite: bool = False) -> Any:
    return up_to_date(cache, output, request, overwrite, folder=output.is_dir())


@pytest.mark.parametrize("kind", MAKE)
def test_a_result_on_record_is_known_again_and_counts_no_frames_twice(kind: str, cache: Cache) -> None:
    output = MAKE[kind]()
    assert recorded(cache, output) is None
    put_on_record(cache, output)
    assert recorded(cache, output) is not None
    assert (cache.root / "CACHEDIR.TAG").is_file()
    nothing = {"frames_inferred": 0, "frames_spared": 0, "frames_encoded": 0}
    assert check(Cache(cache.root, ignore_event), output) == RESULT | nothing


def test_a_folder_with_any_other_content_is_not_the_result(cache: Cache) -> None:
    output = folder_of()
    first = output / "0.png"
    for change in (
        lambda: first.write_bytes(b"else"),
        lambda: Path("out/mine.txt").touch(),
        lambda: first.rename("out/2.png"),
        lambda: Path("out/1.png").unlink(),
    ):
        put_on_record(cache, output)
        change()
        assert recorded(cache, output) is None


def test_a_record_that_was_changed_is_none(cache: Cache) -> None:
    output = file_of()
    put_on_record(cache, output)
    (path,) = (cache.root / "outputs").glob("*.json")
    value = json.loads(path.read_text())
    unsigned = {k: v for k, v in value.items() if k != "sha256"}
    assert value["sha256"] == digest_of(unsigned)
    for damaged in (unsigned, *(value | {key: "other"} for key in ("request", "result", "digest"))):
        path.write_text(json.dumps(damaged))
        assert recorded(cache, output) is None


def test_a_strange_file_and_a_changed_result_need_leave_to_overwrite(cache: Cache) -> None:
    output = file_of()
    for content in (b"strange", b"edited"):
        output.write_bytes(content)
        with pytest.raises(UsageError, match=r"out\.mp4: it exists — use --overwrite"):
            check_foreign(cache, output, overwrite=False)
        check_foreign(cache, output, overwrite=True)
        assert check(cache, output, overwrite=True) is None
        with pytest.raises(UsageError, match=r"out\.mp4: it exists — use --overwrite"):
            check(cache, output)
        put_on_record(cache, output)
        check_foreign(cache, output, overwrite=False)


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_of_strange_files_is_never_replaced(overwrite: bool, cache: Cache) -> None:
    def check_refused() -> None:
        for asked in (
            lambda: check(cache, output, overwrite=overwrite),
            lambda: check_foreign(cache, output, overwrite),
        ):
            with pytest.raises(UsageError, match="it holds files that are not results of this command"):
                asked()

    output = folder_of()
    check_refused()
    put_on_record(cache, output)
    check_foreign(cache, output, overwrite)
    (output / "1.png").unlink()  # it holds nothing but what was made
    check_foreign(cache, output, overwrite=True)
    (output / "of mine").mkdir()
    check_refused()


def test_a_place_of_another_kind_or_of_a_source_is_refused() -> None:
    file, folder = file_of("in/a.mp4"), folder_of()
    check_place(Path("new.mp4"), [file])
    check_place(Path("new"), [file], folder=True)
    check_place(folder, [file], folder=True)
    cases: list[tuple[Path, bool, str]] = [
        (file, False, "the output is one of the inputs"),
        (Path("in"), True, "the output folder holds one of the inputs"),
        (folder, False, "the output is an existing folder"),
        (file_of("b.mp4"), True, "it is a file, but the result is a folder of pictures"),
        (file / "deep" / "x.mp4", False, "a.mp4' is a file, not a folder"),
    ]
    for output, of_pictures, why in cases:
        with pytest.raises(UsageError, match=why):
            check_place(output, [file], folder=of_pictures)


def test_a_place_that_is_taken_meanwhile_is_not_written(cache: Cache) -> None:
    result = Result(Path("out.mp4"), REQUEST, [], Context(cache.root))
    assert result.existing() is None
    file_of("out.mp4", b"another's")
    with pytest.raises(UsageError, match="it exists"):
        result.write(written)
    Path("out.mp4").unlink()
    Path("out.mp4").mkdir()
    with pytest.raises(UsageError, match="the output is an existing folder"):
        result.write(written)


def written(path: Path) -> dict[str, Any]:
    path.write_bytes(b"whole")
    return {"frames": 3}


def test_several_results_of_a_command_are_made_where_they_are_missing(cache: Cache) -> None:
    made: list[str] = []

    def prepare() -> Work:
        made.append("prepared")
        return Work(make, lambda: {"dry_run": True})

    def make(result: Result) -> dict[str, Any]:
        made.append(result.output.name)
        return result.write(written)

    def ask(*, dry_run: bool = False) -> list[dict[str, Any]]:
        context = Context(cache.root, dry_run=dry_run)
        return produce_all([Result(Path(name), REQUEST, [], context) for name in ("a.mp4", "b.mp4")], prepare)

    assert ask(dry_run=True) == [{"dry_run": True}]
    assert [table["cached"] for table in ask()] == [False, False]
    Path("a.mp4").unlink()
    assert [table["cached"] for table in ask()] == [False, False]
    assert [table["output"] for table in ask() if table["cached"]] == ["a.mp4", "b.mp4"]
    assert made == ["prepared"] * 2 + ["a.mp4", "b.mp4"] + ["prepared", "a.mp4"]
