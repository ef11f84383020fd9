"""Requests that come within some milliseconds of each other, computed together."""

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

In = TypeVar("In")
Out = TypeVar("Out")


class BusyError(Exception):
    """So many requests wait already that one more would only wait in vain."""


class Batcher(Generic[In, Out]):
    """Gathers items and computes them in a thread, one batch at a time; while one is computed, the next gathers.

    Args:
        compute: From some items to as many results. Where it fails, it is given each item alone, to find whose error it
            is.
        wait: Seconds that the first item of a batch waits for others.
        most: Items of a batch.
        most_waiting: Items that may wait; beyond, BusyError.
    """

    def __init__(
        self, compute: Callable[[list[In]], list[Out]], wait: float = 0.005, most: int = 64, most_waiting: int = 1024
    ) -> None:
        self.sizes: list[int] = [0, 0]  # batches, and items in them
        self._compute = compute
        self._wait = wait
        self._most = most
        self._queue: asyncio.Queue[tuple[In, asyncio.Future[Out]] | None] = asyncio.Queue()
        self._most_waiting = most_waiting
        self._task: asyncio.Task[None] | None = None

    async def __call__(self, item: In) -> Out:
        """The result of an item."""
        if self._queue.qsize() >= self._most_waiting:
            raise BusyError
        self._task = self._task or asyncio.create_task(self._run())
        future: asyncio.Future[Out] = asyncio.get_running_loop().create_future()
        self._queue.put_nowait((item, future))
        return await future

    async def close(self) -> None:
        """Compute what waits, and end."""
        if self._task is not None:
            self._queue.put_nowait(None)
            await self._task

    async def _run(self) -> None:
        while (first := await self._queue.get()) is not None:
            batch, is_last = await self._gathered(first)
            self.sizes[0] += 1
            self.sizes[1] += len(batch)
            await self._answer(batch)
            if is_last:
                return

    async def _gathered(
        self, first: tuple[In, asyncio.Future[Out]]
    ) -> tuple[list[tuple[In, asyncio.Future[Out]]], bool]:
        batch = [first]
        end = asyncio.get_running_loop().time() + self._wait
        while len(batch) < self._most:
            try:
                left = end - asyncio.get_running_loop().time()
                item = self._queue.get_nowait() if left <= 0 else await asyncio.wait_for(self._queue.get(), left)
            except (TimeoutError, asyncio.TimeoutError, asyncio.QueueEmpty):
                break
            if item is None:
                return batch, True
            batch.append(item)
        return batch, False

    async def _answer(self, batch: list[tuple[In, "asyncio.Future[Out]"]]) -> None:
        try:
            results = await asyncio.to_thread(self._compute, [item for item, _ in batch])
        except Exception as error:
            if len(batch) > 1:
                for one in batch:
                    await self._answer([one])
            elif not batch[0][1].done():
                batch[0][1].set_exception(error)
        else:
            for (_, future), result in zip(batch, results, strict=True):
                if not future.done():  # its client has gone
                    future.set_result(result)
