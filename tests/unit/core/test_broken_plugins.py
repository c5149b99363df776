"""Plug-ins that cannot be used: one line where they are needed, and everything else works."""

from __future__ import annotations

import json

import pytest
from chain import vidtrans
from plugin_site import PackageSite

from vidtrans.core.entry_points import VARIABLE, forget
from vidtrans.core.errors import PluginError
from vidtrans.pairing import PAIRINGS

INK = """
from vidtrans.core.registry import Entry
INK = Entry("NAME:Ink", "ink -> the frame")
PLUGINS = {"pairings": {"ink": INK}}
"""


def state_of(package: str) -> str:
    [row] = [row for row in json.loads(vidtrans("plugins", "--json").stdout)["plugins"] if row["package"] == package]
    return str(row["state"])


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("import plug_that_is_absent", "ModuleNotFoundError: No module named 'plug_that_is_absent'"),
        ("INK = (", "SyntaxError: '(' was never closed"),
        ("INK = 1 / 0", "ZeroDivisionError: division by zero"),
        ("from asyncio import CancelledError\nraise CancelledError('no')", "CancelledError: no"),
        ("", "AttributeError: module 'plug_my_ink' has no attribute 'INK'"),
    ],
)
def test_whatever_ends_an_import_is_one_line(text: str, why: str, package_site: PackageSite) -> None:
    package_site.install("my-ink", {"pairings.ink": "INK"}, text)
    said = vidtrans("make-dataset", "x.mp4", "--pairing", "ink", expect=2).stderr
    assert said.startswith(f"error: plug-in my-ink 1.0: {why}")
    assert said.endswith(" — update or remove it: pip uninstall my-ink\n")
    assert said.count("\n") == 1
    assert vidtrans("probe", "x.mp4", expect=3).stderr.startswith("error: x.mp4")
    assert state_of("my-ink").startswith(f"broken: {why}")


def test_ctrl_c_during_an_import_ends_the_command(package_site: PackageSite) -> None:
    package_site.install("my-ink", {"pairings.ink": "INK"}, "raise KeyboardInterrupt")
    assert "Traceback" not in vidtrans("make-dataset", "x.mp4", "--pairing", "ink", expect=130).stderr


@pytest.mark.parametrize("record", [b"[vidtrans.pairings]\nink\n", b"[vidtrans.pairings]\nink = \xff:INK\n"])
def test_a_damaged_record_of_a_package_is_a_row_and_breaks_nothing(record: bytes, package_site: PackageSite) -> None:
    package_site.install("my-ink", {"pairings.ink": "INK"}, INK)
    package_site.record("other", "")
    (package_site.folder / "other-1.0.dist-info/entry_points.txt").write_bytes(record)
    forget()
    assert "ink" in PAIRINGS
    assert state_of("other").startswith("broken: its entry_points.txt cannot be read")


def test_a_part_that_is_installed_and_in_the_variable_is_named_twice(
    package_site: PackageSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    package_site.install("my-ink", {"pairings.ink": "INK"}, INK)
    monkeypatch.setenv(VARIABLE, "plug_my_ink:PLUGINS")
    forget()
    with pytest.raises(PluginError, match=r"VIDTRANS_PLUGINS=plug_my_ink:PLUGINS and my-ink 1\.0 both offer it"):
        PAIRINGS.load("ink")
