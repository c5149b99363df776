"""The syntax of masks: files, what is found in pictures, and how terms are joined."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidtrans.core.errors import UsageError
from vidtrans.core.mask_files import FILE, MaskFile, MaskTerm, mask_text, parse_mask, parse_regions, parse_terms

COLOURS = st.integers(0, 0xFFFFFF).map("#{:06x}".format)
NUMBERS = st.floats(0, 1e7, allow_nan=False)
RANGES = st.tuples(st.floats(0, 1), st.floats(0, 1)).filter(lambda pair: pair[0] < pair[1])
FILES = st.sampled_from(["man.mkv", "a+b.png", "a-b.png", "./person", "./not x", "sub/face", "ké y.png", "1.0-2.png"])
FOUND = st.one_of(
    st.sampled_from([MaskTerm("person"), MaskTerm("face"), MaskTerm("key")]),
    COLOURS.map(lambda colour: MaskTerm("key", colour)),
    st.builds(lambda colour, tolerance: MaskTerm("colour", colour, tolerance), COLOURS, NUMBERS),
    RANGES.map(lambda pair: MaskTerm("luma", "", *pair)),
)


@st.composite
def term_lists(draw: st.DrawFn) -> tuple[MaskTerm, ...]:
    """Terms of which one or more are found in the picture."""
    own = st.one_of(FOUND, FILES.map(lambda name: MaskTerm(FILE, str(Path(name)))))
    terms = draw(st.lists(own, max_size=3))
    terms.insert(draw(st.integers(0, len(terms))), draw(FOUND))
    return tuple(
        MaskTerm(one.kind, one.value, one.low, one.high, draw(st.booleans()), number > 0 and draw(st.booleans()))
        for number, one in enumerate(terms)
    )


@given(term_lists())
def test_the_text_of_terms_is_read_back_as_the_same_terms(terms: tuple[MaskTerm, ...]) -> None:
    text = mask_text(MaskFile(Path(), terms=terms))
    assert parse_terms(text) == terms
    assert mask_text(parse_mask(text)) == text
    assert parse_mask(f"man={text}", named=True) == MaskFile(Path(text), name="man", terms=terms)


@given(st.text("person fackey:#0123.,luoir+-=\t", max_size=24))
def test_any_text_is_a_mask_or_a_mistake_of_the_user(text: str) -> None:
    with suppress(UsageError):
        mask = parse_mask(text, named=True)
        assert mask.terms == () or parse_terms(mask_text(mask)) == mask.terms


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("person", "person"),
        (" Person ", "person"),
        ("not person", "not person"),
        ("not:person", "not person"),
        ("NOT: face", "not face"),
        ("person-face", "person - face"),
        ("person  +\tface - key", "person + face - key"),
        ("key:#00B140", "key:#00b140"),
        ("colour:#C03020", "colour:#c03020,25"),
        ("colour:#c03020,.5+luma", "colour:#c03020,0.5 + luma:0.5..1"),
        ("luma:0..0.25", "luma:0..0.25"),
        ("person - a+b-c.mkv", "person - a+b-c.mkv"),
        ("man.mkv + not face", "man.mkv + not face"),
        ("person - not:man.mkv", "person - not man.mkv"),
    ],
)
def test_texts(text: str, wanted: str) -> None:
    assert mask_text(parse_mask(text)) == wanted


@pytest.mark.parametrize("text", ["man.mkv", "a+b.mkv", "a - b.mkv", "person.mkv", "luma.png", "face_1-2.png"])
def test_names_of_files_are_files(text: str) -> None:
    assert parse_mask(text) == MaskFile(Path(text))
    assert parse_mask(f"not:{text}") == MaskFile(Path(text), inverted=True)


@pytest.mark.parametrize("name", ["person", "luma", "person - face", "not person", "key"])
def test_a_file_with_the_name_goes_before_what_is_found(name: str) -> None:
    Path(name).touch()
    assert parse_mask(name) == MaskFile(Path(name))
    assert parse_mask(f"not:{name}") == MaskFile(Path(name), inverted=True)
    assert parse_mask(f"m={name}", named=True) == MaskFile(Path(name), name="m")
    Path(name).rename("other")
    assert parse_mask(name).terms


def test_a_file_named_as_a_term_is_a_term_among_others_only_with_its_folder() -> None:
    Path("person").touch()
    assert [term.kind for term in parse_mask("person + face").terms] == ["person", "face"]
    mask = parse_mask("./person + face")
    assert [(term.kind, term.value) for term in mask.terms] == [(FILE, "person"), ("face", "")]
    assert parse_terms(mask_text(mask)) == mask.terms
    assert mask.files == [Path("person")]


def test_files_among_terms_lie_in_the_folder() -> None:
    assert parse_mask("person - m.png", Path("sub")).files == [Path("sub/m.png")]
    mask = parse_mask("person - m.png + n.png")
    assert mask_text(mask, lambda path: f"moved/{path}") == "person - moved/m.png + moved/n.png"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("luma:0.6..0.2", "its range is not within 0 to 1"),
        ("luma:0..2", "its range is not within 0 to 1"),
        ("luma:0.5..0.5", "its range is not within 0 to 1"),
        ("luma:bright", "not a luma — as in luma:0.2..0.6"),
        ("colour:red", "not a colour — as in colour:#c03020"),
        ("colour:#c03020,-5", "not a colour"),
        ("not key:#00b14", "not a key — as in key:#00b140"),
        ("person - colour:red", "the mask 'colour:red'"),
        ("person - not: + face", "a term of it names no file"),
        ("not:", "it names no file"),
    ],
)
def test_mistakes(text: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_mask(text)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_regions_of_found_masks() -> None:
    man, rest = parse_regions(["man=person - face"], ["man=ink", "not:man=oil"])
    assert (man.mask.name, man.mask.inverted, man.models) == ("man", False, ("ink",))
    assert (rest.mask, rest.models) == (man.mask.inverse(), ("oil",))
    assert mask_text(man.mask) == "person - face"
    with pytest.raises(UsageError, match="a mask of a region has a name"):
        parse_regions(["person"], ["man=ink"])
