"""The executor that runs tasks on a Ray cluster: an existing one, or a temporary one on this machine.

Ray places tasks and reports lost ones, which the scheduler submits again. A temporary cluster ends with the process
that started it. All machines have the folders of sources, results and cache at the same paths. ``run_on_ray``,
``describe_node`` and ``EventBoard`` run in the cluster's processes. Ray is imported only where it is used.
"""

from __future__ import annotations

import os
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from vidtrans.batch.executors import Task, TaskResult, run_task, shared_options
from vidtrans.core.errors import DeviceError, UsageError, VidtransError, first_line
from vidtrans.core.events import Event, Progress, Report, Stop
from vidtrans.core.files import process_mark, remove
from vidtrans.core.machine import cores, set_up_heap
from vidtrans.core.settings import Table
from vidtrans.session import Context
from vidtrans.store.cache import lock_warning
from vidtrans.store.stages import libraries

BOARD_EXCHANGE_S = 0.25  # Interval at which a task exchanges messages with the event board, in seconds
# Packages whose versions affect the bytes of the results; all nodes must have equal versions
RESULT_PACKAGES = ("vidtrans", "torch", "av", "opencv-python-headless", "numpy")
RayObject = Any  # Stand-in for the types of Ray's objects, because Ray is imported only where it is used
# Inference engines of this process, by model and settings; consecutive tasks reuse them
ENGINES: dict[tuple[str, ...], Any] = {}
CONNECT_TIMEOUT_S = 5.0  # Time limit for a cluster's address to accept a connection, in seconds
NODE_CHECK_TIMEOUT_S = 120.0  # Time limit for the answers of all nodes, which first start Python, in seconds
CLUSTER_CHECK_S = 10.0  # Interval at which the executor counts the cluster's machines, in seconds
# Size of a temporary cluster's object store, in bytes; small because tasks exchange little data
OBJECT_STORE_BYTES = 128 << 20
# Environment variables on threads that torch reads at its import; tasks get their values
THREAD_VARIABLES = ("GOMP_SPINCOUNT",)


class RayExecutor:
    """An executor on a Ray cluster; each task gets as many CPUs as it has threads, or one GPU.

    Raises UsageError if no cluster answers, or a node would not produce the same bytes; DeviceError if no node can run
    a task.
    """

    takes_address: ClassVar[bool] = True

    shares_disk: ClassVar[bool] = True

    def __init__(self, context: Context, jobs: int | None, address: str) -> None:
        if address:
            check_address(address)
        self._ray = import_ray()
        self._folder = os.getcwd()
        self._running: dict[Any, tuple[int, Task, Report]] = {}  # Submission number, task, report, by Ray reference
        self._board: Any = None
        self._exit_status: int | None = None  # Exit status of the stop request that was sent to the tasks
        self._owns_connection = not self._ray.is_initialized()  # Otherwise the caller of vidtrans disconnects.
        self._temporary_folder = self._connect(address) if self._owns_connection else ""
        try:
            self._set_up(context, jobs)
        except BaseException:
            self.close()
            raise

    def _set_up(self, context: Context, jobs: int | None) -> None:
        """Choose the device, count the slots, check that all nodes are equal, and start the event board.

        ``jobs``: the value of --jobs, the maximum number of slots; None: as many as the nodes have.
        """
        self.device_kind = device_kind = self._device_kind(context.device)
        import torch

        threads = torch.get_num_threads()  # The number of threads affects results, so all nodes use this machine's.
        self._cpus, self._gpus = (1, 1) if device_kind == "cuda" else (threads, 0)
        self._max_jobs, self._slots_updated_s = jobs, 0.0
        self.slots = 0
        self._count = 0
        self._whole_node_items: set[int] = set()  # Items that ran out of memory; each of them gets a whole node.
        self._options = shared_options(context) | {"device": device_kind}
        variables = {"OMP_NUM_THREADS": str(threads)} | {n: os.environ[n] for n in THREAD_VARIABLES if n in os.environ}
        self._environment = {"env_vars": variables}
        self._update_slots()
        self._check_nodes(context)
        # Run the event board on this machine, or, for a Ray client, on the client's server: without that node, the
        # command ends anyway.
        this_node = self._node_placement(self._ray.get_runtime_context().get_node_id())
        # Ray may end the event board if memory runs out: let Ray restart it. Tasks continue; stored events are lost.
        restarts: Table = {"max_restarts": -1, "max_task_retries": -1}
        board = self._ray.remote(EventBoard).options(num_cpus=0, scheduling_strategy=this_node, **restarts)
        self._board = board.remote()

    # Methods for the connection to the cluster

    def _connect(self, address: str) -> str:
        """Connect to a cluster, or start one; return the temporary folder of a started cluster, '' otherwise.

        ``address``: that of a cluster, HOST:PORT; '': the cluster in RAY_ADDRESS, on this machine, or a new one.
        """
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        quiet: Table = {"logging_level": "ERROR", "log_to_driver": False}
        cluster = f"ray://{address}" if address else os.environ.get("RAY_ADDRESS", "")
        if cluster:
            try:
                self._ray.init(address=cluster, **quiet)
            except (ConnectionError, RuntimeError, TimeoutError) as error:
                remedy = "see 'ray status' there; for ray://, start the cluster's head with RAY_AUTH_MODE=token"
                raise UsageError(f"--executor ray: {cluster}", first_line(error).rstrip(" :"), remedy) from error
            return ""
        try:
            self._ray.init(address="auto", **quiet)
            return ""
        except ConnectionError:  # No cluster runs on this machine.
            pass
        except RuntimeError as error:
            raise UsageError("--executor ray", first_line(error), "see 'ray status'") from error
        folder = tempfile.mkdtemp(prefix="ray-")
        size: Table = {"num_cpus": cores(), "object_store_memory": OBJECT_STORE_BYTES, "_temp_dir": folder}
        priority: Table = {"worker_niceness": 0}  # The same priority as the workers of ``local``
        self._ray.init(include_dashboard=False, _system_config=priority, **size, **quiet)
        return folder

    def _device_kind(self, device: str) -> str:
        """Return the device kind of all tasks, cuda or cpu, because a clip must not mix kinds. Raises DeviceError."""
        num_gpus = int(self._ray.cluster_resources().get("GPU", 0))
        device_kind = device.partition(":")[0]
        if device_kind == "auto":
            return "cuda" if num_gpus else "cpu"
        if device_kind == "cuda" and not num_gpus:
            raise DeviceError(f"--device {device}", "no machine of the cluster has a GPU", "use --device cpu")
        return device_kind

    def _check_nodes(self, context: Context) -> None:
        """Check that all nodes have equal software, hardware and folders. Raises UsageError, VidtransError."""
        # Ray hides the GPU from a process that reserves no share of it.
        options: Table = {"num_cpus": 0, "num_gpus": 0.01 * self._gpus, "runtime_env": self._environment}
        references = []
        folder = self._folder if self.shares_disk else "/"
        with marker_file(context, is_needed=self.shares_disk) as marker:
            for node in self._nodes():
                placement = self._node_placement(node["NodeID"])
                remote = self._ray.remote(describe_node).options(scheduling_strategy=placement, **options)
                references.append(remote.remote(folder, marker, self._options["device"]))
            try:
                answers = self._ray.get(references, timeout=NODE_CHECK_TIMEOUT_S)
            except self._ray.exceptions.GetTimeoutError as error:
                why = f"a machine of the cluster did not answer in {NODE_CHECK_TIMEOUT_S:.0f} s"
                raise VidtransError("--executor ray", why, "see 'ray status' and the cluster's free memory") from error
            except self._ray.exceptions.RayError as error:
                why = f"a machine of the cluster does not run vidtrans: {first_line(error)}"
                raise VidtransError("--executor ray", why, "install vidtrans there") from error
        first = answers[0]
        # Compare only the versions of this machine, and not its processor, because it renders nothing.
        check_node(first, first | {"versions": libraries(*RESULT_PACKAGES), "host": socket.gethostname()}, self._folder)
        for answer in answers:
            check_node(answer, first, self._folder)
        self._node = first | {"folder": self._folder}
        if self.shares_disk and len(answers) > 1 and (warning := lock_warning(context.cache.root)):
            context.warn_once(warning)

    def _node_placement(self, node: str) -> RayObject:
        """Return the Ray scheduling strategy that places a task or an actor on a node."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        return NodeAffinitySchedulingStrategy(node, soft=False)  # Ray ignores soft affinity for actors.

    def _nodes(self) -> list[Table]:
        """Return Ray's tables of the nodes that can run a task."""
        return [
            node
            for node in self._ray.nodes()
            if node["Alive"]
            and node["Resources"].get("CPU", 0) >= self._cpus
            and node["Resources"].get("GPU", 0) >= self._gpus
        ]

    def _update_slots(self) -> None:
        """Update the number of slots every ``CLUSTER_CHECK_S`` seconds, as machines join and leave the cluster."""
        now = time.monotonic()
        if self._slots_updated_s and now - self._slots_updated_s < CLUSTER_CHECK_S:
            return
        self._slots_updated_s = now
        nodes = [node["Resources"] for node in self._nodes()]
        per_node = [min(n.get("CPU", 0) // self._cpus, n.get("GPU", 0) if self._gpus else 1e9) for n in nodes]
        if not self.slots and not nodes:
            needed = "a GPU" if self._gpus else f"{self._cpus} CPUs, as many as a task has threads (OMP_NUM_THREADS)"
            raise DeviceError("--executor ray", f"no machine of the cluster has {needed}", "see 'ray status'")
        self._max_cpus = max((n.get("CPU", 0) for n in nodes), default=self._cpus)
        self.slots = self._max_jobs or max(1, int(sum(per_node)))

    # Methods of the interface ``Executor``

    def submit(self, task: Task, report: Report) -> None:
        """Submit the task to Ray. A task that was lost for lack of memory gets a whole node."""
        self._count += 1
        options: Table = {
            "num_cpus": self._max_cpus if task.number in self._whole_node_items else self._cpus,
            "num_gpus": self._gpus,
            "max_retries": 0,  # The scheduler restarts, counts and reports lost tasks.
            "runtime_env": self._environment,
        }
        self._running[self._start(task, options)] = self._count, task, report

    def _start(self, task: Task, options: Table) -> RayObject:
        """Submit a task with Ray's ``options``; return its Ray reference. ``self._count`` is its submission number."""
        remote = self._ray.remote(run_on_ray).options(**options)
        return remote.remote(self._count, replace(task, division=None), self._options, self._node, self._board)

    def receive(self, timeout_s: float) -> tuple[Task, TaskResult] | None:
        """Pass on the events of running tasks; return an ended task and its result; None if none has ended."""
        self._update_slots()
        if not self._running:
            time.sleep(timeout_s)
            return None
        ended, _ = self._ray.wait(list(self._running), num_returns=1, timeout=timeout_s)
        try:
            if self._exit_status is not None:  # A board that Ray restarted has lost the stop request.
                self._board.stop.remote(self._exit_status)
            events = self._ray.get(self._board.pop_events.remote())
        except self._ray.exceptions.RayError as error:
            raise VidtransError(
                "--executor ray", f"the cluster is lost: {first_line(error)}", "run the command again"
            ) from error
        reports = {number: report for number, _, report in self._running.values()}
        for number, event in events:
            if number in reports:  # Otherwise the event is a late one of an ended task.
                self._handle_event(number, event, reports[number])
        if not ended:
            return None
        number, task, _ = self._running.pop(ended[0])
        return task, self._result(number, ended[0], task)

    def _handle_event(self, number: int, event: RayObject, report: Report) -> None:
        """Pass an event of a running task to its report. ``number``: the submission number."""
        report(event)

    def _result(self, number: int, reference: RayObject, task: Task) -> TaskResult:
        """Return the result of an ended task; errors of Ray become results with the state "lost" or "failed".

        ``number``: the task's submission number. ``reference``: its Ray reference.
        """
        errors = self._ray.exceptions
        try:
            result: TaskResult = self._ray.get(reference)
            return result
        except errors.OutOfMemoryError:
            self._whole_node_items.add(task.number)
            return TaskResult("lost", error="its machine ran out of memory; the next try gets a whole machine")
        except (errors.NodeDiedError, errors.TaskUnschedulableError):
            return TaskResult("lost", error="its machine was lost", is_blameless=True)
        except (errors.WorkerCrashedError, errors.ObjectLostError) as error:
            return TaskResult("lost", error=f"its process was ended ({type(error).__name__}), by SIGKILL as a rule")
        except errors.RayTaskError as error:
            why = f"a worker of Ray could not run it: {first_line(error.cause)}"
            return TaskResult("failed", error=why, exit_status=1)
        except errors.RayError as error:
            return TaskResult("lost", error=f"Ray could not run it: {first_line(error)}")

    def stop(self, exit_status: int) -> None:
        """Put the stop request on the event board, which running tasks poll. ``exit_status``: that of the command."""
        self._exit_status = exit_status
        self._board.stop.remote(exit_status)

    def close(self) -> None:
        """End running tasks, and disconnect; a cluster started for this process ends."""
        for reference in self._running:
            with suppress(Exception):
                self._ray.cancel(reference, force=True)
        if self._board is not None:
            with suppress(Exception):
                self._ray.kill(self._board)
            self._board = None
        self._disconnect()

    def _disconnect(self) -> None:
        """Leave the cluster; end it and delete its folder if this process started it."""
        if self._owns_connection:
            self._ray.shutdown()
        if self._temporary_folder:
            remove(Path(self._temporary_folder))


def import_ray() -> RayObject:
    """Return the ``ray`` module. Raises UsageError if it is not installed."""
    token = Path.home() / ".ray" / "auth_token"
    if any(name in os.environ for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")) or token.is_file():
        # `ray start` requires a token by default, and a program that connects sends none by default.
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    try:
        import ray
    except ImportError:
        raise UsageError("--executor ray", "Ray is not installed", "pip install 'vidtrans[cluster]'") from None
    return ray


def check_address(address: str) -> None:
    """Raise UsageError if nothing accepts connections at ``address``, HOST:PORT."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise UsageError(f"--executor ray://{address}", "no HOST:PORT", "write ray://head:10001")
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_TIMEOUT_S).close()
    except OSError as error:
        why, remedy = f"no answer ({error.strerror or error})", "start it: ray start --head"
        raise UsageError(f"--executor ray://{address}", why, remedy) from None


@contextmanager
def marker_file(context: Context, *, is_needed: bool) -> Iterator[str]:
    """Create a file in the cache folder, and yield its path: nodes that find the file share the cache.

    In a dry run, or if not ``is_needed``, yield ''.
    """
    if context.dry_run or not is_needed:
        yield ""
        return
    context.cache.prepare()
    path = context.cache.root / f".seen.{process_mark()}"
    path.touch()
    try:
        yield str(path)
    finally:
        path.unlink(missing_ok=True)


def run_on_ray(number: int, task: Task, options: Table, node: Table, board: RayObject) -> TaskResult:
    """Run a task in a process of the cluster. ``number``: its submission number. ``options``: fields of its context.

    ``board``: the event board. ``node``: the ``folder`` to run in, and the required software and hardware as
    ``describe_node`` returns them, which a node that joined the cluster later may lack.
    """
    set_up_heap()
    try:
        check_node(describe_node(node["folder"], "", options["device"]), node, node["folder"])
    except UsageError as error:
        return TaskResult("failed", error=str(error), exit_status=error.exit_status)
    os.chdir(node["folder"])
    stop = Stop()
    link = BoardClient(board, number, stop)
    try:
        return run_task(task, Context(report=link.report, stop=stop, engines=ENGINES, **options))
    finally:
        link.close()


def describe_node(folder: str, marker: str, device: str) -> Table:
    """Return the host name, package versions and processor of the node that runs this function.

    The entry ``sees`` tells whether the node finds ``folder`` and the file ``marker`` ('': not checked).
    """
    from vidtrans.inference.device import resolve_device
    from vidtrans.rendering.parts import processor

    sees = Path(folder).is_dir() and (not marker or Path(marker).is_file())
    processor_name = processor(resolve_device(device))
    versions = libraries(*RESULT_PACKAGES)
    return {"host": socket.gethostname(), "versions": versions, "processor": processor_name, "sees": sees}


def check_node(node: Table, required: Table, folder: str) -> None:
    """Raise UsageError if the node does not see ``folder``, or if its software or hardware is not the ``required`` one.

    ``node`` and ``required`` are tables as ``describe_node`` returns them. If they differ, so would the nodes' results.
    """
    what = f"--executor ray: {node['host']}"
    for name, here in required["versions"].items():
        if (there := node["versions"].get(name, "none")) != here:
            why = f"it has {name} {there}, and {required['host']} {here}: results would differ"
            raise UsageError(what, why, f"install {name} {here} there, or leave that machine out of the cluster")
    if node["processor"] != required["processor"]:
        other = f"{required['host']} on {required['processor']}"
        why = f"it renders on {node['processor']}, and {other}: results would differ"
        raise UsageError(what, why, "make a cluster of machines of one kind")
    if not node["sees"]:
        why = f"it does not see '{folder}', or not the cache of this command"
        raise UsageError(what, why, "share the folder with all machines, at the same path")


class EventBoard:
    """A Ray actor that buffers the tasks' events for the command, and stores its stop request."""

    def __init__(self) -> None:
        self._events: list[tuple[int, Event]] = []
        self._exit_status: int | None = None

    def exchange(self, number: int, events: list[Event]) -> int | None:
        """Store the events of the task with the submission number ``number``, and pass on the stop request.

        Return the exit status of the stop request; None if there is no request.
        """
        self._events += [(number, event) for event in events]
        return self._exit_status

    def pop_events(self) -> list[tuple[int, Event]]:
        """Remove and return the stored events with their submission numbers."""
        events, self._events = self._events, []
        return events

    def stop(self, exit_status: int) -> None:
        """Store the stop request, which tasks receive at their next exchange. ``exit_status``: that of the command."""
        self._exit_status = exit_status


class BoardClient:
    """A thread of a task that sends the task's events to the event board, and receives the stop request from it.

    ``number``: the submission number of the task. ``stop``: gets the stop request.
    """

    def __init__(self, board: RayObject, number: int, stop: Stop) -> None:
        self._board, self._number, self._stop = board, number, stop
        self._lock, self._notes, self._ended = threading.Lock(), list[Event](), threading.Event()
        self._progress: Progress | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def report(self, event: Event) -> None:
        """Queue an event for the board: every note, but only the latest progress."""
        with self._lock:
            if isinstance(event, Progress):
                self._progress = event
            else:
                self._notes.append(event)

    def close(self) -> None:
        """Send the remaining events, and end the thread."""
        self._ended.set()
        self._thread.join()
        self._exchange()

    def _run(self) -> None:
        """Exchange messages with the board at intervals until ``close``. Runs in the thread."""
        while not self._ended.wait(BOARD_EXCHANGE_S):
            self._exchange()

    def _exchange(self) -> None:
        """Send the queued events to the board, and pass on its stop request."""
        import ray

        with self._lock:
            events = [*self._notes, *([self._progress] if self._progress else [])]
            self._notes, self._progress = [], None
        # Ignore a lost event board: a task must not fail because its progress is not shown. If the board was lost with
        # its node, the command ends by itself.
        with suppress(ray.exceptions.RayError):
            status = ray.get(self._board.exchange.remote(self._number, events))
            if status is not None:
                self._stop.request(status)
