"""Where locks hold on one host alone, the table of mounts says so."""

from __future__ import annotations

from pathlib import Path

from vidtrans.store.shared_locks import warning_about_locks

LINE = "36 35 98:0 / {point} rw,noatime master:1 - {kind} server:/x rw,{options}\n"
ROOT = LINE.format(point="/", kind="ext4", options="errors=continue")


def warned(tmp_path: Path, kind: str, options: str, folder: str = "/farm/show/.vidtrans", point: str = "/farm") -> str:
    table = tmp_path / "mountinfo"
    table.write_text(ROOT + LINE.format(point=point, kind=kind, options=options) + "damaged\n")
    return warning_about_locks(Path(folder), table)


def test_locks_of_this_host_alone_are_named(tmp_path: Path) -> None:
    for kind, options, why in (
        ("nfs", "vers=3,nolock,proto=tcp", "mounted with nolock"),
        ("nfs4", "vers=4.2,local_lock=flock", "mounted with local_lock=flock"),
        ("nfs", "vers=3,local_lock=all", "mounted with local_lock=all"),
        ("cifs", "vers=3.1.1,nobrl", "mounted with nobrl"),
        ("lustre", "localflock", "mounted without flock"),
        ("fuse.sshfs", "user_id=0", "a file system in user space"),
    ):
        text = warned(tmp_path, kind, options)
        assert why in text
        assert "'/farm'" in text
        assert "\n" not in text


def test_locks_that_hold_are_not(tmp_path: Path) -> None:
    for lock in ("none", "posix"):
        assert warned(tmp_path, "nfs", f"vers=3,local_lock={lock}") == ""
    for kind, options in (("nfs4", "vers=4.2,local_lock=none"), ("cifs", "vers=3.1.1"), ("lustre", "flock")):
        assert warned(tmp_path, kind, options) == ""
    assert warned(tmp_path, "ext4", "rw") == ""
    assert warning_about_locks(tmp_path, tmp_path / "no table") == ""


def test_the_innermost_mount_counts_and_names_are_read_as_they_are(tmp_path: Path) -> None:
    assert warned(tmp_path, "nfs", "nolock", folder="/farmhouse/.vidtrans") == ""
    assert "a b" in warned(tmp_path, "nfs", "nolock", folder="/a b/c", point=r"/a\040b")
    table = tmp_path / "two"
    table.write_text(LINE.format(point="/farm", kind="nfs", options="nolock") + ROOT)
    assert "/farm" in warning_about_locks(Path("/farm"), table)
    table.write_text(table.read_text() + LINE.format(point="/farm", kind="ext4", options="x"))
    assert warning_about_locks(Path("/farm"), table) == ""
