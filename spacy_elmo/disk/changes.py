"""What has changed since something was kept."""

import json
from collections.abc import Iterator
from typing import Any

_ABSENT = object()
# Characters of a value that are told.
_MOST = 200


def changes(before: Any, now: Any, key: str = "") -> Iterator[str]:
    """How JSON-ready values differ, such as 'training.unroll was 20, now 10': each begins with a dotted key.

    A section that is not there is the same as an empty one.
    """
    if all(isinstance(one, dict) or one is _ABSENT for one in (before, now)):
        old, new = ({} if one is _ABSENT else one for one in (before, now))
        for name in sorted(old.keys() | new.keys()):
            yield from changes(old.get(name, _ABSENT), new.get(name, _ABSENT), f"{key}.{name}" if key else name)
    elif before != now:
        yield f"{key} was {_told(before)}, now {_told(now)}"


def _told(value: Any) -> str:
    text = "left out" if value is _ABSENT else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _MOST else f"{text[:_MOST]}…"
