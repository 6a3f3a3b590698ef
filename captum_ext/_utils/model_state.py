"""Detect and undo the changes that a forward pass makes to a model."""

from __future__ import annotations

import dis
import functools
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import CodeType, FunctionType, ModuleType
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn

from captum_ext._utils.buffers import preserve_buffers
from captum_ext._utils.warnings import warn

_LIBRARIES = ("torch.", "torchvision.", "captum.", "numpy.")  # their functions refer to no model of a user
_MAX_ITEMS = 1000  # larger containers are not searched
_MAX_OBJECTS = 10 * _MAX_ITEMS  # in one search
_ADVICE = (
    "its output depends on chance or on the other rows of a batch, and so do the attributions. Call model.eval() first"
)


@contextmanager
def preserve_model_state(forward_func: Callable[..., Any]) -> Iterator[None]:
    """Warn about layers in training mode, and restore the buffers that forward passes change.

    Warns:
        UserWarning: If a layer is in training mode and its output therefore depends on chance or on the batch.
    """
    modules = find_modules(forward_func).modules
    training = [module for module in modules if module.training]
    random = sorted({type(module).__name__ for module in training if _has_two_modes(module)})
    kinds: set[Any] = set() if random else set(map(type, training))
    if random:
        warn(f"The model has layers in training mode ({', '.join(random)}): {_ADVICE}.")
    unknown = sorted(kind.__name__ for kind in kinds if _may_draw(kind))
    before = _generator_states() if unknown else []
    with preserve_buffers(modules):
        yield
    if unknown and not all(map(torch.equal, before, _generator_states())):
        warn(
            f"The model has layers in training mode ({', '.join(unknown)}) and draws random numbers, as functional "
            f"dropout does: {_ADVICE}, and give functional dropout training=self.training."
        )


class ModelModules(NamedTuple):
    """The modules that a function runs, as far as its code shows them.

    Attributes:
        roots: The modules that the function refers to: itself, its object, its variables and attributes.
        modules: The roots and all of their submodules, each once.
    """

    roots: list[nn.Module]
    modules: list[nn.Module]


def find_modules(function: Any) -> ModelModules:
    """Find the modules that a function runs."""
    roots: list[nn.Module] = []
    modules: dict[int, nn.Module] = {}
    visited: set[tuple[int, int]] = set()
    # Objects to search, and the attributes used by the code that refers to them.
    pending: list[_Reference] = [(function, _NO_NAMES)]
    while pending and len(visited) < _MAX_OBJECTS:
        thing, names = pending.pop()
        if isinstance(thing, nn.Module):
            if id(thing) not in modules:
                roots.append(thing)
                pending += [(value, _NO_NAMES) for value in _add_modules(thing, modules)]
        elif not isinstance(thing, _LEAVES):
            method = inspect.ismethod(thing)
            key = (id(thing.__func__), id(thing.__self__)) if method else (id(thing), hash(names))
            if key not in visited:
                visited.add(key)
                pending += _method(thing.__self__, thing.__func__) if method else _reachable(thing, names)
    return ModelModules(roots, list(modules.values()))


_Reference: TypeAlias = tuple[Any, frozenset[str]]
_NO_NAMES: frozenset[str] = frozenset()
_LEAVES = (Tensor, type, str, bytes, int, float, complex, type(None))


def _add_modules(root: nn.Module, modules: dict[int, nn.Module]) -> Iterator[Any]:
    """Add a module and its submodules. Yield their lists and dicts, because modules in these are not registered."""
    pending: list[nn.Module | None] = [root]
    while pending:
        module = pending.pop()
        if module is not None and id(module) not in modules:
            modules[id(module)] = module
            pending += module._modules.values()
            if not type(module).__module__.startswith("torch.nn."):
                # A copy, because another thread may add attributes.
                for name, value in list(vars(module).items()):
                    if isinstance(value, dict | list | tuple) and name not in _MODULE_ATTRIBUTES:
                        yield value


_MODULE_ATTRIBUTES = frozenset(vars(nn.Module()))


def _reachable(thing: Any, names: frozenset[str]) -> Iterable[_Reference]:
    """The objects that an object refers to."""
    if isinstance(thing, dict | list | tuple | set):
        values = thing.values() if isinstance(thing, dict) else thing
        return [(value, names) for value in list(values)] if len(thing) <= _MAX_ITEMS else []
    if isinstance(thing, functools.partial):
        used = _attributes_in(thing.func)
        return [(value, used) for value in (thing.func, *thing.args, *thing.keywords.values())]
    if inspect.isfunction(thing):
        return [] if _is_library(thing.__module__) else _variables(thing)
    if isinstance(thing, ModuleType):
        values = () if _is_library(thing.__name__) else [vars(thing)[name] for name in names if name in vars(thing)]
        return [(value, names) for value in values]
    references = [reference for name in names for reference in _attribute(thing, name, names)]
    if callable(thing) and hasattr(thing, "__dict__"):
        references += [(value, _NO_NAMES) for value in vars(thing).values()]
        references += _attribute(thing, "__call__", _NO_NAMES)
    return references


def _attribute(thing: Any, name: str, names: frozenset[str]) -> list[_Reference]:
    """The value of an attribute, without running code of the object."""
    own = getattr(thing, "__dict__", {})
    if name in own:
        return [(own[name], names)]
    value = next((vars(parent)[name] for parent in type(thing).__mro__ if name in vars(parent)), None)
    if inspect.ismemberdescriptor(value):  # one of __slots__
        value = getattr(thing, name, None)
    if isinstance(value, property):
        value = value.fget
    if isinstance(value, staticmethod | classmethod):
        value = value.__func__
    if isinstance(value, FunctionType):
        return _method(thing, value)
    return [(value, names)]


def _method(owner: Any, function: Any) -> list[_Reference]:
    return [(owner, _attributes_in(function)), (function, _NO_NAMES)]


def _attributes_in(function: Any) -> frozenset[str]:
    return _names(function.__code__)[1] if inspect.isfunction(function) else _NO_NAMES


def _variables(function: FunctionType) -> list[_Reference]:
    """The values of the variables that a function uses, and of its defaults."""
    variables, names = _names(function.__code__)
    things = [function.__globals__[name] for name in variables if name in function.__globals__]
    things += [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
    for cell in function.__closure__ or ():
        try:
            things.append(cell.cell_contents)
        except ValueError:  # an empty cell
            continue
    return [(thing, names) for thing in things]


@functools.lru_cache(maxsize=4096)
def _names(code: CodeType) -> tuple[frozenset[str], frozenset[str]]:
    """The global variables and the attributes that code and the functions in it refer to."""
    variables, attributes = set(), set()
    for instruction in dis.get_instructions(code):
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            variables.add(str(instruction.argval))
        elif instruction.opname in ("LOAD_ATTR", "LOAD_METHOD", "LOAD_SUPER_ATTR"):
            attributes.add(str(instruction.argval))
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            inner_variables, inner_attributes = _names(constant)
            variables |= inner_variables
            attributes |= inner_attributes
    return frozenset(variables), frozenset(attributes)


def _is_library(name: str | None) -> bool:
    return f"{name}.".startswith(_LIBRARIES) or f"{name}".partition(".")[0] in sys.stdlib_module_names


def _has_two_modes(layer: nn.Module) -> bool:
    if isinstance(layer, nn.modules.batchnorm._BatchNorm | nn.RReLU):
        return True
    if isinstance(layer, nn.modules.instancenorm._InstanceNorm):
        return layer.track_running_stats
    drops = isinstance(layer, nn.modules.dropout._DropoutNd) or type(layer).__name__ in ("StochasticDepth", "DropPath")
    rates = [getattr(layer, name, 0) for name in (("p", "drop_prob") if drops else ("dropout", "drop_prob"))]
    return any(isinstance(rate, float) and rate > 0 for rate in rates)


@functools.lru_cache(maxsize=4096)
def _may_draw(layer: type[nn.Module]) -> bool:
    """Whether a layer's code uses its mode or dropout, so that it may draw random numbers in training mode."""
    if issubclass(layer, torch.jit.ScriptModule):
        return True
    for parent in layer.__mro__:
        if not f"{parent.__module__}.".startswith("torch.nn."):
            for function in filter(inspect.isfunction, vars(parent).values()):
                if any(name == "training" or "dropout" in name for name in frozenset.union(*_names(function.__code__))):
                    return True
    return False


def _generator_states() -> list[Tensor]:
    states = [torch.get_rng_state()]
    if torch.cuda.is_initialized():
        states += torch.cuda.get_rng_state_all()
    if torch.backends.mps.is_available():
        states.append(torch.mps.get_rng_state())
    return states
