"""Annotations checked at run time, as jaxtyping's hook does it, at a tenth of the price.

From the hook that `--jaxtyping-packages` installs to one whose decorator is `checked`. Each
function of volspine still refuses arguments and results that do not have their annotated type,
shape and dtype, with one memory of axis names a call. What is left out is jaxtyping's own way
there, which binds the arguments to the signature and checks them twice in order to word its
message: two thirds of the time that it took to make a phantom.

Reference: `jaxtyping._import_hook`; where anything here does not apply, jaxtyping's decorator does.
"""

import ast
import dataclasses
import functools
import inspect
import types
import typing
from importlib.machinery import SourceFileLoader
from unittest import mock

from beartype import BeartypeConf, beartype
from jaxtyping import AbstractArray, TypeCheckError, _import_hook, jaxtyped

__all__ = ["checked", "install"]

TYPECHECKER = beartype(conf=BeartypeConf(is_pep484_tower=True, violation_type=TypeCheckError))
CONTEXT = jaxtyped("context")
"""Axis names are bound anew within it; it holds nothing, so that one serves all."""

_wrappers = {}


def checked(thing):
    """Return a function, or a dataclass in place, that checks what its annotations say."""
    if not isinstance(thing, types.FunctionType):
        return _checked_class(thing)
    if not thing.__annotations__:
        return thing
    if "<locals>" in thing.__qualname__:
        return _checked_local(thing)
    return _checked_function(thing)


def _checked_class(cls):
    if dataclasses.is_dataclass(cls):
        init = cls.__init__
        if isinstance(init, types.FunctionType) and not hasattr(init, "__wrapped__"):
            cls.__init__ = checked(init)
    return cls


def _checked_function(function):
    slowly = jaxtyped(typechecker=TYPECHECKER)
    if inspect.isgeneratorfunction(function) or inspect.iscoroutinefunction(function):
        return slowly(function)
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except (NameError, TypeError):
        return slowly(function)
    fast = TYPECHECKER(function)
    return _in_context(fast) if any(map(_has_shape, hints.values())) else fast


def _checked_local(function):
    """Check a function that is made at each call of another, with the wrapper of the first one.

    The wrapper that beartype writes has what it wraps as the default of an argument.
    """
    key = function.__code__, tuple(function.__annotations__.items())
    try:
        first = _wrappers.get(key)
    except TypeError:
        return _checked_function(function)
    if first is None:
        first = _checked_function(function)
        _wrappers[key] = first if "__beartype_func" in (first.__kwdefaults__ or {}) else False
        return first
    if first is False:
        return _checked_function(function)
    copy = types.FunctionType(first.__code__, first.__globals__, function.__name__)
    copy.__kwdefaults__ = first.__kwdefaults__ | {"__beartype_func": function}
    return functools.update_wrapper(copy, function)


def _has_shape(hint):
    if isinstance(hint, type) and issubclass(hint, AbstractArray):
        return True
    return any(map(_has_shape, typing.get_args(hint)))


def _in_context(function):
    @functools.wraps(function)
    def bound_anew(*args, **kwargs):
        __tracebackhide__ = True
        with CONTEXT:
            return function(*args, **kwargs)

    return bound_anew


class CheckedLoader(_import_hook._JaxtypingLoader):
    """Imports a module of volspine with checks, and what that imports as ever.

    The hook of jaxtyping renames compiled files as long as a module runs, so that whatever third
    party it imports first (torch, SciPy) is compiled again: half the time of collecting tests.
    Here they are renamed only while this module's own compiled file is looked up.
    """

    def get_code(self, fullname):
        name = functools.partial(_import_hook._optimized_cache_from_source, "checked")
        with mock.patch("importlib._bootstrap_external.cache_from_source", name):
            return super().get_code(fullname)

    exec_module = SourceFileLoader.exec_module


def install():
    """Let jaxtyping's hook, wherever it is asked for, decorate with `checked`."""

    def decorator(self):
        return ast.parse("jaxtyping._import_hook.checked", mode="eval").body

    _import_hook.checked = checked
    _import_hook.Typechecker.get_ast = decorator
    _import_hook._JaxtypingLoader = CheckedLoader
