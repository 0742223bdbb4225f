"""The command line, in this process (fast) or as a user types it (a new process)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import NamedTuple

import pytest

from cmg.cli import main as entry
from cmg.cli.output import STATE


class Said(NamedTuple):
    """Exit code, stdout and stderr of a command."""

    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)


@pytest.fixture
def cmg(capsys, monkeypatch):
    """Run `cmg ARGS` in this process."""
    handler = signal.getsignal(signal.SIGINT)

    def run(*args):
        monkeypatch.setattr(sys, "argv", ["cmg", *map(str, args)])
        monkeypatch.setattr(STATE, "json", False)
        capsys.readouterr()
        try:
            entry.main()
            code = 0
        except SystemExit as stop:
            code = stop.code or 0
        said = capsys.readouterr()
        return Said(code, said.out, said.err)

    yield run
    signal.signal(signal.SIGINT, handler)


@pytest.fixture(scope="session")
def shell():
    """Run `python -m cmg ARGS` as a process."""

    def run(*args, **environment):
        done = subprocess.run(
            [sys.executable, "-m", "cmg", *map(str, args)],
            capture_output=True,
            text=True,
            env=os.environ | environment,
            check=False,
        )
        return Said(done.returncode, done.stdout, done.stderr)

    return run
