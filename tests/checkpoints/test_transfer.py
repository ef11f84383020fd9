import json
from pathlib import Path
from random import Random

import pytest
import requests
from tqdm import tqdm

from spacy_elmo import CheckpointError
from spacy_elmo.checkpoints import transfer
from spacy_elmo.checkpoints.transfer import Patience, fetch, redirected
from spacy_elmo.disk import DiskError
from tests.checkpoints.server import (
    Answer,
    Handler,
    Server,
    cut_after,
    etag,
    good,
    length_of,
    of_unknown_length,
    stall_after,
    status,
    without_ranges,
)

CONTENT = Random(0).randbytes(300_000)
HASTY = Patience(connect=2, stall=0.2, attempts=4, pause=0)


@pytest.fixture
def target(tmp_path: Path, server: Server) -> Path:
    server.files["/file"] = CONTENT
    return tmp_path / "file"


def fetched(server: Server, target: Path, *answers: Answer, size: int | None = None, path: str = "/file") -> bytes:
    server.answers.extend(answers)
    with requests.Session() as session, tqdm(disable=True) as bar:
        fetch(session, server.url(path), target, size, HASTY, bar)
    assert [path.name for path in target.parent.iterdir()] == [target.name]
    return target.read_bytes()


def message_of(server: Server, target: Path, *answers: Answer, size: int | None = None, path: str = "/file") -> str:
    with pytest.raises((CheckpointError, DiskError)) as error:
        fetched(server, target, *answers, size=size, path=path)
    assert not target.exists()
    return str(error.value)


def ranges(server: Server) -> list[str | None]:
    return [request.headers.get("Range") for request in server.requests]


@pytest.mark.parametrize("answer", [good, without_ranges, of_unknown_length])
@pytest.mark.parametrize("size", [None, len(CONTENT)])
def test_a_file(server: Server, target: Path, answer: Answer, size: int | None) -> None:
    assert fetched(server, target, answer, size=size) == CONTENT
    assert ranges(server) == [None]
    assert server.requests[0].headers["Accept-Encoding"] == "identity"


def test_a_cut_download_goes_on_where_it_was(server: Server, target: Path) -> None:
    assert fetched(server, target, cut_after(200_000)) == CONTENT
    first, second = server.requests
    assert "Range" not in first.headers
    assert second.headers["If-Range"] == etag(CONTENT)
    # What is left of the last piece may be lost.
    assert 0 <= 200_000 - int(second.headers["Range"].removeprefix("bytes=").removesuffix("-")) < 64 * 1024


def test_it_goes_on_in_another_call(server: Server, target: Path) -> None:
    message = message_of(server, target, cut_after(200_000), *[status(503)] * 3)
    assert "4 attempts failed, the last one so: the server answers 503" in message
    assert "call again to go on from there" in message
    here = target.with_name("file.part").stat().st_size
    assert f"{here:,} bytes of it are here" in message
    assert fetched(server, target) == CONTENT
    assert ranges(server)[-1] == f"bytes={here}-" != "bytes=0-"


def test_a_finished_part_needs_no_request(server: Server, target: Path) -> None:
    message_of(server, target, cut_after(200_000), *[status(503)] * 3)
    part = target.with_name("file.part")
    part.write_bytes(CONTENT)
    asked = len(server.requests)
    assert fetched(server, target) == CONTENT
    assert len(server.requests) == asked


def test_a_server_that_ignores_ranges_begins_again(server: Server, target: Path) -> None:
    assert fetched(server, target, cut_after(200_000), without_ranges) == CONTENT


def test_a_file_that_changed_between_attempts_begins_again(server: Server, target: Path) -> None:
    server.answers.extend([cut_after(200_000), lambda handler, _: handler.begin(503)])
    newer = CONTENT[::-1]

    def change(handler: Handler, _: bytes) -> None:
        server.files["/file"] = newer
        good(handler, newer)

    assert fetched(server, target, change) == newer
    assert server.requests[-1].headers["If-Range"] == etag(CONTENT)


def test_a_part_of_a_changed_file_is_not_joined_to_the_old_one(server: Server, target: Path) -> None:
    def changed_part(handler: Handler, content: bytes) -> None:
        start = int(handler.headers["Range"].removeprefix("bytes=").removesuffix("-"))
        extent = f"bytes {start}-{len(content) - 1}/{len(content)}"
        handler.begin(206, Content_Range=extent, Content_Length=len(content) - start, ETag='"other"')
        handler.wfile.write(b"x" * (len(content) - start))

    assert fetched(server, target, cut_after(200_000), changed_part) == CONTENT
    assert ranges(server)[2] is None


@pytest.mark.parametrize("extent", ["bytes 0-299999/300000", "bytes 7-299999/300000", "bytes 1-2/3", "nonsense"])
def test_another_part_than_the_one_asked_for_is_refused(server: Server, target: Path, extent: str) -> None:
    def other_part(handler: Handler, content: bytes) -> None:
        handler.begin(206, Content_Range=extent, ETag=etag(content))
        handler.wfile.write(b"x" * len(content))

    assert fetched(server, target, cut_after(200_000), other_part) == CONTENT


def test_a_part_that_nobody_asked_for_is_refused(server: Server, target: Path) -> None:
    def part(handler: Handler, content: bytes) -> None:
        handler.begin(206, Content_Range="bytes 0-9/10", Content_Length=10, ETag=etag(content))
        handler.wfile.write(content[:10])

    assert fetched(server, target, part) == CONTENT


@pytest.mark.parametrize("mark", ['W/"weak"', ""])
def test_without_a_mark_to_trust_it_begins_again(server: Server, target: Path, mark: str) -> None:
    assert fetched(server, target, cut_after(200_000, mark or 'W/"other"')) == CONTENT
    assert ranges(server) == [None, None]


def test_a_date_is_a_mark(server: Server, target: Path) -> None:
    date = "Wed, 21 Oct 2015 07:28:00 GMT"
    assert fetched(server, target, cut_after(200_000, 'W/"weak"', Last_Modified=date)) == CONTENT
    assert server.requests[1].headers["If-Range"] == date


def test_a_range_that_cannot_be_had_begins_again(server: Server, target: Path) -> None:
    assert fetched(server, target, cut_after(200_000), status(416)) == CONTENT
    assert [asked is None for asked in ranges(server)] == [True, False, True]


def test_all_of_a_file_whose_length_was_not_known_is_no_part_for_ever(server: Server, target: Path) -> None:
    target.with_name("file.part").write_bytes(CONTENT)
    facts = {"url": server.url("/file"), "mark": etag(CONTENT), "total": None}
    target.with_name("file.part.json").write_text(json.dumps(facts), "utf8")
    assert fetched(server, target) == CONTENT


def test_a_connection_that_stalls_is_left(server: Server, target: Path) -> None:
    assert fetched(server, target, stall_after(200_000)) == CONTENT
    assert "timed out" in message_of(server, target.with_name("again"), *[stall_after(1000)] * 4)


def test_a_server_that_is_not_there(server: Server, target: Path) -> None:
    with Server() as gone:
        pass
    url = gone.url("/file")
    with requests.Session() as session, tqdm(disable=True) as bar, pytest.raises(CheckpointError) as error:
        fetch(session, url, target, None, HASTY, bar)
    assert f"{url}: 4 attempts failed" in str(error.value)


@pytest.mark.parametrize("code", [429, 500, 502, 503])
def test_faults_of_the_server_may_pass(server: Server, target: Path, code: int) -> None:
    assert fetched(server, target, *[status(code)] * 3) == CONTENT


@pytest.mark.parametrize("code", [401, 403, 404, 410])
def test_refusals_do_not(server: Server, target: Path, code: int) -> None:
    message = message_of(server, target, status(code))
    assert f"/file: the server answers {code}" in message
    assert "its path can be given instead" in message
    assert len(server.requests) == 1


def test_attempts_end(server: Server, target: Path) -> None:
    assert "4 attempts failed" in message_of(server, target, *[cut_after(1000)] * 9)
    assert len(server.requests) == 4


def test_pauses_grow(server: Server, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(transfer.time, "sleep", pauses.append)
    server.answers.extend([status(503)] * 4)
    with requests.Session() as session, tqdm(disable=True) as bar:
        fetch(session, server.url("/file"), target, None, Patience(attempts=5, pause=1.5), bar)
    assert pauses == [1.5, 3, 6, 12]


# Lengths


def test_more_is_stated_than_sent(server: Server, target: Path) -> None:
    message = message_of(server, target, *[length_of(400_000)] * 4)
    assert "4 attempts failed" in message


@pytest.mark.parametrize("stated", [299_999, 300_001, 10**15])
def test_another_length_than_the_known_one(server: Server, target: Path, stated: int) -> None:
    message = message_of(server, target, length_of(stated), size=300_000)
    assert f"the server's file has {stated:,} bytes, but 300,000 are expected" in message
    assert len(server.requests) == 1
    assert not list(target.parent.iterdir())


def test_a_length_that_no_model_has(server: Server, target: Path) -> None:
    assert "more than the 8,589,934,592 of any model" in message_of(server, target, length_of(10**13))


def test_a_file_that_does_not_end(server: Server, target: Path) -> None:
    message = message_of(server, target, of_unknown_length, size=299_000)
    assert "the server sends more than 299,000 bytes" in message


def test_a_file_of_unknown_length_that_is_too_short(server: Server, target: Path) -> None:
    message = message_of(server, target, *[of_unknown_length] * 4, size=300_001)
    assert "4 attempts failed" in message


def test_a_disk_without_space(server: Server, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = transfer.shutil.disk_usage(target.parent)
    monkeypatch.setattr(transfer.shutil, "disk_usage", lambda _: usage._replace(free=299_999))
    message = message_of(server, target)
    for words in ("file.part", "300,000 bytes are needed, and 299,999 free", "SPACY_ELMO_CACHE"):
        assert words in message


# A full disk is a real one where Linux has it.
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, which Linux has")
def test_a_disk_that_fills_up(server: Server, target: Path) -> None:
    target.with_name("file.part").symlink_to("/dev/full")
    message = message_of(server, target)
    for words in ("file.part", "No space left on device", "SPACY_ELMO_CACHE"):
        assert words in message


# Redirects


def test_redirects_are_followed(server: Server, target: Path) -> None:
    answers = [status(302, Location="/two"), status(307, Location=server.url("/file"))]
    assert fetched(server, target, *answers, path="/one") == CONTENT
    assert [request.path for request in server.requests] == ["/one", "/two", "/file"]


def test_redirects_in_a_circle_end(server: Server, target: Path) -> None:
    assert "more than 5 redirects" in message_of(server, target, *[status(301, Location="/file")] * 20)
    assert len(server.requests) == 6


@pytest.mark.parametrize(
    ("url", "location"),
    [
        ("https://a.org/x", "http://a.org/x"),
        ("https://a.org/x", "http://b.org/y"),
        ("https://a.org/x", "file:///etc/passwd"),
        ("http://a.org/x", "ftp://a.org/x"),
    ],
)
def test_redirects_to_less_safe_places_are_refused(url: str, location: str) -> None:
    with pytest.raises(CheckpointError, match="less safe"):
        redirected(url, location)


@pytest.mark.parametrize(
    ("url", "location", "wanted"),
    [
        ("https://a.org/x/y", "z", "https://a.org/x/z"),
        ("https://a.org/x", "https://b.org/y", "https://b.org/y"),
        ("https://a.org/x", "//b.org/y", "https://b.org/y"),
        ("http://a.org/x", "https://a.org/x", "https://a.org/x"),
    ],
)
def test_other_redirects_are_not(url: str, location: str, wanted: str) -> None:
    assert redirected(url, location) == wanted


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "127.9.9.9", "localhost", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "0x7f000001", "0.0.0.0",
        "169.254.169.254", "[fe80::1]", "127.0.0.1:8080", "user@127.0.0.1",
    ],
)  # fmt: skip
def test_redirects_into_this_machine_are_refused(host: str) -> None:
    """There a server could have a user's program ask for what it cannot reach itself, such as a cloud's keys."""
    with pytest.raises(CheckpointError, match="an address within this machine"):
        redirected("http://93.184.215.14/x", f"http://{host}/y")


def test_this_machine_may_redirect_to_itself() -> None:
    assert redirected("http://127.0.0.1:81/x", "http://localhost:82/y") == "http://localhost:82/y"


@pytest.mark.parametrize("location", ["http://[::1", "http://[x]/", "http://a.org:port/x", "http://a.org:99999999/"])
def test_a_redirect_to_no_address_is_told(server: Server, target: Path, location: str) -> None:
    message = message_of(server, target, status(302, Location=location))
    assert f"{server.url('/file')}: the server redirects to" in message
    assert len(server.requests) == 1


def test_a_proxy_of_the_environment_is_used(server: Server, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_PROXY")
    monkeypatch.setenv("http_proxy", server.url(""))
    server.files["http://elmo.invalid/file"] = CONTENT
    with requests.Session() as session, tqdm(disable=True) as bar:
        fetch(session, "http://elmo.invalid/file", target, None, HASTY, bar)
    assert target.read_bytes() == CONTENT
