"""The clips and stores of the tests of data."""

from tests.data.conftest import clips, store, write

__all__ = ["clips", "store", "write"]
