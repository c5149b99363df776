"""Mutation testing: put small faults into the code, one at a time, and see whether a test fails.

    pip install coverage
    python -m benchmarks.robustness.mutation.run map FOLDER [TEST_FILE...]    the tests that run each line, their times
    python -m benchmarks.robustness.mutation.run run FOLDER FILE... [--share 0.25] [--jobs 2] [--seconds 4] [--living]
    python -m benchmarks.robustness.mutation.run again FOLDER FILE... [--seconds 20]     those of imports, and that live
    python -m benchmarks.robustness.mutation.run table FOLDER

FOLDER holds the results. ``run`` forks a process that has collected the tests; in the child the code of one function is
exchanged, and the tests that run its line are run, quick ones first, until one fails or ``--seconds`` are used up;
with ``--living``, for those that no test killed. ``again`` imports everything anew in each child, so that it also sees
what acts at import. The model and the clip that most tests share (conftest.py) are made once, by the code as it is.
"""

from __future__ import annotations

import argparse
import ast
import gc
import importlib
import importlib.machinery
import json
import os
import pickle
import random
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"
import pytest

from benchmarks import harness
from benchmarks.robustness.mutation.choosing import ARGUMENTS, ROOT, Chooser, make_map
from benchmarks.robustness.mutation.operators import Mutant, mutants

TEMPORARY = Path("/dev/shm") if Path("/dev/shm").is_dir() else Path("/tmp")


class Shared:
    """A pytest plugin: the model and the clip that tests share are not made again in each child."""

    def __init__(self, made: dict[str, Any]) -> None:
        self.made = made
        self.items: dict[str, pytest.Item] = {}

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.items = {item.nodeid: item for item in session.items}

    @pytest.hookimpl(tryfirst=True)
    def pytest_fixture_setup(self, fixturedef: Any, request: Any) -> Any:
        if fixturedef.argname not in self.made:
            return None
        value = self.made[fixturedef.argname]
        fixturedef.cached_result = (value, fixturedef.cache_key(request), None)
        return value


def shared_fixtures(folder: Path) -> dict[str, Any]:
    """Made in a child, so that this process stays as it is."""
    path = folder / "shared.pickle"
    if not path.exists() and (pid := os.fork()) == 0:
        import conftest

        class Folders:
            def mktemp(self, name: str) -> Path:
                made = folder / "shared" / name
                made.mkdir(parents=True)
                return made

        tiny = conftest.tiny_model._get_wrapped_function()(Folders())
        shoot = conftest.shoot._get_wrapped_function()(Folders(), tiny)
        path.write_bytes(pickle.dumps({"tiny_model": tiny, "shoot": shoot}))
        os._exit(0)
    elif not path.exists():
        os.waitpid(pid, 0)
    return pickle.loads(path.read_bytes())


Functions = dict[tuple[str, int, str], list[FunctionType]]


def living_functions() -> Functions:
    """Return the functions of the package that are in memory, by file, first line and name."""
    found: Functions = {}
    gc.unfreeze()  # frozen objects are not listed
    for thing in gc.get_objects():
        if isinstance(thing, FunctionType) and thing.__code__.co_filename.startswith(f"{ROOT}/vidtrans/"):
            code = thing.__code__
            found.setdefault((code.co_filename, code.co_firstlineno, code.co_qualname), []).append(thing)
    gc.freeze()  # children share the pages of frozen objects
    return found


def exchange(mutant: Mutant, functions: Functions) -> None:
    """Give the living function the mutant's code."""
    path = str(ROOT / mutant.file)
    made = compile(ast.fix_missing_locations(mutant.tree), path, "exec")
    code = next(c for c in _codes(made) if c.co_firstlineno == mutant.function and _is_outer(c, mutant.scope))
    for function in functions[path, code.co_firstlineno, code.co_qualname]:
        function.__code__ = code


def _codes(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _codes(constant)


def _is_outer(code: CodeType, scope: str) -> bool:
    return f"{scope}.".startswith(f"{code.co_qualname}.")


def run_collected(plugin: Shared, tests: list[str]) -> str | None:
    """The first test that fails."""
    from _pytest.runner import runtestprotocol

    items = [plugin.items[name] for name in tests]
    for item, following in zip(items, [*items[1:], None], strict=True):
        if any(r.failed for r in runtestprotocol(item, nextitem=following, log=False)):
            return item.nodeid
    return None


def run_anew(made: dict[str, Any], mutant: Mutant | None, tests: list[str], place: Path) -> str | None:
    """The same, with everything imported anew, and the mutant at the place of its file."""
    failed: list[str] = []

    class First:
        def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
            if report.failed:
                failed.append(report.nodeid)

    if mutant:
        path, usual = str(ROOT / mutant.file), importlib.machinery.SourceFileLoader.get_code
        code = compile(ast.fix_missing_locations(mutant.tree), path, "exec")
        importlib.machinery.SourceFileLoader.get_code = (  # type: ignore[method-assign]
            lambda self, name: code if self.path == path else usual(self, name)
        )
    os.chdir(ROOT)
    functions = dict.fromkeys(test.partition("[")[0] for test in tests)  # names of cases may be older than the tests
    status = pytest.main([*ARGUMENTS, "-x", f"--basetemp={place}", *functions], plugins=[Shared(made), First()])
    usage = pytest.ExitCode.USAGE_ERROR, pytest.ExitCode.NO_TESTS_COLLECTED
    return None if status == 0 else (failed or [f"{'error: ' if status in usage else ''}exit {status}"])[0]


def in_child(work: Callable[[Path], str | None], limit_s: float) -> tuple[int, Path, float]:
    place = TEMPORARY / f"mutant-{os.getpid()}-{time.monotonic_ns()}"
    place.mkdir()
    if pid := os.fork():
        return pid, place, time.monotonic() + limit_s
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDWR)
    for handle in (0, 1, 2):
        os.dup2(nothing, handle)
    try:
        result = work(place / "t")
    except BaseException as error:
        result = f"error: {type(error).__name__}: {error}"
    (place / "result").write_text(json.dumps(result))
    os._exit(0)


def wait_for(pid: int, place: Path, until: float, block: bool) -> tuple[str | None] | None:
    """Its result, in a tuple; None while it works."""
    while not os.waitpid(pid, os.WNOHANG)[0]:
        if time.monotonic() > until:
            os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            break
        if not block:
            return None
        time.sleep(0.005)
    file = place / "result"
    result = json.loads(file.read_text()) if file.exists() else "time"
    shutil.rmtree(place, ignore_errors=True)
    return (result,)


class Runner:
    """Mutants in children, some at once; results go to ``results.jsonl``, a line each."""

    def __init__(self, folder: Path, options: argparse.Namespace, anew: bool) -> None:
        self.folder, self.options, self.anew = folder, options, anew
        self.made = shared_fixtures(folder)
        self.chooser, self.plugin = Chooser(folder), Shared(self.made)
        self.sound: set[str] = set()  # tests that pass here without any mutant
        self.working: list[tuple[tuple[int, Path, float], dict[str, Any], list[str]]] = []
        if not anew:
            os.chdir(ROOT)
            self.collect()
        else:
            import av, cv2, hypothesis, safetensors, skimage, torch  # noqa: E401, F401, I001
        gc.collect()
        gc.freeze()

    def collect(self) -> None:
        from _pytest.config import _prepareconfig

        files = sorted({test.partition("::")[0] for test in self.chooser.seconds})
        config = _prepareconfig([*ARGUMENTS, *files], plugins=[self.plugin])
        config._do_configure()
        session = pytest.Session.from_config(config)
        config.hook.pytest_sessionstart(session=session)
        config.hook.pytest_collection(session=session)
        importlib.import_module("torch._dynamo")  # the first step of an optimiser would import it, in every child
        for file in self.options.files:  # some are imported only when they are needed
            importlib.import_module(file.removesuffix(".py").removesuffix("/__init__").replace("/", "."))
        self.config, self.functions = config, living_functions()

    def work(self, mutant: Mutant | None, tests: list[str]) -> Callable[[Path], str | None]:
        def in_one_that_has_collected(place: Path) -> str | None:
            place.mkdir()
            self.config._tmp_path_factory._basetemp = place
            if mutant:
                exchange(mutant, self.functions)
            return run_collected(self.plugin, tests)

        return (lambda place: run_anew(self.made, mutant, tests, place)) if self.anew else in_one_that_has_collected

    def start(self, mutant: Mutant) -> None:
        tests = [t for t in self.chooser.tests(mutant, self.options.seconds) if self.anew or t in self.plugin.items]
        row = {"name": mutant.name, "file": mutant.file, "at_import": not mutant.function, "anew": self.anew}
        if not tests:
            self.write(row, "no test runs it")
            return
        expected = sum(self.chooser.seconds[t] for t in tests)
        limit = 20 + 6 * expected
        self.working.append((in_child(self.work(mutant, tests), limit), {**row, "tests": len(tests)}, tests))
        while len(self.working) >= self.options.jobs:
            self.finish_some()

    def finish_some(self) -> None:
        for entry in list(self.working):
            if found := wait_for(*entry[0], block=False):
                self.working.remove(entry)
                self.judge(entry[1], found[0], entry[2])
        time.sleep(0.003)

    def judge(self, row: dict[str, Any], result: str | None, tests: list[str]) -> None:
        """A test that fails without the mutant as well has killed nothing."""
        if result in tests and result not in self.sound:
            child = in_child(self.work(None, [result]), 60)
            (alone,) = wait_for(*child, block=True) or (None,)
            if alone is None:
                self.sound.add(result)
            else:
                self.chooser.unusable.add(result)
                self.write(row, f"unsound test {result}")
                return
        self.write(row, result)

    def write(self, row: dict[str, Any], result: str | None) -> None:
        with (self.folder / "results.jsonl").open("a") as file:
            file.write(json.dumps({**row, "killed_by": result}) + "\n")


def all_mutants(files: list[str], share: float) -> Iterator[Mutant]:
    for file in files:
        rng = random.Random(file)
        for mutant in mutants((ROOT / file).read_text(), file):
            if rng.random() < share:
                yield mutant


def is_alive(row: dict[str, Any]) -> bool:
    return row["killed_by"] is None or row["killed_by"].startswith(("no test", "unsound", "error"))


def results(folder: Path) -> dict[str, dict[str, Any]]:
    """The latest of each mutant."""
    path = folder / "results.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return {row["name"]: row for row in rows}


def main() -> None:
    parser = harness.parser(__doc__)
    parser.add_argument("what", choices=("map", "run", "again", "table"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("files", nargs="*")
    parser.add_argument("--share", type=float, default=1.0, help="of the mutants, chosen by the file's name")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--living", action="store_true", help="run those again that no test killed")
    parser.add_argument("--seconds", type=float, default=4.0, help="of tests for one mutant")
    options = parser.parse_args()
    folder = options.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    if options.what == "map":
        make_map(folder, [Path(f).resolve() for f in options.files])
        return
    known = results(folder)
    if options.what == "table":
        print(table(known))
        return
    anew = options.what == "again"
    runner = Runner(folder, options, anew)
    for mutant in all_mutants(options.files, options.share):
        row = known.get(mutant.name)
        living = row is not None and is_alive(row)
        todo = living or (row is None and not mutant.function)
        if todo if anew else mutant.function and (living if options.living else row is None):
            runner.start(mutant)
    while runner.working:
        runner.finish_some()


def table(rows: dict[str, dict[str, Any]]) -> str:
    """A line a file, and the names of those that live."""
    lines = ["| file | mutants | killed | living |", "| --- | ---: | ---: | ---: |"]
    files = sorted({row["file"] for row in rows.values()})
    for file in [*files, "all"]:
        mine = [row for row in rows.values() if file in (row["file"], "all")]
        alive = sum(map(is_alive, mine))
        lines.append(f"| {file} | {len(mine)} | {len(mine) - alive} | {alive} |")
    return "\n".join([*lines, "", *(f"- {name} ({r['killed_by']})" for name, r in rows.items() if is_alive(r))])


if __name__ == "__main__":
    harness.run(main)
