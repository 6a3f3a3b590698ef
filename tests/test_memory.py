"""Memory that is kept: fewer page faults for the same work, and the same numbers."""

import os
import platform
import subprocess
import sys

import pytest

SCRIPT = """
import resource, sys, torch
from captum_ext.memory import keep_freed_memory
done = keep_freed_memory() if sys.argv[1] == "kept" else None
def work():
    total = 0.0
    for _ in range(20):
        blocks = [torch.ones(2**22) for _ in range(4)]  # 16 MB each
        total += float(sum(block[:10].sum() for block in blocks))
    return total
work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
print(done, work(), resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def run(kind, environment):
    found = subprocess.run(
        [sys.executable, "-c", SCRIPT, kind], capture_output=True, text=True, check=True, env=environment
    )
    return found.stdout.split()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a setting of glibc's")
def test_freed_memory_is_not_fetched_again():
    plain = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    plain.pop("LD_PRELOAD", None)
    done, total, faults = run("kept", plain)
    _, usual_total, usual_faults = run("usual", plain)
    assert done == "True"
    assert total == usual_total
    assert int(faults) < 0.1 * int(usual_faults)
    done, *_ = run("kept", {**plain, "MALLOC_ARENA_MAX": "2"})
    assert done == "False"  # the user's own settings stand
