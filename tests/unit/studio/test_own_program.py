from __future__ import annotations

import os
from pathlib import Path

import pytest

from vidtrans.core.errors import UsageError
from vidtrans.core.system import MACOS, WINDOWS
from vidtrans.studio.easel_routes import is_same_machine, open_in_program, show_in_file_manager

NOT_HERE = pytest.mark.skipif(WINDOWS or MACOS, reason="the program that opens files is xdg-open")


def test_only_a_loopback_address_is_this_machine_unless_others_reach_the_server() -> None:
    for host in ("127.0.0.1", "127.0.0.9", "::1", "::ffff:127.0.0.1"):
        assert is_same_machine(host, is_open=False), host
        assert not is_same_machine(host, is_open=True), host
    for other in ("192.168.0.7", "10.0.0.1", "::ffff:192.168.0.7", "fe80::1", "localhost", "", None, "x"):
        assert not is_same_machine(other, is_open=False), other


@pytest.fixture
def opener(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program that notes what it is to open."""
    place = tmp_path / "bin"
    place.mkdir()
    program = place / "xdg-open"
    program.write_text(f'#!/bin/sh\necho "$1" > {tmp_path}/opened\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{place}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("DISPLAY", ":1")
    return program


@NOT_HERE
def test_a_file_is_opened_and_its_folder_shown(opener: Path, tmp_path: Path) -> None:
    root, file = tmp_path / "project", tmp_path / "project" / "a b.png"
    for act, opened in ((open_in_program, file), (show_in_file_manager, root)):
        act(file, root)
        assert (tmp_path / "opened").read_text().strip() == str(opened)


@NOT_HERE
def test_what_cannot_be_opened_is_one_line(opener: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opener.write_text("#!/bin/sh\nexit 3\n")
    with pytest.raises(UsageError, match="no program is set up for this kind of file"):
        open_in_program(tmp_path / "a.png", tmp_path / "project")
    with pytest.raises(UsageError, match="not installed"):  # a program of the project is not run
        open_in_program(tmp_path / "a.png", opener.parent)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="xdg-open is not installed"):
        open_in_program(tmp_path / "a.png", tmp_path / "project")
    monkeypatch.delenv("DISPLAY")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(UsageError, match="shows no windows"):
        open_in_program(tmp_path / "a.png", tmp_path / "project")
