"""An option that a command does not read is not offered by it: every option of every command."""

from __future__ import annotations

import inspect
import shutil
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np
import pytest
from chain import TINY, said, tiny_flags, vidtrans
from clips import moving_frames, write_clip
from paintings import painted, write
from peer_variants import VARIANTS, save_variant

import vidtrans as api
from vidtrans.cli.click_commands import ParameterCommand
from vidtrans.cli.main import cli
from vidtrans.commands.base import Command
from vidtrans.session import Context

pytestmark = pytest.mark.usefixtures("one_thread")

OPTIONS = {f.name for f in fields(Context)} - {"report", "stop", "engines", "warned", "line", "decode_threads"}
TRAINED = tuple(tiny_flags("generator", "discriminator"))
LOOKED = ("--set=dataset.size=32",)
# A run of each command in which all that it has of a Context is read.
RUNS: dict[str, tuple[str, ...]] = {
    "make-dataset": ("clip.mp4", "-o", "d.dataset", "--set=dataset.size=32"),
    "train": ("clip.dataset", "-o", "m.safetensors", "--steps", "1", *TRAINED),
    "stylize": ("clip.mp4", "--model", "next", "-o", "s.mp4", "--temporal", "off"),
    "deflicker": ("clip.mp4", "-o", "st.mp4", "--set=temporal.flow=dis-fast"),
    "retime": ("clip.mp4", "-o", "re.mp4", "--speed", "2"),
    "dream": ("noise", "--model", "next", "--frames", "2", "-o", "dr.mp4", "--blend", "clip.mp4"),
    "try": ("clip.mp4", "--model", "next", "-o", "t.png", "--frames", "1", "--vary", "strength=1"),
    "run": ("clip2.mp4", "--apply", "clip.mp4", "-o", "r.mp4", "--steps", "1", *TRAINED, "--set=dataset.size=32"),
    "evaluate": ("clip.mp4", "--source", "clip.mp4", "--flow", "dis-fast", "-o", "plot.png"),
    "compare": ("clip.mp4", "clip2.mp4", "-o", "c.png", "--frames", "1"),
    "sheet": ("clip.mp4", "-o", "sh.png", "-n", "1"),
    "curves": ("0.5", "--clip", "clip.mp4", "-o", "curves.png", "--cuts", "off"),
    "keyframes": ("clip.mp4", "-o", "k", "-n", "3", "--start", "0", "--end", "9", "--cuts", "off"),
    "propagate": ("clip.mp4", "--keyframes", "keys", "-o", "p.mp4", "--steps", "1", "--set=generator.channels=8"),
    "matte": ("clip.mp4", "--frame", "0=mask.png", "-o", "ma.mkv", "--set=matting.steps=1", "--set=matting.size=64"),
    "fix": ("n.mp4", "--painted", "corrections", "-o", "f.mp4"),
    "grade": ("clip.mp4", "clip2.mp4", "-o", "g.cube", "--unpaired", "--nodes", "5"),
    "look": ("clip.mp4", "--on", "clip2.mp4", "-o", "l.safetensors", "--steps", "1", *LOOKED),
    "probe": ("clip.mp4",),
    "batch report": ("-o", "night.html"),
    "batch watch": ("incoming", "-o", "watched", "--model", "next", "--idle", "0", "--executor", "inline"),
    "model import": (
        *("net_G.pth", "--pairing", "model", "--set=pairing.model=flower"),
        *("--calibrate", "clip.mp4", "-o", "i.safetensors"),
    ),
    "model export": ("flower", "--format", "torchscript", "-o", "f.pt"),
    "bench": ("--dry-run",),
    "doctor": (),
}
# What takes another run: an output that is there.
FURTHER: dict[str, tuple[tuple[str, ...], ...]] = {
    "make-dataset": (("--pairing", "model", "--set=pairing.model=flower", "--overwrite"),),
    "compare": (("--input", "extracted", "--overwrite"),),
    "sheet": (("--pairing", "model:flower", "--overwrite"),),
    "run": (("--steps", "2", "--overwrite"),),
    "train": (("--as-is",),),
    "look": (("--as-is",),),
}
SLOW = {"train", "run", "look", "propagate", "matte", "dream", "fix", "model import", "model export"}


def commands() -> Iterator[tuple[str, click.Command]]:
    """Every command that does something, by its full name."""
    context = click.Context(cli)
    for name in cli.help_lines():
        command = cli.get_command(context, name)
        assert command is not None
        if not isinstance(command, click.Group):
            yield name, command
            continue
        for below in command.list_commands(context):
            sub = command.get_command(context, below)
            assert sub is not None
            yield f"{name} {below}", sub


FOUND = dict(commands())


def offered(name: str) -> set[str]:
    """The options of a command that are fields of a Context."""
    return {str(p.name) for p in FOUND[name].params} & OPTIONS


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, next_model: Path) -> Path:
    """A folder with two clips, datasets of them, and a model that predicts frames."""
    folder = tmp_path_factory.mktemp("read")
    for name in ("clip", "clip2"):
        write_clip(folder / f"{name}.mp4", moving_frames(12))
    (folder / "incoming").mkdir()
    shutil.copy(folder / "clip.mp4", folder / "incoming")
    mask = np.zeros((48, 64), np.uint8)
    mask[10:30, 10:30] = 255
    cv2.imwrite(str(folder / "mask.png"), mask)
    write(folder / "keys" / "2.png", painted(moving_frames(3)[2]))
    api.stylize(folder / "clip.mp4", "identity", folder / "n.mp4", cache_dir=folder / "cache-fix")
    api.stylize(folder / "clip.mp4", "identity", folder / "b.mp4", cache_dir=folder / "cache-batch-report")
    write(folder / "corrections" / "3.png", painted(moving_frames(4)[3]))
    options: dict[str, Any] = {"settings": TINY, "cache_dir": folder / ".vidtrans"}
    api.make_dataset(folder / "clip.mp4", folder / "clip.dataset", **options)
    shutil.copy(next_model, folder)
    save_variant(VARIANTS[0], folder / "net_G.pth", "zip")
    wanted = ("--pairing", "model", "--set=pairing.model=flower", "-o", folder / "extracted.safetensors")
    vidtrans("model", "import", folder / "net_G.pth", *wanted, "--cache-dir", folder / "cache-import")
    return folder


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The fields of a Context that were read, but for those that are only handed on."""
    found: set[str] = set()

    def watch(context: Context, name: str) -> Any:
        caller = sys._getframe(1).f_code
        handed_on = caller.co_filename.endswith(("dataclasses.py", "command.py", "base.py")) or caller.co_name in (
            "__post_init__",
            "_begin",
            "<dictcomp>",
        )
        if not handed_on:
            found.add("cache_dir" if name == "cache" else name)
        return object.__getattribute__(context, name)

    monkeypatch.setattr(Context, "__getattribute__", watch)
    return found


def test_every_command_with_a_context_is_run_here() -> None:
    with_context = {
        name for name, command in FOUND.items() if {"dry_run", "overwrite", "device"} & {p.name for p in command.params}
    }
    assert with_context == {*RUNS, "demo", "live", "vote"}  # these serve until they are stopped


@pytest.mark.usefixtures("quick_trial", "small_paintings")
@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.thorough] if n in SLOW else []) for n in RUNS])
def test_what_is_offered_of_a_context_is_read(
    name: str, place: Path, read: set[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    monkeypatch.setattr("vidtrans.doctor.checks.run_checks", lambda device: iter(()))  # it hands on its device before
    monkeypatch.setattr("vidtrans.batch.watching.SETTLED_S", 0.0)
    cache = () if name in ("bench", "doctor") else ("--cache-dir", f"cache-{name.replace(' ', '-')}")
    said(capsys, 0, *name.split(), *RUNS[name], *cache)
    for more in FURTHER.get(name, ()):
        said(capsys, 0, *name.split(), *RUNS[name], *cache, *more)
    assert offered(name) - read == set()


@pytest.mark.parametrize("name", FOUND)
def test_every_parameter_of_a_command_is_read_in_its_file(name: str) -> None:
    command = FOUND[name]
    assert isinstance(command, ParameterCommand)
    bases = [cls for cls in command.cls.__mro__ if issubclass(cls, Command) and cls is not Command]
    source, whole = "".join(map(inspect.getsource, bases)), inspect.getsource(sys.modules[command.cls.__module__])
    own = [p.name for p in command.parameters.values() if p.owner == "command"]
    assert [option for option in own if f"self.{option}" not in source and f'"{option}"' not in whole] == []
    assert not command.cls.TABLES or "self.recipe" in source
    assert not command.cls.BATCH or "self.batch" in source


# Of all commands.
COMMON_VARIABLES = {f"VIDTRANS_{name}" for name in ("DEVICE", "DECODER", "SEED", "CACHE_DIR", "CACHE_LIMIT")}


@pytest.mark.parametrize("name", FOUND)
def test_variables_are_named_after_command_and_flag(name: str) -> None:
    for p in (p for p in FOUND[name].params if isinstance(p, click.Option) and p.allow_from_autoenv):
        flag = next(flag for flag in p.opts if flag.startswith("--"))
        wanted = f"VIDTRANS {name} {flag[2:]}".replace(" ", "_").replace("-", "_").upper()
        assert p.envvar in {wanted, *COMMON_VARIABLES}
