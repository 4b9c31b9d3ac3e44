"""Loading a function app and turning the SDK's function objects into specifications."""

from __future__ import annotations

import importlib
import inspect
import json
import sys
import types
import typing
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

SCRIPT = "function_app.py"
"""The file of the Python v2 model the worker looks for."""

_SUPPORTED = {
    "httpTrigger",
    "http",
    "timerTrigger",
    "eventHubTrigger",
    "eventHub",
    "activityTrigger",
    "orchestrationTrigger",
    "entityTrigger",
    "durableClient",
    "signalR",
    "signalRConnectionInfo",
}


class IndexingError(Exception):
    """The app cannot be indexed: it has no functions at all then."""


@dataclass(frozen=True)
class BindingSpec:
    """One binding as ``function.json`` would hold it."""

    name: str
    type: str
    direction: str
    raw: dict[str, Any]

    @property
    def is_trigger(self) -> bool:
        return self.type.lower().endswith("trigger")

    @property
    def is_output(self) -> bool:
        return self.direction == "OUT"


@dataclass(frozen=True)
class FunctionSpec:
    """One function of the app, ready to be called."""

    name: str
    call: Callable[..., Any]
    is_async: bool
    needs_context: bool
    trigger: BindingSpec
    bindings: tuple[BindingSpec, ...]
    script_file: str
    directory: str

    # Asked for at every invocation, and fixed: worked out once.

    @cached_property
    def kind(self) -> str:
        """The trigger's type, such as ``httpTrigger``."""
        return self.trigger.type

    @cached_property
    def clients(self) -> tuple[str, ...]:
        """Names of the durable client bindings."""
        return tuple(b.name for b in self.bindings if b.type == "durableClient")

    @cached_property
    def invitations(self) -> tuple[tuple[str, str], ...]:
        """Names and hubs of the bindings that let a viewer in to SignalR."""
        return tuple(
            (b.name, str(b.raw.get("hubName", "")))
            for b in self.bindings
            if b.type == "signalRConnectionInfo"
        )

    @cached_property
    def outputs(self) -> tuple[BindingSpec, ...]:
        """Output bindings that are parameters (all but ``$return``)."""
        return tuple(b for b in self.bindings if b.is_output and b.name != "$return")

    @cached_property
    def returns(self) -> BindingSpec | None:
        """The binding that takes the return value: ``$return``, or a durable trigger itself."""
        explicit = next((b for b in self.bindings if b.name == "$return"), None)
        if explicit is None and self.kind in _IMPLICIT_RETURN:
            return self.trigger
        return explicit

    @property
    def durable_name(self) -> str:
        """The name orchestrations know this function by."""
        raw = self.trigger.raw
        return str(
            raw.get("orchestration") or raw.get("activity") or raw.get("entityName") or self.name
        )

    def problem(self) -> str | None:
        """Why this one function cannot run, though the app was indexed."""
        for binding in self.bindings:
            if binding.type not in _SUPPORTED:
                return (
                    f"The binding type(s) '{binding.type}' are not registered. Please ensure the"
                    " type is correct and the binding extension is installed."
                )
        return None

    def metadata(self) -> dict[str, Any]:
        """The function as the worker announces it: name, entry point, raw bindings."""
        return {
            "name": self.name,
            "script_file": self.script_file,
            "entry_point": self.name,
            "language": "python",
            "raw_bindings": [binding.raw for binding in self.bindings],
        }


_IMPLICIT_RETURN = {"activityTrigger", "orchestrationTrigger", "entityTrigger"}


def load(folder: Path) -> list[FunctionSpec]:
    """Import ``function_app`` afresh and index it.

    Parameters
    ----------
    folder : Path
        Put on ``sys.path`` (and left there, for imports inside functions).

    Raises
    ------
    IndexingError
        Whatever the app did wrong: import error, duplicate name, wrong parameter. Azure then
        runs the host with no functions.
    """
    if not (folder / SCRIPT).exists():
        raise IndexingError(f"{SCRIPT} not found")
    try:
        module = _import_fresh(folder)
        return index(_app_of(module).get_functions(), str(folder))
    except Exception as error:
        raise IndexingError(f"{type(error).__name__}: {error}") from error


def index(functions: Iterable[Any], directory: str) -> list[FunctionSpec]:
    """Specifications of SDK function objects.

    Raises
    ------
    IndexingError
        If names or parameters are wrong.
    """
    specs = [_spec(function, directory) for function in functions]
    # The real host orders by upper-cased name, which decides who wins a route conflict.
    return sorted(specs, key=lambda spec: spec.name.upper())


def forget(folder: Path) -> None:
    """Remove the app's own modules from the interpreter, so that the next load is fresh."""
    root = str(folder.resolve()) + "/"
    # When the app is this very repository, everything else in it is the running program's as well:
    # loading that twice would make two of every class.
    ours = Path(__file__).resolve().is_relative_to(folder.resolve())
    for name, module in list(sys.modules.items()):
        top = name.partition(".")[0]
        file = getattr(module, "__file__", None) or ""
        if ours:
            its_own = top in ("function_app", "functions")
        else:
            # The running program is never part of the app; starting other processes needs it.
            its_own = top == "function_app" or (top != "__main__" and file.startswith(root))
        if its_own and "site-packages" not in file:
            del sys.modules[name]


def _import_fresh(folder: Path) -> Any:
    path = str(folder)
    if path in sys.path:
        sys.path.remove(path)
    sys.path.insert(0, path)
    sys.modules.pop("function_app", None)
    forget(folder)
    importlib.invalidate_caches()
    return importlib.import_module("function_app")


def _app_of(module: Any) -> Any:
    from azure.functions import FunctionRegister

    apps = [value for value in vars(module).values() if isinstance(value, FunctionRegister)]
    distinct = list({id(app): app for app in apps}.values())
    if len(distinct) != 1:
        raise IndexingError(f"{len(distinct)} top level function app instances in {SCRIPT}")
    return distinct[0]


def _spec(function: Any, directory: str) -> FunctionSpec:
    name, call = function.get_function_name(), function.get_user_function()
    raws = [json.loads(text) for text in function.get_raw_bindings()]
    bindings = tuple(BindingSpec(raw["name"], raw["type"], raw["direction"], raw) for raw in raws)
    triggers = [binding for binding in bindings if binding.is_trigger]
    if len(triggers) != 1:
        raise IndexingError(f"{name} has {len(triggers)} triggers")
    return FunctionSpec(
        name=name,
        call=call,
        is_async=inspect.iscoroutinefunction(call),
        needs_context=_check_parameters(name, call, bindings),
        trigger=triggers[0],
        bindings=bindings,
        script_file=function.function_script_file,
        directory=directory,
    )


def _check_parameters(name: str, call: Any, bindings: tuple[BindingSpec, ...]) -> bool:
    """The worker's rules about parameters; true if the function asks for its context."""
    declared = set(inspect.signature(call).parameters)
    bound = {binding.name for binding in bindings if binding.name != "$return"}
    needs_context = "context" in declared and "context" not in bound
    declared -= {"context"} if needs_context else set()
    if declared - bound:
        raise IndexingError(
            f"cannot load the {name} function: the following parameters are declared in Python"
            f" but not in the function definition: {sorted(declared - bound)}"
        )
    if bound - declared:
        raise IndexingError(
            f"cannot load the {name} function: the following parameters are declared as"
            f" bindings but not in Python: {sorted(bound - declared)}"
        )
    hints = typing.get_type_hints(call)
    for binding in bindings:
        if binding.name in hints:
            _check_annotation(name, binding, hints[binding.name])
    _check_return(name, bindings, hints)
    return needs_context


def _check_annotation(name: str, binding: BindingSpec, hint: Any) -> None:
    """The worker's rules about one annotated parameter."""
    refused = f"cannot load the {name} function: binding {binding.name}"
    is_out = getattr(typing.get_origin(hint) or hint, "__name__", "") == "Out"
    if is_out != binding.is_output:
        raise IndexingError(f"{refused} has direction {binding.direction} but is {hint!r}")
    if is_out:
        (hint,) = typing.get_args(hint) or (str,)
    # `list[str]` and `str | None` are no types to the worker; `typing.List[str]` is.
    if isinstance(hint, types.GenericAlias | types.UnionType) or not (
        isinstance(hint, type) or typing.get_origin(hint) not in (None, typing.Union)
    ):
        raise IndexingError(f"{refused} has invalid non-type annotation {hint!r}")
    if not _fits(binding, hint):
        raise IndexingError(f"{refused} ({binding.type}) does not match its annotation {hint!r}")


def _fits(binding: BindingSpec, hint: Any) -> bool:
    from azure.functions import meta

    if hint in (str, bytes):
        return True
    converter = meta.get_binding_registry().get(binding.type)
    if converter is None:
        return isinstance(hint, type) and issubclass(hint, str | bytes | bytearray)
    if binding.is_output:
        return bool(converter.check_output_type_annotation(hint))
    return bool(converter.check_input_type_annotation(hint))


def _check_return(name: str, bindings: tuple[BindingSpec, ...], hints: dict[str, Any]) -> None:
    explicit = next((binding for binding in bindings if binding.name == "$return"), None)
    if explicit is None or "return" not in hints:
        return
    hint = hints["return"]
    if not isinstance(hint, type) or not _fits(explicit, hint):
        raise IndexingError(
            f"cannot load the {name} function: the return annotation {hint!r} does not match"
            f" binding type {explicit.type!r}"
        )
