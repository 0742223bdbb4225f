"""Whether jobs that are done and a plan agree: on configurations, and on data."""

from __future__ import annotations

from cmg.config.compare import changed_keys
from cmg.config.schema import RunConfig
from cmg.errors import ConfigError


def refuse_other_config(
    what: str, before: RunConfig, now: RunConfig, remedy: str, told: str = "now"
) -> None:
    """Refuse a configuration that differs in more than where the data are and what is kept.

    Raises:
        ConfigError: names the keys with both values.
    """
    found = changed_keys(before, now)
    changes_nothing = {"data.store", "data.lists", "training.keep_checkpoints"}
    found = {key: pair for key, pair in found.items() if key not in changes_nothing}
    if found:
        first = list(found.items())[:4]
        shown = ", ".join(f"{key} = {a!r} ({told} {b!r})" for key, (a, b) in first)
        more = f" and {len(found) - 4} more" if len(found) > 4 else ""
        raise ConfigError(f"{what} with {shown}{more}; {remedy}")


def data_of(config: RunConfig) -> tuple[str, str | None]:
    """The store or collection, and the list of it, that a job is trained on."""
    return config.data.store, config.data.list


def refuse_other_data(what: str, before: str, now: str | None) -> None:
    """Refuse data of another content hash than a finished job saw.

    Raises:
        ConfigError: they differ.
    """
    if now is not None and before != now:
        raise ConfigError(
            f"{what} with content hash {before[:12]}, but --data has {now[:12]}; "
            "give it the same data, or choose another --out"
        )
