"""The link against servers that behave well and badly, over real sockets."""

from __future__ import annotations

import asyncio
import base64
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.server import ServerConnection

from agent.edge.link import Connected, Received
from agent.edge.reasons import WhyKind
from tests.edge.link_helpers import DEADLINE_S, csms, echo, idle, linked, raw, saying


def http(status: str, *headers: str, body: str = "") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", body]
    return "\r\n".join(lines).encode()


# --- a server that behaves ---


async def test_text_goes_both_ways() -> None:
    async with csms(echo) as url, linked(url) as bench:
        await bench.up()
        assert await bench.link.send('[2,"1","Heartbeat",{}]')
        await bench.until(lambda: Received('[2,"1","Heartbeat",{}]') in bench.events)


async def test_the_servers_choice_of_subprotocol_is_obeyed() -> None:
    async with csms(idle, subprotocols=["ocpp1.6"]) as url, linked(url) as bench:
        assert await bench.up() == Connected("ocpp1.6")
        assert bench.link.subprotocol == "ocpp1.6"


async def test_identity_and_basic_authentication_arrive_as_they_should() -> None:
    seen: list[tuple[str, str]] = []

    async def note(ws: ServerConnection) -> None:
        assert ws.request is not None
        seen.append((ws.request.path, ws.request.headers["Authorization"]))
        await ws.wait_closed()

    async with (
        csms(note) as url,
        linked(url + "/ocpp/?key=1", identity="CP 1/ä", password=b"\xff\x00:x", user="CP1") as bench,
    ):
        await bench.up()
    secret = base64.b64encode(b"CP1:\xff\x00:x").decode()
    assert seen == [("/ocpp/CP%201%2F%C3%A4?key=1", f"Basic {secret}")]


async def test_a_stop_closes_the_connection_and_says_that_nobody_redials() -> None:
    async with csms(idle) as url, linked(url) as bench:
        await bench.up()
        bench.link.stop()
        loss = await bench.loss()
        assert (loss.why.kind, loss.redial_in_s, loss.was_up) == (WhyKind.STOPPED, None, True)


async def test_nothing_is_sent_without_a_link() -> None:
    async with linked("ws://127.0.0.1:1") as bench:
        assert not await bench.link.send("x")


# --- servers that refuse ---


async def test_a_refused_connection_is_named() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound and not listening
        async with linked(f"ws://127.0.0.1:{closed.getsockname()[1]}") as bench:
            loss = await bench.loss()
    assert loss.why.kind is WhyKind.REFUSED
    assert "nobody listens there" in loss.why.text
    assert not loss.was_up


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (http("400 Bad Request"), WhyKind.HTTP, "HTTP 400"),
        (http("401 Unauthorized"), WhyKind.UNAUTHORIZED, "user or password"),
        (http("403 Forbidden"), WhyKind.FORBIDDEN, "HTTP 403"),
        (http("404 Not Found", body="unknown station"), WhyKind.NOT_FOUND, 'it says "unknown station"'),
        (http("200 OK", body="<html>"), WhyKind.HTTP, "no WebSocket service at this path (HTTP 200)"),
        (http("503 Service Unavailable"), WhyKind.SERVER_ERROR, "HTTP 503"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", WhyKind.NOT_WEBSOCKET, "not a WebSocket server"),
        (b"", WhyKind.LOST, "before it answered"),
    ],
    ids=["400", "401", "403", "404", "200", "503", "not-http", "bare-close"],
)
async def test_each_refusal_gets_its_reason_and_a_redial(answer: bytes, kind: WhyKind, words: str) -> None:
    async with raw(saying(answer)) as url, linked(url) as bench:
        loss = await bench.loss()
        assert loss.why.kind is kind
        assert words in loss.why.text
        await bench.loss(2)


async def test_retry_after_is_honoured() -> None:
    async with raw(saying(http("429 Too Many Requests", "Retry-After: 7"))) as url, linked(url) as bench:
        loss = await bench.loss()
        assert (loss.why.kind, loss.redial_in_s) == (WhyKind.TOO_MANY, 7.0)


async def test_a_name_that_cannot_be_looked_up_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_dns(*_args: object, **_kwargs: object) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", no_dns)
    async with linked("ws://csms.example") as bench:
        loss = await bench.loss()
        assert loss.why.kind is WhyKind.DNS
        assert loss.why.text == "the name csms.example could not be looked up: no answer from the DNS server"


@pytest.mark.parametrize("url", ["http://x", "ws://", "ws://x:99999", "ws://[::1", "ws://" + "a" * 80 + ".x"])
async def test_an_address_that_cannot_be_dialled_does_not_end_the_loop(url: str) -> None:
    async with linked(url) as bench:
        await bench.loss(2)
        assert bench.losses()[0].why.kind in (WhyKind.CONFIG, WhyKind.DNS)


async def test_a_server_that_stays_silent_is_given_up_in_time() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with raw(silent) as url, linked(url, open_timeout_s=0.5) as bench:
        loss = await bench.loss()
        assert loss.why.kind is WhyKind.TIMEOUT
        assert "was reached but did not answer the handshake within 0.5 s" in loss.why.text


async def test_a_stop_ends_a_dial_that_hangs() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with raw(silent) as url, linked(url, open_timeout_s=1000.0) as bench:
        await bench.until(lambda: bench.link.dials == 1)
        bench.link.stop()
        assert (await bench.loss()).why.kind is WhyKind.STOPPED


# --- subprotocols ---


async def test_a_server_without_a_subprotocol_is_left() -> None:
    async with csms(idle, subprotocols=None) as url, linked(url) as bench:
        loss = await bench.loss()
        assert (loss.why.kind, loss.was_up) == (WhyKind.SUBPROTOCOL, False)


async def test_a_server_without_a_subprotocol_may_be_taken_for_the_first_one() -> None:
    async with csms(idle, subprotocols=None) as url, linked(url, accept_without_subprotocol=True) as bench:
        assert await bench.up() == Connected("ocpp2.0.1")


async def test_a_subprotocol_that_was_not_offered_is_refused() -> None:
    async with (
        csms(idle, select_subprotocol=lambda _ws, _offered: "ocpp1.5", subprotocols=["ocpp1.5"]) as url,
        linked(url) as bench,
    ):
        loss = await bench.loss()
        assert loss.why.kind is WhyKind.SUBPROTOCOL
        assert "did not offer" in loss.why.text


# --- back-off ---


async def close_at_once(ws: ServerConnection) -> None:
    await ws.close(1008, "unknown station")


async def test_the_back_off_grows_when_handshakes_succeed_and_drop() -> None:
    async with csms(close_at_once) as url, linked(url, random_range_s=0.002) as bench:
        await bench.loss(5)
        waits = [loss.redial_in_s for loss in bench.losses()[:5]]
        assert waits == pytest.approx([0.011, 0.021, 0.041, 0.081, 0.081])
        assert bench.losses()[0].why.kind is WhyKind.CLOSED
        assert "(1008): often it does not know this identity" in bench.losses()[0].why.text
        assert 'it says "unknown station"' in bench.losses()[0].why.text


async def test_a_confirmed_link_starts_the_back_off_anew() -> None:
    async with csms(close_at_once) as url, linked(url) as bench:
        await bench.loss(3)
        bench.link.confirm()
        count = len(bench.losses())
        assert (await bench.loss(count + 1)).redial_in_s == pytest.approx(0.01)


async def test_a_link_that_stood_long_starts_the_back_off_anew() -> None:
    async with csms(close_at_once) as url, linked(url, settled_s=0.0) as bench:
        await bench.loss(3)
        assert [loss.redial_in_s for loss in bench.losses()[:3]] == pytest.approx([0.01, 0.01, 0.01])


async def test_redial_dials_at_once_with_fresh_settings() -> None:
    async with csms(idle) as url, linked("ws://127.0.0.1:1", wait_minimum_s=1000.0) as bench:
        await bench.loss()
        bench.settings = type(bench.settings)(url=url, identity="CP2")
        bench.link.redial()
        await bench.up()


async def test_a_dropped_link_is_dialled_again_after_the_back_off() -> None:
    async with csms(idle) as url, linked(url) as bench:
        await bench.up()
        bench.link.drop("no answer to a CALL")
        loss = await bench.loss()
        assert (loss.why.text, loss.redial_in_s) == ("no answer to a CALL", 0.01)
        await bench.until(lambda: bench.link.is_up and bench.link.dials == 2)


# --- connections that die ---


async def test_a_reset_connection_is_named() -> None:
    async def reset(ws: ServerConnection) -> None:
        ws.transport.abort()

    async with csms(reset) as url, linked(url) as bench:
        loss = await bench.loss()
        assert (loss.why.kind, loss.was_up) == (WhyKind.LOST, True)


@asynccontextmanager
async def cable_to(url: str) -> AsyncIterator[tuple[str, asyncio.Event]]:
    """A relay on the way to `url` which, once its event is set, keeps both connections and carries nothing any more."""
    port = int(url.rpartition(":")[2])
    cut = asyncio.Event()

    async def carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(4096):
            if cut.is_set():
                await asyncio.Event().wait()
            sink.write(data)

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            await asyncio.gather(carry(reader, far_writer), carry(far_reader, writer))
        except asyncio.CancelledError:
            return
        finally:
            far_writer.transport.abort()

    tasks: set[asyncio.Task[None]] = set()

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        await relay(reader, writer)

    async with raw(client) as relay_url:
        yield relay_url, cut
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=DEADLINE_S)


async def test_a_half_open_link_is_found_by_pings() -> None:
    loop = asyncio.get_running_loop()
    async with (
        csms(idle) as url,
        cable_to(url) as (relay, cut),
        linked(relay, ping_interval_s=0.1, ping_timeout_s=0.3) as bench,
    ):
        await bench.until(lambda: bench.link.rtt_s is not None)
        cut.set()
        began = loop.time()
        loss = await bench.loss()
        assert loss.why.kind is WhyKind.PING
        took_s = loop.time() - began
        assert took_s < 0.1 + 0.3 + 0.15 + 5.0  # interval, timeout, closing; the rest is for a busy machine


async def test_a_link_whose_pings_are_answered_is_healthy() -> None:
    async with csms(idle) as url, linked(url, ping_interval_s=0.02) as bench:
        await bench.until(lambda: bench.link.rtt_s is not None)
        now = asyncio.get_running_loop().time()
        assert bench.link.healthy(now)
        assert not bench.link.healthy(now + 3600)


async def test_the_ping_interval_can_be_changed_while_the_link_stands() -> None:
    async with csms(idle) as url, linked(url, ping_interval_s=1000.0) as bench:
        await bench.up()
        bench.link.set_ping_interval(0.02)
        await bench.until(lambda: bench.link.rtt_s is not None)


async def test_a_probe_pings_at_once() -> None:
    async with csms(idle) as url, linked(url, ping_interval_s=1000.0) as bench:
        await bench.up()
        await asyncio.sleep(0)  # lets the ping task begin to wait
        bench.link.probe()
        await bench.until(lambda: bench.link.rtt_s is not None)


async def test_a_server_that_takes_no_data_is_left() -> None:
    async def deaf(ws: ServerConnection) -> None:
        ws.transport.pause_reading()
        await ws.wait_closed()

    async with csms(deaf) as url, linked(url, send_timeout_s=0.2) as bench:
        await bench.up()
        megabyte = "x" * 1_000_000
        async with asyncio.timeout(DEADLINE_S):
            while await bench.link.send(megabyte):
                pass
        assert (await bench.loss()).why.kind is WhyKind.SEND
