"""Items of a data set in batches, from this process or from workers."""

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch.utils.data import DataLoader

from facenet_training.problem import Problem

Item = TypeVar("Item")
Stacked = TypeVar("Stacked")


class Numbered(Protocol[Item]):  # type: ignore[misc]
    """Items by number."""

    def __getitem__(self, number: int) -> Item: ...


def load(
    items: Numbered[Item], numbers: Sequence[Sequence[int]], stack: Callable[[list[Item]], Stacked], workers: int
) -> Iterator[Stacked]:
    """The items of these numbers, a list of numbers a batch, in order.

    Raises the `Problem` of the first item that cannot be had. Draws nothing from PyTorch's global generator.
    """
    try:
        loader: DataLoader[Any] = DataLoader(
            _Guarded(items),  # type: ignore[arg-type]
            batch_sampler=numbers,  # type: ignore[arg-type]
            num_workers=workers,
            collate_fn=_Stack(stack),
            generator=torch.Generator(),
        )
        for batch in loader:
            if isinstance(batch, Problem):
                raise batch
            yield batch
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise Problem(f"a worker process ended ({error}); try fewer --workers", os.EX_OSERR) from error


class _Guarded(Generic[Item]):
    """Gives a `Problem` as an item: raised in a worker, it would be wrapped into its traceback."""

    def __init__(self, items: Numbered[Item]):
        self._items = items

    def __getitem__(self, number: int) -> Item | Problem:
        try:
            return self._items[number]
        except Problem as problem:
            return problem


class _Stack(Generic[Item, Stacked]):
    """Stacks items, unless one of them is a `Problem`."""

    def __init__(self, stack: Callable[[list[Item]], Stacked]):
        self._stack = stack

    def __call__(self, drawn: list[Item | Problem]) -> Stacked | Problem:
        items = []
        for item in drawn:
            if isinstance(item, Problem):
                return item
            items.append(item)
        return self._stack(items)
