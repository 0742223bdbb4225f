"""Reading batches ahead, while the model works on the one before."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing

from cmg.data.batches import Batches
from cmg.types import Batch


def prefetch(
    batches: Batches,
    addresses: Iterable[tuple[int, int]],
    *,
    ahead: int = 2,
    workers: int = 1,
    pin: bool = False,
) -> Generator[Batch, None, None]:
    """Batches in the order of their addresses, read by other threads than the caller's.

    The batches are those of :meth:`Batches.at`, to the bit. An error of a batch is raised where
    that batch would have come. An error, or closing the iterator, stops the reading.

    Threads suffice: decoding and copying of a feature store leave Python's lock, and so does the
    decompression of the official zips.

    Args:
        batches: What is read.
        addresses: (epoch, index) of each batch wanted.
        ahead: Batches read before they are asked for; that many more are held in memory.
        workers: Threads; 0 reads in the caller's own.
        pin: Whether to put features into pinned memory, from where a GPU is fed without waiting.

    Raises:
        CmgError: what :meth:`Batches.at` raises.
    """

    def read(address: tuple[int, int]) -> Batch:
        batch = batches.at(*address)
        return _pinned(batch) if pin else batch

    if workers <= 0:
        yield from map(read, addresses)
        return
    pool = ThreadPoolExecutor(workers, "cmg-prefetch")
    waiting: deque[Future[Batch]] = deque()
    try:
        for address in addresses:
            waiting.append(pool.submit(read, address))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def epoch_ahead(
    batches: Batches,
    epoch: int,
    start: int = 0,
    *,
    ahead: int = 2,
    workers: int = 1,
    pin: bool = False,
) -> Generator[Batch, None, None]:
    """The batches of one epoch from batch `start` on, read ahead; see :func:`prefetch`."""
    addresses = [(epoch, index) for index in range(start, len(batches))]
    with closing(prefetch(batches, addresses, ahead=ahead, workers=workers, pin=pin)) as reading:
        yield from reading


def _pinned(batch: Batch) -> Batch:
    features = {m: x.pin_memory() for m, x in batch.features.items()}
    return Batch(features, batch.lengths, batch.ids)
