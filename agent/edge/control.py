"""The door for the technician: a UNIX socket on which the command `chargepoint` asks the running agent.

One connection, one request: a JSON object on one line. One answer: a JSON object on one line, then the connection is
closed. A request with `"watch": SECONDS` is answered again and again until the other side goes away; some answers are
streams of lines. An answer may take its time (an order waits for what becomes of it); meanwhile the others are served.
Rules kept:

* Whoever may open the socket (mode 0660) and is root, the agent's own user or a member of its group may ask: the kernel
  vouches for that, whatever became of the file's mode. Who asked what is logged with the peer's uid and pid.
* Clients, line length and every wait are bounded; a client that misbehaves harms only itself.
* The socket is made under another name and renamed into place: a stale one from a killed process is replaced, and
  nobody can open it before its mode is set. A socket on which an agent answers is left alone. One that the service
  manager passed to us is used as it is, and left to it at the end: it takes the next question while we are restarted.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import struct
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from agent.errors import AgentError, ControlError
from agent.log import Log

CLIENTS = 8
LINE_LIMIT = 64 * 1024  # bytes of a request
DEADLINE_S = 5.0  # for the request to come, and for each answer to be taken
TURN_AWAY_S = 0.2  # for the request of a client for whom there is no room
WATCH_MIN_S, WATCH_MAX_S = 0.2, 3600.0
WATCH_LIMIT_S = 24 * 3600.0  # then the client may ask again
QUIET = frozenset(  # asked all the time and changes nothing: DEBUG
    ("status", "evse", "meter", "transactions", "queue", "variables", "events", "log")
)
PATH_LIMIT = 100  # characters; the kernel's own limit is 107, and the name under which it is made is longer

# From 3.13 on asyncio would remove the file, also that of the service manager; whether it goes is decided here.
KEEP_THE_FILE: dict[str, Any] = {"cleanup_socket": False} if sys.version_info >= (3, 13) else {}
PEER_GROUPS = 59  # SO_PEERGROUPS of Linux, which Python does not name
MAX_GROUPS = 256
STRANGER = "only root and members of the agent's group may ask"


class Peer(NamedTuple):
    """Who asks, as the kernel vouches for it."""

    pid: int
    uid: int
    gid: int


class Stream(NamedTuple):
    """An answer of many lines, each sent when it is there; the other side may go away at any of them."""

    lines: AsyncIterator[dict[str, Any]]


Answer = Callable[[dict[str, Any], Peer], Awaitable[dict[str, Any] | Stream]]


class Control:
    """`answer(request, peer)` bounds its own waiting; an AgentError becomes `{"error": text}`."""

    def __init__(
        self,
        path: str | Path,
        answer: Answer,
        log: Log,
        *,
        passed: socket.socket | None = None,
        deadline_s: float = DEADLINE_S,
        mode: int = 0o660,
    ) -> None:
        """`passed`: a listening socket at this path that somebody else opened."""
        self.path = Path(path)
        self._passed = passed
        self._answer = answer
        self._log = log
        self._deadline_s = deadline_s
        self._mode = mode
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Raises ControlError in plain words."""
        if self._passed is None and _answers(self.path):
            raise ControlError(f"{self.path}: another agent is running")
        try:
            sock = self._passed or _listening(self.path, self._mode)
            self._server = await asyncio.start_unix_server(self._client, sock=sock, limit=LINE_LIMIT, **KEEP_THE_FILE)
        except OSError as e:
            raise ControlError(f"{self.path}: the control socket cannot be made: {e.strerror or e}") from None

    async def close(self) -> None:
        """Take the socket away, if it is ours, and let the clients go."""
        if self._server is None:
            return
        self._server.close()
        if self._passed is None:
            with suppress(FileNotFoundError):
                self.path.unlink()
        clients = list(self._clients)
        for task in clients:
            task.cancel()
        if clients:
            await asyncio.wait(clients, timeout=self._deadline_s)
        self._server = None

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        try:
            if len(self._clients) >= CLIENTS:
                await self._turn_away(reader, writer)
                return
            self._clients.add(task)
            await self._serve(reader, writer)
        except (OSError, TimeoutError):
            self._log.debug("ControlClientLost")
        except asyncio.CancelledError:  # by close(); the streams of 3.11 would report it as an error
            return
        finally:
            self._clients.discard(task)
            writer.transport.abort() if writer.is_closing() else writer.close()

    async def _turn_away(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Hear the request first: closing on unheard words would look like a failure to the client."""
        with suppress(TimeoutError):
            async with asyncio.timeout(TURN_AWAY_S):
                await reader.read(LINE_LIMIT)
        await self._send(writer, {"error": f"more than {CLIENTS} clients at once"})

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(self._deadline_s):
            request = await _request(reader)
        if isinstance(request, str):
            await self._send(writer, {"error": request})
            return
        peer = _peer(writer)
        if not _may_ask(writer, peer):
            why = f"the user {peer.uid} is neither root nor of the agent's group"
            self._log.trouble(f"stranger {peer.uid}", "ControlRefused", why, uid=peer.uid, pid=peer.pid)
            await self._send(writer, {"error": STRANGER})
            return
        self._note(request, peer)
        answer = await self._answered(request, peer)
        if isinstance(answer, Stream):
            await self._stream(answer.lines, reader, writer)
            return
        await self._send(writer, answer)
        if "watch" in request:
            await self._watch(request, peer, reader, writer)

    async def _watch(
        self, request: dict[str, Any], peer: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        interval_s = _interval(request["watch"])
        ends = time.monotonic() + WATCH_LIMIT_S
        while time.monotonic() < ends:
            try:
                async with asyncio.timeout(interval_s):
                    if not await reader.read(1024):  # gone; what it may say is not heard
                        return
            except TimeoutError:
                answer = await self._answered(request, peer)
                assert not isinstance(answer, Stream), "a stream is asked for once"
                await self._send(writer, answer)

    async def _stream(
        self, lines: AsyncIterator[dict[str, Any]], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        gone = asyncio.ensure_future(reader.read(1024))
        line: asyncio.Future[dict[str, Any] | None] | None = None
        try:
            async with asyncio.timeout(WATCH_LIMIT_S):
                while not gone.done():
                    line = asyncio.ensure_future(anext(lines, None))
                    await asyncio.wait({gone, line}, return_when=asyncio.FIRST_COMPLETED)
                    if line.done():
                        found = self._told(line)
                        if found is None:
                            return
                        await self._send(writer, found)
        finally:
            left = [task for task in (gone, line) if task is not None and not task.done()]
            for task in left:
                task.cancel()
            if left:
                await asyncio.wait(left)
            await lines.aclose()  # type: ignore[attr-defined]

    def _told(self, line: asyncio.Future[dict[str, Any] | None]) -> dict[str, Any] | None:
        try:
            return line.result()
        except AgentError as e:
            return {"error": str(e)}
        except Exception as e:  # noqa: BLE001  as for a single answer
            self._log.error("ControlFailed", f"{type(e).__name__} in the middle of a stream: {e}")
            return {"error": "the agent failed to answer; see its log"}

    async def _answered(self, request: dict[str, Any], peer: Peer) -> dict[str, Any] | Stream:
        try:
            return await self._answer(request, peer)
        except AgentError as e:
            return {"error": str(e)}
        except Exception as e:  # noqa: BLE001  a question must not end a charge; the bug is reported
            self._log.error("ControlFailed", f"{type(e).__name__} while answering", action=_verb(request))
            return {"error": "the agent failed to answer; see its log"}

    async def _send(self, writer: asyncio.StreamWriter, answer: dict[str, Any]) -> None:
        writer.write(json.dumps(answer, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
        async with asyncio.timeout(self._deadline_s):
            await writer.drain()

    def _note(self, request: dict[str, Any], peer: Peer) -> None:
        verb = _verb(request)
        tell = self._log.debug if verb in QUIET else self._log.info
        tell("ControlRequest", action=verb, uid=peer.uid, pid=peer.pid)


async def _request(reader: asyncio.StreamReader) -> dict[str, Any] | str:
    """The request, or why it is none."""
    try:
        line = await reader.readuntil(b"\n")
    except asyncio.LimitOverrunError:
        return f"the request is longer than {LINE_LIMIT} bytes"
    except asyncio.IncompleteReadError:
        return "the request does not end with a line end"
    try:
        request = json.loads(line)
        json.dumps(request, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # half a surrogate pair, which no socket would take on its way out
        return "the request is not Unicode text; is the terminal set to UTF-8?"
    except (ValueError, RecursionError):
        return "the request is not JSON"
    return request if isinstance(request, dict) else "the request is not a JSON object"


def _verb(request: dict[str, Any]) -> str:
    return str(request.get("verb", "?"))[:40]


def _interval(watch: object) -> float:
    seconds = watch if isinstance(watch, int | float) and watch == watch else 1.0  # NaN differs from itself
    return float(min(max(seconds, WATCH_MIN_S), WATCH_MAX_S))


def _peer(writer: asyncio.StreamWriter) -> Peer:
    sock = writer.get_extra_info("socket")
    return Peer(*struct.unpack("iII", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)))


def _may_ask(writer: asyncio.StreamWriter, peer: Peer) -> bool:
    """The groups are those that the other side had when it connected."""
    if peer.uid in (0, os.geteuid()):
        return True
    sock = writer.get_extra_info("socket")
    try:
        raw = sock.getsockopt(socket.SOL_SOCKET, PEER_GROUPS, MAX_GROUPS * 4)
    except OSError:  # more groups than anybody needs
        return False
    return os.getegid() in (peer.gid, *struct.unpack(f"{len(raw) // 4}I", raw))


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


def _listening(path: Path, mode: int) -> socket.socket:
    """A listening socket that appears at `path` with its mode set."""
    if len(str(path)) > PATH_LIMIT:
        raise ControlError(f"{path}: longer than the {PATH_LIMIT} characters that a socket's path may have")
    making = path.with_name(f"{path.name}.new")
    sock = socket.socket(socket.AF_UNIX)
    try:
        with suppress(FileNotFoundError):
            making.unlink()
        sock.bind(str(making))
        making.chmod(mode)
        sock.listen(CLIENTS)
        sock.setblocking(False)
        making.replace(path)
    except OSError:
        sock.close()
        raise
    return sock
