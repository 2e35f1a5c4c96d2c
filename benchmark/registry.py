"""Finds components: the project's own rooms, installed packages, and files given by path."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import pkgutil
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType

from credbench.component import Component
from credbench.declarations import check_declared
from credbench.errors import RequestError, unknown
from credbench.spec import Spec, parse_axis
from credbench.tracing import failed_import
from credbench.tracing import last_line as last_line
from credbench.versions import remember, source_file

_MODULES = {
    "algorithm": "credbench.algorithms",
    "dataset": "credbench.datasets",
    "network": "credbench.architectures",
    "activation": "credbench.activations",
    "optimizer": "credbench.optimizers",
    "initializer": "credbench.initializers",
}
KINDS = tuple(_MODULES)
PLURALS = {kind: kind + "s" for kind in KINDS}


class Registry:
    """Every component known to this process, by kind and name."""

    def __init__(self, plugins: Iterable[Path] = ()) -> None:
        """Look through the built-in rooms, entry points and the given plugin files.

        What fails to import, and what an installed package or a file in a room declares wrongly,
        is left out and named in `problems`. Raises `RequestError` for a plugin file that is
        missing or declares something wrongly, and for two components of one kind and name.
        """
        self.problems: list[str] = []
        self._found: dict[str, dict[str, type[Component]]] = {kind: {} for kind in KINDS}
        self._files: set[Path] = set()
        for module in (*self._built_in(), *self._installed()):
            self._files.add(Path(module.__file__ or ""))
            self._take(module, forgiving=True)
        for path in dict.fromkeys(path.resolve() for path in plugins):
            loaded = None if path in self._files else self._loaded(path)
            if loaded is not None:
                self._take(loaded)

    def names(self, kind: str) -> list[str]:
        """Return the names of one kind, sorted."""
        return sorted(self._found[kind])

    def has(self, kind: str, name: str) -> bool:
        """Return whether there is a component of a kind and name."""
        return name in self._found[kind]

    def get(self, kind: str, name: str) -> type[Component]:
        """Return a component's class; raises `RequestError` with the nearest name."""
        if name not in self._found[kind]:
            raise self._unknown(kind, name, self._found[kind])
        return self._found[kind][name]

    def find(self, name: str) -> list[type[Component]]:
        """Return the components of any kind with this name."""
        found = [self._found[kind][name] for kind in KINDS if name in self._found[kind]]
        if not found:
            raise self._unknown("name", name, {n for kind in KINDS for n in self._found[kind]})
        return found

    def _unknown(self, what: str, name: str, known: Iterable[str]) -> RequestError:
        """Return the error for a name; it may be of what was left out, so none is guessed then."""
        if not self.problems:
            return unknown(what, name, known)
        return RequestError(
            f"unknown {what} {name!r}: it may be of what was left out, which is named above; mend "
            "that, or see 'credbench list' for the names that are known"
        )

    def create(self, kind: str, spec: Spec) -> Component:
        """Return the component that a spec stands for."""
        return self.get(kind, spec.name).create(dict(spec.given))

    def axis(self, kind: str, text: str) -> list[Component]:
        """Return the components that a comma list stands for; `all` is every name known."""
        specs = [
            each
            for spec in parse_axis(text)
            for each in (self._all(kind) if spec == Spec("all") else [spec])
        ]
        made = [self.create(kind, spec) for spec in specs]
        return list({component.spec(): component for component in made}.values())

    def _all(self, kind: str) -> list[Spec]:
        return [Spec(name) for name in self.names(kind) if self.get(kind, name).complete]

    def _take(self, module: ModuleType, forgiving: bool = False) -> None:
        for component in _components(module):
            try:
                check_declared(component, source_file(component), KINDS)
            except RequestError as error:
                if not forgiving:
                    raise
                self.problems.append(f"left out: {error}")
                continue
            known = self._found[component.kind]
            other = known.get(component.name)
            if other is not None and other is not component:
                raise RequestError(
                    f"two {PLURALS[component.kind]} are named {component.name!r}, in "
                    f"{source_file(other)} and {source_file(component)}: rename one, "
                    "or leave one out"
                )
            known[component.name] = component
            remember(source_file(component))

    def _built_in(self) -> Iterator[ModuleType]:
        for name in _MODULES.values():
            room = importlib.import_module(name)
            for child in pkgutil.iter_modules(getattr(room, "__path__", [])):
                if child.name.startswith("test_"):
                    continue
                try:
                    yield importlib.import_module(f"{name}.{child.name}")
                except (Exception, SystemExit) as error:
                    file = Path(room.__path__[0], f"{child.name}.py")
                    self.problems.append(f"{file} was left out: {failed_import(error)}")
            yield room

    def _installed(self) -> Iterator[ModuleType]:
        from importlib.metadata import entry_points

        for kind in KINDS:
            for point in entry_points(group=f"credbench.{PLURALS[kind]}"):
                where = f"{point.value} (entry point {point.name!r} of credbench.{PLURALS[kind]})"
                try:
                    loaded = point.load()
                except (Exception, SystemExit) as error:
                    why = failed_import(error, point.module.partition(".")[0])
                    self.problems.append(f"{where} was left out: {why}")
                    continue
                module = sys.modules.get(getattr(loaded, "__module__", ""), loaded)
                if isinstance(module, ModuleType) and any(True for _ in _components(module)):
                    yield module
                else:
                    self.problems.append(f"{where} was left out: {_NOTHING}")

    def _loaded(self, path: Path) -> ModuleType | None:
        """Return a plugin file as a module; None, with a problem, where it fails to import."""
        try:
            return _load(path)
        except _BrokenPluginError as error:
            self.problems.append(f"--plugin {path} failed to import: {error}")
            return None


def _components(module: ModuleType) -> Iterator[type[Component]]:
    for value in vars(module).values():
        if (
            isinstance(value, type)
            and issubclass(value, Component)
            and f"{value.__module__}.".startswith(f"{module.__name__}.")
            and value.__dict__.get("name")
        ):
            yield value


_NOTHING = (
    "it defines no component, expected a class with a name, such as a subclass of credbench.Learner"
)


class _BrokenPluginError(Exception):
    """What a plugin file raised, in a line."""


def _load(path: Path) -> ModuleType:
    if not path.is_file():
        raise RequestError(f"--plugin {path}: no such file; expected a Python file")
    digest = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:8]
    name = f"credbench_plugin_{path.stem}_{digest}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise RequestError(f"--plugin {path}: expected a Python file, with a name ending in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    if str(path.parent) not in sys.path:  # last, so that what lies beside it hides nothing
        sys.path.append(str(path.parent))
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise _BrokenPluginError(failed_import(error)) from error
    if not any(True for _ in _components(module)):
        raise RequestError(f"--plugin {path}: {_NOTHING}")
    remember(path)
    return module
