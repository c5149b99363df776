"""A name in one Unicode normalisation finds the file that another system wrote in the other one."""

from __future__ import annotations

import unicodedata
from functools import partial
from pathlib import Path

import pytest
from chain import said, said_json
from clips import moving_frames, pictures_of, scene, write_clip, write_folder
from datasets import make_dataset
from made_models import make_grade

from vidtrans.batch.inputs import expand_sources, match_clips, mattes_for, result_names
from vidtrans.clips.indexing import open_clip
from vidtrans.core.mask_files import MaskFile, parse_mask, parse_regions
from vidtrans.core.registry import nearest_name
from vidtrans.core.system import name_key, path_as_stored
from vidtrans.data.dataset import open_dataset
from vidtrans.data.sources import find_pairs
from vidtrans.models.model_file import find_model
from vidtrans.painting.key_frames import named_frames
from vidtrans.rendering.conditions import _look_index
from vidtrans.session import Context
from vidtrans.studio.project_folder import ProjectFolder
from vidtrans.video.frame_numbers import align, first_duplicate, frame_numbers
from vidtrans.video.images.picture import write_picture

COMPOSED, DECOMPOSED = (partial(unicodedata.normalize, form) for form in ("NFC", "NFD"))
BOTH = pytest.mark.parametrize(("disk", "typed"), [(COMPOSED, DECOMPOSED), (DECOMPOSED, COMPOSED)], ids=["nfc", "nfd"])
Form = partial[str]
Capsys = pytest.CaptureFixture[str]


def touch(path: str) -> Path:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).touch()
    return Path(path)


@BOTH
def test_paths_are_named_as_the_file_system_has_them(disk: Form, typed: Form) -> None:
    file = touch(disk("Köln/Café.mp4"))
    assert path_as_stored(Path(typed("Köln/Café.mp4"))) == file
    assert path_as_stored(Path(typed("Köln/Café.mp4")).absolute()) == file.absolute()
    assert path_as_stored(Path(typed("Köln/neu é.mp4"))) == file.parent / typed("neu é.mp4")
    assert path_as_stored(Path(typed("Öl/Café.mp4"))) == Path(typed("Öl/Café.mp4"))
    other = touch(typed("Köln/Café.mp4").replace(typed("Köln"), disk("Köln")))  # where the system keeps both
    assert path_as_stored(other) == other
    assert path_as_stored(file) == file


@BOTH
def test_clips_mattes_sources_and_results_of_clips(disk: Form, typed: Form) -> None:
    clip, matte = touch(disk("clips/Café.mp4")), touch(typed("mattes/Café.matte.mkv"))
    touch(typed("mattes/Cafe.mkv"))
    assert expand_sources([Path(typed("clips/Café.mp4"))]) == [clip]
    assert expand_sources([Path(typed("clips/Café*")), Path(typed("clips/*é.mp4"))]) == [clip]
    assert mattes_for([clip], Path("mattes"), "--mask") == [matte]
    assert match_clips([Path(typed("Café.x.mp4"))], Path("clips"), "it") == [clip]
    assert len({name_key(name) for name in result_names([clip, Path(typed("other/Café.mp4"))], [".x"] * 2)}) == 2


@BOTH
def test_pairs_key_frames_and_numbered_pictures(disk: Form, typed: Form) -> None:
    names = ["Ärger", "Bär", "Öl", "zoo"]
    for n, name in enumerate(names):
        write_picture(Path(disk(f"p/A/{name}.png")), scene(32, 24, n))
        write_picture(Path(typed(f"p/B/{name}.png")), scene(32, 24, n))
    pairs = [(one.name, other.name) for one, other in find_pairs(Path("p"), "AtoB").pairs if other]
    assert sorted(pairs) == sorted((f"{disk(name)}.png", f"{typed(name)}.png") for name in names)
    assert align([disk(n) for n in names], [typed(n) for n in names[1:]], 0, 4).steps == (None, 0, 1, 2)
    assert first_duplicate([disk("é.png"), typed("é.jpg")]) == "é"
    assert frame_numbers([disk("Bär take2 f7.png"), typed("Bär take2 f9.png")]) == [7, 9]
    clip = open_clip(Context(), Path("p/A"))
    painted = [touch(typed(f"k/{name}.jpg")) for name in names]
    found = {path.name: clip.index.names[frame] for path, frame in named_frames(painted, clip).items()}
    assert found == {typed(f"{name}.jpg"): disk(f"{name}.png") for name in names}


@BOTH
def test_masks_models_looks_and_names_that_are_near(disk: Form, typed: Form) -> None:
    mask = touch(disk("Café=x.mkv"))
    assert parse_mask(typed("Café=x.mkv"), named=True) == MaskFile(mask)
    other = touch(disk("é.mkv"))
    assert parse_mask(typed("Mädchen=not:é.mkv"), named=True) == MaskFile(other, True, "Mädchen")
    (region,) = parse_regions([disk("Bär=é.mkv")], [typed("Bär=ink")])
    assert (region.mask.path, region.models) == (other, ("ink",))
    Path("models").mkdir()
    for path in ("Nüsse.cube", "models/Öl.cube"):
        make_grade(disk(path))
    assert find_model(typed("Nüsse")) == find_model(typed("Nüsse.cube")) == Path(disk("Nüsse.cube"))
    assert find_model(typed("Öl")) == Path(disk("models/Öl.cube"))
    assert _look_index(typed("Öl.jpg"), ["tusche", disk("Öl")]) == 1
    assert nearest_name(typed("Nüse"), [disk("Nüsse"), "Nisse"]) == disk("Nüsse")


@BOTH
def test_pictures_of_a_dataset_and_files_of_a_project(disk: Form, typed: Form) -> None:
    dataset = make_dataset(Path("d"), "edges", frames=6)
    index = dataset / "dataset.json"
    index.write_text(index.read_text().replace("clip/", disk("Café/")).replace('"clip', f'"{disk("Café")}'))
    (dataset / "clip").rename(dataset / typed("Café"))
    opened = open_dataset(dataset)
    assert opened.num_missing == 0
    assert all(pair.target.is_file() for pair in opened.pairs)
    file = touch(disk("project/Café.mp4"))
    assert ProjectFolder(Path("project")).existing(typed("Café.mp4")).name == file.name


@BOTH
def test_commands_take_names_in_either_form(disk: Form, typed: Form, capsys: Capsys) -> None:
    Path("clips").mkdir()
    write_clip(Path(disk("clips/Café.mkv")), moving_frames(4), codec="ffv1")
    for name in ("mattes", "k"):
        Path(name).mkdir()
    write_folder(Path(typed("black é")), [0 * frame for frame in moving_frames(4)])
    Path("list.toml").write_text(
        f'[[clips]]\nsource = "{typed("clips/Café.mkv")}"\nmask = "{disk("black é")}"\n', "utf-8"
    )
    said(capsys, 0, "stylize", "list.toml", "--model", "identity", "--codec", "png", "-o", "out")
    made = pictures_of(Path("out", disk("Café.identity")))
    assert len(made) == 4
    given = (typed("clips/Café.mkv"), "--model", "identity", "--mask", f"not:{disk('black é')}", "--codec", "png")
    result = said_json(capsys, "stylize", *given, "-o", typed("new é"))
    assert result["frames"] == 4
