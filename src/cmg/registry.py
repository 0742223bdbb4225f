"""Parts by name: objectives, quantizers and benchmarks, built in or from a user's own modules.

Nothing that is named in a file is imported. A plugin is loaded by ``--plugin MODULE``, by
:func:`use`, or because it is installed with an entry point of the group ``cmg.plugins``; what was
registered meanwhile is known to be from it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module, metadata
from typing import Any, ClassVar, Generic, TypeVar

from cmg.errors import ConfigError, did_you_mean

T = TypeVar("T")
ENTRY_POINTS = "cmg.plugins"
OWN = "; one of your own comes with --plugin MODULE (in Python cmg.use)"
"""The remedy for a part that nothing has."""


class PluginError(ConfigError):
    """A plugin that does not import, that takes a name which is taken, or that is not loaded."""


@dataclass(frozen=True)
class Entry(Generic[T]):
    """A registered part.

    Attributes:
        name: Its key in configurations.
        part: The class.
        options: Class of its options.
        plugin: Module it is from; empty for what is built in.
    """

    name: str
    part: T
    options: Any
    plugin: str


class Registry(Mapping[str, Entry[T]]):
    """Parts of one kind by name, built-in ones first, in the order in which they were registered.

    Args:
        what: What a part is, for messages: ``objective``.
        part: Class that parts are subclasses of.
        options: Class that their options are subclasses of; None where parts have none.
    """

    every: ClassVar[list[Registry[Any]]] = []

    def __init__(self, what: str, part: type = object, options: type | None = None) -> None:
        self.what, self.bases = what, (part, options)
        self.entries: dict[str, Entry[T]] = {}
        self.every.append(self)

    def register(self, name: str, options: Any = None) -> Callable[[T], T]:
        """A class decorator that registers a part.

        Args:
            name: A plain word, its key in configurations.
            options: Class of its options.

        Raises:
            PluginError: the name is no plain word, or is taken by another class; or the part or
                its options are no classes of this kind.
        """
        if not (name.isascii() and name.replace("-", "_").isidentifier()):
            raise PluginError(f"{self.what} {name!r}: a name must be a plain word (a-z, 0-9, _-)")

        def enter(part: T) -> T:
            for base, given in zip(self.bases, (part, options), strict=True):
                if base and not (isinstance(given, type) and issubclass(given, base)):
                    raise PluginError(
                        f"{self.what} {name!r} must be a class, and its options another: "
                        f"{given!r} is no subclass of {base.__name__}"
                    )
            before = self.entries.get(name)
            if before is not None and _path(before.part) != _path(part):
                raise PluginError(
                    f"{_path(part)} registers {self.what} {name!r}, which {_path(before.part)} has "
                    "taken; choose another name"
                )
            self.entries[name] = Entry(name, part, options, _origin(part))
            return part

        return enter

    def __getitem__(self, name: str) -> Entry[T]:
        """A part.

        Raises:
            ConfigError: there is none of this name.
        """
        load_installed()
        if name not in self.entries:
            raise ConfigError(f"unknown {self.what} {self.unknown(name)}")
        return self.entries[name]

    def unknown(self, name: str) -> str:
        """What is said of a name that nothing has."""
        return f"{name!r}{did_you_mean(name, self.entries)}{OWN}"

    def __contains__(self, name: object) -> bool:
        """Whether there is a part of this name."""
        load_installed()
        return name in self.entries

    def __iter__(self) -> Iterator[str]:
        """Names."""
        load_installed()
        return iter(self.entries)

    def __len__(self) -> int:
        """How many there are."""
        load_installed()
        return len(self.entries)


def _path(part: Any) -> str:
    return f"{part.__module__}.{part.__qualname__}"


def _origin(part: Any) -> str:
    """The plugin that a part is from: the one that is being loaded, or the part's module."""
    if _State.loading:
        return _State.loading[-1]
    own = str(part.__module__)
    return "" if own.split(".", maxsplit=1)[0] == "cmg" else own


class _State:
    loaded: ClassVar[list[str]] = []
    loading: ClassVar[list[str]] = []
    installed = False


@contextmanager
def _all_or_nothing(name: str) -> Iterator[None]:
    """Take back what a plugin registers if it fails."""
    before = [dict(registry.entries) for registry in Registry.every]
    _State.loading.append(name)
    try:
        yield
    except BaseException:
        for registry, entries in zip(Registry.every, before, strict=False):
            registry.entries = entries
        raise
    finally:
        _State.loading.pop()


def use(*modules: str) -> None:
    """Load plugins: import modules that register parts. Loading one twice is once.

    Args:
        modules: Names as in ``import``.

    Raises:
        PluginError: one does not import, or registers a name that is taken.
    """
    load_installed()
    for name in modules:
        if name in _State.loaded:
            continue
        kept = set(sys.modules)
        try:
            with _all_or_nothing(name):
                import_module(name)
        except (Exception, SystemExit) as error:  # a user's module may raise anything
            for module in set(sys.modules) - kept:  # so that a mended one is read again
                if module.split(".")[0] == name.split(".")[0]:
                    del sys.modules[module]
            if isinstance(error, PluginError):
                raise
            raise PluginError(
                f"plugin {name} does not import: {type(error).__name__}: {error}; give the name of "
                "a module that Python finds (installed, or in the current folder)"
            ) from error
        _State.loaded.append(name)


def load_installed() -> None:
    """Load plugins that are installed with an entry point, once.

    Raises:
        PluginError: one does not import, or registers a name that is taken.
    """
    if _State.installed:
        return
    _State.installed = True
    for entry in metadata.entry_points(group=ENTRY_POINTS):
        use(entry.module)


def refuse_missing(plugins: Sequence[str], source: str) -> None:
    """Refuse what was made with plugins that are not loaded; none of them is imported.

    Args:
        plugins: Recorded names.
        source: Where they are recorded, for the message.

    Raises:
        PluginError: naming those that are missing, and the option that loads them.
    """
    load_installed()
    missing = [name for name in plugins if name not in known_plugins()]
    if missing:
        option = " ".join(f"--plugin {name}" for name in missing)
        called = ", ".join(repr(name) for name in missing)
        raise PluginError(
            f"{source} was made with plugin {', '.join(missing)}, which is not loaded; if you "
            f"trust it, give {option} (in Python: cmg.use({called}))"
        )


def loaded_plugins() -> tuple[str, ...]:
    """Plugins that were loaded here, which worker processes load as well."""
    return tuple(_State.loaded)


def known_plugins() -> set[str]:
    """Plugins that are loaded, and modules that registered a part by themselves."""
    own = {e.plugin for registry in Registry.every for e in registry.entries.values()}
    return {*_State.loaded, *own} - {""}
