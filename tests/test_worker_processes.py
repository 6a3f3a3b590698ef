"""Processes that call functions: results, errors, deaths, and that none is left."""

import math
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from captum_ext._utils.worker_processes import available_cores, current_workers, worker_processes
from captum_ext.vision.picture_files import encoded_bytes


def test_results_and_errors_are_the_functions():
    picture = np.arange(300, dtype=np.uint8).reshape(10, 10, 3)
    with worker_processes(2):
        workers = current_workers()
        assert workers.call(encoded_bytes, "png", picture) == encoded_bytes("png", picture)
        with pytest.raises(ValueError, match="math domain error"):
            workers.call(math.sqrt, -1)
        with pytest.raises(RuntimeError, match="ended with exit code 3"):
            workers.call(os._exit, 3)
        processes = workers._processes
    assert all(process.returncode is not None for process in processes)
    assert current_workers() is None


def test_a_worker_imports_no_torch_and_may_print():
    with worker_processes(2):
        workers = current_workers()
        workers.call(encoded_bytes, "png", np.zeros((4, 4, 3), np.uint8))
        workers.call(print, "to standard error")
        assert not any("torch" in name for name in workers.call(_modules))


def _modules():
    return list(sys.modules)


def test_one_process_would_not_pay():
    with worker_processes(1):
        assert current_workers() is None


def test_no_worker_is_left_after_an_interrupt():
    processes = []

    def interrupted():
        with worker_processes(2):
            processes.extend(current_workers()._processes)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert len(processes) == 2
    assert all(process.returncode is not None for process in processes)


def test_workers_end_with_a_killed_process():
    script = (
        "import os, signal\nfrom captum_ext._utils.worker_processes import WorkerProcesses\n"
        "workers = WorkerProcesses(2)\n"
        "print([workers.call(os.getpid) for _ in range(2)], flush=True)\nos.kill(os.getpid(), signal.SIGKILL)"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert result.returncode == -signal.SIGKILL
    pids = [int(pid) for pid in result.stdout.strip("[]\n").split(",")]
    deadline = time.time() + 10
    while any(_runs(pid) for pid in pids):
        assert time.time() < deadline
        time.sleep(0.01)


def _runs(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_cores_are_divided_among_the_processes_of_a_machine(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(16), raising=False)
    assert available_cores() == 16
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "3")
    assert available_cores() == 5
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "99")
    assert available_cores() == 1
