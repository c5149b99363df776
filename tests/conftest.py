from __future__ import annotations

import gc
import os
import random
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

# Before anything imports OpenCV, whose threads wait in loops for their next work: that took a quarter of some tests.
for _waiting in ("WORKER", "MAIN"):
    os.environ.setdefault(f"OPENCV_THREAD_POOL_ACTIVE_WAIT_{_waiting}", "0")

import other_systems
import pytest
import under_test

under_test.share_package()  # before anything imports vidtrans
other_systems.emulate_requested(sys.argv)  # in workers of pytest-xdist it was done before they began

import chromium
import numpy as np
from chain import TINY, quick_training, said
from clips import decode, moving_frames, write_clip
from directed_clip import COUNT, EXACT, Frames, Shoot, lossless, same
from hypothesis import settings
from hypothesis.internal.conjecture import providers
from plugin_site import PackageSite, forget_modules
from real_clips import DATA

import vidtrans as api
from vidtrans.core import threads
from vidtrans.core.machine import cores

settings.register_profile("repeatable", derandomize=True, database=None, deadline=None)
settings.register_profile("exploring", derandomize=False, database=None, deadline=None, print_blob=True)
TORCH_SEED = 67280421310721  # of a process that has just imported torch
# Tests run side by side, one on each core. Before anything imports torch.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
# What engines keep for other processes is of this run, in all its processes, and not of the user's.
if "PYTEST_XDIST_WORKER" not in os.environ:
    _user_cache = tempfile.TemporaryDirectory(prefix="vidtrans-tests-", ignore_cleanup_errors=True)
    os.environ["XDG_CACHE_HOME"] = _user_cache.name
# As the command line does it.
os.environ.setdefault("GOMP_SPINCOUNT", "2000")
NO_PRIVILEGE = 1314  # of Windows: ERROR_PRIVILEGE_NOT_HELD


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --as-system."""
    systems = ", ".join(other_systems.SYSTEMS)
    parser.addoption(other_systems.OPTION, choices=other_systems.SYSTEMS, help=f"run under the rules of: {systems}")


def pytest_configure(config: pytest.Config) -> None:
    """Draw the same examples of property tests in every run, and others in each run of the thorough tests."""
    usual = "exploring" if "thorough" in config.option.markexpr else "repeatable"
    settings.load_profile(config.getoption("--hypothesis-profile") or usual)
    if settings().derandomize:
        # Hypothesis also draws constants from the modules that are imported, which differ between workers and runs.
        providers._get_local_constants = lambda: providers._local_constants


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the thorough tests, unless -m names them, or an argument is the name of a test."""
    if "thorough" in config.option.markexpr or any("::" in argument for argument in config.args):
        return
    left_out = [item for item in items if item.get_closest_marker("thorough")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in set(left_out)]


def pytest_report_header() -> str:
    """Name the system whose rules are emulated."""
    return f"rules of: {other_systems.current() or 'this system'}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Iterator[None]:
    """Skip a test that makes a link, where the account may not: on Windows that takes a privilege."""
    try:
        return (yield)
    except OSError as error:
        if getattr(error, "winerror", None) != NO_PRIVILEGE:
            raise
        pytest.skip("this account may not make links")


@pytest.hookimpl(optionalhook=True)  # a run without xdist has no such hook
def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: many tests wait for processes that they start."""
    return cores() + 1


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Look for no garbage in what is imported and collected, which stays: neither meanwhile nor in the tests."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was left out for want of a browser."""
    skipped = [r for r in terminalreporter.stats.get("skipped", []) if chromium.MISSING in str(r.longrepr)]
    if skipped:
        terminalreporter.write_line(f"{len(skipped)} skipped: {chromium.MISSING}")


@pytest.fixture(autouse=True, scope="session")
def _without_waiting_for_the_disk() -> Iterator[None]:
    """What is killed keeps what it has written: only a machine that stops, as none does here, loses it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", other_systems.fsync_like(lambda handle: None))
        yield


@pytest.fixture(autouse=True, scope="session")
def _without_lines_of_progress() -> Iterator[None]:
    """What a pipe is told every few seconds comes only where a machine is slow, and no test reckons with it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vidtrans.cli.console.PLAIN_INTERVAL_S", 1e9)
        yield


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test runs in an empty folder, without variables of the user's."""
    monkeypatch.chdir(tmp_path)
    for name in [n for n in os.environ if n.startswith("VIDTRANS_")]:
        monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """Seed the generators of the process, so that a test draws the same numbers whatever ran before it."""
    random.seed(0)
    np.random.seed(0)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(TORCH_SEED)


@pytest.fixture
def in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """The steps of a render take turns, so that what is done at a frame is known."""
    monkeypatch.setattr(threads, "cores", lambda: 1)


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Of torch: networks as small as those of tests have nothing to share out, and are slower on several."""
    import torch  # not for every test: most need none of it

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def package_site(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[PackageSite]:
    """A folder on the path, for packages with plug-ins; none is installed or known before and after the test."""
    folder = tmp_path_factory.mktemp("site")
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delenv("VIDTRANS_PLUGINS", raising=False)
    forget_modules()
    yield PackageSite(folder)
    forget_modules()


@pytest.fixture
def quick_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a training step takes is measured on two steps: for tests in which it does not matter how much that is."""
    monkeypatch.setattr("vidtrans.training.trials.WARM_UP", 1)
    monkeypatch.setattr("vidtrans.training.trials.TRIAL_STEPS", (2, 2))


@pytest.fixture
def small_paintings(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look's picture is looked at small, which takes a second less for each training of a look."""
    monkeypatch.setattr("vidtrans.training.methods.look_method.STROKE_SIDES", (32, 64, 128))


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make this process see two GPUs, whose work the CPU does."""
    from two_gpus import pretend

    from vidtrans.core import machine
    from vidtrans.inference import device

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    for owner, name, value in (*pretend.of_machine(machine), *pretend.of_torch(device)):
        monkeypatch.setattr(owner, name, value)


@pytest.fixture(scope="session")
def _clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", moving_frames(40, shots=(0, 25)), sound=True)


@pytest.fixture
def clip(_clip: Path, tmp_path: Path) -> Path:
    """40 frames of 64×48 with sound, in two shots (the second begins at frame 25)."""
    return Path(shutil.copyfile(_clip, tmp_path / "clip.mp4"))


@pytest.fixture(scope="session")
def dataset_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder, not to be changed, with clip.mp4 (16 frames of 64x48) and clip.dataset."""
    folder = tmp_path_factory.mktemp("dataset")
    clip = write_clip(folder / "clip.mp4", moving_frames(16))
    cache = folder.with_name("dataset-cache")
    api.make_dataset(clip, folder / "clip.dataset", preset="edges", settings=TINY, cache_dir=cache)
    return folder


@pytest.fixture
def dataset(dataset_folder: Path, tmp_path: Path) -> str:
    """The clip and its dataset in the test's own folder."""
    shutil.copytree(dataset_folder, tmp_path, dirs_exist_ok=True)
    return "clip.dataset"


@pytest.fixture(scope="session")
def program() -> Path:
    """The user's own ffmpeg; the test skips where there is none."""
    from vidtrans.core.errors import UsageError
    from vidtrans.video.ffmpeg import find_program

    try:
        return find_program()
    except UsageError:
        pytest.skip("there is no ffmpeg")


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of a few steps, trained on the lines of a small clip: what it paints is wrong, and never the source."""
    folder = tmp_path_factory.mktemp("tiny")
    clip = write_clip(folder / "seen.mp4", moving_frames(12))
    cache = {"cache_dir": folder / ".vidtrans"}
    api.make_dataset(clip, folder / "seen.dataset", preset="edges", settings=TINY, **cache)
    api.train(folder / "seen.dataset", folder / "tiny.safetensors", settings=quick_training(), **cache)
    return folder / "tiny.safetensors"


@pytest.fixture(scope="session")
def next_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that predicts frames."""
    folder = tmp_path_factory.mktemp("next")
    clip, cache = write_clip(folder / "clip.mp4", moving_frames(12)), {"cache_dir": folder / ".vidtrans"}
    api.make_dataset(clip, folder / "next.dataset", pairing="next-frame", settings=TINY, **cache)
    api.train(folder / "next.dataset", folder / "next.safetensors", settings=quick_training(1), **cache)
    return folder / "next.safetensors"


@pytest.fixture(scope="session")
def shoot(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Shoot:
    """A clip with its plain look."""
    folder = tmp_path_factory.mktemp("shoot")
    clip, cache = lossless(folder / "c.mp4", moving_frames(COUNT)), folder / "cache"
    api.stylize(clip, tiny_model, folder / "look.mkv", settings=EXACT, cache_dir=cache)
    made = Shoot(clip, tiny_model, cache, decode(clip)[2], decode(folder / "look.mkv")[2])
    assert not any(same([a], [b]) for a, b in zip(made.source, made.look, strict=True))
    return made


@pytest.fixture
def render(shoot: Shoot, capsys: pytest.CaptureFixture[str]) -> Callable[..., Frames]:
    """Render the shoot with more flags; the frames of the result."""

    def made(*flags: object) -> Frames:
        said(capsys, 0, *shoot.command, "--overwrite", *flags)
        return decode(Path("out.mkv"))[2]

    return made


@pytest.fixture(scope="session")
def real_data() -> Callable[[str], Path]:
    """A path in the folder of real clips; the test skips where the data is absent."""

    def find(name: str) -> Path:
        path = DATA / name
        if not path.exists():
            pytest.skip(f"the real clips are not here ({name})")
        return path

    return find
