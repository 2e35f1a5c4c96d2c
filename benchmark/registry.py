"""Finds components: the project's own rooms, installed packages, and files given by path."""

from __future__ import annotations

import functools
import hashlib
import importlib
import importlib.util
import io
import pkgutil
import sys
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import Field
from pathlib import Path
from types import ModuleType

from credbench.component import Component
from credbench.errors import RequestError, unknown
from credbench.spec import Spec, parse_axis

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

        Raises `RequestError` for a plugin file that is missing or fails to import, and for
        two components of one kind and name.
        """
        self.problems: list[str] = []
        self._found: dict[str, dict[str, type[Component]]] = {kind: {} for kind in KINDS}
        for module in _built_in():
            self._take(module)
        for module in self._installed():
            self._take(module)
        for path in dict.fromkeys(path.resolve() for path in plugins):
            self._take(_load(path))

    def names(self, kind: str) -> list[str]:
        """Return the names of one kind, sorted."""
        return sorted(self._found[kind])

    def get(self, kind: str, name: str) -> type[Component]:
        """Return a component's class; raises `RequestError` with the nearest name."""
        if name not in self._found[kind]:
            raise unknown(kind, name, self._found[kind])
        return self._found[kind][name]

    def find(self, name: str) -> list[type[Component]]:
        """Return the components of any kind with this name."""
        found = [self._found[kind][name] for kind in KINDS if name in self._found[kind]]
        if not found:
            raise unknown("name", name, {n for kind in KINDS for n in self._found[kind]})
        return found

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

    def _take(self, module: ModuleType) -> None:
        for component in _components(module):
            _check_complete(component)
            known = self._found[component.kind]
            other = known.get(component.name)
            if other is not None and other is not component:
                raise RequestError(
                    f"two {PLURALS[component.kind]} are named {component.name!r}, in "
                    f"{source_file(other)} and {source_file(component)}: rename one"
                )
            known[component.name] = component
            _content(source_file(component))  # as imported, should it be edited meanwhile

    def _installed(self) -> Iterator[ModuleType]:
        from importlib.metadata import entry_points

        for kind in KINDS:
            for point in entry_points(group=f"credbench.{PLURALS[kind]}"):
                try:
                    loaded = point.load()
                except Exception as error:
                    self.problems.append(f"{point.value} was left out: {last_line(error)}")
                    continue
                yield loaded if isinstance(loaded, ModuleType) else sys.modules[loaded.__module__]


def _built_in() -> Iterator[ModuleType]:
    for name in _MODULES.values():
        module = importlib.import_module(name)
        for child in pkgutil.iter_modules(getattr(module, "__path__", [])):
            yield importlib.import_module(f"{name}.{child.name}")
        yield module


def _components(module: ModuleType) -> Iterator[type[Component]]:
    for value in vars(module).values():
        if (
            isinstance(value, type)
            and issubclass(value, Component)
            and value.__module__ == module.__name__
            and value.__dict__.get("name")
        ):
            yield value


def _check_complete(component: type[Component]) -> None:
    """Raise `RequestError` for a class that could not be used as a component."""
    where = f"{component.kind} {component.name!r} in {source_file(component)}"
    missing = ", ".join(sorted(getattr(component, "__abstractmethods__", ())))
    if missing:
        raise RequestError(f"{where} lacks {missing}: define it")
    if any(isinstance(value, Field) for value in vars(component).values()):
        raise RequestError(f"{where} declares parameters: put @dataclass(frozen=True) above it")


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
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise RequestError(f"--plugin {path} failed to import: {last_line(error)}") from error
    if not any(True for _ in _components(module)):
        raise RequestError(
            f"--plugin {path} defines no component: expected a class with a name, such as a "
            "subclass of credbench.Learner"
        )
    return module


def last_line(error: BaseException) -> str:
    """Return the last line of an error's traceback: its type and message."""
    message = str(error).strip().splitlines()
    return f"{type(error).__name__}: {message[0]}" if message else type(error).__name__


def source_file(component: type[Component]) -> Path:
    """Return the file that defines a component."""
    return Path(sys.modules[component.__module__].__file__ or component.__module__)


def source_hash(component: type[Component]) -> str:
    """Return a hash of the files that define a component and what it inherits.

    Comments and layout do not change it; the contract's own files do not count.
    """
    inherited = [c for c in component.__mro__ if issubclass(c, Component) and not _is_contract(c)]
    files = dict.fromkeys(map(source_file, inherited or [component]))
    hashes = [_file_hash(file) for file in files]
    if len(hashes) == 1:
        return hashes[0]
    return hashlib.sha256("".join(hashes).encode()).hexdigest()[:16]


def _is_contract(component: type[Component]) -> bool:
    package, _, inner = component.__module__.partition(".")
    return package == "credbench" and inner.partition(".")[0] not in ("algorithms", "datasets")


@functools.cache
def _file_hash(path: Path) -> str:
    source = _content(path).decode("utf-8", "replace")
    return hashlib.sha256(_code_only(source).encode()).hexdigest()[:16]


@functools.cache
def _content(path: Path) -> bytes:
    return path.read_bytes()


_LAYOUT = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.ENCODING}
_INDENTS = {tokenize.INDENT: "{", tokenize.DEDENT: "}"}


def _code_only(source: str) -> str:
    """Return the tokens of a file without comments, docstrings and white space."""
    kept: list[str] = []
    starts = True
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in _INDENTS:
            kept.append(_INDENTS[token.type])
        elif token.type == tokenize.NEWLINE:
            kept.append(";")
        elif token.type not in _LAYOUT and not (starts and token.type == tokenize.STRING):
            kept.append("".join(token.string.split()))
        if token.type not in (tokenize.COMMENT, tokenize.NL):
            starts = token.type in (*_INDENTS, tokenize.NEWLINE, tokenize.ENCODING)
    # Joined without spaces, an f-string reads the same whether it is one token (Python 3.11)
    # or several (3.12).
    return "".join(kept)
