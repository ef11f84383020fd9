"""One file over HTTP: goes on where it was cut, gives up in the end, and is there whole or not at all."""

import ipaddress
import json
import re
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from .cache import Output, caching
from .errors import CheckpointError

if TYPE_CHECKING:
    from requests import Response, Session

# Longer than any published model, by far.
MAX_BYTES = 8 * 1024**3
MAX_REDIRECTS = 5
_CHUNK = 64 * 1024
_PASSING = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS}


@dataclass(frozen=True)
class Patience:
    """How long to bear with a server.

    Attributes:
        connect: Seconds until a connection must stand.
        stall: Seconds between two pieces of a file.
        attempts: How often it is tried.
        pause: Seconds after the first attempt that failed; each further pause is twice as long.
    """

    connect: float = 10.0
    stall: float = 60.0
    attempts: int = 6
    pause: float = 1.0


class _Interrupted(Exception):
    """An attempt failed in a way that another one may mend."""


def fetch(session: "Session", url: str, target: Path, size: int | None, patience: Patience, bar: Any) -> None:
    """Download a file.

    What an earlier call left of it, cut short, is not downloaded again where the server can tell that it is still the
    same file.

    Args:
        session: Of requests.
        url: The address.
        target: Where it goes, once it is whole.
        size: Its length in bytes, where known.
        patience: How long to bear with the server.
        bar: A tqdm bar, to be moved by bytes.

    Raises:
        CheckpointError: The server does not have it, is not reached, goes on failing, offers another length, or leads
            to where it may not, see `redirected`.
        DiskError: The disk does not take it.
    """
    part = _Part(target, url)
    fault: Exception | None = None
    for attempt in range(patience.attempts):
        if attempt:
            time.sleep(patience.pause * 2 ** (attempt - 1))
        try:
            if not part.is_whole:
                with _mendable(url):
                    _receive(session, part, size, patience, bar)
            return part.finish()
        except _Interrupted as error:
            fault = error
    raise CheckpointError(
        f"{url}: {patience.attempts} attempts failed, the last one so: {fault}. {part.size:,} bytes of it are here; "
        f"call again to go on from there."
    )


class _Part:
    """What is here of a file: FILE.part, and FILE.part.json about the file at the server."""

    def __init__(self, target: Path, url: str) -> None:
        self.target, self.url = target, url
        self.path = target.with_name(f"{target.name}.part")
        self._facts_path = target.with_name(f"{target.name}.part.json")
        self.facts = self._read_facts()

    @property
    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    @property
    def is_whole(self) -> bool:
        return self.facts.get("total") is not None and self.size == self.facts["total"]

    @property
    def mark(self) -> str | None:
        """By which the server can tell whether the file is still the same."""
        return self.facts.get("mark")

    def note(self, mark: str | None, total: int | None) -> None:
        """What the server says of the file."""
        self.facts = {"url": self.url, "mark": mark, "total": total}
        self._facts_path.write_text(json.dumps(self.facts), "utf8")

    def clear(self) -> None:
        self.facts = {}
        for path in (self._facts_path, self.path):
            path.unlink(missing_ok=True)

    def finish(self) -> None:
        self.path.replace(self.target)
        self._facts_path.unlink(missing_ok=True)

    def _read_facts(self) -> dict[str, Any]:
        try:
            facts = json.loads(self._facts_path.read_text("utf8"))
            return facts if facts["url"] == self.url else {}
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return {}


def _receive(session: "Session", part: _Part, size: int | None, patience: Patience, bar: Any) -> None:
    """One attempt."""
    headers = {"Accept-Encoding": "identity"}  # else lengths and ranges are those of something compressed
    here = part.size if part.mark else 0
    if here:
        headers |= {"Range": f"bytes={here}-", "If-Range": str(part.mark)}
    with _answer(session, part.url, headers, patience) as response:
        start, total = _extent(response, part, here)
        wanted = size if size is not None else total
        if (size is not None and total not in (None, size)) or (wanted or 0) > MAX_BYTES:
            part.clear()
            raise CheckpointError(
                f"{part.url}: the server's file has {total:,} bytes, "
                + (f"but {size:,} are expected." if size is not None else f"more than the {MAX_BYTES:,} of any model.")
            )
        with caching(part.path):
            _check_space(part.path, (wanted or 0) - start)
            part.note(_mark(response), total)
        bar.total, bar.n = wanted, start
        bar.refresh()
        _write(response, part, start, wanted if wanted is not None else MAX_BYTES, bar)
        if wanted is not None and part.size != wanted:
            raise _Interrupted(f"the connection ended after {part.size:,} of {wanted:,} bytes")
        part.note(_mark(response), part.size)


def _write(response: "Response", part: _Part, start: int, limit: int, bar: Any) -> None:
    n_bytes = start
    with closing(Output(part.path, start)) as output:
        for chunk in response.iter_content(_CHUNK):
            n_bytes += len(chunk)
            if n_bytes > limit:
                raise CheckpointError(f"{part.url}: the server sends more than {limit:,} bytes.")
            output.write(chunk)
            bar.update(len(chunk))


@contextmanager
def _answer(session: "Session", url: str, headers: dict[str, str], patience: Patience) -> Iterator["Response"]:
    """The server's answer with content, after redirects."""
    for _ in range(MAX_REDIRECTS + 1):
        with session.get(
            url, headers=headers, stream=True, allow_redirects=False, timeout=(patience.connect, patience.stall)
        ) as response:
            if not response.is_redirect:
                _check_status(response, url)
                yield response
                return
            url = redirected(url, response.headers["location"])
    raise CheckpointError(f"{url}: more than {MAX_REDIRECTS} redirects, so the server leads nowhere.")


def redirected(url: str, location: str) -> str:
    """Where a redirect from a URL leads.

    Raises:
        CheckpointError: That is no address; or it leads from https to http, where anybody on the way can put in another
            file; or to this machine or what is plugged into it, where no server has a say what is fetched.
    """
    try:
        target = urljoin(url, location)
        parts = urlsplit(target)
        host, scheme = parts.hostname, parts.scheme
        _ = parts.port  # which may be no number
    except ValueError as error:
        raise CheckpointError(f"{url}: the server redirects to {location!r}, which is no address ({error}).") from None
    if scheme not in ("http", "https") or not host or (scheme == "http" and urlsplit(url).scheme == "https"):
        raise CheckpointError(f"{url}: the server redirects to {target}, which is less safe than what was asked for.")
    if is_inside(host) and not is_inside(urlsplit(url).hostname or ""):
        raise CheckpointError(f"{url}: the server redirects to {target}, which is an address within this machine.")
    return target


def is_inside(host: str) -> bool:
    """Whether a host is this machine (loopback) or only to be seen from it (link-local), by any of its addresses."""
    try:
        found = {str(entry[4][0]) for entry in socket.getaddrinfo(host, None)}
    except (OSError, UnicodeError):
        return False  # it will not be reached either, or by a proxy that knows better
    addresses = [ipaddress.ip_address(address.partition("%")[0]) for address in found]
    plain = [getattr(address, "ipv4_mapped", None) or address for address in addresses]
    return any(address.is_loopback or address.is_link_local or address.is_unspecified for address in plain)


def _check_status(response: "Response", url: str) -> None:
    status = response.status_code
    if status in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE):
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise CheckpointError(f"{url}: the server compresses the file, though it was asked not to.")
        return
    answer = f"the server answers {status} {response.reason}"
    if status in _PASSING or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise _Interrupted(answer)
    raise CheckpointError(
        f"{url}: {answer}. The file may have moved; where you find it, its path can be given instead."
    )


def _extent(response: "Response", part: _Part, here: int) -> tuple[int, int | None]:
    """Where the content begins in the file, and the file's length."""
    if response.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        # What is here may be all, of a server that did not say how long that is.
        part.clear()
        raise _Interrupted("the server has nothing behind what is here")
    length = response.headers.get("Content-Length")
    if response.status_code != HTTPStatus.PARTIAL_CONTENT:
        return 0, int(length) if length is not None and length.isdecimal() else None
    found = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", response.headers.get("Content-Range", ""))
    known = part.facts.get("total")
    if not found or int(found[1]) != here or _mark(response) != part.mark or int(found[3]) != (known or -1):
        part.clear()
        raise _Interrupted("the server sends another part than the one asked for")
    return here, int(found[3])


def _mark(response: "Response") -> str | None:
    """The value for If-Range. A weak ETag does not promise the same bytes."""
    tag = response.headers.get("ETag")
    return tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified")


@contextmanager
def _mendable(url: str) -> Iterator[None]:
    """Take faults of the connection for such as another attempt may mend.

    Except where the server is not who it should be, or sends to what is no address: requests looks there too, though it
    is told not to go.
    """
    import requests
    from requests.exceptions import InvalidSchema, InvalidURL, SSLError

    try:
        yield
    except CheckpointError:
        raise
    except (SSLError, InvalidURL, InvalidSchema) as error:
        raise CheckpointError(f"{url}: {error}") from None
    except requests.RequestException as error:
        raise _Interrupted(str(error) or type(error).__name__) from None
    except ValueError as error:
        raise CheckpointError(f"{url}: the server redirects to what is no address ({error}).") from None


def _check_space(path: Path, n_bytes: int) -> None:
    free = shutil.disk_usage(path.parent).free
    if n_bytes > free:
        raise OSError(f"{n_bytes:,} bytes are needed, and {free:,} free")
