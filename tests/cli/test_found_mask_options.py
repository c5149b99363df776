"""Masks that are found in the picture, wherever a command takes a mask: ``--mask person``, ``--keep face``."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from chain import refuse, said, said_json
from clips import decode, write_folder
from directed_clip import FLAGS, Frames, lossless, same
from made_models import make_grade
from paintings import write

import vidtrans as api
from vidtrans.config.recipe import make_recipe
from vidtrans.core.files import PACKAGE
from vidtrans.core.mask_files import MaskFile, RegionLook, parse_mask
from vidtrans.data.dataset_planning import DatasetSpec
from vidtrans.data.making import make_dataset
from vidtrans.session import Context
from vidtrans.stylizing.requests import StylizeRequest, describe, restore
from vidtrans.video.images.picture import read_picture

pytestmark = pytest.mark.usefixtures("one_thread")
Capsys = pytest.CaptureFixture[str]
SIZE, CUT, COUNT = (160, 128), 6, 9  # The first shot shows a person, the second nobody
FACE = np.s_[28:44, 70:84]  # Inside the face, in all frames of the first shot
STYLIZE = ("stylize", "film.mkv", *FLAGS, "-o")
DARK = ("--model", "dark.cube")


def view(name: str, left: int) -> np.ndarray:
    """The part of a picture of the package that begins at column ``left``."""
    picture = read_picture(PACKAGE / "assets/frames" / name)
    return cv2.resize(picture[:192, left : left + 240], SIZE, interpolation=cv2.INTER_AREA)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip of two shots, a model that darkens, and the cache of the clip's people."""
    folder = tmp_path_factory.mktemp("found")
    film = [view("astronaut.jpg", 8 + n) for n in range(CUT)] + [view("coffee.jpg", 2 * n) for n in range(COUNT - CUT)]
    lossless(folder / "film.mkv", film)
    make_grade(str(folder / "dark.cube"), 3.0)
    cache = {"cache_dir": folder / ".vidtrans"}
    settings = {"rendering": {"size": "source"}, "temporal": {"name": "off"}, "encoding": {"codec": "ffv1"}}
    for mask, name in (("person", "person.mkv"), (None, "all.mkv")):
        masks = {"mask": [mask]} if mask else {}
        api.stylize(folder / "film.mkv", folder / "dark.cube", folder / name, settings=settings, **masks, **cache)
    return folder


@pytest.fixture(autouse=True)
def _in_a_copy(prepared: Path, tmp_path: Path) -> None:
    shutil.copytree(prepared, tmp_path, dirs_exist_ok=True)


def frames(name: str) -> Frames:
    return decode(Path(name))[2]


def stylized(capsys: Capsys, *flags: object, says: str = "") -> Frames:
    text = said(capsys, 0, *STYLIZE, "o.mkv", "--overwrite", *flags)
    assert says in text
    return frames("o.mkv")


def found_entries() -> list[Path]:
    """The cache entries with mattes of what is found."""
    return [path.parent for path in Path(".vidtrans").rglob("occupied-000000.json")]


def test_the_person_is_painted_and_the_rest_is_not(capsys: Capsys) -> None:
    source, dark, made = frames("film.mkv"), frames("all.mkv"), frames("person.mkv")
    assert same([frame[FACE] for frame in made[:CUT]], [frame[FACE] for frame in dark[:CUT]])
    assert same([frame[:40, -30:] for frame in made[:CUT]], [frame[:40, -30:] for frame in source[:CUT]])
    assert same(made[CUT:], source[CUT:])
    rest = stylized(capsys, *DARK, "--mask", "not person")
    assert same(rest[CUT:], dark[CUT:])
    wanted = [s.astype(int) + d - m for s, d, m in zip(source, dark, made, strict=True)]
    assert same(rest, wanted, within=1)
    assert said_json(capsys, *STYLIZE, "o.mkv", *DARK, "--mask", "not person")["cached"]
    assert len(found_entries()) == 1


def test_where_nobody_is_found_a_warning_says_so(capsys: Capsys) -> None:
    source, dark = (frames(name)[CUT:] for name in ("film.mkv", "all.mkv"))
    Path("coffee.mkv").write_bytes(lossless(Path("c.mkv"), source).read_bytes())
    for mask, side, wanted in (("person", "nothing", source), ("not person", "everything", dark)):
        words = ("stylize", "coffee.mkv", *DARK, *FLAGS, "-o", "o.mkv", "--overwrite", "--mask", mask)
        warning = f"mask {mask}: nobody is found in the frames that are used, so {side} is inside it"
        assert warning in said(capsys, 0, *words)
        assert same(frames("o.mkv"), wanted)


@pytest.mark.thorough
def test_a_part_of_the_clip_and_a_batch_have_the_mattes_of_the_whole(capsys: Capsys) -> None:
    shutil.rmtree(".vidtrans")
    part = stylized(capsys, *DARK, "--mask", "person", "--start", "0.1s")
    wanted = frames("person.mkv")
    assert same(part, wanted[COUNT - len(part) :])
    assert 0 < len(part) < COUNT
    Path("clips.toml").write_text(
        'model = "dark.cube"\n[[clips]]\nsource = "film.mkv"\nmask = "person"\n'
        '[[clips]]\nsource = "film.mkv"\noutput = "rest.mkv"\nmask = "not person - face"\n'
    )
    said(capsys, 0, "stylize", "clips.toml", "-o", "made", *FLAGS, "--executor", "inline")
    assert same(frames("made/film.dark.cube.mkv"), wanted)
    assert same([frame[FACE] for frame in frames("made/rest.mkv")[:CUT]], [f[FACE] for f in frames("film.mkv")[:CUT]])


def test_regions_have_found_masks(capsys: Capsys) -> None:
    regions = ("--mask", "man=person")
    assert same(stylized(capsys, *regions, "--region", "man=dark.cube"), frames("person.mkv"), within=1)
    rest = stylized(capsys, *regions, "--region", "not:man=dark.cube")
    assert same(rest, stylized(capsys, *DARK, "--mask", "not person"), within=1)
    table = said_json(capsys, *STYLIZE, "r.mkv", *regions, "--region", "not:man=dark.cube")
    assert [(one["mask"], one["inverted"]) for one in table["regions"]] == [("person", True)]


@pytest.mark.thorough
def test_a_correction_of_a_render_with_a_found_mask(capsys: Capsys) -> None:
    rest = stylized(capsys, *DARK, "--mask", "not person")
    picture = rest[2].copy()
    picture[100:110, 130:150] = (250, 20, 200)
    write(Path("fixes/0002.png"), picture)
    said(capsys, 0, "fix", "o.mkv", "--painted", "fixes", "-o", "f.mkv")
    fixed = frames("f.mkv")
    assert np.abs(fixed[2][102:108, 132:148].astype(int) - (250, 20, 200)).mean() < 12
    assert same([frame[:80, :100] for frame in fixed], [frame[:80, :100] for frame in rest])
    said(capsys, 0, "fix", "o.mkv", "--painted", "fixes", "--mask", "face", "-o", "g.mkv")


def test_requests_with_found_masks_are_restored_from_their_records() -> None:
    man = parse_mask("man=person - a + luma:0.25..1", named=True)
    hat = parse_mask("hat=face - hat.png", named=True)
    regions = (RegionLook(man, ("dark.cube",)), RegionLook(hat.inverse(), ("dark.cube",)))
    write_folder(Path("a + b"), [np.zeros((8, 8), np.uint8)], ["m.png"])
    for mask in (parse_mask("not person"), parse_mask("person - m.png", Path("a + b")), parse_mask("key:#00b140")):
        request = StylizeRequest(Path("film.mkv"), ("identity",), None, make_recipe(None, "edges", {}), mask=mask)
        for own in (vars(request), vars(request) | {"mask": None, "regions": regions}):
            record = json.loads(json.dumps(describe("stylize", own, Context())))
            restored = restore(record, Context())
            for one, other in zip(masks_in(restored), masks_in(own), strict=True):
                assert (one.terms, one.inverted, one.name) == (other.terms, other.inverted, other.name)
    Path("person").touch()  # A file that appears later does not change the record
    assert restore(record, Context())["regions"][0].mask.terms == man.terms


def masks_in(fields: dict[str, object]) -> list[MaskFile]:
    """The masks of a request's fields."""
    regions = fields["regions"]
    assert isinstance(regions, tuple)
    return [mask for mask in (fields["mask"], *(region.mask for region in regions)) if isinstance(mask, MaskFile)]


@pytest.mark.thorough
def test_parts_are_joined_to_the_whole(capsys: Capsys) -> None:
    shutil.rmtree(".vidtrans")
    words = (*STYLIZE, "o.mkv", *DARK, "--mask", "person", "--set=rendering.chunk_frames=4")
    for part in ("2/2", "1/2"):
        said(capsys, 0, *words, "--chunk", part)
    said(capsys, 0, *words, "--join")
    assert same(frames("o.mkv"), frames("person.mkv"))


def test_a_dry_run_finds_nothing_and_writes_nothing(capsys: Capsys) -> None:
    shutil.rmtree(".vidtrans")
    table = said_json(capsys, *STYLIZE, "o.mkv", *DARK, "--mask", "person", "--dry-run")
    assert table["frames"] == COUNT
    assert not Path("o.mkv").exists()
    assert not found_entries()


@pytest.mark.parametrize(
    ("mask", "says"),
    [
        ("key", "film.mkv shows no green or blue screen — name it, as in key:#00b140"),
        ("person - key", "film.mkv shows no green or blue screen"),
        ("key:#c03020", "it is neither green nor blue"),
        ("luma:0.9..0.1", "its range is not within 0 to 1"),
        ("colour:red", "not a colour — as in colour:#c03020"),
        ("person - not:", "a term of it names no file"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing_behind(mask: str, says: str, capsys: Capsys) -> None:
    shutil.rmtree(".vidtrans")
    assert says in refuse(capsys, 2, *STYLIZE, "o.mkv", *DARK, "--mask", mask)
    assert says in refuse(capsys, 2, *STYLIZE, "o.mkv", "--mask", f"m={mask}", "--region", "m=dark.cube")
    assert not found_entries()


def test_a_missing_file_among_terms_is_named(capsys: Capsys) -> None:
    assert "none.png: no such file" in refuse(capsys, 3, *STYLIZE, "o.mkv", *DARK, "--mask", "person - none.png")


def test_a_folder_named_person_is_a_folder_of_masks(capsys: Capsys) -> None:
    write_folder(Path("person"), [np.full(SIZE[::-1], 255, np.uint8)] * COUNT)
    assert same(stylized(capsys, *DARK, "--mask", "person"), frames("all.mkv"))


def test_a_mask_moves_curves(capsys: Capsys) -> None:
    table = said_json(capsys, "curves", "mask", "--clip", "film.mkv", "--mask", "person")
    values = table["curves"][0]["values"]
    assert min(values[:CUT]) > 0.1
    assert max(values[CUT:]) == 0
    assert "film.mkv shows no green or blue screen" in refuse(
        capsys, 2, "curves", "mask", "--clip", "film.mkv", "--mask", "key"
    )


def test_deflicker_filters_where_the_mask_is(capsys: Capsys) -> None:
    source = frames("film.mkv")
    flickering = [cv2.convertScaleAbs(frame, alpha=0.9 if n % 2 else 1.0) for n, frame in enumerate(source)]
    lossless(Path("p.mkv"), flickering)
    said(capsys, 0, "deflicker", "p.mkv", "--mask", "person", "--codec", "ffv1", "-o", "o.mkv")
    made = frames("o.mkv")
    assert same([frame[:40, -30:] for frame in made], [frame[:40, -30:] for frame in flickering])
    assert not same([frame[FACE] for frame in made[:CUT]], [frame[FACE] for frame in flickering[:CUT]], within=4)


def test_datasets_have_found_mattes(capsys: Capsys) -> None:
    words = ("--pairing", "aligned", "--target", "all.mkv", "--set=dataset.size=64", "-o", "d.dataset")
    made = ("make-dataset", "film.mkv", *words)
    said(capsys, 0, *made, "--matte", "person")
    mattes = mattes_in(Path("d.dataset/film.matte"))
    assert len(mattes) == COUNT
    assert [matte[18, 38] > 200 for matte in mattes] == [True] * CUT + [False] * (COUNT - CUT)
    assert said_json(capsys, *made, "--matte", "person")["cached"]
    assert "made from other inputs" in refuse(capsys, 2, *made, "--matte", "face")
    spec = DatasetSpec(
        [Path("film.mkv")], make_recipe(None, "look", {"dataset": {"size": "64"}}), keep=[parse_mask("face")]
    )
    make_dataset(spec, Path("k.dataset"), Context())
    kept = mattes_in(Path("k.dataset/film.keep"))
    assert kept
    assert max((matte > 127).mean() for matte in kept) < 0.25


def mattes_in(folder: Path) -> Frames:
    """The first channel of the pictures of a folder."""
    return [read_picture(path)[..., 0] for path in sorted(folder.glob("*.png"))]


@pytest.mark.thorough
def test_look_keeps_what_is_found(capsys: Capsys) -> None:
    look = ("look", "view.png", "--on", "film.mkv", "--set=dataset.size=64")
    cv2.imwrite("view.png", view("coffee.jpg", 0))
    said(capsys, 0, *look, "--keep", "face", "--dry-run")
    assert "film.mkv shows no green or blue screen" in refuse(capsys, 2, *look, "--keep", "key", dry_run=False)
