"""Paths of Windows in options, files of settings, addresses and errors: a colon and backslashes mean nothing there."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

import vidtrans.core.settings
from vidtrans.batch.executors import parse_executor
from vidtrans.core.errors import UsageError, describe_error
from vidtrans.core.settings import parse_assignment, read_toml
from vidtrans.video.external.ffmpeg import parse_options

PATH = r"C:\new\table.onnx"  # with the escapes of a line break and of a tab


@pytest.fixture
def on_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vidtrans.core.settings, "WINDOWS", True)


@pytest.mark.usefixtures("on_windows")
def test_a_path_is_the_value_of_a_setting() -> None:
    escaped = PATH.replace("\\", "\\\\")
    for text in (PATH, f'"{PATH}"', f"'{PATH}'", f'"{escaped}"'):
        assert parse_assignment(f"pairing.model={text}") == ("pairing", "model", PATH)
    for text in (r"\\server\share\m.onnx", r"\\\\server\\share\\m.onnx"):
        assert parse_assignment(f'pairing.model="{text}"')[2] == r"\\server\share\m.onnx"


def test_elsewhere_backslashes_in_quotes_are_those_of_toml(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vidtrans.core.settings, "WINDOWS", False)
    assert parse_assignment(r'training.note="\\d+"')[2] == r"\d+"
    for text in ('"a\\tb"', '"c:d"'):
        assert parse_assignment(f"training.note={text}")[2] == text[1:-1].replace("\\t", "\t")


def test_a_path_with_backslashes_in_a_file_of_settings_gets_a_remedy() -> None:
    file = Path("vidtrans.toml")
    file.write_text('[pairing]\nmodel = "C:\\models\\m.onnx"\n', "utf-8")
    with pytest.raises(UsageError, match="single quotes"):
        read_toml(file)
    file.write_text("[pairing]\nmodel = 'C:\\models\\m.onnx'\n", "utf-8")
    assert read_toml(file)["pairing"]["model"] == r"C:\models\m.onnx"


def test_a_path_in_an_encoders_options_keeps_its_colon_and_an_address_is_no_path() -> None:
    assert dict(parse_options(r"q:v=65,passlogfile=C:\logs\pass")) == {"q:v": "65", "passlogfile": r"C:\logs\pass"}
    assert parse_executor("ray://head:10001") == ("ray", "head:10001")


def test_an_error_of_ffmpeg_names_the_path_alone() -> None:
    line, _ = describe_error(PermissionError(errno.EACCES, "Permission denied", r"file:C:\clips\a.mp4")) or ("", 0)
    assert line.startswith(r"C:\clips\a.mp4: permission denied")
