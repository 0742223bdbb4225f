"""The run that the tests of sharing make."""

from tests.sharing.conftest import run

__all__ = ["run"]
