"""Models on a hub: addresses ``hub:OWNER/NAME[@REVISION]``, fetched and uploaded.

All that is asked of a hub goes through huggingface_hub's own client, with its cache, its token and
its settings (``HF_ENDPOINT``, ``HF_HUB_CACHE``, ``HF_HUB_OFFLINE``, ``HF_TOKEN``).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cmg.errors import CheckpointError, ConfigError
from cmg.files import StrPath, as_path
from cmg.optional import optional

PREFIX = "hub:"
ADDRESS = re.compile(r"hub:([\w.-]+/[\w.-]+)(?:@(\S+))?", re.ASCII)
FORM = "hub:OWNER/NAME, or hub:OWNER/NAME@REVISION for a branch, a tag or a commit"
FILES = ("checkpoint.json", "model.safetensors", "run.json", "results.json", "baselines.json")
"""What is fetched of a model; nothing else of a repository is."""


def is_hub(where: StrPath) -> bool:
    """Whether a model is named by its address on a hub."""
    return os.fspath(where).startswith(PREFIX)


def address(where: StrPath) -> tuple[str, str | None]:
    """``OWNER/NAME`` and revision of an address.

    Raises:
        ConfigError: of another form.
    """
    found = ADDRESS.fullmatch(os.fspath(where))
    if found is None:
        raise ConfigError(f"{os.fspath(where)!r} is no address of a model; it reads {FORM}")
    return found[1], found[2]


def named(given: StrPath) -> StrPath:
    """What huggingface_hub's users name a model by: a folder that is there, or ``OWNER/NAME``."""
    if Path(given).exists() or is_hub(given):
        return given
    return PREFIX + os.fspath(given)


def local(
    where: StrPath,
    revision: str | None = None,
    cache_dir: StrPath | None = None,
    local_files_only: bool = False,
    token: str | bool | None = None,
) -> Path:
    """A folder on this machine: `where` itself, or what an address on a hub names.

    What is in the cache is used where there is no network; a commit that is there is not asked for.

    Args:
        where: A path or an address.
        revision: Branch, tag or commit; it goes before that of the address.
        cache_dir: Of huggingface_hub; None is its own.
        local_files_only: Use the cache alone.
        token: Of the hub; None is the one that the user is logged in with.

    Raises:
        CheckpointError: it can neither be fetched nor is it in the cache.
        ConfigError: no address, or huggingface_hub is not installed.
    """
    where = as_path(where, "a model is named by the folder of its run, or its address on a hub")
    if not is_hub(where):
        return where
    name, own = address(where)
    api = client(token)
    revision = revision or own
    with told(f"cannot fetch {PREFIX}{name}" + (f"@{revision}" if revision else "")):
        return Path(
            api.snapshot_download(
                name,
                revision=revision,
                cache_dir=cache_dir,
                local_files_only=local_files_only,
                allow_patterns=list(FILES),
            )
        )


def upload(
    folder: Path,
    where: StrPath,
    message: str,
    private: bool | None = None,
    token: str | bool | None = None,
) -> str:
    """Upload a folder as one commit; the repository is made if there is none.

    Args:
        folder: All of it is uploaded.
        where: Address; its revision is the branch to commit to.
        message: Of the commit.
        private: Whether a repository that is made is private; None is the owner's default.
        token: Of the hub; None is the one that the user is logged in with.

    Returns:
        The address with the commit that was made.

    Raises:
        CheckpointError: the hub cannot be reached, or takes nothing without another token.
        ConfigError: no address, or huggingface_hub is not installed.
    """
    name, branch = address(where)
    api = client(token)
    with told(f"cannot upload to {PREFIX}{name}"):
        api.create_repo(name, private=private, exist_ok=True)
        if branch is not None:
            api.create_branch(name, branch=branch, exist_ok=True)
        made = api.upload_folder(
            repo_id=name, folder_path=folder, revision=branch, commit_message=message
        )
    return f"{PREFIX}{name}@{made.oid}"


def client(token: str | bool | None) -> Any:
    """huggingface_hub's.

    Raises:
        ConfigError: it is not installed.
    """
    needed = "models on a hub need huggingface_hub: pip install 'cmg-torch[hub]'"
    return optional("huggingface_hub", needed).HfApi(token=token, library_name="cmg-torch")


@contextmanager
def told(what: str) -> Iterator[None]:
    """Turn whatever the client raises into an error of ours with its remedy.

    Raises:
        CheckpointError: of anything that it raises.
    """
    try:
        yield
    except Exception as error:  # its http client, and so that one's errors, differ by version
        status = getattr(getattr(error, "response", None), "status_code", None)
        first = str(error).strip().partition("\n")[0]
        if status in (401, 403) or type(error).__name__ == "LocalTokenNotFoundError":
            why = "the hub wants a token that may do this"
            remedy = "log in with `hf auth login`, or set HF_TOKEN"
        elif type(error).__name__ == "RevisionNotFoundError":
            why, remedy = "there is no such revision", "name a branch, a tag or a whole commit"
        elif status == 404:
            why = "there is no such model, or it is private"
            remedy = "check OWNER/NAME, and log in with `hf auth login` or set HF_TOKEN"
        elif status is not None:
            why, remedy = f"the hub answered {status} ({first})", "try again later"
        else:
            why = f"the hub cannot be reached ({type(error).__name__}: {first})"
            remedy = "connect once, unset HF_HUB_OFFLINE, or use a folder of `cmg export RUN DIR`"
        raise CheckpointError(f"{what}: {why}; {remedy}") from error
