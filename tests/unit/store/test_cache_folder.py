"""The folder of the cache: what in it is vidtrans's own, and that nothing else is written or deleted."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from chain import refuse, said, said_json, snapshot
from clips import moving_frames, write_clip

from vidtrans.core.errors import UsageError, VidtransError
from vidtrans.core.events import ignore_event
from vidtrans.core.files import digest_of
from vidtrans.store.cache import Cache, lock_warning

KEY = digest_of("a key")
IDENTITY = ("--model", "identity")


def user_folder(folder: Path) -> Path:
    """Make a folder that looks as an entry does: it has a file named .lock."""
    folder.mkdir(parents=True)
    (folder / ".lock").touch()
    (folder / "chapter.txt").write_text("years of work")
    return folder


@pytest.mark.parametrize("place", [f"thesis/{KEY}", "train/draft", f"train/{KEY.upper()}"])
def test_a_folder_that_is_no_entry_is_neither_listed_nor_deleted(place: str, tmp_path: Path) -> None:
    cache = Cache(tmp_path / "c", ignore_event)
    cache.prepare()
    kept = user_folder(tmp_path / "c" / place)
    with cache.entry("infer", KEY).locked():
        pass
    assert [(entry.stage, entry.key) for entry in cache.entries()] == [("infer", KEY)]
    (cache.root / "infer" / KEY / "data").write_bytes(bytes(1000))
    cache.trim(0)
    assert (kept / "chapter.txt").read_text() == "years of work"
    assert not cache.entries()


def test_the_users_folder_is_refused_as_a_cache(capsys: pytest.CaptureFixture[str]) -> None:
    kept = user_folder(Path("store/thesis/draft"))
    clip = write_clip(Path("a.mp4"), moving_frames(3))
    render = ("stylize", clip, *IDENTITY, "-o", "o.mp4", "--cache-limit", "0.001")
    for command in (render, ("cache", "clean"), ("cache", "list")):
        told = refuse(capsys, 2, *command, "--cache-dir", "store")
        assert "--cache-dir" in told
        assert "store" in told
        assert "thesis" in told
    assert (kept / "chapter.txt").is_file()
    assert "file" in refuse(capsys, 2, "probe", clip, "--cache-dir", clip)


def test_a_folder_with_nothing_but_what_vidtrans_writes_is_a_cache(capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever moment a run was killed at, and where a copy or a backup left out the tag."""
    clip = write_clip(Path("a.mp4"), moving_frames(3))
    Path("store").mkdir()
    common = ("--cache-dir", "store")
    assert said_json(capsys, "cache", "list", *common)["entries"] == []
    said(capsys, 0, "stylize", clip, *IDENTITY, "-o", "o.mp4", *common)
    tag = Path("store/CACHEDIR.TAG")
    tag.rename(tag.with_name(".CACHEDIR.00000000-1.partial.TAG"))
    Path("store/render", f".{KEY}.1.deleted").mkdir()
    Path("store/digests.jsonl").touch()
    assert said_json(capsys, "stylize", clip, *IDENTITY, "-o", "o.mp4", *common)["cached"] is True
    said(capsys, 0, "cache", "clean", *common)
    said(capsys, 0, "stylize", clip, *IDENTITY, "-o", "o.mp4", "--overwrite", *common)
    assert tag.is_file()


def test_the_usual_cache_is_known_by_its_name_and_a_link_by_where_it_leads() -> None:
    user_folder(Path("work/train/pictures"))
    with pytest.raises(UsageError, match="train"):
        Cache(Path("work"), ignore_event)
    user_folder(Path(".vidtrans/notes"))
    Cache(Path(".vidtrans"), ignore_event).prepare()
    assert Path(".vidtrans/CACHEDIR.TAG").is_file()
    user_folder(Path("precious/notes"))
    Path("there").mkdir()
    Path("there/.vidtrans").symlink_to("../precious")
    with pytest.raises(UsageError, match="precious"):
        Cache(Path("there/.vidtrans"), ignore_event)
    Path("empty").mkdir()
    Path("there/store").symlink_to("../empty")
    cache = Cache(Path("there/store"), ignore_event)
    with cache.entry("infer", KEY).locked():
        pass
    assert Path("empty/CACHEDIR.TAG").is_file()
    [entry] = cache.entries()
    assert entry.delete()


@pytest.mark.parametrize("where", ["dataset", f"dataset/{KEY}", f"dataset/{KEY}/pictures", f"dataset/{KEY}/.lock"])
def test_an_entry_that_leads_elsewhere_is_refused_and_nothing_there_changes(where: str) -> None:
    precious = user_folder(Path("precious"))
    (precious / KEY).mkdir()
    (precious / KEY / "notes.txt").write_text("more work")
    link = Path(".vidtrans", where)
    link.parent.mkdir(parents=True)
    link.symlink_to(precious.absolute() / (".lock" if where.endswith(".lock") else ""))
    (precious / ".lock").write_text("not empty")
    before = snapshot(precious)
    entry = Cache(Path(".vidtrans"), ignore_event).entry("dataset", KEY)
    with pytest.raises(VidtransError, match="link"), entry.locked():
        entry.clear()
    assert not entry.delete()
    assert snapshot(precious) == before


@pytest.mark.parametrize(
    ("kind", "options", "why"),
    [
        ("nfs", "vers=3,nolock,proto=tcp", "mounted with nolock"),
        ("cifs", "vers=3.1.1,nobrl", "mounted with nobrl"),
        ("lustre", "localflock", "mounted without flock"),
        ("fuse.sshfs", "user_id=0", "a file system in user space"),
        ("nfs", "vers=3,local_lock=posix", ""),
        ("lustre", "flock", ""),
    ],
)
def test_locks_of_this_host_alone_are_named(kind: str, options: str, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    places = (("/", "ext4", "errors=continue"), ("/farm", kind, f"rw,noatime,{options}"))
    mounts = [SimpleNamespace(mountpoint=point, fstype=own, opts=given) for point, own, given in places]
    monkeypatch.setattr(psutil, "disk_partitions", lambda *, all: mounts)
    text = lock_warning(Path("/farm/show/.vidtrans"))
    assert why in text
    assert ("'/farm'" in text) == bool(text) == bool(why)
