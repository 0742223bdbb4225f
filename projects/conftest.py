"""What the tests of all projects share: their commands, run in this process."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest
import typer

from cmg.cli.main import main


class Said(NamedTuple):
    """Exit code, stdout and stderr."""

    code: int
    out: str
    err: str


@pytest.fixture
def run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Said]]:
    """Run the command of a project: of its ``app``, with some words."""
    handler = signal.getsignal(signal.SIGINT)

    def said(app: typer.Typer, *words: object) -> Said:
        monkeypatch.setattr(sys, "argv", ["project", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            main(app)
        return Said(int(stop.value.code or 0), *capsys.readouterr())

    yield said
    signal.signal(signal.SIGINT, handler)
