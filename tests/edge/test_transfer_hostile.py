"""File servers that were made to hurt: whatever they say is a failed transfer and no more."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from agent.edge.transfer import MAX_THREADS, fetch, send
from agent.errors import TransferError
from tests.edge.file_servers import raw_server, transfer_ended

DIGITS = "9" * 5000  # Python refuses to make a number of so many


@pytest.fixture
def silence() -> Iterator[str]:
    """A place to which TCP never comes to stand, so that a transfer to it is not given up at once."""
    with ExitStack() as stack:
        server = stack.enter_context(socket.socket())
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for _ in range(8):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(server.getsockname())
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"


def answering(head: str) -> Any:
    def talk(client: Any) -> None:
        client.recv(65536)
        client.sendall(f"HTTP/1.1 {head}\r\nConnection: close\r\n\r\nabc".encode("latin-1"))

    return talk


@pytest.mark.parametrize(
    "head",
    [
        f"206 Partial\r\nContent-Range: bytes {DIGITS}-1/2",
        f"206 Partial\r\nContent-Range: bytes 0-1/{DIGITS}",
        f'200 OK\r\nContent-Length: {DIGITS}\r\nETag: "\x85\x0b"',
        "302 Found\r\nLocation: http://[::1/",
        "302 Found\r\nLocation: //\u00e9.example:99999/",
    ],
)
async def test_nothing_that_a_server_says_is_more_than_a_failed_fetch(tmp_path: Path, head: str) -> None:
    with raw_server(answering(head)) as port, pytest.raises(TransferError):
        await fetch(f"http://127.0.0.1:{port}/x", tmp_path / "x", limit_bytes=2)


async def test_transfers_that_are_given_up_and_begun_anew_without_end_are_few(tmp_path: Path, silence: str) -> None:
    """Each thread waits in vain for TCP to stand."""
    refused = 0
    for number in range(3 * MAX_THREADS):
        task = asyncio.ensure_future(fetch(silence, tmp_path / str(number), limit_bytes=9, stall_s=3.0))
        for _ in range(2):  # the second time while the first is waited for
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            task.cancel()
        (found,) = await asyncio.gather(task, return_exceptions=True)
        refused += isinstance(found, TransferError)
    assert sum(thread.name == "transfer" for thread in threading.enumerate()) == MAX_THREADS
    assert refused == 2 * MAX_THREADS
    assert transfer_ended()


@pytest.mark.parametrize("user", ["%C8%A1", "%E2%80%AE", "%EF%BF%BE", "a%C2%AD"])
async def test_a_login_that_no_ssh_may_have_is_a_failed_transfer(tmp_path: Path, user: str) -> None:
    (tmp_path / "x").write_text("log")
    with raw_server(lambda client: client.sendall(b"SSH-2.0-x\r\n")) as port, pytest.raises(TransferError):
        await send(tmp_path / "x", f"sftp://{user}:{user}@127.0.0.1:{port}/x", "x", stall_s=2.0, deadline_s=5.0)
