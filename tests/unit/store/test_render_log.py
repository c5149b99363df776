"""The log of what was rendered: a file for each process, of which nothing depends."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from vidtrans.core.events import silent
from vidtrans.store.cache import Cache, check_cache_folder
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


def test_old_files_are_deleted_where_the_cache_is_trimmed(cache: Cache) -> None:
    cache.log.add({"ended": 1.0})
    cache.log.append("0123abcd-7.jsonl", "{}\n")
    old = time.time() - KEPT_S - 60
    os.utime(cache.log.folder / "0123abcd-7.jsonl", (old, old))
    cache.trim(10**9)
    assert [path.name for path in cache.log.folder.iterdir()] == [cache.log.own_file.name]


def test_a_cache_without_its_tag_is_known_by_its_log_too_and_one_that_cannot_be_written_is_missing() -> None:
    Path("c").mkdir()
    RenderLog(Path("c")).add({"ended": 1.0})
    assert len(list(RenderLog(Path("c")).lines())) == 1
    check_cache_folder(Path("c"))
    Path("log").write_text("a file")
    RenderLog(Path()).add({"ended": 1.0})
    assert list(RenderLog(Path()).lines()) == []
