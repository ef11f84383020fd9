"""What inference computes from parameters once and keeps, until the parameters change."""

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

T = TypeVar("T")


class Derived:
    """Packed weights, vectors of words already seen: anything that follows from parameters alone. Nothing in here is
    copied or pickled along; a copy derives its own.
    """

    def __init__(self) -> None:
        self._token: Hashable = None
        self._kept: dict[Hashable, Any] = {}

    def of(self, token: Hashable) -> "Derived":
        """This, empty where it was derived from weights of another token."""
        if self._token != token:
            self._kept = {}
            self._token = token
        return self

    def get(self, key: Hashable, build: Callable[[], T]) -> T:
        """What `build` gave for this key; built where it is not here."""
        kept = self._kept
        if key not in kept:
            kept[key] = build()
        value: T = kept[key]
        return value

    def __reduce__(self) -> tuple[type["Derived"], tuple[()]]:
        return Derived, ()
