"""Checks of any path with any quadrature."""

from __future__ import annotations

import copy
import pickle
import sys
import warnings
from contextlib import suppress
from dataclasses import replace

import torch
from torch import Tensor

from captum_ext._utils.tensors import by_example
from captum_ext.paths import Path
from captum_ext.quadratures import Quadrature, WeightedSum
from captum_ext.testing.check import as_tuple, relative_distance, require, require_close
from captum_ext.testing.subject import N_STEPS, Network, Subject, default_images


def calls_are_deterministic(subject: Subject) -> None:
    """Two equal calls return equal attributions, bit for bit.

    Look for random numbers without a seed, and for state that a part keeps between calls. A path or quadrature holds
    settings only; what changes belongs to its Trajectory or Accumulator, which is new for each walk.
    """
    first, second = (as_tuple(subject.attribute()) for _ in range(2))
    require(all(map(torch.equal, first, second)), "the second call returned other attributions than the first.")


def batches_equal_single_examples(subject: Subject) -> None:
    """A batch returns what its examples return one by one, with a target each; so does the delta.

    Look for sums, means, maxima or `any()` over dimension 0 (in a quadrature: dimension 1 of (K, B, ...)), and for
    examples that finish at different times.
    """
    together, delta = subject.attribute_with_delta()
    for k in range(len(subject.inputs[0])):
        one = slice(k, k + 1)
        alone, own = subject.of_rows(one).attribute_with_delta(target=k)
        parts = tuple(part[one] for part in as_tuple(together))
        require_close(parts, as_tuple(alone), f"example {k} has other attributions in a batch than alone")
        if delta is None or own is None:
            continue
        size = sum(float(part.abs().sum()) for part in parts)
        require(
            bool((delta[one] - own).abs() <= 1e-9 * max(size, 1e-6)),
            f"the delta of example {k} is {float(delta[k]):.6g} in a batch and {float(own):.6g} alone.",
        )


def any_internal_batch_size_gives_the_same(subject: Subject) -> None:
    """Attributions do not depend on internal_batch_size, and no forward pass has more rows.

    Look for what depends on how the walk is cut into segments: an accumulator gets one node at a time or all at once.
    """
    expected = as_tuple(subject.attribute())
    for cap in (1, 4):
        model, rows = subject.counting()
        got = as_tuple(subject.attribute(model, internal_batch_size=cap))
        require_close(got, expected, f"internal_batch_size={cap} gives other attributions than the default")
        require(max(rows) <= cap, f"internal_batch_size={cap}, but a forward pass had {max(rows)} rows.")


def inputs_may_be_tuples(subject: Subject) -> None:
    """A tuple of inputs returns a tuple: of one tensor the same numbers, of two one part for each.

    Look for code that reads inputs[0] only. A path that can't take several inputs raises a ValueError that
    names the inputs.
    """
    if len(subject.inputs) == 1:
        alone, in_tuple = subject.attribute(inputs=subject.inputs[0]), subject.attribute(inputs=subject.inputs)
        require(isinstance(alone, Tensor), f"a tensor returned a {type(alone).__name__}.")
        require(isinstance(in_tuple, tuple), f"a tuple returned a {type(in_tuple).__name__}.")
        require(torch.equal(in_tuple[0], alone), "a tuple of one tensor has other attributions than the tensor.")
    if subject.own_inputs:
        return
    inputs = (subject.inputs[0], default_images(1, 3, 4, seed=1))
    starts = (subject.baselines[0], torch.full_like(inputs[1][:1], -0.2))
    pair = replace(subject, inputs=inputs, baselines=starts, forward_func=Network(inputs))
    try:
        together = pair.attribute()
    except ValueError as error:
        if "input" in str(error):
            return
        raise
    require([part.shape for part in together] == [tensor.shape for tensor in inputs], "parts have other shapes.")
    require(all(bool((part != 0).any()) for part in together), "an input on which F depends has no attributions.")
    batches_equal_single_examples(pair)


def no_examples_give_no_attributions(subject: Subject) -> None:
    """Inputs without examples return empty attributions.

    Look for `max()`, `min()` or `mean()` of tensors that may be empty.
    """
    empty = subject.of_rows(slice(0, 0))
    shapes = [part.shape for part in as_tuple(empty.attribute(target=1))]
    require(shapes == [tensor.shape for tensor in empty.inputs], f"no examples returned shapes {shapes}.")


def results_are_plain_tensors(subject: Subject) -> None:
    """float32 stays float32 and half precision returns float32; results are contiguous, detached, and on the device.

    Look for tensors made in a fixed dtype or on a fixed device; make them with `like.new_tensor(...)` or `.to(like)`.
    """
    expected = as_tuple(subject.attribute())
    for dtype in (torch.float32, torch.bfloat16):
        inputs = tuple(tensor.to(dtype) for tensor in subject.inputs)
        starts = tuple(start.to(dtype) for start in subject.baselines)
        got = as_tuple(replace(subject, inputs=inputs, baselines=starts).attribute())
        require(all(part.dtype == torch.float32 for part in got), f"{dtype} returned {got[0].dtype}, not float32.")
        require(all(bool(part.isfinite().all()) for part in got), f"{dtype} returned values that are not finite.")
        if dtype == torch.float32 and subject.path.look_ahead:
            require_close(got, expected, "float32 differs from float64 by more than rounding", 1e-3)
    turned = tuple(tensor.mT.contiguous().mT if tensor.dim() > 2 else tensor for tensor in subject.inputs)
    got = as_tuple(replace(subject, inputs=tuple(t.requires_grad_() for t in turned)).attribute())
    for tensor in subject.inputs:
        tensor.requires_grad_(False)
    for part, tensor in zip(got, subject.inputs, strict=True):
        require(not part.requires_grad, "attributions require a gradient although create_graph is False.")
        require(part.is_contiguous(), "attributions are not contiguous.")
        require(part.device == tensor.device, f"attributions are on {part.device}, inputs on {tensor.device}.")
    require_close(got, expected, "other strides of the inputs give other attributions")


def nothing_of_the_callers_changes(subject: Subject) -> None:
    """Inputs, baselines, their flags and the part itself are unchanged, even after an error in the model.

    Look for in-place operations (`x.clamp_()`, `x += ...`) on `inputs` and `start`, which are the caller's tensors.
    """
    tensors = (*subject.inputs, *subject.baselines)
    before = [tensor.clone() for tensor in tensors]
    shown = str(subject)
    passes: list[int] = []

    def failing(*inputs: Tensor) -> Tensor:
        passes.append(1)
        if len(passes) == 3:
            raise _ModelError
        return subject.forward_func(*inputs)

    for model in (None, failing):
        with suppress(_ModelError):
            subject.attribute(model, internal_batch_size=3, return_convergence_delta=subject.complete)
        for tensor, copied in zip(tensors, before, strict=True):
            require(torch.equal(tensor, copied), "the values of an input or baseline were changed.")
            require(not tensor.requires_grad and tensor.grad is None, "an input or baseline has gradient flags left.")
        require(str(subject) == shown, f"the parts were changed, to {subject}.")


class _ModelError(Exception):
    pass


def baselines_are_used_or_refused(subject: Subject) -> None:
    """Other baselines give other attributions; a path with `takes_baselines = False` raises a ValueError for any.

    Look at `start(inputs, baselines)`: use the baselines, or refuse them. Ignoring them silently is wrong.
    """
    others = tuple(tensor.flip(0).roll(1, -1) * 0.3 for tensor in subject.inputs)
    if subject.path.takes_baselines:
        first, second = as_tuple(subject.attribute()), as_tuple(subject.attribute(baselines=others))
        require(relative_distance(second, first) > 1e-6, "other baselines give the same attributions.")
        return
    try:
        subject.attribute(baselines=others)
    except ValueError:
        return
    raise AssertionError("takes_baselines is False, but baselines were accepted.")


def constant_functions_get_nothing(subject: Subject) -> None:
    """All attributions of a constant function are zero.

    Look for divisions of zero by zero, and for terms that are added without a gradient.
    """
    got = as_tuple(subject.attribute(lambda *xs: 0 * _linear(*xs) + 3))
    require(all(bool((part == 0).all()) for part in got), "a constant function has attributions other than zero.")


def sums_are_exact_for_linear_functions(subject: Subject) -> None:
    """Attributions of a linear function sum to its change for any number of steps; so the delta is zero.

    Look at cell widths and moves: each gradient is multiplied by the path's move on its own cell, and the moves add up
    to the way from the start of the path to its end. Set `complete = False` on a quadrature whose attributions need
    not sum to the change of F.
    """
    if not subject.sum_is_exact_for_linear_functions:
        return
    for n_steps in (2, N_STEPS):
        maps, delta = subject.attribute(_linear, n_steps=n_steps, return_convergence_delta=True)
        size = sum(float(part.abs().sum()) for part in as_tuple(maps))
        worst = float(delta.abs().max())
        require(worst <= 1e-9 * max(size, 1e-6), f"with n_steps={n_steps} the sums miss the change by {worst:.3g}.")


def sums_approach_the_change(subject: Subject) -> None:
    """The sum of attributions minus the delta is the change of F, and the delta vanishes with more steps.

    Look for rules whose weights do not sum to 1, and for points that do not reach from the start to the inputs. Set
    `complete = False` on a quadrature whose attributions need not sum to the change of F.
    """
    if not subject.complete:
        with suppress(ValueError):
            subject.attribute(return_convergence_delta=True)
            raise AssertionError("its parts are not complete, but a delta was returned.")
        return
    if not subject.path.ends_at_inputs:
        return
    start, end = subject.ends()
    with torch.no_grad():
        rows = range(len(end[0]))
        change = (subject.forward_func(*end) - subject.forward_func(*start))[rows, rows]
    errors = []
    for n_steps in (8, 64):
        maps, delta = subject.attribute(n_steps=n_steps, return_convergence_delta=True)
        sums = sum((by_example(part).sum(1) for part in as_tuple(maps)), torch.zeros_like(change))
        require_close((sums - delta,), (change,), "sums minus deltas are not the change of F", 1e-6)
        errors.append(float(delta.abs().max() / change.abs().max()))
    if not subject.has_fixed_nodes:
        enough = max(0.02, 0.3 * errors[0])
        require(errors[1] <= enough, f"with 8 and 64 steps the sums miss {errors[0]:.1%} and {errors[1]:.1%}.")


def more_steps_converge(subject: Subject) -> None:
    """Attributions approach a limit with more steps. (Paths that look ahead only.)

    Look for sums where means are meant, and for cells that do not shrink with the number of steps.
    """
    if not subject.path.look_ahead or subject.has_fixed_nodes:
        return
    coarse, fine, limit = (as_tuple(subject.attribute(n_steps=n_steps)) for n_steps in (4, 64, 256))
    first, second = relative_distance(coarse, limit), relative_distance(fine, limit)
    require(second <= max(1e-6, 0.5 * first), f"4 and 64 steps are {first:.2%} and {second:.2%} away from 256 steps.")


def nan_is_reported(subject: Subject) -> None:
    """If F has a NaN for one example, a RuntimeWarning or an error says so; other examples are as without it.

    Look for `nan_to_num`, for comparisons that are silently false for NaN, and for sums over examples.
    """
    factor = torch.ones(len(subject.inputs[0]), dtype=torch.float64, device=subject.inputs[0].device)
    clean = as_tuple(subject.attribute(_scaled_inputs(subject), additional_forward_args=factor))
    factor[1] = torch.nan
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        try:
            got = as_tuple(subject.attribute(_scaled_inputs(subject), additional_forward_args=factor))
        except (ValueError, RuntimeError, FloatingPointError):
            return
    require(any(issubclass(one.category, RuntimeWarning) for one in seen), "no warning of a NaN gradient.")
    require(any(bool(part[1].isnan().any()) for part in got), "a NaN gradient gave finite attributions.")
    for k in (0, 2):
        require_close(
            tuple(part[k] for part in got),
            tuple(part[k] for part in clean),
            f"the NaN of example 1 reaches example {k}",
        )


def adaptive_steps_work_or_are_refused(subject: Subject) -> None:
    """n_steps="auto" reaches the attributions of many steps, for batches and for single examples, or raises ValueError.

    Look at `for_adaptive_steps()` and `interval_errors(...)` of the quadrature: errors that are too small stop early.
    """
    if not subject.adaptive:
        try:
            subject.attribute(n_steps="auto")
        except ValueError:
            return
        raise AssertionError("n_steps='auto' is not for these parts, but was accepted.")
    rule = replace(subject, quadrature=subject.quadrature.for_adaptive_steps())
    for model in (_linear, None):  # with a constant gradient, all errors are the path's
        limit = as_tuple(rule.attribute(model, n_steps=1024))
        got, diagnostics = subject.attribute(model, n_steps="auto", tol=0.001, max_steps=1024, return_diagnostics=True)
        require(bool(diagnostics.converged.all()), "examples did not converge within 1024 steps on a smooth function.")
        require_close(as_tuple(got), limit, "n_steps='auto' with tol=0.001 is far from 1024 steps", 0.004)
    capped = subject.attribute(n_steps="auto", tol=0.001, max_steps=1024, internal_batch_size=2)
    require_close(as_tuple(capped), as_tuple(got), "internal_batch_size=2 gives other attributions", 1e-6)
    for k in range(len(subject.inputs[0])):
        one = slice(k, k + 1)
        alone = subject.of_rows(one).attribute(target=k, n_steps="auto", tol=0.001, max_steps=1024)
        parts = tuple(part[one] for part in as_tuple(got))
        require_close(parts, as_tuple(alone), f"example {k} has other attributions in a batch than alone", 1e-6)


def graphs_are_created_or_refused(subject: Subject) -> None:
    """create_graph=True gives the same attributions with the right gradient with respect to the inputs, or ValueError.

    Look for `detach()`, `item()`, NumPy and in-place operations in a path's points and a quadrature's sums.
    """
    if not subject.path.look_ahead:
        try:
            subject.attribute(create_graph=True)
        except ValueError:
            return
        raise AssertionError("create_graph=True needs a path that looks ahead, but was accepted.")
    generator = torch.Generator().manual_seed(3)
    ways = tuple(_normal_like(tensor, generator) for tensor in subject.inputs)
    weights = tuple(_normal_like(tensor, generator) for tensor in subject.inputs)

    def score(shift: float, inputs: tuple[Tensor, ...], create_graph: bool) -> Tensor:
        moved = tuple(tensor + shift * way for tensor, way in zip(inputs, ways, strict=True))
        maps = as_tuple(subject.attribute(inputs=moved, create_graph=create_graph))
        return sum((weight * part).sum() for weight, part in zip(weights, maps, strict=True))  # type: ignore[return-value]

    leaves = tuple(tensor.clone().requires_grad_() for tensor in subject.inputs)
    value = score(0.0, leaves, True)
    require_close((value,), (score(0.0, subject.inputs, False),), "create_graph=True gives other attributions")
    require(value.requires_grad, "create_graph=True gives attributions that can't be differentiated.")
    gradients = torch.autograd.grad(value, leaves)
    along = sum(float((gradient * way).sum()) for gradient, way in zip(gradients, ways, strict=True))
    step = 1e-5
    expected = float(score(step, subject.inputs, False) - score(-step, subject.inputs, False)) / (2 * step)
    wrong = abs(along - expected) > 1e-4 * max(abs(expected), 1e-3)
    require(not wrong, f"the derivative of attributions is {along:.6g}; finite differences give {expected:.6g}.")


def parts_can_be_copied_and_shown(subject: Subject) -> None:
    """Copies of both parts, and pickles if their classes can be imported, give the same; the repr names the class.

    Look for lambdas and open files in a part's fields. Make the part a frozen dataclass, which has a repr.
    """
    expected = as_tuple(subject.attribute())
    kind: type[Path] | type[Quadrature]
    copies = [replace(subject, path=copy.deepcopy(subject.path), quadrature=copy.deepcopy(subject.quadrature))]
    if all(map(_is_importable, (type(subject.path), type(subject.quadrature)))):
        copies.append(
            replace(
                subject,
                path=pickle.loads(pickle.dumps(subject.path)),
                quadrature=pickle.loads(pickle.dumps(subject.quadrature)),
            )
        )
    for copied in copies:
        require_close(as_tuple(copied.attribute()), expected, "a copy of the parts gives other attributions", 0.0)
    for part in (subject.path, subject.quadrature):
        kind = type(part)
        require(kind.__name__ in repr(part), f"the repr {part!r} does not name the class {kind.__name__}.")


def walks_can_be_shared(subject: Subject) -> None:
    """In attribute_each, a quadrature gives what it gives alone, and so do those that share its walk.

    Look for in-place operations on a segment's gradients, values or points, which other quadratures get too.
    """
    grid = subject.quadrature.grid(N_STEPS)
    others = [subject.quadrature]
    if grid.steps == N_STEPS:
        others.append(WeightedSum("riemann_trapezoid"))
    arguments = {"inputs": subject.inputs, "target": 1, "n_steps": N_STEPS}
    if subject.path.takes_baselines:
        arguments["baselines"] = subject.baselines
    together = subject.method().attribute_each([subject.quadrature, *others], **arguments)
    for quadrature, maps in zip([subject.quadrature, *others], together, strict=True):
        alone = replace(subject, quadrature=quadrature).attribute(target=1)
        require_close(as_tuple(maps), as_tuple(alone), f"in a shared walk {quadrature!r} gives other attributions")


def _linear(*inputs: Tensor) -> Tensor:
    """Three linear functions of the inputs, (rows, 3)."""
    columns = []
    for k in range(3):
        total = inputs[0].new_zeros(len(inputs[0]))
        for tensor in inputs:
            flat = by_example(tensor)
            features = torch.arange(flat.shape[1], device=flat.device)
            total = total + (flat * torch.sin(1.0 + k + 2.0 * features).to(flat.dtype)).sum(1)
        columns.append(total)
    return torch.stack(columns, 1)


def _scaled_inputs(subject: Subject):  # type: ignore[no-untyped-def]
    def scaled(*arguments: Tensor) -> Tensor:
        *inputs, factor = arguments
        return subject.forward_func(*inputs) * factor.unsqueeze(1)

    return scaled


def _normal_like(tensor: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(tensor.shape, generator=generator, dtype=tensor.dtype).to(tensor.device)


def _is_importable(kind: type) -> bool:
    module = sys.modules.get(kind.__module__)
    return module is not None and getattr(module, kind.__qualname__, None) is kind
