"""Tables of colours in ``.cube`` files: read whatever program wrote them, written for whatever reads them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vidtrans.core.errors import ModelError
from vidtrans.grading.lattice import ColourLattice, node_colours
from vidtrans.interop.cube import read_cube, write_cube
from vidtrans.models.formats import detect_format
from vidtrans.models.model_file import load_generator

HEAD = "LUT_3D_SIZE 2\n"
ROWS = "\n".join(f"{r} {g} {b}" for b in (0, 1) for g in (0, 1) for r in (0, 1))


def random_nodes(size: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((size, size, size, 3))


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(2, 9), st.integers(0, 99), st.text(max_size=30))
def test_what_is_written_is_read_again(size: int, seed: int, title: str) -> None:
    nodes = random_nodes(size, seed)
    write_cube(Path("t.cube"), nodes, title)
    assert detect_format(Path("t.cube")) == "cube"
    assert np.abs(read_cube(Path("t.cube")).nodes - nodes).max() <= 5.1e-8
    assert load_generator(Path("t.cube"))[1].generator["settings"]["size"] == size


@pytest.mark.parametrize(
    "write",
    [
        lambda text: text.replace("\n", "\r\n"),
        lambda text: "# a comment\n\n" + text.replace("0 0 0", "  0.0\t0.0 0.0  "),
        lambda text: text.replace(HEAD, f'TITLE "a b"\n{HEAD}DOMAIN_MIN 0 0 0\nDOMAIN_MAX 1.0 1.0 1.0\n'),
        lambda text: text.replace("1 1 1", "1e0 1.0E+00 .1e1"),
        lambda text: text.replace(HEAD, HEAD + "LUT_3D_INPUT_RANGE 0.0 1.0\n"),
        lambda text: "\ufeff" + text,
        lambda text: text.replace(HEAD, "LUT_3D_SIZE 2  # nodes\n").replace("1 1 1", "1 1 1 # white"),
        lambda text: text.replace(HEAD, 'title "a # b"\nlut_3d_size 2\n'),
        lambda text: text.replace("\n", "\r"),
        lambda text: text.replace(" ", "\t"),
        lambda text: "# für Übung\n" + text.replace(HEAD, f"TITLE without quotes\n{HEAD}"),
    ],
    ids=[
        *("windows", "comments", "domain", "exponents", "resolve", "mark", "comments-behind", "small-letters"),
        *("old-mac", "tabs", "umlauts"),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "latin-1"])
def test_files_of_other_programs(write: Callable[[str], str], encoding: str) -> None:
    Path("t.cube").write_bytes(write(HEAD + ROWS + "\n").encode(encoding, "ignore"))
    assert detect_format(Path("t.cube")) == "cube"
    assert np.array_equal(read_cube(Path("t.cube")).nodes, node_colours(2))
    assert load_generator(Path("t.cube"))[1].pairing["name"] == "grade"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (HEAD + ROWS[:-6], "it has 7 colours instead of 8"),
        (HEAD + ROWS.replace("1 1 1", "1 1 nan"), "not a colour"),
        (HEAD + ROWS.replace("1 1 1", "1 1"), "not a colour"),
        (HEAD + ROWS.replace("1 1 1", "1 1 1e999"), "not a colour"),
        ("LUT_3D_SIZE 99999\n", "LUT_3D_SIZE is '99999'"),
        ("LUT_1D_SIZE 3\n0 0 0\n1 1 1\n", "it has 2 colours instead of 3"),
        ("LUT_1D_SIZE 1\n0 0 0\n", "its LUT_1D_SIZE is '1'"),
        ("LUT_1D_SIZE 2\n" + HEAD + ROWS, "it has 8 colours instead of 10"),
        ("LUT_1D_SIZE 2\nLUT_1D_INPUT_RANGE 0 2\nDOMAIN_MIN 0 0 0\n0 0 0\n1 1 1", "both LUT_1D_INPUT_RANGE and DOMAIN"),
        (HEAD + "DOMAIN_MIN 0 x 0\n" + ROWS, "its colours go from 0 x 0 to 1 1 1"),
        (HEAD + "DOMAIN_MAX 1 0 1\n" + ROWS, "its colours go from 0 0 0 to 1 0 1"),
        (HEAD + "LUT_3D_INPUT_RANGE 1 1\n" + ROWS, "its colours go from 1 1 1 to 1 1 1"),
        (HEAD + "LUT_3D_INPUT_RANGE 0 inf\n" + ROWS, "its colours go from 0 0 0 to inf"),
        (HEAD + "LUT_3D_INPUT_RANGE 0 2\nDOMAIN_MAX 2 2 2\n" + ROWS, "both LUT_3D_INPUT_RANGE and DOMAIN_MIN"),
        (HEAD + "LUT_3D_INPUT_RANGE 0\n" + ROWS, "a line is not known here: 'LUT_3D_INPUT_RANGE 0'"),
        (HEAD + "LUT_IN_VIDEO_RANGE\n" + ROWS, "a line is not known here: 'LUT_IN_VIDEO_RANGE'"),
        (HEAD + "LUT_3D_SIZE 3\n" + ROWS, "it has two lines of LUT_3D_SIZE"),
    ],
)
def test_what_is_no_table_is_refused_in_a_line(text: str, why: str) -> None:
    Path("t.cube").write_text(text)
    with pytest.raises(ModelError) as raised:
        load_generator(Path("t.cube"))
    assert why in str(raised.value)
    assert "\n" not in str(raised.value)


def mapped(path: Path, colours: np.ndarray) -> np.ndarray:
    """Return colours (H, W, 3) in [0, 1] as the model of a file maps them."""
    generator, record = load_generator(path)
    assert generator.nodes.shape[-1] == record.generator["settings"]["size"]
    with torch.inference_mode():
        made = generator(torch.from_numpy(colours).permute(2, 0, 1)[None].float() * 2 - 1)
    return made[0].permute(1, 2, 0).numpy() / 2 + 0.5


def table(rows: np.ndarray) -> str:
    return "\n".join(" ".join(f"{value:.7f}" for value in row) for row in rows.reshape(-1, 3)) + "\n"


@pytest.mark.parametrize(("encoding", "ends"), [("utf-8-sig", "\r"), ("utf-16", "\n"), ("latin-1", "\r\n")])
def test_the_curves_of_a_file_come_before_its_cube(encoding: str, ends: str) -> None:
    curves, nodes = np.linspace(0, 1, 257)[:, None] ** [0.5, 1, 2], random_nodes(5)
    head = "# für Übung\nTITLE both\nLUT_1D_SIZE 257\nLUT_1D_INPUT_RANGE 0.0 1.0\n"
    head += "LUT_3D_SIZE 5\nLUT_3D_INPUT_RANGE 0.0 1.0\n"
    text = head + table(curves).replace(" ", "\t") + table(nodes)
    Path("t.cube").write_bytes(text.replace("\n", ends).encode(encoding))
    assert detect_format(Path("t.cube")) == "cube"
    colours = np.random.default_rng(1).random((8, 8, 3))
    shaped = np.stack([np.interp(colours[..., c], np.linspace(0, 1, 257), curves[:, c]) for c in range(3)], 2)
    assert np.abs(mapped(Path("t.cube"), colours) - ColourLattice(nodes)(shaped)).max() < 1e-5
    assert load_generator(Path("t.cube"))[1].card["notes"] == "both"


@pytest.mark.parametrize(
    ("head", "low", "high", "places"),
    [
        ("LUT_1D_INPUT_RANGE -0.25 1.5\n", -0.25, 1.5, (0, 1)),
        ("DOMAIN_MIN 0 0 0\nDOMAIN_MAX 2 2 2\n", 0, 2, (0, 1)),
        ("LUT_3D_INPUT_RANGE -1 3\n", 0, 1, (-1, 3)),
        ("LUT_1D_INPUT_RANGE 0 16\nLUT_3D_INPUT_RANGE 0 0.5\n", 0, 16, (0, 0.5)),
    ],
)
def test_both_ranges_are_honoured(head: str, low: float, high: float, places: tuple[float, float]) -> None:
    curves, nodes = np.linspace(0, 1, 65)[:, None] ** [0.5, 1, 2], random_nodes(4)
    Path("t.cube").write_text(f"LUT_1D_SIZE 65\nLUT_3D_SIZE 4\n{head}{table(curves)}{table(nodes)}")
    colours = np.random.default_rng(1).random((8, 8, 3))
    at = np.linspace(low, high, 65)
    shaped = np.stack([np.interp(colours[..., c], at, curves[:, c]) for c in range(3)], 2)
    wanted = ColourLattice(nodes)(np.clip((shaped - places[0]) / (places[1] - places[0]), 0, 1))
    assert np.abs(mapped(Path("t.cube"), colours) - wanted).max() < 2e-4
