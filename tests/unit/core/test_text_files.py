"""Text and tables as editors and spreadsheets save them."""

from __future__ import annotations

import codecs
import csv
import io
from pathlib import Path

import numpy as np
import pytest

from vidtrans.core.errors import MediaError, UsageError
from vidtrans.core.text_files import decode_text, parse_number, read_rows, read_text, text_encoding
from vidtrans.curves.tracks import read_data

ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"]
NUMBERS = [("frame", "glow", "Höhe"), ("0", "0.5", "1"), ("10", "0.25", "2"), ("20", "1.5", "-3")]


def saved(
    rows: list[tuple[str, ...]], separator: str = ",", *, comma: bool = False, head: str = "", **quoting: int
) -> str:
    """Return a table as a spreadsheet saves it; ``comma``: with decimal commas."""
    file = io.StringIO()
    writer = csv.writer(file, delimiter=separator, lineterminator="\n", **quoting)  # type: ignore[arg-type]
    writer.writerows([[cell.replace(".", ",") if comma else cell for cell in row] for row in rows])
    return head + file.getvalue()


SAVED = {
    "plain": saved(NUMBERS),
    "semicolons": saved(NUMBERS, ";"),
    "decimal commas": saved(NUMBERS, ";", comma=True),
    "Excel": saved(NUMBERS, ";", comma=True, head="sep=;\n"),
    "quoted line": saved(NUMBERS, "|", head='"SEP=|"\n'),
    "tabs": saved(NUMBERS, "\t", comma=True),
    "bars": saved(NUMBERS, "|"),
    "quoted": saved(NUMBERS, quoting=csv.QUOTE_ALL),
    "quoted commas": saved(NUMBERS, comma=True),
    "empty rows and cells": saved([(*row, "", "") for row in [(), *NUMBERS, (), ()]], ";"),
}


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"], ids=["unix", "windows", "mac"])
def test_text_of_any_encoding_is_read(encoding: str, ends: str) -> None:
    text = "für Übung: 1,5 °\nzwei\n"
    data = text.replace("\n", ends).encode(encoding)
    assert decode_text(data) == text
    assert text_encoding(data[:11]) == text_encoding(data)  # a letter may be cut


def test_what_is_no_text_is_refused_without_words_of_a_codec(tmp_path: Path) -> None:
    for data in (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"a\0b", bytes(range(256)), codecs.BOM_UTF16_LE + b"\1\0"):
        with pytest.raises(ValueError, match=r"^it is not a text file$"):
            decode_text(data)
    (tmp_path / "note.txt").write_bytes(b"a\0\0")
    with pytest.raises(MediaError, match=r"--about: it is not a text file — save it as text, in UTF-8"):
        read_text(tmp_path / "note.txt", MediaError, "--about")
    with pytest.raises(UsageError, match=r"notes.txt: no such file — did you mean '.*note.txt'"):
        read_text(tmp_path / "notes.txt")
    with pytest.raises(UsageError, match="it is a folder — give a file"):
        read_text(tmp_path)


@pytest.mark.parametrize("name", SAVED)
def test_tables_are_read_as_every_spreadsheet_saves_them(name: str, tmp_path: Path) -> None:
    rows = [row.cells[:3] for row in read_rows(SAVED[name])]
    assert rows[0] == ["frame", "glow", "Höhe"]
    assert [[parse_number(cell) for cell in row] for row in rows[1:]] == [[0, 0.5, 1], [10, 0.25, 2], [20, 1.5, -3]]
    for encoding in ("utf-8-sig", "utf-16", "cp1252"):
        (tmp_path / "a.csv").write_bytes(SAVED[name].replace("\n", "\r\n").encode(encoding))
        track = read_data(tmp_path / "a.csv").track("Höhe", lambda frames: frames / 10)
        assert track(np.array([0, 1, 1.5])).tolist() == pytest.approx([1, 2, -0.5])


def test_numbers_of_both_decimal_signs_and_with_groups_of_digits() -> None:
    texts = {"0,25": 0.25, "-1.5": -1.5, "1.234,5": 1234.5, "1,234.5": 1234.5, "1\u00a0234,5": 1234.5, "1e-3": 0.001}
    assert {text: parse_number(text) for text in texts} == texts
    assert [row.cells for row in read_rows('a,b\n"1,500","1,5"\n')] == [["a", "b"], ["1500", "1,5"]]


def test_rows_know_their_lines_and_cells_may_hold_line_ends() -> None:
    text = 'sep=;\na;b\n"x\ny";1\n\n2;3\n'
    assert [(row.line, row.cells) for row in read_rows(text)] == [(2, ["a", "b"]), (4, ["x\ny", "1"]), (6, ["2", "3"])]
    with pytest.raises(ValueError, match="line 2: a cell is too long"):
        list(read_rows('a,b\n"' + "x" * 200_000 + '",1\n'))


def test_a_decimal_comma_between_commas_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("frame,glow\n0,0\n10,0,25\n")
    with pytest.raises(UsageError, match=r"line 3: it has 3 cells, and there are 2 .*separate the cells by ;"):
        read_data(tmp_path / "a.csv")
