"""What goes wrong with links in the field, one test for each complaint, on real sockets with tiny times."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Sequence
from contextlib import suppress

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.typing import Subprotocol

from agent.core.record import replace
from agent.edge.link import Link, LinkEvent, Received
from agent.edge.offers import WHOLE_AGAIN_S, Offers
from agent.edge.reasons import LinkWhy, WhyKind
from agent.edge.tls import client_context
from agent.errors import LinkError
from tests.edge.link_helpers import BASE, csms, idle, linked, raw
from tests.edge.test_link_tls import CONF, EC, Pki

BOTH = ("ocpp2.0.1", "ocpp1.6")
NONE_CHOSEN = LinkWhy(WhyKind.SUBPROTOCOL, "the server chose none")
REFUSED = LinkWhy(WhyKind.REFUSED, "nobody listens")


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    made = Pki(tmp_path_factory.mktemp("pki"))
    (made.folder / "conf").write_text(CONF)
    made.authority("ca")
    made.authority("stranger")
    made.server("good", "127.0.0.1", key=EC)
    made.server("charger", "127.0.0.1", key=EC)
    return made


# --- 8 and 9: no hang, no storm ----


async def test_lesson_8_a_server_that_neither_answers_nor_closes_does_not_stop_the_loop() -> None:
    async def deaf(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with raw(deaf) as url, linked(url, open_timeout_s=0.05) as bench:
        assert (await bench.loss(3)).why.kind is WhyKind.TIMEOUT


async def test_lesson_8_a_pong_that_never_comes_leads_to_a_new_dial() -> None:
    async def deaf(ws: ServerConnection) -> None:
        ws.transport.pause_reading()
        await bench.until(lambda: bench.link.dials >= 2)
        ws.transport.abort()

    async with csms(deaf) as url, linked(url, ping_interval_s=0.02, ping_timeout_s=0.05) as bench:
        assert (await bench.loss()).why.kind is WhyKind.PING
        await bench.until(lambda: bench.link.dials >= 2)


async def test_lesson_9_every_redial_waits_also_after_a_handshake_that_succeeds_and_then_drops() -> None:
    async def hang_up(ws: ServerConnection) -> None:
        await ws.close(1001)

    async with csms(hang_up) as url, linked(url, wait_minimum_s=0.01) as bench:
        await bench.loss(4)
        waits = [loss.redial_in_s for loss in bench.losses()[:4]]
        assert waits == [0.01, 0.02, 0.04, 0.08]


# --- 10 and 11: health ----


async def test_lesson_10_a_link_that_has_shown_no_life_for_long_is_not_healthy() -> None:
    async with csms(idle) as url, linked(url, ping_interval_s=30.0, ping_timeout_s=20.0) as bench:
        await bench.up()
        now = asyncio.get_running_loop().time()
        assert bench.link.healthy(now)
        assert not bench.link.healthy(now + 51.0)
        assert (bench.link.alive_s(now + 51.0) or 0) >= 50.9


async def test_lesson_11_a_ping_of_the_server_is_answered_while_the_agent_is_busy() -> None:
    answered = asyncio.Event()

    async def asking(ws: ServerConnection) -> None:
        await ws.send("work")
        await (await ws.ping())
        answered.set()
        await ws.wait_closed()

    async def busy(event: LinkEvent) -> None:
        if isinstance(event, Received):
            await answered.wait()

    async with csms(asking) as url:
        link = Link(lambda: replace(BASE, url=url), busy, rng=lambda: 0.5)
        task = asyncio.create_task(link.run())
        async with asyncio.timeout(10):
            await answered.wait()
        link.stop()
        await asyncio.wait([task], timeout=10)


# --- 13: nothing that a link does ends anything ----


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1008, 1011, 1012, 1013, 3000, 4999])
async def test_lesson_13_however_a_server_closes_the_loop_goes_on(code: int) -> None:
    async def hang_up(ws: ServerConnection) -> None:
        await ws.close(code)

    async with csms(hang_up) as url, linked(url) as bench:
        await bench.loss(2)
        assert bench.link.dials >= 2


# --- 18: trust is data ----


async def test_lesson_18_a_ca_file_that_is_replaced_counts_at_the_next_dial(pki: Pki) -> None:
    file = pki.folder / "changing.pem"
    file.write_text((pki.folder / "stranger.pem").read_text())
    async with csms(idle, ssl=pki.context("good")) as url, linked(url, ca_file=str(file)) as bench:
        await bench.loss()
        file.unlink()
        file.write_text((pki.folder / "ca.pem").read_text())
        await bench.up()


async def test_a_second_ca_file_vouches_as_well(pki: Pki) -> None:
    files = {"ca_file": pki.file("stranger.pem"), "more_ca_file": pki.file("ca.pem")}
    async with csms(idle, ssl=pki.context("good")) as url, linked(url, **files) as bench:
        await bench.up()


async def test_the_verified_chain_ends_with_the_root_that_vouched(pki: Pki) -> None:
    async with csms(idle, ssl=pki.context("good")) as url, linked(url, ca_file=pki.file("ca.pem")) as bench:
        await bench.up()
        chain = bench.link.chain()
        assert chain is not None
        assert chain[-1] == ssl.PEM_cert_to_DER_cert((pki.folder / "ca.pem").read_text())


async def test_a_bare_line_has_no_chain() -> None:
    async with csms(idle) as url, linked(url) as bench:
        await bench.up()
        assert bench.link.chain() is None


# --- client certificates ----


def demanding(pki: Pki) -> ssl.SSLContext:
    context = pki.context("good")
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(pki.file("ca.pem"))
    return context


async def test_a_server_that_wants_a_certificate_gets_ours(pki: Pki) -> None:
    ours = (pki.file("charger.pem"), pki.file("charger.key"))
    async with csms(idle, ssl=demanding(pki)) as url, linked(url, ca_file=pki.file("ca.pem"), client=ours) as bench:
        await bench.up()


async def test_without_a_certificate_the_server_that_wants_one_is_named(pki: Pki) -> None:
    """asyncio's server cuts without a word; one on plain sockets sends the alert, as other servers do."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(10)

        def refuse() -> None:
            peer, _ = listening.accept()
            with peer:
                with suppress(OSError), demanding(pki).wrap_socket(peer.dup(), server_side=True) as tls:
                    tls.recv(1)
                peer.settimeout(10)
                while peer.recv(4096):  # closed with something unread, the connection would be reset before the alert
                    pass

        refusing = asyncio.create_task(asyncio.to_thread(refuse))
        url = f"wss://127.0.0.1:{listening.getsockname()[1]}"
        async with linked(url, ca_file=pki.file("ca.pem"), wait_minimum_s=60.0) as bench:
            why = (await bench.loss()).why
            assert (why.kind, why.text) == (WhyKind.TLS, "the server wants a client certificate")
        await refusing


@pytest.mark.parametrize(
    ("chain", "key", "words"),
    [
        ("charger.pem", "good.key", "the key is another one's"),
        ("charger.pem", "no-such.key", "cannot be read"),
        ("conf", "charger.key", "no certificate and key in PEM form"),
    ],
)
def test_a_certificate_of_ours_that_cannot_be_used_is_named(pki: Pki, chain: str, key: str, words: str) -> None:
    with pytest.raises(LinkError, match=words):
        client_context(pki.file("ca.pem"), None, (pki.file(chain), pki.file(key)))


def test_a_key_with_a_password_does_not_ask_on_the_terminal(pki: Pki) -> None:
    pki.openssl("ec", "-in", "charger.key", "-aes128", "-passout", "pass:sesame", "-out", "locked.key")
    with pytest.raises(LinkError, match="cannot be used"):
        client_context(pki.file("ca.pem"), None, (pki.file("charger.pem"), pki.file("locked.key")))


# --- 21: servers that cannot choose ----


def test_lesson_21_the_whole_list_is_offered_first() -> None:
    assert Offers().next(BOTH, 0.0) == BOTH


def test_lesson_21_after_a_refusal_each_version_is_offered_alone() -> None:
    offers = Offers()
    seen = []
    for _ in range(4):
        seen.append(offers.next(BOTH, 0.0))
        offers.failed(NONE_CHOSEN, 0.0)
    assert seen == [BOTH, ("ocpp2.0.1",), ("ocpp1.6",), BOTH]


def test_lesson_21_what_worked_is_kept_and_the_whole_list_offered_again_a_day_later() -> None:
    offers = Offers()
    for _ in range(2):
        offers.next(BOTH, 0.0)
        offers.failed(NONE_CHOSEN, 0.0)
    assert offers.next(BOTH, 0.0) == ("ocpp1.6",)
    offers.worked("ocpp1.6")
    assert offers.next(BOTH, WHOLE_AGAIN_S - 1) == ("ocpp1.6",)
    assert offers.next(BOTH, WHOLE_AGAIN_S + 1) == BOTH


# --- a charge that began in one version ends in it ----


def test_while_a_charge_is_open_the_version_that_told_its_start_is_offered_alone() -> None:
    offers = Offers()
    assert offers.next(BOTH, 0.0, "ocpp1.6") == ("ocpp1.6",)
    assert offers.next(BOTH, 1.0, "") == BOTH


def test_a_server_that_has_unlearnt_that_version_gets_the_whole_list_at_the_next_dial() -> None:
    offers = Offers()
    offers.next(BOTH, 0.0, "ocpp1.6")
    offers.failed(NONE_CHOSEN, 0.0)
    assert offers.next(BOTH, 1.0, "ocpp1.6") == BOTH
    offers.worked("ocpp2.0.1")
    assert offers.next(BOTH, 2.0, "ocpp1.6") == BOTH


def test_a_server_that_is_away_for_a_while_changes_nothing_of_that() -> None:
    offers = Offers()
    offers.next(BOTH, 0.0, "ocpp1.6")
    offers.failed(REFUSED, 0.0)
    assert offers.next(BOTH, 1.0, "ocpp1.6") == ("ocpp1.6",)


def test_charges_that_never_end_keep_a_version_for_a_day_at_most() -> None:
    offers = Offers()
    offers.next(BOTH, 0.0, "ocpp1.6")
    assert offers.next(BOTH, WHOLE_AGAIN_S - 1, "ocpp1.6") == ("ocpp1.6",)
    assert offers.next(BOTH, WHOLE_AGAIN_S + 1, "ocpp1.6") == BOTH


def test_a_version_that_may_not_be_spoken_any_more_is_not_offered_for_a_charge() -> None:
    assert Offers().next(("ocpp2.0.1",), 0.0, "ocpp1.6") == ("ocpp2.0.1",)


def test_a_server_that_is_not_there_says_nothing_of_versions() -> None:
    offers = Offers()
    offers.next(BOTH, 0.0)
    offers.failed(REFUSED, 0.0)
    assert offers.next(BOTH, 0.0) == BOTH


def test_a_single_version_is_all_there_is_to_offer() -> None:
    offers = Offers()
    offers.next(("ocpp1.6",), 0.0)
    offers.failed(NONE_CHOSEN, 0.0)
    assert offers.next(("ocpp1.6",), 0.0) == ("ocpp1.6",)


async def test_lesson_21_a_server_that_takes_one_version_alone_is_reached() -> None:
    def picky(_ws: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
        return offered[0] if list(offered) == ["ocpp1.6"] else None

    offers = Offers()
    async with csms(idle, select_subprotocol=picky, subprotocols=None) as url, linked(url) as bench:
        base = bench.settings
        while not bench.link.is_up:
            count = len(bench.losses())
            bench.settings = replace(base, subprotocols=offers.next(BOTH, 0.0))
            await bench.until(lambda count=count: bench.link.is_up or len(bench.losses()) > count)  # type: ignore[misc]
            if not bench.link.is_up:
                offers.failed(bench.losses()[-1].why, 0.0)
        assert bench.link.subprotocol == "ocpp1.6"
