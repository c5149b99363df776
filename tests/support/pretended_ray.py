"""Ray, pretended: two nodes, whose tasks run in this process, one after another, when they are waited for.

What a test shows here is what the code does with Ray's answers, not what Ray does.
"""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Callable
from contextlib import chdir
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

NODES = "a", "b"


class RayError(Exception):
    """The root of Ray's errors."""


class WorkerCrashedError(RayError):
    """A worker was killed."""


class _Reference:
    def __init__(self, run: Callable[[], Any]) -> None:
        self._run, self._value, self._error = run, None, None
        self.is_ready = False

    def resolve(self) -> None:
        if not self.is_ready:
            self.is_ready = True
            try:
                self._value = self._run()
            except RayError as error:
                self._error = error

    def get(self) -> Any:
        self.resolve()
        if self._error is not None:
            raise self._error
        return self._value


class _Handle:
    """An actor: its methods are called at once."""

    def __init__(self, actor: Any) -> None:
        self._actor = actor

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._actor, name)

        def call(*arguments: Any) -> _Reference:
            value = method(*arguments)
            return _Reference(lambda: value)

        return SimpleNamespace(remote=call)


class PretendedRay:
    """``ran``: (name, node) of each task. ``lose(name, node)``, asked after each, returns the error of a lost one."""

    def __init__(self) -> None:
        self.ran: list[tuple[str, str]] = []
        self._asked: list[tuple[str, float]] = []
        self.node = NODES[0]
        self.lose: Callable[[str, str], type[Exception] | None] = lambda name, node: None
        self.exceptions = SimpleNamespace(RayError=RayError, WorkerCrashedError=WorkerCrashedError)
        for name in (
            "OutOfMemoryError",
            "NodeDiedError",
            "ObjectLostError",
            "RayTaskError",
            "TaskUnschedulableError",
            "GetTimeoutError",
        ):
            setattr(self.exceptions, name, type(name, (RayError,), {}))

    def remote(self, what: Any) -> Any:
        def options(scheduling_strategy: Any = None, num_cpus: float = 1, **more: Any) -> Any:
            self._asked.append((what.__name__, num_cpus))
            node = NODES[0] if scheduling_strategy is None else scheduling_strategy.node
            if isinstance(what, type):
                return SimpleNamespace(remote=lambda *a: _Handle(what(*a)))
            return SimpleNamespace(remote=lambda *a: _Reference(lambda: self._call(what, node, a)))

        return SimpleNamespace(options=options)

    def _call(self, function: Any, node: str, arguments: tuple[Any, ...]) -> Any:
        self.node = node
        self.ran.append((function.__name__, node))
        plain = [a if isinstance(a, _Handle | list) else pickle.loads(pickle.dumps(a)) for a in arguments]
        with chdir(os.getcwd()):
            value = function(*plain)
        if error := self.lose(function.__name__, node):
            raise error
        return value

    def asked_cpus(self, name: str) -> list[float]:
        """How many CPUs each task of a name was to have."""
        return [cpus for asked, cpus in self._asked if asked == name]

    def put(self, value: Any) -> _Reference:
        return _Reference(lambda: value)

    def get(self, given: Any, timeout: float | None = None) -> Any:
        return [one.get() for one in given] if isinstance(given, list) else given.get()

    def wait(self, references: list[_Reference], num_returns: int = 1, timeout: float = 0) -> tuple[Any, Any]:
        for reference in references[:num_returns]:
            reference.resolve()
        return references[:num_returns], references[num_returns:]

    def nodes(self) -> list[dict[str, Any]]:
        return [{"NodeID": name, "Alive": True, "Resources": {"CPU": 64.0}} for name in NODES]

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 128.0}

    def get_runtime_context(self) -> Any:
        return SimpleNamespace(get_node_id=lambda: self.node)

    def is_initialized(self) -> bool:
        return True

    def cancel(self, reference: Any, force: bool) -> None:
        """Nothing runs."""

    def kill(self, handle: Any) -> None:
        """It ends with the test."""


def pretend(monkeypatch: pytest.MonkeyPatch) -> PretendedRay:
    """Put a pretended Ray in the place of Ray."""
    ray = PretendedRay()
    strategies = ModuleType("ray.util.scheduling_strategies")
    strategies.NodeAffinitySchedulingStrategy = lambda node, soft: SimpleNamespace(node=node)  # type: ignore[attr-defined]
    for name, module in {"ray": ray, "ray.util": ModuleType("ray.util"), strategies.__name__: strategies}.items():
        monkeypatch.setitem(sys.modules, name, module)  # type: ignore[arg-type]
    return ray
