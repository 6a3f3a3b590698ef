"""Layer and neuron methods next to other threads on the same model, in DataParallel's copies, and after interrupts."""

import contextlib
import random
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

import captum_ext
from captum_ext._engine import hooks
from captum_ext._utils import buffers, eager, locks
from captum_ext.attr import (
    IDGI,
    IntegratedGradients,
    LayerGuidedIG,
    LayerIDGI,
    LayerIntegratedGradients,
    NeuronIntegratedGradients,
)
from tests.patterns.test_rules import replicate


@pytest.fixture
def model():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.Softplus(), nn.Flatten(), nn.Linear(120, 6), nn.Tanh(), nn.Linear(6, 2)
    ).double()


def in_thread(run):
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(run).result()


def calls(model, x):
    """Layer, neuron and input methods on one model."""
    arguments = {"n_steps": 6, "internal_batch_size": 4}
    of_output = {"target": 1, **arguments}
    return {
        "IG": lambda: IntegratedGradients(model).attribute(x, **of_output),
        "IDGI": lambda: IDGI(model).attribute(x, **of_output),
        "layer IG": lambda: LayerIntegratedGradients(model, model[1]).attribute(x, **of_output),
        "layer input": lambda: LayerIDGI(model, model[1]).attribute(x, attribute_to_layer_input=True, **of_output),
        "layer IDGI": lambda: LayerIDGI(model, model[3]).attribute(x, **of_output),
        "layers": lambda: LayerIDGI(model, [model[1], model[4]]).attribute(x, **of_output)[1],
        "layer Guided IG": lambda: LayerGuidedIG(model, model[3]).attribute(x, **of_output),
        "neuron": lambda: NeuronIntegratedGradients(model, model[3]).attribute(x, 2, **arguments),
        "neuron input": lambda: NeuronIntegratedGradients(model, model[1]).attribute(
            x, (1, 2, 3), attribute_to_neuron_input=True, **arguments
        ),
    }


def no_trace_is_left(model):
    hooks = [(len(m._forward_hooks), len(m._forward_pre_hooks), len(m._forward_pre_hooks_with_kwargs)) for m in model]
    return set(hooks) == {(0, 0, 0)} and not any("_replicate_for_data_parallel" in vars(m) for m in model)


@pytest.mark.parametrize("count", [240, pytest.param(2000, marks=pytest.mark.slow)])
def test_methods_in_several_threads_equal_the_serial_results(model, images, count):
    some = calls(model, images[:2])
    expected = {name: call() for name, call in some.items()}
    wrong = []

    def work(seed, number):
        chosen = random.Random(seed)
        for _ in range(number):
            name = chosen.choice(list(some))
            if not torch.equal(some[name](), expected[name]):
                wrong.append(name)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for threads in (2, 4, 8):
            with ThreadPoolExecutor(threads) as pool:
                # result() raises what a call raised
                for future in [pool.submit(work, seed, count // (3 * threads)) for seed in range(threads)]:
                    future.result()
    finally:
        sys.setswitchinterval(interval)
    assert not wrong
    assert no_trace_is_left(model)


@pytest.mark.parametrize("inner", ["IG", "layer IG", "layer input", "neuron"])
@pytest.mark.parametrize("at_input", [False, True])
def test_a_call_of_another_thread_in_the_middle_of_a_pass(model, images, at_input, inner):
    """The outer call's gradients wait inside the model for whole calls of another thread on the same model."""
    inner = calls(model, images[1:])[inner]
    arguments = {"target": 1, "n_steps": 3, "attribute_to_layer_input": at_input}
    expected, expected_inner = LayerIDGI(model, model[1]).attribute(images, **arguments), inner()

    def visited(x):
        if torch.is_grad_enabled():
            torch.testing.assert_close(in_thread(inner), expected_inner, rtol=0, atol=0)
        return model(x)

    torch.testing.assert_close(LayerIDGI(visited, model[1]).attribute(images, **arguments), expected, rtol=0, atol=0)
    neuron = {"neuron_selector": (1, 2, 3), "n_steps": 3, "attribute_to_neuron_input": at_input}
    expected = NeuronIntegratedGradients(model, model[1]).attribute(images, **neuron)
    got = NeuronIntegratedGradients(visited, model[1]).attribute(images, **neuron)
    torch.testing.assert_close(got, expected, rtol=0, atol=0)


def test_a_checkpointed_backward_pass_of_another_thread(model, images):
    """It runs the layer again, which only our own backward pass must not."""
    expected = LayerIDGI(model, model[1]).attribute(images, target=1, n_steps=3)

    def train():
        x = images.clone().requires_grad_()
        return torch.autograd.grad(checkpoint(model, x, use_reentrant=False).sum(), x)[0]

    slope = train()

    def visited(x):
        torch.testing.assert_close(in_thread(train), slope, rtol=0, atol=0)
        return model(x)

    torch.testing.assert_close(
        LayerIDGI(visited, model[1]).attribute(images, target=1, n_steps=3), expected, rtol=0, atol=0
    )


def data_parallel(model):
    """As nn.DataParallel: a copy made in this thread that runs in another; one only, as there is one CPU."""

    def run(x):
        replica, enabled = replicate(model), torch.is_grad_enabled()

        def forward():
            with torch.set_grad_enabled(enabled):
                return replica(x)

        return in_thread(forward)

    return run


@pytest.mark.parametrize("at_input", [False, True])
def test_data_parallel_replicas(model, images, at_input):
    """Those of this call are explained; those of another thread's call are left alone."""
    arguments = {"target": 1, "n_steps": 3, "attribute_to_layer_input": at_input}
    expected, values = LayerIDGI(model, model[1]).attribute(images, **arguments), model(images).detach()
    parallel = data_parallel(model)

    def visited(x):
        if torch.is_grad_enabled():
            torch.testing.assert_close(in_thread(lambda: parallel(images)).detach(), values, rtol=0, atol=0)
        return parallel(x)

    torch.testing.assert_close(LayerIDGI(visited, model[1]).attribute(images, **arguments), expected, rtol=0, atol=0)
    neuron = NeuronIntegratedGradients(model, model[3]).attribute(images, 2, n_steps=3)
    got = NeuronIntegratedGradients(visited, model[3]).attribute(images, 2, n_steps=3)
    torch.testing.assert_close(got, neuron, rtol=0, atol=0)
    assert no_trace_is_left(model)


def test_a_thread_that_forward_func_starts_is_named(model, images):
    with pytest.raises(ValueError, match=r"did not run in forward_func.*a thread that forward_func starts"):
        LayerIDGI(lambda x: in_thread(lambda: model(x)), model[1]).attribute(images, target=1)


def test_compiled_models_are_compiled_again_after_calls_of_several_threads(model, images):
    """torch has one stance for all threads: the call that ends last restores it."""
    compiled = torch.compile(model, backend="eager")
    outer, inner = threading.Event(), threading.Event()

    def first(x):
        outer.set()
        inner.wait(20)
        return compiled(x)

    def second(x):
        outer.wait(20)
        inner.set()
        time.sleep(0.01)
        return compiled(x)

    with ThreadPoolExecutor(2) as pool:
        for f in [pool.submit(LayerIDGI(f, model[1]).attribute, images, 0, 1, None, 3) for f in (first, second)]:
            f.result()
    runs = []
    torch.compile(model, backend=lambda graph, inputs: runs.append(1) or graph)(images)
    assert runs
    assert not eager._stance


FILES = {contextlib.__file__, torch.utils.hooks.__file__} | {
    str(Path(captum_ext.__file__).parent / name)
    for name in ("_engine/hooks.py", "_engine/activations.py", "attr/layer.py", "attr/neuron.py")
}


def interrupted(run, line):
    """Whether there were so many lines to interrupt ``run`` at."""
    lines = [0]

    def trace(frame, event, argument):
        if event == "line":
            lines[0] += 1
            if lines[0] == line:
                raise KeyboardInterrupt
        return trace

    previous = sys.gettrace()
    sys.settrace(lambda frame, event, argument: trace if frame.f_code.co_filename in FILES else None)
    try:
        run()
    except KeyboardInterrupt as error:
        return error  # keeps the frames alive, as a console does
    finally:
        sys.settrace(previous)
    return None


@pytest.mark.parametrize("at_input", [False, True])
@pytest.mark.parametrize("kind", ["layer", "neuron"])
def test_after_an_interrupt_at_any_line_the_model_is_as_before(kind, at_input):
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2)), torch.randn(1, 4)

    def call():
        if kind == "layer":
            return LayerIDGI(model, model[1]).attribute(x, target=1, n_steps=1, attribute_to_layer_input=at_input)
        return NeuronIntegratedGradients(model, model[1]).attribute(x, 2, n_steps=1, attribute_to_neuron_input=at_input)

    values, expected = model(x), call()
    left, line = 0, 1
    while error := interrupted(call, line):
        left += any(module._forward_hooks or module._forward_pre_hooks for module in model)
        assert torch.equal(model(x), values), line
        assert torch.equal(in_thread(lambda: model(x)), values), line
        assert torch.equal(call(), expected), line
        for module in model:  # so that each line is tried on its own
            module._forward_hooks.clear()
            module._forward_pre_hooks.clear()
        line += 1
        del error
    assert line > 100
    assert left  # interrupts at some lines leave a hook, which does nothing


def test_locks_that_an_interrupt_left_locked_block_no_other_thread(model, images, monkeypatch):
    monkeypatch.setattr(locks, "_SECONDS", 0.2)
    for lock in (hooks._registration_lock, eager._stance_lock, buffers._copy_lock):
        assert lock._lock.acquire()
    expected = LayerIDGI(model, model[1]).attribute(images, target=1, n_steps=2)
    found = in_thread(lambda: LayerIDGI(model, model[1]).attribute(images, target=1, n_steps=2))
    assert torch.equal(found, expected)
    assert no_trace_is_left(model)
