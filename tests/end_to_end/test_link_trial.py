"""The link that cannot be bricked from afar: bad targets of every kind, each tried by a real agent over real sockets
and real TLS, and each left again for the link before; and good ones, which are kept over restarts and cuts."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import signal
import ssl
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

from tests.conformance.csms import Csms
from tests.conformance.ledger import begun, change, over
from tests.edge.link_helpers import csms as server
from tests.edge.link_helpers import idle, raw
from tests.edge.test_link_tls import CONF, EC, Pki
from tests.end_to_end.agent_helpers import Charger, charger, eventually, until

URL = "NetworkConfiguration[1].OcppCsmsUrl"
KEY = "0123456789abcdef0123456789ABCDEF"
QUICK: dict[str, Any] = {
    "OCPPCommCtrlr.NetworkProfileConnectionAttempts": 1,
    "OCPPCommCtrlr.NetworkTrialTimeout": 12,
}
TRIED = "trying what the CSMS has set"
Place = contextlib.AbstractAsyncContextManager[str]


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    made = Pki(tmp_path_factory.mktemp("pki"))
    (made.folder / "conf").write_text(CONF)
    made.authority("ca")
    made.authority("stranger")
    made.server("good", "127.0.0.1", key=EC)
    made.server("other-host", "csms.example", key=EC)
    made.server("expired", "127.0.0.1", "-startdate", "20200101000000Z", "-enddate", "20200201000000Z", key=EC)
    made.server("charger", "127.0.0.1", key=EC)
    return made


class Guarded(Csms):
    """Lets in who has one of these passwords."""

    def __init__(self, *versions: str, **more: Any) -> None:
        super().__init__(*versions, **more)
        self.passwords: list[bytes] = []

    def _look(self, ws: ServerConnection, request: Request) -> Response | None:
        refused = super()._look(ws, request)
        given = base64.b64decode(request.headers.get("Authorization", "").removeprefix("Basic "))
        if refused is None and self.passwords and given.partition(b":")[2] not in self.passwords:
            return ws.respond(HTTPStatus.UNAUTHORIZED, "who are you?\n")
        return refused


# --- targets that are no good ----


@contextlib.asynccontextmanager
async def nowhere(_pki: Pki) -> AsyncIterator[str]:
    yield "ws://no-such-host.invalid/ocpp"


@contextlib.asynccontextmanager
async def closed_port(_pki: Pki) -> AsyncIterator[str]:
    async with server(idle) as url:
        found = url
    yield found


@contextlib.asynccontextmanager
async def black_hole(_pki: Pki) -> AsyncIterator[str]:
    async def swallow(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with raw(swallow) as url:
        yield url


@contextlib.asynccontextmanager
async def locked(_pki: Pki) -> AsyncIterator[str]:
    guarded = Guarded("1.6")
    guarded.passwords = [b"somebody else's password"]
    async with guarded:
        yield guarded.url


@contextlib.asynccontextmanager
async def rejecting(_pki: Pki) -> AsyncIterator[str]:
    async with Csms("1.6") as other:
        other.boot_status = "Rejected"
        yield other.url


@contextlib.asynccontextmanager
async def pending(_pki: Pki) -> AsyncIterator[str]:
    async with Csms("1.6") as other:
        other.boot_status = "Pending"
        yield other.url


@contextlib.asynccontextmanager
async def closing(_pki: Pki) -> AsyncIterator[str]:
    async def hang_up(ws: ServerConnection) -> None:
        await ws.close(1008)

    async with server(hang_up) as url:
        yield url


class Fickle(Csms):
    """Accepts whoever comes, and hangs up as soon as it has."""

    async def _called(self, message_id: str, action: str, payload: dict[str, Any]) -> None:
        await super()._called(message_id, action, payload)
        await self.hang_up(1011)


@contextlib.asynccontextmanager
async def fickle(_pki: Pki) -> AsyncIterator[str]:
    async with Fickle("1.6") as other:
        yield other.url


@contextlib.asynccontextmanager
async def mute(_pki: Pki) -> AsyncIterator[str]:
    async with server(idle) as url:
        yield url


def tls(name: str) -> Callable[[Pki], Place]:
    @contextlib.asynccontextmanager
    async def place(pki: Pki) -> AsyncIterator[str]:
        async with server(idle, ssl=pki.context(name)) as url:
            yield url

    return place


RECONFIGURED = "ReconfigurationOfSecurityParameters"
BAD = [
    pytest.param(nowhere, "could not be looked up", None, id="no-dns"),
    pytest.param(closed_port, "nobody listens there", None, id="refused"),
    pytest.param(black_hole, "did not answer", None, id="black-hole"),
    pytest.param(locked, "refused user or password", "FailedToAuthenticateAtCsms", id="http-401"),
    pytest.param(rejecting, "does not accept this charger", None, id="rejected"),
    pytest.param(pending, "BootNotification was not accepted in time", None, id="pending"),
    pytest.param(closing, "the connection did not last", None, id="accepts-and-closes"),
    pytest.param(fickle, "the connection did not last", None, id="accepts-the-boot-and-closes"),
    pytest.param(mute, "BootNotification was not accepted in time", None, id="mute"),
    pytest.param(tls("expired"), "has expired", "InvalidCsmsCertificate", id="expired"),
    pytest.param(tls("other-host"), "belongs to another", "CsmsFailedToAuthenticate", id="wrong-host"),
    pytest.param(tls("stranger"), "not in our trust store", "InvalidCsmsCertificate", id="wrong-ca"),
]


def security_events(c: Charger, since: int = 0) -> list[str]:
    """What the journal says of them; how the CSMS is told is tested elsewhere."""
    return [line.partition("SecurityEvent: ")[2] for line in c.log[since:].splitlines() if "SecurityEvent: " in line]


@pytest.mark.parametrize(("target", "why", "event"), BAD)
async def test_lesson_19_a_bad_target_is_tried_and_left_for_the_link_before(
    target: Callable[[Pki], Place], why: str, event: str | None, pki: Pki
) -> None:
    lines = f'ca_file = "{pki.file("ca.pem")}"'
    async with target(pki) as url, charger("1.6", csms_lines=lines, variables=QUICK) as c:
        await c.ready()
        mark = c.csms.mark()
        assert await change(c.csms, URL, url) == "Accepted"
        await c.csms.hear("BootNotification", mark, 30.0)
        returned = next(line for line in c.log.splitlines() if "LinkReturned" in line)
        assert why in returned
        told = security_events(c)
        assert any(line.startswith(RECONFIGURED) for line in told)
        assert event is None or any(line.startswith(event) for line in told)
        assert (await c.status())["link"]["change"] is None
        assert (await c.status())["link"]["host"] == c.csms.url.removesuffix("/ocpp")


# --- targets that are good ----


async def test_a_good_target_is_kept_over_a_restart_and_the_status_says_who_set_it() -> None:
    async with Csms("1.6") as other, charger("1.6", variables=QUICK) as c:
        await c.ready()
        assert await change(c.csms, URL, other.url) == "Accepted"
        await other.hear("BootNotification")
        await until(lambda: "LinkKept" in c.log, "the new link is kept")
        assert (await c.status())["link"]["set_by_csms_utc"] > 1.7e9
        await c.end()
        mark, before = other.mark(), c.csms.links
        await c.start()
        await other.hear("BootNotification", mark)
        assert c.csms.links == before
        assert other.wrong == []


async def test_a_cut_in_the_middle_of_a_trial_takes_it_up_again_and_then_returns() -> None:
    async with server(idle) as url, charger("1.6", variables=QUICK) as c:
        await c.ready()
        assert await change(c.csms, URL, url) == "Accepted"
        await until(lambda: TRIED in c.log, "the trial begins")
        await c.end(signal.SIGKILL)
        mark = c.csms.mark()
        await c.start()
        await until(lambda: c.log.count(TRIED) == 2, "the trial begins anew")
        await c.csms.hear("BootNotification", mark, 30.0)
        assert "LinkReturned" in c.log


async def test_a_charge_goes_on_through_a_trial_and_is_told_on_the_link_that_stands() -> None:
    async with server(idle) as url, charger("1.6", variables=QUICK) as c:
        await c.ready()
        await c.do("plug-in")
        await c.tap()
        await begun(c.csms)
        await c.charging()
        assert await change(c.csms, URL, url) == "Accepted"
        await until(lambda: TRIED in c.log, "the trial begins")
        assert await c.see("contactor") == "closed"
        mark = c.csms.mark()
        await c.do("unplug")
        await c.csms.hear("BootNotification", mark, 30.0)
        charge = await over(c.csms)
        assert charge.reason == "EVDisconnected"
        assert charge.ended_wh == pytest.approx(await c.meter_wh(), abs=0.5)


# --- keys ---------


async def test_a_new_authorization_key_is_used_at_once_and_never_shown() -> None:
    guarded = Guarded("1.6")
    lines = 'password = "the first password"'
    async with charger("1.6", csms=guarded, csms_lines=lines, variables=QUICK) as c:
        await c.ready()
        guarded.passwords = [bytes.fromhex(KEY)]
        mark = guarded.mark()
        assert await change(guarded, "AuthorizationKey", KEY) == "Accepted"
        await guarded.hear("BootNotification", mark)
        told = await guarded.call("GetConfiguration", {})
        assert KEY not in json.dumps(told)
        assert KEY not in c.log
        assert KEY not in json.dumps(await c.status())


async def test_lesson_20_a_backend_that_takes_the_hex_key_for_text_is_found_out_and_remembered() -> None:
    guarded = Guarded("1.6")
    lines = 'password = "the first password"'
    async with charger("1.6", csms=guarded, csms_lines=lines, variables=QUICK) as c:
        await c.ready()
        guarded.passwords = [KEY.encode()]
        mark = guarded.mark()
        assert await change(guarded, "AuthorizationKey", KEY) == "Accepted"
        await guarded.hear("BootNotification", mark)
        await until(lambda: "LinkKept" in c.log, "the key is kept")
        await c.end()
        dials, mark = len(guarded.requests), guarded.mark()
        await c.start()
        await guarded.hear("BootNotification", mark)
        assert len(guarded.requests) == dials + 1


async def test_a_key_that_the_backend_does_not_take_brings_the_old_key_back() -> None:
    guarded = Guarded("1.6")
    guarded.passwords = [b"the first password"]
    lines = 'password = "the first password"'
    async with charger("1.6", csms=guarded, csms_lines=lines, variables=QUICK) as c:
        await c.ready()
        mark = guarded.mark()
        assert await change(guarded, "AuthorizationKey", KEY) == "Accepted"
        await guarded.hear("BootNotification", mark, 30.0)
        assert any(line.startswith("FailedToAuthenticateAtCsms") for line in security_events(c))


# --- security profiles ----


@contextlib.asynccontextmanager
async def upgrade(pki: Pki, secure: Csms, **files: str) -> AsyncIterator[Charger]:
    """A charger with a password over a bare line, whose CSMS also listens with TLS."""
    lines = "\n".join(['password = "the first password"', *(f'{k} = "{pki.file(v)}"' for k, v in files.items())])
    async with secure, charger("1.6", csms_lines=lines, variables=QUICK) as c:
        await c.ready()
        yield c


async def test_security_profile_2_with_an_address_of_its_own_is_taken_together_and_never_lowered(pki: Pki) -> None:
    secure = Csms("1.6", tls=pki.context("good"))
    async with upgrade(pki, secure, ca_file="ca.pem") as c:
        assert await change(c.csms, URL, secure.url) == "Accepted"
        assert await change(c.csms, "SecurityProfile", "2") == "Accepted"
        await secure.hear("BootNotification")
        await until(lambda: "LinkKept" in c.log, "the new link is kept")
        assert await change(secure, "SecurityProfile", "1") == "Rejected"
        assert await change(secure, URL, c.csms.url) == "Rejected"
        told = await secure.call("GetConfiguration", {"key": ["SecurityProfile"]})
        assert told["configurationKey"] == [{"key": "SecurityProfile", "readonly": False, "value": "2"}]


async def test_a_higher_security_profile_that_the_server_does_not_speak_returns(pki: Pki) -> None:
    async with charger("1.6", csms_lines=f'password = "secret of mine"\nca_file = "{pki.file("ca.pem")}"',
                       variables=QUICK) as c:  # fmt: skip
        await c.ready()
        mark = c.csms.mark()
        assert await change(c.csms, "SecurityProfile", "2") == "Accepted"
        await c.csms.hear("BootNotification", mark, 30.0)
        told = await c.csms.call("GetConfiguration", {"key": ["SecurityProfile"]})
        assert told["configurationKey"][0]["value"] == "1"


@pytest.mark.parametrize("profile", ["2", "3", "4", "-1", "x"])
async def test_a_security_profile_whose_needs_are_not_met_is_rejected(profile: str) -> None:
    async with charger("1.6", variables=QUICK) as c:
        await c.ready()
        assert await change(c.csms, "SecurityProfile", profile) == "Rejected"


async def test_security_profile_3_shows_the_certificate_and_no_password(pki: Pki) -> None:
    context = pki.context("good")
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(pki.file("ca.pem"))
    secure = Csms("1.6", tls=context)
    files = {"ca_file": "ca.pem", "client_certificate_file": "charger.pem", "client_key_file": "charger.key"}
    async with upgrade(pki, secure, **files) as c:
        assert await change(c.csms, URL, secure.url) == "Accepted"
        assert await change(c.csms, "SecurityProfile", "3") == "Accepted"
        await secure.hear("BootNotification")
        assert "Authorization" not in secure.requests[-1].headers


# --- several central systems ----


FALLBACK = '[[csms.fallback]]\nurl = "{url}"'
SOON: dict[str, Any] = QUICK | {"OCPPCommCtrlr.NetworkReturnInterval": 60}


async def test_the_fallback_is_dialled_when_the_first_one_is_down_and_gets_what_waits() -> None:
    async with Csms("1.6") as spare, charger("1.6", csms_lines=FALLBACK.format(url=spare.url), variables=SOON) as c:
        await c.ready()
        c.csms.cut(refuse=True)
        await spare.hear("BootNotification", timeout_s=30.0)
        await c.do("plug-in")
        await c.tap()
        await begun(spare)
        link = (await c.status())["link"]
        assert (link["slot"], link["slots"], link["state"]) == (2, [1, 2], "connected")
        assert spare.wrong == []


async def test_lesson_9_slots_that_are_all_down_are_dialled_in_turns_with_the_back_off() -> None:
    lines = FALLBACK.format(url="ws://127.0.0.1:1/ocpp")
    slow = {"OCPPCommCtrlr.NetworkProfileConnectionAttempts": 1, "RetryBackOffWaitMinimum": 3000}
    csms = Csms("1.6")
    csms.refusing = True
    async with charger("1.6", csms=csms, csms_lines=lines, variables=slow) as c:
        await until(lambda: c.log.count("failing over") == 2, "each slot has had its turn")
        assert (await c.status())["link"]["redial_in_s"] > 2000
        assert len(csms.requests) == 1


# --- what a technician is told ----


async def unhealthy(c: Charger) -> str:
    async def look() -> str | None:
        return (await c.status())["link"]["unhealthy"]  # type: ignore[no-any-return]

    return str(await eventually(look, "a reason"))


@pytest.mark.parametrize(("status", "words"), [("Rejected", "does not accept"), ("Pending", "wants us to wait")])
async def test_lesson_10_a_connection_alone_does_not_count_as_well(status: str, words: str) -> None:
    csms = Csms("1.6")
    csms.boot_status = status
    async with charger("1.6", csms=csms) as c:
        await csms.hear("BootNotification")
        assert words in await unhealthy(c)


async def test_the_age_of_the_last_answer_is_told() -> None:
    async with charger("1.6") as c:
        await c.ready()
        link = (await c.status())["link"]
        assert link["answered_s"] is not None and link["answered_s"] < 15
        assert link["unhealthy"] is None
