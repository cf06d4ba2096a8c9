"""Parts of the problems, for several machines."""

from typing import TypeVar

from visreason.errors import UsageError

T = TypeVar("T")


def part(items: list[T], shard: str | None, what: str = "problems") -> list[T]:
    """The i-th of n consecutive parts, "i/n", whose sizes differ by at most one; everything without a shard.

    Raises UsageError when items are fewer than parts, and says `what` they are.

    >>> [part(list("abcde"), f"{i}/3") for i in (1, 2, 3)]
    [['a'], ['b', 'c'], ['d', 'e']]
    """
    if shard is None:
        return items
    i, n = map(int, shard.split("/"))
    if 0 < len(items) < n:
        raise UsageError(
            f"expected at least {n} {what} for shard={shard}, found {len(items)}; make fewer parts"
        )
    return items[len(items) * (i - 1) // n : len(items) * i // n]
