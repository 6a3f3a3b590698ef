"""Processes that call functions without importing torch, for work that holds Python's interpreter lock."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from queue import SimpleQueue
from typing import IO, Any, ParamSpec, TypeVar

CallArgs = ParamSpec("CallArgs")
CallResult = TypeVar("CallResult")

# The modules come from where this process has them; the working directory could have others of these names.
_START = (
    "import sys; sys.path[:] = [path for path in sys.path if path]; import pickle; "
    "sys.path[:] = pickle.load(sys.stdin.buffer); "
    "from captum_ext._utils.worker_processes import serve; serve()"
)


class WorkerProcesses:
    """Processes that wait for calls. They end with this process, however it ends, since they read from its pipe.

    Unlike those of ``multiprocessing``, they do not import the main module, which therefore needs no
    ``if __name__ == "__main__"``.

    Args:
        count: The number of processes.
    """

    def __init__(self, count: int) -> None:
        """Start the processes."""
        self.count = count
        self._idle: SimpleQueue[subprocess.Popen[bytes]] = SimpleQueue()
        self._processes: list[subprocess.Popen[bytes]] = []
        for _ in range(count):
            process = subprocess.Popen([sys.executable, "-c", _START], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            self._processes.append(process)
            _send(process.stdin, _pickled(sys.path))
            self._idle.put(process)

    def call(
        self, function: Callable[CallArgs, CallResult], *args: CallArgs.args, **kwargs: CallArgs.kwargs
    ) -> CallResult:
        """The function's result from one of the processes, for which the calling thread waits.

        Args:
            function: A function of a module.
            args: Its arguments, which can be pickled.
            kwargs: Likewise.

        Raises:
            RuntimeError: If the process ends, such as for lack of memory.
            Exception: The function's error.
        """
        message = _pickled((function, args, kwargs))
        process = self._idle.get()
        try:
            _send(process.stdin, message)
            is_result, value = pickle.load(process.stdout)  # type: ignore[arg-type]
        except (EOFError, OSError) as error:
            raise RuntimeError(f"a process that encodes pictures ended with exit code {process.wait()}") from error
        except BaseException:  # such as Ctrl-C: the next call would get the answer to this call
            process.kill()
            raise
        finally:
            self._idle.put(process)
        if not is_result:
            raise value
        result: CallResult = value
        return result

    def close(self) -> None:
        """End the processes."""
        for process in self._processes:
            with suppress(OSError):  # it has ended
                process.stdin.close()  # type: ignore[union-attr]
        for process in self._processes:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            process.stdout.close()  # type: ignore[union-attr]


_current: ContextVar[WorkerProcesses | None] = ContextVar("worker_processes", default=None)


def current_workers() -> WorkerProcesses | None:
    """The processes of the innermost :func:`worker_processes`, if any."""
    return _current.get()


@contextmanager
def worker_processes(count: int) -> Iterator[None]:
    """A context with processes for :func:`current_workers`; without any if there would be fewer than two."""
    if count < 2:
        yield
        return
    workers = WorkerProcesses(count)
    token = _current.set(workers)
    try:
        yield
    finally:
        _current.reset(token)
        workers.close()


def available_cores() -> int:
    """The cores of this process among those of torchrun on the machine, at least one."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


def _pickled(message: Any) -> bytes:
    return pickle.dumps(message, pickle.HIGHEST_PROTOCOL)


def _send(pipe: IO[bytes] | None, message: bytes) -> None:
    assert pipe is not None, "opened with one"
    pipe.write(message)
    pipe.flush()


def serve() -> None:
    """Answer calls from standard input until it ends; the loop of a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the first one closes the pipe
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # libraries may print
    while True:
        try:
            function, args, kwargs = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        try:
            answer = (True, function(*args, **kwargs))
        except Exception as error:
            answer = (False, error)
        _send(answers, _pickled(answer))
