"""Masks that are found in a clip's pictures: people, faces, colours and brightness, and how they are combined."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from clips import write_clip
from directed_clip import lossless

from vidtrans.clips.indexing import Clip, open_clip
from vidtrans.core.errors import Interrupted, UsageError
from vidtrans.core.events import Event, Note, Progress, Stop
from vidtrans.core.files import PACKAGE
from vidtrans.core.mask_files import parse_mask
from vidtrans.masking import found_masks
from vidtrans.masking.found_masks import draw_edge, mask_digest, open_mask
from vidtrans.masking.keying import colour_matte, luma_matte
from vidtrans.perception.people import PersonFinder
from vidtrans.session import Context
from vidtrans.video.images.picture import read_picture

pytestmark = pytest.mark.usefixtures("one_thread")
SIZE = (160, 128)
CUT, COUNT = 14, 18  # The first shot shows a person, the second nobody
CHUNK = 6  # Frames of a chunk: the first shot has three chunks


def face_area(number: int) -> tuple[slice, slice]:
    """The rows and columns of an area inside the face in a frame of the first shot."""
    middle = round(82 - 4 / 3 * number)
    return slice(26, 46), slice(middle - 8, middle + 8)


def portrait(left: int = 0, size: tuple[int, int] = SIZE) -> np.ndarray:
    """The part of a picture of a person that begins at column ``left``."""
    picture = read_picture(PACKAGE / "assets/frames/astronaut.jpg")
    return cv2.resize(picture[: 240 * size[1] // size[0], left : left + 240], size, interpolation=cv2.INTER_AREA)


def coffee(left: int = 0) -> np.ndarray:
    """The part of a picture without a person that begins at column ``left``."""
    picture = read_picture(PACKAGE / "assets/frames/coffee.jpg")
    return cv2.resize(picture[:240, left : left + 300], SIZE, interpolation=cv2.INTER_AREA)


@pytest.fixture(scope="module", autouse=True)
def _short_chunks() -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(found_masks, "CHUNK_FRAMES", CHUNK)
        yield


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip of two shots: a camera that moves over a person, and over a cup of coffee."""
    frames = [portrait(2 * n + 10) for n in range(CUT)] + [coffee(2 * n) for n in range(COUNT - CUT)]
    return write_clip(tmp_path_factory.mktemp("film") / "film.mp4", frames)


@pytest.fixture(scope="module")
def people(film: Path, tmp_path_factory: pytest.TempPathFactory) -> list[np.ndarray]:
    """The mattes of the people in the whole clip."""
    return mattes_of("person", film, Context(cache_dir=tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="module")
def faces(film: Path, tmp_path_factory: pytest.TempPathFactory) -> list[np.ndarray]:
    """The mattes of the faces in the whole clip."""
    return mattes_of("face", film, Context(cache_dir=tmp_path_factory.mktemp("cache")))


def mattes_of(text: str, path: Path, context: Context, first: int = 0, stop: int | None = None) -> list[np.ndarray]:
    """The mattes of a mask in the frames [first, stop) of a clip."""
    clip = open_clip(context, path)
    stop = clip.index.num_frames if stop is None else stop
    mask = open_mask(parse_mask(text), clip, first, stop, context)
    with closing(mask.mattes((clip.index.width, clip.index.height), 1)) as reader:
        return [reader(number).copy() for number in range(first, stop)]


def same(one: Sequence[np.ndarray], other: Sequence[np.ndarray]) -> bool:
    return len(one) == len(other) and all(map(np.array_equal, one, other))


def test_a_person_is_covered_in_one_shot_and_nothing_in_the_other(film: Path, people: list[np.ndarray]) -> None:
    assert open_clip(Context(), film).shots == (0, CUT)
    assert all((matte[face_area(number)] > 200).all() for number, matte in enumerate(people[:CUT]))
    areas = [matte.mean() / 255 for matte in people[:CUT]]
    assert 0.2 < min(areas) < max(areas) < 0.5
    assert max(np.abs(np.diff(areas))) < 0.06  # Also between chunks that begin with a search
    assert not any(matte.any() for matte in people[CUT:])


def test_a_face_is_part_of_its_person(people: list[np.ndarray], faces: list[np.ndarray]) -> None:
    assert all((matte[face_area(number)] > 127).mean() > 0.95 for number, matte in enumerate(faces[:CUT]))
    assert all((a > 127).sum() < 0.4 * (b > 127).sum() for a, b in zip(faces[:CUT], people, strict=False))
    assert not any(matte.any() for matte in faces[CUT:])


@pytest.mark.parametrize("span", [(8, 11), (11, 16)])
def test_mattes_do_not_depend_on_the_frames_that_are_used(
    span: tuple[int, int], film: Path, people: list[np.ndarray]
) -> None:
    assert same(mattes_of("person", film, Context(), *span), people[slice(*span)])


def test_mattes_do_not_depend_on_an_interruption_or_on_chunks_that_were_lost(
    film: Path, faces: list[np.ndarray]
) -> None:
    stop = Stop()

    def report(event: Event) -> None:
        if isinstance(event, Progress) and event.task.startswith("finding the faces") and event.done == CHUNK + 2:
            stop.request()

    with pytest.raises(Interrupted):
        mattes_of("face", film, Context(report=report, stop=stop))
    [folder] = chunk_folders()
    assert len(list(folder.glob("chunk-*.nut"))) == 1
    found = []
    again = Context(report=lambda event: found.append(event) if isinstance(event, Progress) else None)
    assert same(mattes_of("face", film, again), faces)
    assert max(event.total or 0 for event in found if event.task.startswith("finding")) == COUNT - CHUNK
    for lost in ("chunk-000001.nut", "occupied-000001.json"):
        (folder / lost).unlink()
        assert same(mattes_of("face", film, Context()), faces)
    (folder / "occupied-000002.json").write_bytes(b"{")
    assert same(mattes_of("face", film, Context()), faces)


def chunk_folders() -> list[Path]:
    """The folders of cache entries with mattes."""
    return [path.parent for path in Path(".vidtrans").rglob("chunk-000000.nut")]


def test_what_is_found_is_shared_by_all_masks_that_have_the_term(film: Path) -> None:
    context = Context()
    mattes_of("face", film, context, 0, CHUNK)
    heard: list[Event] = []
    mattes_of("not face + luma", film, Context(report=heard.append), 1, CHUNK)
    tasks = {event.task for event in heard if isinstance(event, Progress)}
    assert any("finding luma" in task for task in tasks)
    assert not any("finding the faces" in task for task in tasks)


def test_terms_are_inverted_added_and_subtracted(film: Path) -> None:
    span = CUT - 2, CUT + 2
    picture = np.zeros((*SIZE[::-1], 3), np.uint8)
    picture[:, : SIZE[0] // 2] = 255
    cv2.imwrite("left + right.png", picture)
    cv2.imwrite("left.png", picture)
    left = picture[..., 0]
    context = Context()

    def found(text: str) -> list[np.ndarray]:
        return mattes_of(text, film, context, *span)

    face, bright = found("face"), found("luma:0.6..1")
    assert same(found("not face"), [255 - matte for matte in face])
    assert same(found("face + luma:0.6..1"), list(map(np.maximum, face, bright)))
    assert same(found("face+luma:0.6..1"), found("luma:0.6..1 + face"))
    without = found("face - left.png")
    assert close(without, [matte * (1 - left / 255.0) for matte in face])
    assert close(found("face - not left.png"), [matte * (left / 255.0) for matte in face])
    right_gone = found("face - not:left.png + luma:0.6..1")
    assert same(right_gone, list(map(np.maximum, found("face - not left.png"), bright)))
    assert same(found("left + right.png"), [left] * 4)  # a file with this name is the mask


def close(one: Sequence[np.ndarray], other: Sequence[np.ndarray]) -> bool:
    return all(np.abs(a.astype(float) - b).max() <= 1 for a, b in zip(one, other, strict=True))


def test_colours_and_brightness_follow_the_formula() -> None:
    ramp = np.tile(np.linspace(0, 255, SIZE[0]).astype(np.uint8), (SIZE[1], 1))
    colours = np.full((*SIZE[::-1], 3), (192, 48, 32), np.uint8)
    colours[:, 80:] = (32, 64, 192)
    lossless(Path("c.mkv"), [np.dstack([ramp] * 3), colours])
    context = Context()
    grey, _ = mattes_of("luma:0.25..0.5", Path("c.mkv"), context)
    level = ramp[0] / 255.0
    assert (grey[:, (level > 0.28) & (level < 0.47)] == 255).all()
    assert (grey[:, (level < 0.22) | (level > 0.53)] == 0).all()
    assert np.abs(grey - 255 * luma_matte(np.dstack([ramp] * 3), 0.25, 0.5)).max() <= 3
    _, red = mattes_of("colour:#c03020", Path("c.mkv"), context)
    assert (red[:, :76] == 255).all()
    assert (red[:, 84:] == 0).all()
    assert np.abs(red - 255 * colour_matte(colours, "#c03020", 25)).max() <= 3
    assert (mattes_of("colour:#c03020,300", Path("c.mkv"), context)[1] == 255).all()


def test_where_nothing_is_found_a_warning_says_so(film: Path) -> None:
    heard: list[Event] = []
    context = Context(report=heard.append)
    for text, level, words in (
        ("person", 0, "mask person: nobody is found in the frames that are used, so nothing is inside it"),
        ("not person", 255, "mask not person: nobody is found in the frames that are used, so everything is inside it"),
        ("face", 0, "mask face: no face is found in the frames that are used, so nothing is inside it"),
    ):
        assert all((matte == level).all() for matte in mattes_of(text, film, context, CUT, COUNT))
        assert words in [note.text for note in heard if isinstance(note, Note) and note.level == "warning"]


def test_without_a_screen_there_is_no_key(film: Path) -> None:
    with pytest.raises(UsageError, match=r"film\.mp4 shows no green or blue screen"):
        mattes_of("key", film, Context())
    with pytest.raises(UsageError, match="neither green nor blue"):
        mattes_of("key:#c03020", film, Context())


def test_a_dry_run_stores_nothing_and_shows_what_single_frames_give(film: Path, people: list[np.ndarray]) -> None:
    [person] = mattes_of("person", film, Context(dry_run=True), 0, 1)
    assert ((person > 127) != (people[0] > 127)).mean() < 0.01
    tried = mattes_of("face", film, Context(dry_run=True), 2, 4)
    assert not chunk_folders()
    assert all((matte[face_area(number)] > 127).mean() > 0.95 for number, matte in enumerate(tried, 2))


def test_keys_follow_the_term_the_clip_and_files_content(film: Path) -> None:
    cv2.imwrite("m.png", np.zeros((*SIZE[::-1], 3), np.uint8))
    context = Context()
    clip = open_clip(context, film)

    def key(text: str, of: Clip = clip) -> object:
        found = open_mask(parse_mask(text), of, 0, 2, Context(dry_run=True))
        return str(found.for_key()), mask_digest(Context(), parse_mask(text))

    texts = ("luma", "luma:0.2..1", "not luma", "luma - m.png", "luma + m.png", "colour:#c03020", "colour:#c03020,30")
    keys = [key(text) for text in texts]
    for column in zip(*keys, strict=True):
        assert len(set(column)) == len(texts)
    assert key("luma:0.5..1") == key("LUMA") == key("luma")
    Path("n.png").write_bytes(Path("m.png").read_bytes())
    assert key("luma - n.png") == key("luma - m.png")  # the content counts, and not the name
    cv2.imwrite("m.png", np.full((*SIZE[::-1], 3), 255, np.uint8))
    assert key("luma - n.png") != key("luma - m.png")


@pytest.mark.thorough
def test_followed_mattes_are_steadier_than_those_of_single_frames() -> None:
    rng = np.random.default_rng(0)
    still = portrait(20).astype(np.float32)
    frames = [np.clip(still + rng.normal(0, 12, still.shape), 0, 255).astype(np.uint8) for _ in range(4)]
    clip = lossless(Path("noise.mkv"), frames)
    followed = mattes_of("person", clip, Context())
    alone = []
    for frame in frames:
        matte = np.maximum.reduce([one.matte for one in PersonFinder().search(frame)])
        alone.append(np.rint(255 * draw_edge(matte, frame, frame)))
    assert jitter(followed) < 0.7 * jitter(alone)


def jitter(mattes: Sequence[np.ndarray]) -> float:
    """The mean absolute difference of consecutive mattes."""
    floats = [matte.astype(np.float32) for matte in mattes]
    return float(np.mean([np.abs(a - b).mean() for a, b in pairwise(floats)]))


def test_large_clips_are_searched_small_and_their_edges_drawn_at_full_size() -> None:
    frames = [portrait(n, (720, 576)) for n in (10, 12)]
    clip = lossless(Path("large.mkv"), frames)
    mattes = mattes_of("person", clip, Context())
    assert all(matte.shape == (576, 720) for matte in mattes)
    assert all((matte[120:200, 335:395] > 200).all() for matte in mattes)
