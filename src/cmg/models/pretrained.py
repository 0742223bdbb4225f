"""What users of huggingface_hub call on a model: :func:`cmg.load` and :func:`cmg.export`."""

from __future__ import annotations

from typing import Any

import cmg
from cmg.files import StrPath
from cmg.hub import PREFIX, named


class Pretrained:
    """Loading, saving and uploading under the names of ``PyTorchModelHubMixin``."""

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: StrPath,
        *,
        revision: str | None = None,
        cache_dir: StrPath | None = None,
        local_files_only: bool = False,
        token: str | bool | None = None,
    ) -> Any:
        """:func:`cmg.load` as huggingface_hub's users call it: a folder, or ``OWNER/NAME``.

        Args:
            pretrained_model_name_or_path: A folder that is there, else the name on a hub.
            revision: Branch, tag or commit.
            cache_dir: huggingface_hub's cache; None is its own.
            local_files_only: Use the cache alone.
            token: Of the hub; None is the one that the user is logged in with.

        Raises:
            CheckpointError: see :func:`cmg.load`.
            ConfigError: neither a folder nor a name.
        """
        where = named(pretrained_model_name_or_path)
        how: dict[str, Any] = {"revision": revision, "cache_dir": cache_dir, "token": token}
        return cmg.load(where, local_files_only=local_files_only, **how)

    def save_pretrained(self: Any, save_directory: StrPath) -> None:
        """Write the model to a folder with a model card; see :func:`cmg.export`."""
        cmg.export(self, save_directory, overwrite=True)

    def push_to_hub(
        self: Any,
        repo_id: str,
        *,
        commit_message: str = "Upload a model of cmg",
        private: bool | None = None,
        token: str | bool | None = None,
        branch: str | None = None,
    ) -> str:
        """Upload the model with a model card to ``OWNER/NAME``; see :func:`cmg.export`.

        A run that was exported says more: what it was trained on, its extractors and evaluation.

        Returns:
            The address with the commit that was made.
        """
        where = f"{PREFIX}{repo_id}" + (f"@{branch}" if branch else "")
        found = cmg.export(self, where, commit_message=commit_message, private=private, token=token)
        return found.where
