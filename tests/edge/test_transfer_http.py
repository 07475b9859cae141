"""Files over HTTP and HTTPS against a real server that misbehaves as it is told."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.edge import transfer_job
from agent.edge.location import parse, protocols
from agent.edge.transfer import fetch, send
from agent.edge.transfer_job import note_of
from agent.errors import TransferError
from tests.edge.file_servers import Files, Handler, Pki, http_files, raw_server, transfer_ended

DATA = os.urandom(300_000)
LIMIT = 1 << 20


@pytest.fixture
def files() -> Iterator[Files]:
    with http_files() as server:
        server.files["/fw.bin"] = DATA
        yield server


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "fw.bin"


async def refusal(location: str, target: Path, limit_bytes: int = LIMIT, **options: Any) -> TransferError:
    with pytest.raises(TransferError) as caught:
        await fetch(location, target, limit_bytes=limit_bytes, **options)
    return caught.value


async def broken_off(files: Files, target: Path, **serving: Any) -> None:
    """A first try that gets 100,000 bytes."""
    files.hooks["/fw.bin"] = lambda handler: handler.serve(DATA, cut=100_000, **serving)
    assert not (await refusal(f"{files.url}/fw.bin", target)).permanent
    del files.hooks["/fw.bin"]
    files.requests.clear()


# --- fetching -----------------------------------------------------------------------------------------------


async def test_a_file_is_fetched_whole(files: Files, target: Path) -> None:
    await fetch(f"{files.url}/fw.bin", target, limit_bytes=LIMIT)
    assert target.read_bytes() == DATA


async def test_a_complete_file_has_no_note_beside_it(files: Files, target: Path) -> None:
    await fetch(f"{files.url}/fw.bin", target, limit_bytes=LIMIT)
    assert list(target.parent.iterdir()) == [target]


async def test_an_empty_file_is_a_file(files: Files, target: Path) -> None:
    files.files["/fw.bin"] = b""
    await fetch(f"{files.url}/fw.bin", target, limit_bytes=LIMIT)
    assert target.read_bytes() == b""


async def test_progress_is_told_on_the_loop_and_ends_with_the_whole(files: Files, target: Path) -> None:
    told: list[tuple[int, int | None]] = []
    threads: set[int] = set()

    def on_progress(done: int, total: int | None) -> None:
        told.append((done, total))
        threads.add(threading.get_ident())

    await fetch(f"{files.url}/fw.bin", target, limit_bytes=LIMIT, on_progress=on_progress)
    assert (told[-1], threads) == ((len(DATA), len(DATA)), {threading.get_ident()})


async def test_a_broken_off_fetch_goes_on_where_it_stopped(files: Files, target: Path) -> None:
    await broken_off(files, target)
    have = target.stat().st_size
    await fetch(f"{files.url}/fw.bin", target, limit_bytes=LIMIT)
    assert target.read_bytes() == DATA
    assert have > 50_000
    assert [headers.get("Range") for _, _, headers in files.requests] == [f"bytes={have}-"]


async def test_a_file_that_changed_meanwhile_is_fetched_anew(files: Files, target: Path) -> None:
    await broken_off(files, target)
    files.files["/fw.bin"] = bytes(reversed(DATA))
    await fetch(f"{files.url}/fw.bin", target, limit_bytes=LIMIT)
    assert target.read_bytes() == bytes(reversed(DATA))


async def test_a_changed_file_is_seen_even_if_the_server_ignores_if_range(files: Files, target: Path) -> None:
    await broken_off(files, target)
    other = bytes(reversed(DATA))

    def careless(handler: Handler) -> None:
        del handler.headers["If-Range"]
        handler.serve(other)

    files.hooks["/fw.bin"] = careless
    await fetch(f"{files.url}/fw.bin", target, limit_bytes=LIMIT)
    assert target.read_bytes() == other


async def test_a_server_without_ranges_sends_the_whole_again(files: Files, target: Path) -> None:
    await broken_off(files, target, ranges=False)
    files.hooks["/fw.bin"] = lambda handler: handler.serve(DATA, ranges=False)
    await fetch(f"{files.url}/fw.bin", target, limit_bytes=LIMIT)
    assert target.read_bytes() == DATA


async def test_without_a_tag_the_size_tells_whether_it_is_the_same_file(files: Files, target: Path) -> None:
    await broken_off(files, target, etag=False)
    files.hooks["/fw.bin"] = lambda handler: handler.serve(DATA[:-1], etag=False)
    await fetch(f"{files.url}/fw.bin", target, limit_bytes=LIMIT)
    assert target.read_bytes() == DATA[:-1]


async def test_a_range_that_the_server_cannot_serve_is_asked_for_no_more(files: Files, target: Path) -> None:
    await broken_off(files, target, etag=False)
    files.hooks["/fw.bin"] = lambda handler: handler.serve(DATA[:1000], etag=False)
    await fetch(f"{files.url}/fw.bin", target, limit_bytes=LIMIT)
    assert target.read_bytes() == DATA[:1000]


async def test_bytes_of_another_file_are_never_taken_for_the_beginning(files: Files, target: Path) -> None:
    await broken_off(files, target)
    files.files["/other.bin"] = DATA
    await fetch(f"{files.url}/other.bin", target, limit_bytes=LIMIT)
    assert [headers.get("Range") for _, _, headers in files.requests] == [None]


async def test_bytes_that_were_never_synced_are_fetched_again(files: Files, target: Path) -> None:
    await broken_off(files, target)
    whole = target.stat().st_size
    with target.open("ab") as file:  # a power cut may leave anything behind what was synced
        file.write(b"\0" * 5000)
    await fetch(f"{files.url}/fw.bin", target, limit_bytes=LIMIT)
    assert target.read_bytes() == DATA
    assert files.requests[0][2]["Range"] == f"bytes={whole}-"


async def test_a_torn_note_begins_anew(files: Files, target: Path) -> None:
    await broken_off(files, target)
    note_of(target).write_text('{"place": "')
    await fetch(f"{files.url}/fw.bin", target, limit_bytes=LIMIT)
    assert target.read_bytes() == DATA


async def test_a_file_of_unknown_length_is_fetched(files: Files, target: Path) -> None:
    def chunked(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        handler.wfile.write(b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n")

    files.hooks["/fw.bin"] = chunked
    await fetch(f"{files.url}/fw.bin", target, limit_bytes=LIMIT)
    assert target.read_bytes() == b"hello world"


async def test_a_chunked_file_that_is_cut_off_is_no_file(files: Files, target: Path) -> None:
    def chunked(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        handler.wfile.write(b"5\r\nhello\r\n6\r\n wo")
        handler.close_connection = True

    files.hooks["/fw.bin"] = chunked
    assert str(await refusal(f"{files.url}/fw.bin", target)).endswith("the file was cut off")


async def test_a_path_with_spaces_and_umlauts_is_encoded_and_what_is_encoded_stays(files: Files, target: Path) -> None:
    files.files["/a%20b/%C3%BC%2Fx"] = DATA
    await fetch(f"{files.url}/a b/ü%2Fx?key=a b", target, limit_bytes=LIMIT)
    assert files.requests[0][1] == "/a%20b/%C3%BC%2Fx?key=a%20b"


async def test_the_login_of_the_location_is_used(files: Files, target: Path) -> None:
    url = files.url.replace("://", "://box:s3cret%20word@")
    await fetch(f"{url}/fw.bin", target, limit_bytes=LIMIT)
    assert files.requests[0][2]["Authorization"] == "Basic Ym94OnMzY3JldCB3b3Jk"


async def test_a_cancelled_fetch_goes_on_where_it_stopped(files: Files, target: Path) -> None:
    def stall(handler: Handler) -> None:
        handler.serve(DATA, cut=100_000)
        handler.wfile.flush()
        handler.server.released.wait(30)

    files.hooks["/fw.bin"] = stall
    begun = asyncio.Event()
    work = fetch(f"{files.url}/fw.bin", target, limit_bytes=LIMIT, on_progress=lambda *_: begun.set())
    task = asyncio.ensure_future(work)
    async with asyncio.timeout(10):
        await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert transfer_ended()
    del files.hooks["/fw.bin"]
    await fetch(f"{files.url}/fw.bin", target, limit_bytes=LIMIT)
    assert target.read_bytes() == DATA
    assert files.requests[-1][2]["Range"] != "bytes=0-"


# --- what is refused ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "permanent"), [(401, True), (404, True), (429, False), (500, False), (503, False)])
async def test_a_refusal_of_the_server_says_whether_to_try_again(
    files: Files, target: Path, status: int, permanent: bool
) -> None:
    files.hooks["/fw.bin"] = lambda handler: handler.say(status)
    error = await refusal(f"{files.url}/fw.bin", target)
    assert (f"HTTP {status}" in str(error), error.permanent) == (True, permanent)


async def test_a_file_that_says_it_is_too_large_is_not_begun(files: Files, target: Path) -> None:
    error = await refusal(f"{files.url}/fw.bin", target, limit_bytes=1000)
    assert (error.permanent, target.exists()) == (True, False)


async def test_a_file_that_grows_too_large_is_stopped_and_removed(files: Files, target: Path) -> None:
    def endless(handler: Handler) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.close_connection = True
        while not handler.server.released.is_set():
            handler.wfile.write(b"x" * 65536)

    files.hooks["/fw.bin"] = endless
    error = await refusal(f"{files.url}/fw.bin", target)
    assert (error.permanent, list(target.parent.iterdir())) == (True, [])


async def test_a_file_leaves_the_disk_its_reserve(files: Files, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer_job, "RESERVE_BYTES", 1 << 60)
    error = await refusal(f"{files.url}/fw.bin", target)
    assert ("no room" in str(error), error.permanent) == (True, False)


async def test_a_file_shorter_than_announced_is_no_file(files: Files, target: Path) -> None:
    files.hooks["/fw.bin"] = lambda handler: handler.serve(DATA, cut=100)
    error = await refusal(f"{files.url}/fw.bin", target)
    assert f"of {len(DATA)} bytes" in str(error)


async def test_a_compressed_answer_is_refused(files: Files, target: Path) -> None:
    files.hooks["/fw.bin"] = lambda handler: handler.say(200, Content_Encoding="gzip")
    assert "compressed" in str(await refusal(f"{files.url}/fw.bin", target))


async def test_a_server_that_stalls_is_left(files: Files, target: Path) -> None:
    def stall(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        handler.server.released.wait(30)

    files.hooks["/fw.bin"] = stall
    error = await refusal(f"{files.url}/fw.bin", target, stall_s=0.2)
    assert ("did not answer in time" in str(error), error.permanent) == (True, False)


async def test_a_server_that_trickles_meets_the_whole_deadline(files: Files, target: Path) -> None:
    def trickle(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000000")
        handler.end_headers()
        while not handler.server.released.wait(0.02):
            handler.wfile.write(b"x")

    files.hooks["/fw.bin"] = trickle
    assert "not done within" in str(await refusal(f"{files.url}/fw.bin", target, deadline_s=0.3))


async def test_headers_without_end_meet_the_whole_deadline(target: Path) -> None:
    def talk(sock: Any) -> None:
        while True:
            sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")

    with raw_server(talk) as port:
        assert await refusal(f"http://127.0.0.1:{port}/x", target, deadline_s=0.3)


async def test_a_server_that_speaks_something_else_is_named_so(target: Path) -> None:
    with raw_server(lambda sock: sock.sendall(b"220 I am an FTP server\r\n")) as port:
        error = await refusal(f"http://127.0.0.1:{port}/x", target)
    assert str(error) == f"http://127.0.0.1:{port}: the server does not speak HTTP"


async def test_cancelling_ends_the_thread_at_once(files: Files, target: Path) -> None:
    reached = threading.Event()

    def stall(handler: Handler) -> None:
        reached.set()
        handler.server.released.wait(30)

    files.hooks["/fw.bin"] = stall
    task = asyncio.ensure_future(fetch(f"{files.url}/fw.bin", target, limit_bytes=LIMIT))
    await asyncio.to_thread(reached.wait, 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert transfer_ended()  # long before a stalled server is given up


HOSTILE = {
    "nothing": b"",
    "noise": bytes(range(256)) * 300,
    "a status that is no number": b"HTTP/1.1 abc OK\r\n\r\n",
    "an endless line": b"HTTP/1.1 200 " + b"x" * 200_000,
    "headers without number": b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 5000,
    "a length that is no number": b"HTTP/1.1 200 OK\r\nContent-Length: many\r\nContent-Encoding: x\r\n\r\n",
    "a chunk of negative size": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n" + b"x" * 200_000,
    "a chunk of no size": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "a range that nobody asked for": b"HTTP/1.1 206 OK\r\nContent-Range: bytes 5-9/10\r\n\r\nhello",
    "a redirect to nowhere": b"HTTP/1.1 302 Found\r\nLocation: http://\r\n\r\n",
    "a redirect to a name that is none": b"HTTP/1.1 302 Found\r\nLocation: http://a..b/\r\n\r\n",
    "a huge length": b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_whatever_a_server_says_becomes_a_plain_refusal(target: Path, name: str) -> None:
    def talk(sock: Any) -> None:
        sock.recv(65536)
        sock.sendall(HOSTILE[name])

    with raw_server(talk) as port:
        text = str(await refusal(f"http://127.0.0.1:{port}/x", target, deadline_s=10.0))
    assert text.isprintable()
    assert len(text) < 200


async def test_a_chunk_of_negative_size_is_not_taken_for_all_that_ever_comes(target: Path) -> None:
    def talk(sock: Any) -> None:
        sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n")
        while True:
            sock.sendall(b"x" * 65536)

    with raw_server(talk) as port:
        assert "cut off" in str(await refusal(f"http://127.0.0.1:{port}/x", target, deadline_s=2.0))


# --- redirects ----------------------------------------------------------------------------------------------


async def test_a_redirect_is_followed(files: Files, target: Path) -> None:
    files.hooks["/old"] = lambda handler: handler.say(302, Location="/fw.bin")
    await fetch(f"{files.url}/old", target, limit_bytes=LIMIT)
    assert target.read_bytes() == DATA


async def test_redirects_in_a_circle_end(files: Files, target: Path) -> None:
    files.hooks["/old"] = lambda handler: handler.say(302, Location="/old")
    error = await refusal(f"{files.url}/old", target)
    assert ("more than 5 redirects" in str(error), error.permanent) == (True, True)


async def test_a_redirect_out_of_tls_is_refused(files: Files, target: Path, pki: Pki) -> None:
    with http_files(pki.context(pki.good)) as secure:
        secure.hooks["/old"] = lambda handler: handler.say(302, Location=f"{files.url}/fw.bin")
        error = await refusal(f"{secure.url}/old", target, ca_file=pki.ca_file)
    assert ("without TLS" in str(error), files.requests) == (True, [])


@pytest.mark.parametrize("goal", ["file:///etc/passwd", "ftp://127.0.0.1/x", "//", "http://a\tb/"])
async def test_a_redirect_to_anything_else_is_refused(files: Files, target: Path, goal: str) -> None:
    files.hooks["/old"] = lambda handler: handler.say(302, Location=goal)
    assert (await refusal(f"{files.url}/old", target)).permanent


async def test_a_login_is_not_taken_to_another_server(files: Files, target: Path) -> None:
    with http_files() as other:
        other.files["/fw.bin"] = DATA
        files.hooks["/old"] = lambda handler: handler.say(307, Location=f"{other.url}/fw.bin")
        await fetch(f"{files.url.replace('://', '://a:secret@')}/old", target, limit_bytes=LIMIT)
        assert "Authorization" not in other.requests[0][2]


# --- TLS ----------------------------------------------------------------------------------------------------


async def test_a_file_is_fetched_from_a_server_of_our_ca(target: Path, pki: Pki) -> None:
    with http_files(pki.context(pki.good)) as secure:
        secure.files["/fw.bin"] = DATA
        await fetch(f"{secure.url}/fw.bin", target, limit_bytes=LIMIT, ca_file=pki.ca_file)
    assert target.read_bytes() == DATA


async def test_a_file_is_fetched_from_a_server_that_whoever_vouches_for_the_csms_vouches_for(
    target: Path, pki: Pki
) -> None:
    more = (Path(pki.ca_file), target.with_name("nobody-was-installed.pem"))
    with http_files(pki.context(pki.good)) as secure:
        secure.files["/fw.bin"] = DATA
        await fetch(f"{secure.url}/fw.bin", target, limit_bytes=LIMIT, more_ca_files=more)
    assert target.read_bytes() == DATA


async def test_a_server_of_another_ca_is_refused(target: Path, pki: Pki) -> None:
    with http_files(pki.context(pki.good)) as secure:
        error = await refusal(f"{secure.url}/fw.bin", target)
        assert ("trust store" in str(error), secure.requests) == (True, [])


async def test_a_certificate_for_another_host_is_refused(target: Path, pki: Pki) -> None:
    with http_files(pki.context(pki.stranger)) as secure:
        error = await refusal(f"{secure.url}/fw.bin", target, ca_file=pki.ca_file)
    assert "belongs to another" in str(error)


# --- locations ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "location",
    [
        "",
        "fw.bin",
        "file:///etc/passwd",
        "gopher://h/x",
        "http://",
        "http:///x",
        "http://h:99999/x",
        "http://h:0/x",
        "http://[::1/x",
        "http://a..b/x",
        "http://h/a\r\nHost: x",
        "ftp://h/a%0d%0aDELE x",
        "ftp://u%0a:p@h/x",
        "http://a%2e%2eb/x",
        "http://user:12#secret@h/x",
        "http://h/" + "x" * 5000,
    ],
)
async def test_a_location_that_is_none_is_refused_for_good(target: Path, location: str) -> None:
    assert (await refusal(location, target)).permanent


@settings(deadline=None, max_examples=500)
@given(text=st.text() | st.text("htpsf:/@?#[]%.0a1 -").map(lambda rest: f"http://{rest}"))
def test_any_text_is_a_location_or_is_refused(text: str) -> None:
    with suppress(TransferError):
        found = parse(text)
        assert found.target.isascii() and found.target.isprintable() and " " not in found.target


@pytest.mark.parametrize("path", ["/gone", "/busy", "/loop", "/short"])
async def test_no_error_shows_the_login_or_the_path(files: Files, target: Path, path: str) -> None:
    files.hooks["/busy"] = lambda handler: handler.say(503)
    files.hooks["/loop"] = lambda handler: handler.say(302, Location=handler.path)
    files.hooks["/short"] = lambda handler: handler.serve(DATA, cut=100)
    url = files.url.replace("://", "://user5:word5@")
    text = str(await refusal(f"{url}{path}?sig=query5", target))
    assert [secret for secret in ("user5", "word5", "query5", path) if secret in text] == []


async def test_an_ipv6_server_is_reached(target: Path) -> None:
    error = await refusal("http://[::1]:1/x", target)
    assert str(error).startswith("http://[::1]:1: ")


def test_the_protocols_are_those_of_this_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    assert protocols() == ("HTTPS", "HTTP", "SFTP", "FTPS", "FTP")
    monkeypatch.setattr("agent.edge.location.find_spec", lambda _name: None)
    assert protocols() == ("HTTPS", "HTTP", "FTPS", "FTP")


# --- sending ------------------------------------------------------------------------------------------------


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "out.tar.gz"
    path.write_bytes(DATA)
    return path


async def test_a_file_is_put_under_its_name_into_a_directory(files: Files, source: Path) -> None:
    await send(source, f"{files.url}/logs/?key=1", "log.tar.gz")
    assert files.files["/logs/log.tar.gz?key=1"] == DATA


async def test_a_file_is_put_to_the_location_itself_if_that_is_no_directory(files: Files, source: Path) -> None:
    await send(source, f"{files.url}/logs/here", "log.tar.gz")
    assert files.files["/logs/here"] == DATA


async def test_a_server_without_put_gets_a_form(files: Files, source: Path) -> None:
    def no_put(handler: Handler) -> None:
        handler.body()
        handler.say(405)

    files.hooks["PUT"] = no_put
    await send(source, f"{files.url}/logs/", "log.tar.gz")
    form = files.files["/logs/"]
    assert b'name="file"; filename="log.tar.gz"' in form
    assert DATA in form


async def test_a_server_that_refuses_early_is_heard(files: Files, source: Path) -> None:
    source.write_bytes(b"x" * (8 << 20))

    def too_large(handler: Handler) -> None:
        handler.say(413)
        handler.close_connection = True

    files.hooks["PUT"] = too_large
    with pytest.raises(TransferError) as caught:
        await send(source, f"{files.url}/logs/", "log.tar.gz")
    assert caught.value.permanent in (True, False)
    assert "127.0.0.1" in str(caught.value)


async def test_a_redirected_upload_is_sent_again_whole(files: Files, source: Path) -> None:
    def elsewhere(handler: Handler) -> None:
        handler.body()
        handler.say(307, Location="/new")

    files.hooks["PUT /old"] = elsewhere
    await send(source, f"{files.url}/old", "log.tar.gz")
    assert files.files["/new"] == DATA


async def test_a_server_that_takes_nothing_is_left(source: Path) -> None:
    source.write_bytes(b"x" * (16 << 20))
    released = threading.Event()
    with raw_server(lambda _sock: released.wait(30)) as port:
        with pytest.raises(TransferError, match="in time"):
            await send(source, f"http://127.0.0.1:{port}/x", "log.tar.gz", stall_s=0.2)
        released.set()


async def test_a_file_that_is_not_there_is_told_as_such(files: Files, tmp_path: Path) -> None:
    with pytest.raises(TransferError, match="the file cannot be read: No such file"):
        await send(tmp_path / "none", f"{files.url}/logs/", "log.tar.gz")
