"""The log of what was rendered: a file for each process, of which nothing depends."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from vidtrans.events import silent
from vidtrans.store.cache import Cache
from vidtrans.store.cache_folder import check_cache_folder
from vidtrans.store.render_log import KEPT_S, RenderLog


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    made = Cache(tmp_path / "c", silent)
    made.prepare()
    return made


def test_lines_of_all_processes_are_read_and_damaged_ones_are_not(cache: Cache) -> None:
    cache.log.add({"clip": "a", "ended": 10.0})
    cache.log.add({"clip": "b", "ended": 20.0})
    huge = f'{{"clip": "d", "ended": 1{"0" * 400}}}\n'
    odd = f'{{"no": 1}}\n[]\n"x"\n{huge}{{"clip": "cut", "end'
    cache.log.append("0123abcd-7.jsonl", '{"clip": "c", "ended": 30.0}\n' + odd)
    assert sorted(line["clip"] for line in cache.log.lines()) == ["a", "b", "c"]
    assert sorted(line["clip"] for line in cache.log.lines(15.0)) == ["b", "c"]


def test_links_are_neither_read_nor_written_nor_deleted(cache: Cache, tmp_path: Path) -> None:
    other = tmp_path / "other.jsonl"
    other.write_text('{"clip": "secret", "ended": 1}\n')
    cache.log.folder.mkdir()
    cache.log.own_file.symlink_to(other)
    cache.log.add({"ended": 2.0})
    assert list(cache.log.lines()) == []
    cache.log.clear()
    assert cache.log.own_file.is_symlink()
    assert other.read_text().count("\n") == 1


def test_a_linked_folder_is_left_alone(cache: Cache, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "notes.jsonl").write_text('{"ended": 1}\n')
    cache.log.folder.symlink_to(theirs)
    cache.log.add({"ended": 2.0})
    assert list(cache.log.lines()) == []
    cache.log.clear()
    assert [path.name for path in theirs.iterdir()] == ["notes.jsonl"]


def test_old_files_are_deleted_where_the_cache_is_trimmed(cache: Cache) -> None:
    cache.log.add({"ended": 1.0})
    cache.log.append("0123abcd-7.jsonl", "{}\n")
    old = time.time() - KEPT_S - 60
    os.utime(cache.log.folder / "0123abcd-7.jsonl", (old, old))
    cache.trim(10**9)
    assert [path.name for path in cache.log.folder.iterdir()] == [cache.log.own_file.name]


def test_a_cache_without_its_tag_is_known_by_its_log_too_and_one_that_cannot_be_written_is_missing() -> None:
    RenderLog(Path("c")).add({"ended": 1.0})
    check_cache_folder(Path("c"))
    Path("log").write_text("a file")
    RenderLog(Path()).add({"ended": 1.0})
    assert list(RenderLog(Path()).lines()) == []
