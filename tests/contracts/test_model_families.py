"""What every family of checkpoints does: it knows its own tensors, and leaves all others alone."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from peer_variants import VARIANTS, checkpoint_of

from vidtrans.interop.families import FAMILIES
from vidtrans.interop.families.base import Family, Layout, Shapes, match_layout

every_family = pytest.mark.parametrize("name", FAMILIES)
NAMES = sorted({name for variant in VARIANTS[::4] for name in checkpoint_of(variant, variant.build(0))})
some_shapes = st.dictionaries(
    st.sampled_from([*NAMES, "", "model", "conv1", "\n"]), st.lists(st.integers(0, 2**40), max_size=5).map(tuple)
)


def family_of(name: str) -> Family:
    family: Family = FAMILIES.load(name)()
    return family


@every_family
def test_it_says_what_it_is_and_whose_and_leaves_nothing_and_other_kinds_alone(name: str) -> None:
    family = family_of(name)
    assert family.title
    assert family.tool
    assert family.candidate({}) is None
    assert family.layout_of("colour-map", {"size": 33}, (3, 3), {}) is None


@every_family
@settings(max_examples=12, deadline=None)
@given(shapes=some_shapes)
def test_tensors_of_any_shapes_are_compared_or_left_alone(name: str, shapes: Shapes) -> None:
    candidate = family_of(name).candidate(shapes)
    fits = candidate is not None and match_layout(candidate, shapes).problem == ""
    layout = candidate.layout if candidate is not None and fits else Layout(shapes, shapes=dict(shapes))
    assert set(shapes) <= set(layout.shapes) | layout.unused
