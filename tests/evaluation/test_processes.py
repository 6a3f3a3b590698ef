"""Several processes on one folder: each batch is evaluated once, whichever process is slow or killed."""

import multiprocessing
import os
import signal
import time
from pathlib import Path

import pandas as pd
import pytest
import torch
import torch.distributed as dist

from captum_ext.cli.evaluate import _local_device
from captum_ext.cli.on_demand import use_channels_last
from captum_ext.evaluation import EvaluationConfig, Results, evaluate, find_images, run
from captum_ext.evaluation.claims import lock_file
from captum_ext.evaluation.model_evaluator import ModelEvaluator
from captum_ext.vision import loading
from tests.evaluation.tiny import load, pictures

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked, to start at once")
CONFIG = EvaluationConfig(("ig", "random"), ("insertion:signed",), (2,), target="predicted", batch_size=1)
N_IMAGES = 12


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return pictures(tmp_path_factory.mktemp("images"), N_IMAGES)


@pytest.fixture(scope="module")
def whole(folder, tmp_path_factory):
    output = tmp_path_factory.mktemp("whole") / "r"
    evaluate({"tiny": load()}, find_images(folder), output, CONFIG)
    return table(output)


def table(results):
    return Results(Path(results)).read()


def worker(name, folder, output, before_batch):
    """Evaluates and writes the names of its batches to a log."""
    write = Results.write

    def logged(self, model, batch, rows):
        write(self, model, batch, rows)
        with (output.parent / "log").open("a") as log:
            log.write(f"{name} {batch}\n")

    Results.write = logged
    rows = ModelEvaluator.rows
    ModelEvaluator.rows = lambda self, images, *rest: before_batch(images) or rows(self, images, *rest)
    run._POLL_SECONDS = 0.05
    evaluate({"tiny": load()}, find_images(folder), output, CONFIG)


def start(*args, **kwargs):
    process = multiprocessing.get_context("fork").Process(target=worker, args=args, kwargs=kwargs)
    process.start()
    return process


def log(output):
    return [line.split() for line in (output.parent / "log").read_text().splitlines()]


def test_a_slow_process_does_not_decide(folder, whole, tmp_path):
    output = tmp_path / "r"
    delays = {"slow": 0.6, "fast": 0.02, "faster": 0.01}
    processes = [
        start(name, folder, output, lambda images, seconds=seconds: time.sleep(seconds))
        for name, seconds in delays.items()
    ]
    for process in processes:
        process.join()
        assert process.exitcode == 0
    evaluated = log(output)
    assert sorted(int(batch) for _, batch in evaluated) == list(range(N_IMAGES)), "each once"
    assert sum(name == "slow" for name, _ in evaluated) < N_IMAGES // 3
    pd.testing.assert_frame_equal(table(output), whole, check_exact=True)
    assert {path.suffix for path in (output / "tiny").iterdir()} == {".parquet"}, "no locks are left"


def test_a_killed_process_is_replaced(folder, whole, tmp_path):
    output, marker = tmp_path / "r", tmp_path / "in progress"

    def hang(images):
        if images[0].name == "003.png":
            marker.write_text("")
            time.sleep(600)

    killed = start("killed", folder, output, hang)
    while not marker.exists():
        time.sleep(0.01)
    other = start("other", folder, output, lambda images: None)
    while len(list(output.glob("*/batch-*.parquet"))) < N_IMAGES - 1:
        time.sleep(0.01)
    time.sleep(0.2)
    assert other.is_alive(), "it waits for the claimed batch"
    assert len(log(output)) == N_IMAGES - 1
    os.kill(killed.pid, signal.SIGKILL)
    other.join(30)
    assert other.exitcode == 0
    killed.join()
    assert ["other", "3"] in log(output)
    pd.testing.assert_frame_equal(table(output), whole, check_exact=True)


def test_a_lock_ends_with_its_process(tmp_path):
    """Not with the process that inherits its files, such as one that reads images."""
    context = multiprocessing.get_context("fork")
    locked = context.Event()

    def hold():
        with lock_file(tmp_path / "lock") as lock:
            assert lock.is_held
            context.Process(target=time.sleep, args=(1,)).start()
            locked.set()
            time.sleep(600)

    process = context.Process(target=hold)
    process.start()
    assert locked.wait(10)
    with lock_file(tmp_path / "lock") as lock:
        assert lock.is_held is False
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    with lock_file(tmp_path / "lock") as lock:
        assert lock.is_held
    assert not (tmp_path / "lock").exists()


def test_without_locks_each_process_has_its_share(folder, tmp_path, monkeypatch):
    def no_locks(file):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("captum_ext.evaluation.claims._lock", no_locks)
    results = Results(tmp_path / "r")
    results.folder.mkdir()
    own = {("tiny", 0), ("tiny", 2)}
    assert list(run._claimed_batches(results, "tiny", [0, 1, 2, 3], own)) == [0, 2]
    evaluate({"tiny": load()}, find_images(folder)[:2], tmp_path / "all", CONFIG)


def test_others_batches_come_last_and_from_the_end(tmp_path):
    results = Results(tmp_path)
    claimed = run._claimed_batches(results, "tiny", [0, 1, 2, 3, 4], {("tiny", 0), ("tiny", 2)})
    assert list(claimed) == [0, 2, 4, 3, 1]


def in_group(rank, folder, output, store):
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    groups = []
    new_group, broadcast = dist.new_group, dist.broadcast_object_list
    dist.new_group = lambda **options: groups.append((options["backend"], new_group(**options))) or groups[-1][1]
    used = []
    dist.broadcast_object_list = lambda message, group: used.append(group) or broadcast(message, group=group)
    evaluate({"tiny": load()}, find_images(folder), output, CONFIG)
    assert [backend for backend, _ in groups] == ["gloo"]
    assert used
    assert all(group is groups[0][1] for group in used)
    dist.barrier()  # the caller's group is as before
    assert dist.distributed_c10d._get_default_group().size() == 2
    assert groups[0][1] not in dist.distributed_c10d._world.pg_map, "it is closed"
    dist.destroy_process_group()


def test_a_callers_process_group_is_not_used(folder, whole, tmp_path):
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=in_group, args=(k, folder, tmp_path / "r", tmp_path / "store")) for k in (0, 1)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    pd.testing.assert_frame_equal(table(tmp_path / "r"), whole, check_exact=True)


def test_one_model_is_in_memory_at_a_time(folder, tmp_path):
    """A mapping that loads models when they are read keeps none."""
    import gc
    import weakref
    from collections.abc import Mapping

    alive = []

    class Loading(Mapping):
        def __getitem__(self, name):
            gc.collect()
            assert not [model for model in alive if model() is not None], name
            pair = load()
            alive.append(weakref.ref(pair[0]))
            return pair

        def __iter__(self):
            return iter(["a", "b", "c"])

        def __len__(self):
            return 3

    summary = evaluate(Loading(), find_images(folder)[:2], tmp_path / "r", CONFIG)
    assert summary.n_explained == {"a": 2, "b": 2, "c": 2}
    assert len(alive) == 6, "each once for its description and once for its batches"


@pytest.mark.parametrize(("rank", "device"), [(0, "cuda:0"), (5, "cuda:1")])
def test_processes_share_gpus(monkeypatch, rank, device):
    monkeypatch.setenv("LOCAL_RANK", str(rank))
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert _local_device("cuda") == _local_device(None) == device
    assert _local_device("cuda:1") == "cuda:1"
    assert _local_device("cpu") == "cpu"


def test_convolutions_have_their_channels_last():
    model = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 3), torch.nn.Conv1d(2, 3, 3), torch.nn.Linear(2, 2))
    before = [parameter.clone() for parameter in model.parameters()]
    use_channels_last(model)
    assert model[0].weight.is_contiguous(memory_format=torch.channels_last)
    assert all(torch.equal(parameter, old) for parameter, old in zip(model.parameters(), before, strict=True))


@pytest.mark.parametrize("context", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_images_read_ahead_by_processes_give_the_same(folder, whole, tmp_path, monkeypatch, context):
    monkeypatch.setattr(loading, "_CONTEXT", context)
    evaluate({"tiny": load()}, find_images(folder), tmp_path / "r", CONFIG, n_readers=2)
    pd.testing.assert_frame_equal(table(tmp_path / "r"), whole, check_exact=True)
    assert not multiprocessing.active_children()


def test_broken_files_are_named_as_without_readers(folder, tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    for k in range(5):
        content = (folder / f"{k:03d}.png").read_bytes()
        (images / f"{k}.png").write_bytes(content[:300] if k in (1, 4) else content)
    config = EvaluationConfig(("random",), ("stability:rank",), target="predicted", batch_size=2)
    runs = [evaluate({"tiny": load()}, find_images(images), tmp_path / f"r{n}", config, n_readers=n) for n in (0, 2)]
    assert runs[0] == runs[1]
    assert list(runs[0].unreadable_images) == ["1.png", "4.png"]
    pd.testing.assert_frame_equal(table(tmp_path / "r0"), table(tmp_path / "r2"), check_exact=True)


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_no_readers_are_left_after_an_error(folder, tmp_path, monkeypatch, error):
    seen = []

    def fail(*_):
        seen.extend(multiprocessing.active_children())
        raise error

    monkeypatch.setattr(ModelEvaluator, "rows", fail)
    with pytest.raises((KeyboardInterrupt, ValueError)):
        evaluate({"tiny": load()}, find_images(folder), tmp_path / "r", CONFIG, n_readers=2)
    assert len(seen) == 2
    assert not any(process.is_alive() for process in seen)


def test_batches_of_others_in_between_are_passed_over(folder, whole, tmp_path, monkeypatch):
    claim = run._claimed_batches
    monkeypatch.setattr(run, "_claimed_batches", lambda results, name, indices, own: claim(
        results, name, [index for index in indices if skipped or index not in (0, 2, 3)], own))  # fmt: skip
    monkeypatch.setattr(time, "sleep", lambda seconds: skipped.append(seconds))
    skipped = []
    evaluate({"tiny": load()}, find_images(folder), tmp_path / "r", CONFIG, n_readers=2)
    assert len(skipped) == 1
    pd.testing.assert_frame_equal(table(tmp_path / "r"), whole, check_exact=True)


def test_readers_are_as_many_as_cores(monkeypatch):
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(16), raising=False)
    assert loading.default_readers(torch.device("cpu")) == 0
    assert loading.default_readers(torch.device("cuda")) == 4
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "8")
    assert loading.default_readers(torch.device("cuda")) == 2
    monkeypatch.setattr("sys.platform", "darwin")
    assert loading.default_readers(torch.device("mps")) == 0
