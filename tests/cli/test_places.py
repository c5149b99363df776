"""Where a result may go: links are followed, every name that the file system takes works, others are refused early."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from chain import TINY, quick_training, refuse, said, tiny_flags
from clips import moving_frames
from directed_clip import lossless

import vidtrans as api
import vidtrans.training.requested_training
from vidtrans.cli.main import run
from vidtrans.video.images.picture import encode_png

Capsys = pytest.CaptureFixture[str]
pytestmark = pytest.mark.skipif(os.name == "nt", reason="links and limits are those of POSIX")


@pytest.fixture
def source() -> Path:
    return lossless(Path("clip.mkv"), moving_frames(4))


def pictures() -> Path:
    Path("shots").mkdir()
    for number, frame in enumerate(moving_frames(3)):
        Path(f"shots/{number}.png").write_bytes(encode_png(frame))
    return Path("shots")


def longest(ending: str) -> str:
    return "n" * (255 - len(ending)) + ending


RESULTS: dict[str, tuple[str, ...]] = {
    ".mkv": ("stylize", "clip.mkv", "--model", "identity"),
    ".sheet.png": ("sheet", "clip.mkv"),
    ".dataset": ("make-dataset", "clip.mkv", "--size", "32"),
    ".folder": ("stylize", "shots", "--model", "identity"),
}


@pytest.mark.parametrize("ending", RESULTS)
@pytest.mark.usefixtures("source")
def test_a_result_may_have_the_longest_name_that_there_is_and_a_longer_one_is_refused(
    ending: str, capsys: Capsys
) -> None:
    pictures()
    before = sorted(Path().iterdir())
    line = refuse(capsys, 2, *RESULTS[ending], "-o", "n" + longest(ending))
    assert "too long" in line or "255 is the most" in line  # whoever looks at the place first
    assert "use a shorter name" in line
    assert sorted(Path().iterdir()) == before  # no cache either
    line = refuse(capsys, 2, *RESULTS[".mkv"], "-o", longest(".mkv"), "--score")
    assert ".score.png" in line  # what lies beside a result has to fit, too
    said(capsys, 0, *RESULTS[ending], "-o", longest(ending))
    assert Path(longest(ending)).exists()
    assert not [p.name for p in Path().iterdir() if p.name.startswith(".n")]


def linked(name: str, target: str) -> Path:
    Path(name).symlink_to(target)
    return Path(name)


def test_a_link_to_a_folder_takes_pictures_as_the_folder_would(capsys: Capsys) -> None:
    command = ("stylize", pictures(), "--model", "identity", "-o", "link")
    Path("real").mkdir()
    link = linked("link", "real")
    for more in ((), ("--overwrite", "--strength", "0.5")):
        said(capsys, 0, *command, *more)
        assert link.is_symlink()
        assert sorted(p.name for p in Path("real").iterdir()) == ["0.png", "1.png", "2.png"]
        assert "up to date" in said(capsys, 0, *command, *more[1:])


def test_a_link_to_a_file_stays_one_and_the_file_is_written(source: Path, capsys: Capsys) -> None:
    """Two links in a row; a link whose file is not there yet makes it."""
    Path("disk").mkdir()
    Path("disk/file.mkv").write_bytes(b"before")
    for ending, command in (
        (".mkv", ("stylize", source, "--model", "identity", "--overwrite")),
        (".png", ("sheet", source)),
        (".json", ("evaluate", source, "--source", source)),
    ):
        file = Path(f"disk/file{ending}")
        linked(f"middle{ending}", str(file))
        link = linked(f"link{ending}", f"middle{ending}")
        said(capsys, 0, *command, "-o", link)
        assert link.is_symlink()
        assert Path(f"middle{ending}").is_symlink()
        assert file.stat().st_size > 6
        assert "up to date" in said(capsys, 0, *command, "-o", link)
    assert sorted(p.name for p in Path("disk").iterdir()) == ["file.json", "file.mkv", "file.png"]
    api.make_dataset(source, "d.dataset", settings=TINY)
    model = linked("link.safetensors", longest(".safetensors"))
    api.train("d.dataset", model, settings=quick_training(1))
    assert model.is_symlink()
    assert Path(longest(".safetensors")).is_file()
    assert api.train("d.dataset", model, settings=quick_training(1))["cached"]


TINY_TRAINING = ("--steps", "1", *tiny_flags("generator", "discriminator"))
TINY_SWEEP = ("train", "taught.dataset", "--sweep", "training.lr=0.1,0.2", *TINY_TRAINING)
TINY_RUN = ("run", "clip.mkv", *TINY_TRAINING, "--set=dataset.size=32", "--apply")


OTHER_ENDINGS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("link.mp4", "no-ending", ("stylize", "clip.mkv", "--model", "identity")),
    ("link.mp4", "no-ending", ("run", "clip.mkv", "--apply", "clip.mkv")),
    ("link.mp4", "other.mkv", ("compare", "clip.mkv", "clip.mkv")),
    ("link.png", "other.jpg", ("sheet", "clip.mkv")),
    ("link.json", "other.png", ("evaluate", "clip.mkv", "--source", "clip.mkv")),
    ("link.safetensors", "other.pt", ("train", "clip.dataset", *TINY_TRAINING)),
)


def test_a_link_to_a_file_with_another_ending_is_refused_before_the_work(source: Path, capsys: Capsys) -> None:
    api.make_dataset(source, "clip.dataset", settings=TINY)
    for name, target, command in OTHER_ENDINGS:
        link = linked(name, target)
        line = refuse(capsys, 2, *command, "-o", link)
        assert f"does not end in {link.suffix}" in line
        assert "choose another name with -o" in line
        assert not Path(target).exists()
        link.unlink()


# Names that nobody gave with -o: what has such a name, and the command that would write there.
DERIVED: dict[str, tuple[str, tuple[str, ...]]] = {
    "stylize": ("clip.identity.mp4", ("stylize", "clip.mkv", "--model", "identity")),
    "stylize into a folder": ("out/clip.identity.mp4", ("stylize", "clip.mkv", "--model", "identity", "-o", "out")),
    "stylize a batch": ("out/b.identity.mp4", ("stylize", "clips", "--model", "identity", "-o", "out")),
    "stylize a list": ("out/named.mp4", ("stylize", "clips.toml", "-o", "out")),
    "stylize pictures of two sizes": ("out/1.png", ("stylize", "sizes", "--model", "identity", "-o", "out")),
    "score": ("named.score.png", ("stylize", "clip.mkv", "--model", "identity", "-o", "named.mp4", "--score")),
    "deflicker": ("clip.deflickered.mp4", ("deflicker", "clip.mkv")),
    "deflicker a batch": ("out/b.deflickered.mp4", ("deflicker", "clips", "-o", "out")),
    "compare": ("clip.compare.mp4", ("compare", "clip.mkv", "clip.mkv")),
    "sheet": ("clip.sheet.png", ("sheet", "clip.mkv")),
    "try": ("clip.try.png", ("try", "clip.mkv", "--model", "identity")),
    "evaluate a batch": ("out/b.scores.png", ("evaluate", "clips", "--source", "clip.mkv", "-o", "out")),
    "make-dataset": ("clip.dataset", ("make-dataset", "clip.mkv")),
    "make-dataset of each": ("out/b.dataset", ("make-dataset", "clips", "--each", "-o", "out")),
    "train": ("taught.safetensors", ("train", "taught.dataset", *TINY_TRAINING)),
    "the pages of a training": ("named.train", ("train", "taught.dataset", "-o", "named.safetensors", *TINY_TRAINING)),
    "an ablation": ("taught.ablate-loss", ("train", "taught.dataset", "--ablate", "loss", *TINY_TRAINING)),
    "a sweep": ("taught.sweep-lr", ("train", "taught.dataset", "--sweep", "training.lr=0.1,0.2", *TINY_TRAINING)),
    "a model of a sweep": ("out/lr-0.1.safetensors", (*TINY_SWEEP, "-o", "out")),
    "the table of a sweep": ("out/table.png", (*TINY_SWEEP, "-o", "out")),
    "dream": ("noise.next.dream.mp4", ("dream", "noise", "--model", "next", "--frames", "2")),
    "run's dataset": ("out/clip.dataset", (*TINY_RUN, "clips/a.mkv", "-o", "out/named.mp4")),
    "run's model": ("out/clip.safetensors", (*TINY_RUN, "clips/a.mkv", "-o", "out/named.mp4")),
    "run's renders": ("out/b.clip.mp4", (*TINY_RUN, "clips", "-o", "out")),
    "demo": ("vidtrans-demo", ("demo",)),
    "demo's clip": ("vidtrans-demo/flower.mp4", ("demo",)),
    "demo's model": ("vidtrans-demo/my-flower.safetensors", ("demo",)),
}


def test_links_in_the_places_of_results_that_were_not_named_are_refused(
    source: Path, next_model: Path, capsys: Capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing but the link and what it leads to changes from one command to the next."""
    for folder in ("clips", "out", "sizes", "victim"):
        Path(folder).mkdir()
    Path("clips/a.mkv").write_bytes(source.read_bytes())
    Path("clips/b.mkv").write_bytes(source.read_bytes())
    Path("clips.toml").write_text('[[clips]]\nsource = "clip.mkv"\nmodel = "identity"\noutput = "named.mp4"\n')
    for number, frame in enumerate((moving_frames(1)[0], moving_frames(1)[0][:24])):
        Path(f"sizes/{number}.png").write_bytes(encode_png(frame))
    Path("next.safetensors").write_bytes(next_model.read_bytes())
    api.make_dataset(source, "taught.dataset", settings=TINY)
    target = Path("victim/there").absolute()
    for kind, (name, command) in DERIVED.items():
        if name.startswith("vidtrans-demo/"):
            Path("vidtrans-demo").mkdir(exist_ok=True)
            monkeypatch.setattr(api.training.requested_training, "train", None)  # minutes, where the link is not seen
        link = linked(name, str(target))
        for is_there in (False, True):
            if is_there:
                target.write_bytes(b"before")
            line = refuse(capsys, 2, *command, *(["--overwrite"] if is_there and not kind.startswith("demo") else []))
            assert Path(name).name in line, kind
            assert "links are followed only if they are given with -o" in line, kind
            found = [p.read_bytes() for p in Path("victim").iterdir()]
            assert found == ([b"before"] if is_there else []), kind
        link.unlink()
        target.unlink()


def test_a_place_that_cannot_be_written_is_refused_before_the_work(
    source: Path, capsys: Capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = source.read_bytes()
    monkeypatch.setattr(api.rendering.render_job.RenderJob, "render", None)
    linked("own.mkv", "clip.mkv")
    os.link("clip.mkv", "hard.mkv")
    linked("other.mkv", "loop.mkv")
    linked("loop.mkv", "other.mkv")
    linked("gone", "nowhere")
    linked("to.mkv", "gone/out.mkv")
    os.mkfifo("pipe.mkv")
    for output, why in (
        ("own.mkv", "one of the inputs"),
        ("hard.mkv", "one of the inputs"),
        ("loop.mkv", "link back to itself"),
        ("gone/out.mkv", "is a link to nothing"),
        ("to.mkv", "which does not exist"),
        ("pipe.mkv", "a device or a pipe"),
        *([("/proc/x.mp4", "no file can be written into '/proc'")] if Path("/proc/self").exists() else []),
    ):
        for command in (("stylize", source, "--model", "identity"), ("deflicker", source)):
            assert run([*map(str, command), "-o", output, "--overwrite"]) == 2
            line = capsys.readouterr().err
            assert why in line
            assert "choose another" in line
    assert source.read_bytes() == before
