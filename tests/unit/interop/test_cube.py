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
from vidtrans.models.formats import format_of
from vidtrans.models.model_file import load_generator
from vidtrans.networks.colour_map import ColourMap, ColourMapSettings

HEAD = "LUT_3D_SIZE 2\n"
ROWS = "\n".join(f"{r} {g} {b}" for b in (0, 1) for g in (0, 1) for r in (0, 1))


def random_nodes(size: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((size, size, size, 3))


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(2, 9), st.integers(0, 99), st.text(max_size=30))
def test_what_is_written_is_read_again(size: int, seed: int, title: str) -> None:
    nodes = random_nodes(size, seed)
    write_cube(Path("t.cube"), nodes, title)
    assert format_of(Path("t.cube")) == "cube"
    assert np.abs(read_cube(Path("t.cube")) - nodes).max() <= 5.1e-8
    assert load_generator(Path("t.cube"))[1].generator["settings"]["size"] == size


def test_red_changes_fastest() -> None:
    write_cube(Path("t.cube"), node_colours(3), "")
    rows = [line for line in Path("t.cube").read_text().splitlines() if line[0].isdigit()]
    assert rows[1] == "0.5000000 0.0000000 0.0000000"
    assert rows[3] == "0.0000000 0.5000000 0.0000000"


@pytest.mark.parametrize(
    "write",
    [
        lambda text: text.replace("\n", "\r\n"),
        lambda text: "# a comment\n\n" + text.replace("0 0 0", "  0.0\t0.0 0.0  "),
        lambda text: text.replace(HEAD, f'TITLE "a b"\n{HEAD}DOMAIN_MIN 0 0 0\nDOMAIN_MAX 1.0 1.0 1.0\n'),
        lambda text: text.replace("1 1 1", "1e0 1.0E+00 .1e1"),
        lambda text: text.replace(HEAD, HEAD + "LUT_3D_INPUT_RANGE 0.0 1.0\n"),
    ],
    ids=["windows", "comments", "domain", "exponents", "resolve"],
)
def test_files_of_other_programs(write: Callable[[str], str]) -> None:
    Path("t.cube").write_bytes(write(HEAD + ROWS + "\n").encode())
    assert np.array_equal(read_cube(Path("t.cube")), node_colours(2))
    assert load_generator(Path("t.cube"))[1].pairing["name"] == "grade"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (HEAD + ROWS[:-6], "it has 7 colours instead of 8"),
        (HEAD + ROWS.replace("1 1 1", "1 1 nan"), "not a colour"),
        (HEAD + ROWS.replace("1 1 1", "1 1"), "not a colour"),
        (HEAD + ROWS.replace("1 1 1", "1 1 1e999"), "not a colour"),
        ("LUT_3D_SIZE 1\n0 0 0\n", "LUT_3D_SIZE is '1'"),
        ("LUT_3D_SIZE 99999\n", "LUT_3D_SIZE is '99999'"),
        ("LUT_1D_SIZE 2\n0 0 0\n1 1 1\n", "it is a 1D LUT"),
        (HEAD + "DOMAIN_MAX 2 2 2\n" + ROWS, "its DOMAIN_MAX is not 1"),
        (HEAD + "DOMAIN_MIN 0 x 0\n" + ROWS, "its DOMAIN_MIN is not 0"),
    ],
)
def test_what_is_no_table_is_refused_in_a_line(text: str, why: str) -> None:
    Path("t.cube").write_text(text)
    with pytest.raises(ModelError) as raised:
        load_generator(Path("t.cube"))
    assert why in str(raised.value)
    assert "\n" not in str(raised.value)


def test_the_network_of_a_table_is_the_table() -> None:
    colours = np.random.default_rng(1).random((6, 7, 3))
    for size in (2, 17):
        nodes, generator = random_nodes(size), ColourMap(3, 3, ColourMapSettings(size))
        generator.set_nodes(nodes)
        with torch.inference_mode():
            made = generator(torch.from_numpy(colours).permute(2, 0, 1)[None].float() * 2 - 1)
        found = made[0].permute(1, 2, 0).numpy() / 2 + 0.5
        assert np.abs(found - ColourLattice(nodes)(colours)).max() < 1e-5
