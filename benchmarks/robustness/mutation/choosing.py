"""The tests that run each line of vidtrans, their times, and which of them a mutant gets."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from benchmarks.harness import ROOT
from benchmarks.robustness.mutation.operators import Mutant

sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "support")]
ARGUMENTS = ["-o", "addopts=", "-p", "no:xdist", "-p", "no:cacheprovider", "-q", "-s", "--tb=line"]
SLOW_TEST_S = 20.0


class Slow(BaseException):
    """A test takes longer than SLOW_TEST_S."""


class Mapper:
    """A pytest plugin: the tests that run each line of vidtrans, and the seconds of each test."""

    def __init__(self) -> None:
        import coverage

        self.coverage = coverage.Coverage(include=[f"{ROOT}/vidtrans/*"], data_file=None)
        self.seconds: dict[str, float] = {}
        self.unusable: set[str] = set()

    def pytest_sessionstart(self) -> None:
        self.coverage.start()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Any:
        self.coverage.switch_context(item.nodeid)
        return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Any:
        def ring(*_: Any) -> None:
            raise Slow

        began = time.perf_counter()
        signal.signal(signal.SIGALRM, ring)
        signal.setitimer(signal.ITIMER_REAL, SLOW_TEST_S)
        try:
            return (yield)
        except Slow:
            pytest.skip("slow")
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            self.seconds[item.nodeid] = time.perf_counter() - began

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if not report.passed:
            self.unusable.add(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        self.coverage.stop()

    def save(self, path: Path) -> None:
        data = self.coverage.get_data()
        lines = {os.path.relpath(f, ROOT): data.contexts_by_lineno(f) for f in data.measured_files()}
        usable = {k: v for k, v in self.seconds.items() if k not in self.unusable}
        path.write_text(json.dumps({"seconds": usable, "lines": lines}))


def make_map(folder: Path, tests: list[Path]) -> None:
    """One child for each test file: a fault of one is not the others'."""
    for test in tests or sorted((ROOT / "tests").rglob("test_*.py")):
        if (pid := os.fork()) == 0:
            os.chdir(ROOT)
            mapper = Mapper()
            pytest.main([*ARGUMENTS, str(test)], plugins=[mapper])
            mapper.save(folder / f"{test.stem}.map.json")
            os._exit(0)
        os.waitpid(pid, 0)


class Chooser:
    """Says which tests a mutant gets."""

    def __init__(self, folder: Path) -> None:
        self.seconds: dict[str, float] = {}
        self.lines: dict[str, dict[int, set[str]]] = {}
        for path in sorted(folder.glob("*.map.json")):
            found = json.loads(path.read_text())
            self.seconds |= found["seconds"]
            for file, lines in found["lines"].items():
                mine = self.lines.setdefault(file, {})
                for line, tests in lines.items():
                    mine.setdefault(int(line), set()).update(tests)
        self.unusable = {test for test in self.seconds if not _exists(test)}

    def tests(self, mutant: Mutant, most_s: float) -> list[str]:
        """Quick ones first, and those of files that import the mutant's module before others."""
        lines = self.lines.get(mutant.file, {})
        every = range(mutant.line, max(mutant.line, mutant.last_line) + 1)
        if not mutant.function:  # it acts at import: whatever runs anything of the file
            every = list(lines)
        usable = self.seconds.keys() - self.unusable
        module = mutant.file.removesuffix(".py").replace("/", ".")
        found = {t for line in every for t in lines.get(line, ())} & usable
        if not found:  # it may run in processes that tests fork
            found = {t for t in usable if _imports(t, module)}
        chosen, total = [], 0.0
        cost = {t: self.seconds[t] * (1 if _imports(t, module) else 4) for t in found}
        alike: Counter[str] = Counter()  # cases of one test find alike: each further one is put off
        for test in sorted(found, key=cost.__getitem__):
            alike[function := test.partition("[")[0]] += 1
            cost[test] = (cost[test] + 0.01) * alike[function]
        for test in sorted(found, key=cost.__getitem__):
            total += self.seconds[test] + 0.01
            if chosen and total > most_s:
                break
            chosen.append(test)
        return chosen


@cache
def _text(file: str) -> str:
    return (ROOT / file).read_text() if (ROOT / file).exists() else ""


def _exists(test: str) -> bool:
    """Maps may be older than the tests."""
    return f"def {test.rpartition('::')[2].partition('[')[0]}(" in _text(test.partition("::")[0])


def _imports(test: str, module: str) -> bool:
    return module in _text(test.partition("::")[0])
