"""Files over HTTP and HTTPS, by `http.client`, in the thread of one transfer.

Fetching resumes with Range. The server's own mark decides whether it is still the same file: If-Range with a strong
ETag or the date; a server that gives neither must at least tell the same size. One that knows no ranges sends the
whole, and we begin anew. Sending is PUT, to the name within a location that ends in "/", else to the location itself; a
server that has no PUT there gets the file as a form by POST.
"""

from __future__ import annotations

import base64
import http.client
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from agent.edge.location import Location, follow, within
from agent.edge.transfer_job import BLOCK, Job, Target, refused
from agent.errors import TransferError

REDIRECTS = 5
TEMPORARY = frozenset((408, 421, 425, 429, 500, 502, 503, 504, 507))
NO_PUT = frozenset((405, 501))
Body = Callable[[], Iterator[bytes]]
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)$")


def fetch(job: Job, location: Location, path: Path, limit_bytes: int) -> None:
    with Target(job, path, location, limit_bytes) as target:
        for _ in range(2):  # the second time without a range that the server cannot serve
            with _answer(job, location, "GET", _range_headers(target)) as (answer, at):
                if answer.status == 416 and target.have:
                    target.begin(0, None)
                    continue
                _expect(answer, at, (200, 206))
                if _begin(target, answer):
                    return _receive(target, answer)
        raise TransferError(f"{location}: the server does not send the file from its beginning", True)


def _range_headers(target: Target) -> dict[str, str]:
    headers = {"Accept-Encoding": "identity"}
    if target.have and target.mark:
        headers["Range"] = f"bytes={target.have}-"
        mark = target.mark.get("etag") or target.mark.get("date")
        if mark:
            headers["If-Range"] = str(mark)
    return headers


def _begin(target: Target, answer: http.client.HTTPResponse) -> bool:
    """False: what the server sends does not fit to what we have, and the whole is to be asked for."""
    if answer.getheader("Content-Encoding", "identity").lower() != "identity":
        raise TransferError(f"{target.server}: the server sends the file compressed, which nobody asked for", True)
    etag, date = answer.getheader("ETag", ""), answer.getheader("Last-Modified", "")
    strong = etag if etag.startswith('"') else ""
    if answer.status == 200:
        target.begin(0, answer.length, etag=strong, date=date)
        return True
    found = _RANGE.match(answer.getheader("Content-Range", ""))
    total = int(found[3]) if found and found[3] != "*" else None
    known = target.mark
    same = known.get("etag", strong) == strong and known.get("date", date) == date and known.get("size", total) == total
    if found is None or int(found[1]) != target.have or not known or not same:
        target.begin(0, None)
        return False
    target.begin(target.have, total, etag=strong, date=date)
    return True


def _receive(target: Target, answer: http.client.HTTPResponse) -> None:
    try:
        while data := answer.read(BLOCK):
            target.write(data)
    except http.client.HTTPException:
        raise TransferError(f"{target.server}: the file was cut off") from None
    target.done()


# --- out ----------------------------------------------------------------------------------------------------


def send(job: Job, source: Path, location: Location, name: str) -> None:
    place = within(location, name) if location.path.endswith("/") or not location.path else location
    status = _put(job, source, place)
    if status in NO_PUT:
        _post(job, source, location, name)


def _put(job: Job, source: Path, place: Location) -> int:
    headers = {"Content-Type": _kind(source), "Content-Length": str(source.stat().st_size)}
    with _answer(job, place, "PUT", headers, body=lambda: _blocks(job, source)) as (answer, at):
        if answer.status not in NO_PUT:
            _expect(answer, at, range(200, 300))
        return answer.status


def _post(job: Job, source: Path, place: Location, name: str) -> None:
    """As a browser's form does, in the field "file"."""
    edge = "chargepoint-" + base64.b16encode(name.encode())[:40].decode()
    head = (
        f'--{edge}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
        f"Content-Type: {_kind(source)}\r\n\r\n"
    ).encode()
    tail = f"\r\n--{edge}--\r\n".encode()
    headers = {
        "Content-Type": f"multipart/form-data; boundary={edge}",
        "Content-Length": str(len(head) + source.stat().st_size + len(tail)),
    }

    def body() -> Iterator[bytes]:
        yield head
        yield from _blocks(job, source)
        yield tail

    with _answer(job, place, "POST", headers, body=body) as (answer, at):
        _expect(answer, at, range(200, 300))


def _kind(source: Path) -> str:
    return "application/gzip" if source.suffix in (".gz", ".tgz") else "application/octet-stream"


def _blocks(job: Job, source: Path) -> Iterator[bytes]:
    total, done = source.stat().st_size, 0
    with source.open("rb") as file:
        while data := file.read(BLOCK):
            yield data
            done += len(data)
            job.moved(done, total)


# --- one request, redirects followed ------------------------------------------------------------------------


@contextmanager
def _answer(
    job: Job, location: Location, method: str, headers: Mapping[str, str], body: Body | None = None
) -> Iterator[tuple[http.client.HTTPResponse, Location]]:
    """The answer to this request, its body not yet read, and who gave it. A sent file meets a 303 at its goal."""
    moved = (301, 302, 307, 308) if body is not None else (301, 302, 303, 307, 308)
    for _ in range(REDIRECTS + 1):
        connection, answer = _connection(job, location), None
        try:
            answer = _ask(job, connection, location, method, headers, body)
            goal = answer.getheader("Location")
            if answer.status in moved and goal:
                location = follow(location, goal)
                continue
            yield answer, location
            return
        except http.client.HTTPException:
            raise TransferError(f"{location}: the server does not speak HTTP") from None
        except (OSError, EOFError) as error:
            job.check()
            raise refused(location, error) from None
        except ValueError:  # a number beyond all bounds, an address that is none
            raise TransferError(f"{location}: the server's answer makes no sense", True) from None
        finally:
            if answer is not None:
                answer.close()
            connection.close()
    raise TransferError(f"{location}: more than {REDIRECTS} redirects", True)


class _Answer(http.client.HTTPResponse):
    """`http.client` takes a negative size of a chunk for "all that ever comes", into memory."""

    def _read_next_chunk_size(self) -> int:
        size: int = super()._read_next_chunk_size()  # type: ignore[misc]
        if size < 0:
            raise ValueError
        return size


def _connection(job: Job, location: Location) -> http.client.HTTPConnection:
    where, timeout_s = (location.host, location.port), job.connect_s
    connection: http.client.HTTPConnection
    if location.scheme == "https":
        connection = http.client.HTTPSConnection(*where, timeout=timeout_s, context=job.tls())
    else:
        connection = http.client.HTTPConnection(*where, timeout=timeout_s)
    connection.response_class = _Answer
    return connection


def _ask(
    job: Job,
    connection: http.client.HTTPConnection,
    location: Location,
    method: str,
    headers: Mapping[str, str],
    body: Body | None,
) -> http.client.HTTPResponse:
    connection.connect()
    job.watch(connection.sock)
    connection.putrequest(method, location.target, skip_accept_encoding=True)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.putheader("User-Agent", "chargepoint-agent")
    connection.putheader("Connection", "close")
    if location.user or location.password:
        login = f"{location.user}:{location.password}".encode()
        connection.putheader("Authorization", "Basic " + base64.b64encode(login).decode())
    connection.endheaders()
    try:
        for data in body() if body is not None else ():
            connection.send(data)
    except (BrokenPipeError, ConnectionResetError):
        job.check()  # a server that refuses early closes while we still send; its answer says why
    return connection.getresponse()


def _expect(answer: http.client.HTTPResponse, location: Location, good: range | tuple[int, ...]) -> None:
    """A redirect that was not followed counts as arrival of what was sent (303)."""
    if answer.status in good or (answer.status == 303 and isinstance(good, range)):
        return
    words = http.client.responses.get(answer.status, "no word of HTTP")
    denied = answer.status in (401, 403, 407)
    raise TransferError(f"{location}: HTTP {answer.status} {words}", answer.status not in TEMPORARY, denied)
