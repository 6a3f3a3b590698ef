"""Patterns in DataParallel's copies while other threads use the same model."""

import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from captum_ext.attr import PGIG
from captum_ext.patterns import pattern_backward
from tests.attr.test_layer_threads import data_parallel, in_thread
from tests.patterns.models import inputs
from tests.patterns.test_rules import gradient


def has_traces(model):
    hooked = any(m._forward_hooks or m._forward_pre_hooks_with_kwargs or m._forward_pre_hooks for m in model.modules())
    return hooked or any("_replicate_for_data_parallel" in vars(m) for m in model.modules())


def test_copies_of_another_thread_have_ordinary_gradients(model, patterns):
    """The other thread makes its copies while this thread's patterns are active."""
    x = inputs()
    plain, parallel = gradient(model, x), data_parallel(model)
    with pattern_backward(model, patterns):
        expected = gradient(model, x)
        torch.testing.assert_close(gradient(parallel, x), expected)
        torch.testing.assert_close(in_thread(lambda: gradient(parallel, x)), plain)
        torch.testing.assert_close(gradient(parallel, x), expected)
    assert (expected - plain).abs().max() > 1e-3
    torch.testing.assert_close(gradient(parallel, x), plain)
    assert not has_traces(model)


def test_copies_of_two_threads_have_the_patterns_of_their_own_thread(model, patterns):
    x = inputs()
    parallel = data_parallel(model)
    with pattern_backward(model, patterns, "signal"):
        signal = gradient(model, x)
    with pattern_backward(model, patterns):
        attribution = gradient(model, x)

        def other():
            with pattern_backward(model, patterns, "signal"):
                return gradient(parallel, x)

        torch.testing.assert_close(in_thread(other), signal)
        torch.testing.assert_close(gradient(parallel, x), attribution)
    assert not has_traces(model)


def test_calls_of_several_threads_equal_the_serial_results(model, patterns):
    """A hook that another thread replaced or removed would leave copies with ordinary gradients."""
    x, parallel = inputs(1), data_parallel(model)
    method = PGIG(parallel, patterns, model=model)
    expected, plain = PGIG(model, patterns).attribute(x, target=1, n_steps=3), gradient(model, x)

    def work(_):
        for _ in range(8):
            torch.testing.assert_close(method.attribute(x, target=1, n_steps=3), expected)
            torch.testing.assert_close(gradient(parallel, x), plain)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(work, range(4)))
    finally:
        sys.setswitchinterval(interval)
    assert not has_traces(model)


def test_an_exception_in_a_copy_leaves_no_mode(model, patterns):
    x, parallel = inputs(), data_parallel(model)
    plain = gradient(model, x)
    with pattern_backward(model, patterns):
        with pytest.raises(RuntimeError):
            parallel(x[:, :1])
        expected = gradient(model, x)
        torch.testing.assert_close(gradient(parallel, x), expected)
    torch.testing.assert_close(gradient(parallel, x), plain)
    assert not has_traces(model)
