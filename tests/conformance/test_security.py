"""Security events and certificates with a real agent, real keys and real TLS."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from agent.core.types import CertificateHash
from agent.edge import der
from tests.conformance.csms import Csms, Payload, Refusal, epoch
from tests.conformance.ledger import change, trigger
from tests.edge import pki
from tests.edge.pki import Issued
from tests.end_to_end.agent_helpers import QUICK, Charger, charger, eventually

BOTH = pytest.mark.parametrize("version", ["1.6", "2.0.1"])
NOW = datetime.now(UTC)
issue, sign = partial(pki.issue, at=NOW), partial(pki.sign, at=NOW)
ROOT = issue("Root A")
URL = "NetworkConfiguration[1].OcppCsmsUrl"
KIND = {"1.6": "CentralSystemRootCertificate", "2.0.1": "CSMSRootCertificate"}
EVENT = "SecurityEventNotification"


def hash_data(issued: Issued) -> Payload:
    found: CertificateHash = der.hash_of(der.fields(issued.der), der.fields(issued.der).key, "SHA256")
    return {
        "hashAlgorithm": "SHA256",
        "issuerNameHash": found.issuer_name,
        "issuerKeyHash": found.issuer_key,
        "serialNumber": found.serial,
    }


async def install(csms: Csms, pem: str) -> str:
    answer = await csms.call("InstallCertificate", {"certificateType": KIND[csms.version], "certificate": pem})
    return str(answer["status"])


async def installed(csms: Csms) -> list[Payload]:
    kind = KIND[csms.version]
    answer = await csms.call(
        "GetInstalledCertificateIds", {"certificateType": kind if csms.version == "1.6" else [kind]}
    )
    if csms.version == "1.6":
        return list(answer.get("certificateHashData", []))
    return [chain["certificateHashData"] for chain in answer.get("certificateHashDataChain", [])]


async def delete(csms: Csms, issued: Issued) -> str:
    return str((await csms.call("DeleteCertificate", {"certificateHashData": hash_data(issued)}))["status"])


async def asks_to_sign(csms: Csms) -> str:
    """The request that the charger makes when it is told to."""
    mark = csms.mark()
    csms.on("SignCertificate", {"status": "Accepted"})
    if csms.version == "1.6":
        word = "SignChargePointCertificate"
        assert (await csms.call("ExtendedTriggerMessage", {"requestedMessage": word}))["status"] == "Accepted"
    else:
        assert await trigger(csms, "SignChargingStationCertificate") == "Accepted"
    return str((await csms.hear("SignCertificate", mark))["csr"])


async def gives(csms: Csms, chain: str) -> str:
    return str((await csms.call("CertificateSigned", {"certificateChain": chain}))["status"])


def events(csms: Csms, since: int = 0) -> list[str]:
    return [told["type"] for told in csms.calls(EVENT, since)]


# --- events ---


@BOTH
async def test_a_start_is_told_and_what_happened_while_nobody_listened_with_its_time(version: str) -> None:
    async with charger(version, start=False) as c:
        c.csms.refusing = True
        await c.start()
        await eventually(lambda: _waits(c, 1), "the start waits")
        listened = datetime.now(UTC).timestamp()
        c.csms.mend()
        told = await c.csms.hear(EVENT)
        assert told["type"] == "StartupOfTheDevice"
        assert epoch(told["timestamp"]) < listened


async def _waits(c: Charger, count: int) -> bool:
    return bool((await c.status())["security_events_waiting"] == count)


@BOTH
async def test_a_reset_is_told_before_it_comes(version: str) -> None:
    async with charger(version) as c:
        await c.ready()
        await c.csms.call("Reset", {"type": "Hard" if version == "1.6" else "Immediate"})
        await c.exit_code()
        assert events(c.csms)[-1] == "ResetOrReboot"


@BOTH
async def test_frames_that_are_no_messages_are_told_once(version: str) -> None:
    async with charger(version) as c:
        await c.ready()
        mark = c.csms.mark()
        for _ in range(20):
            await c.csms.send("no json")
            await c.csms.send(json.dumps([2, "x", "Reset", {"type": 7}]))
        await c.csms.until(lambda: "InvalidMessages" in events(c.csms), "the event")
        await trigger(c.csms, "Heartbeat")
        await c.csms.hear("Heartbeat", mark)
        assert events(c.csms).count("InvalidMessages") == 1


@BOTH
async def test_a_csms_that_knows_no_security_events_gets_everything_else(version: str) -> None:
    async with charger(version) as c:
        c.csms.on(EVENT, Refusal("NotSupported"))
        await c.ready()
        assert await trigger(c.csms, "Heartbeat") == "Accepted"
        await c.csms.hear("Heartbeat")
        assert len(c.csms.calls(EVENT)) == 1  # the next try is later


async def test_when_switched_off_by_key_no_event_is_told() -> None:
    async with charger("1.6", variables={**QUICK, "SecurityEventNotificationEnabled": False}) as c:
        await c.ready()
        assert await trigger(c.csms, "Heartbeat") == "Accepted"
        await c.csms.hear("Heartbeat")
        assert c.csms.calls(EVENT) == []
        assert "StartupOfTheDevice" in c.log


# --- certificates ---


@BOTH
async def test_a_root_is_installed_listed_and_deleted(version: str) -> None:
    async with charger(version) as c:
        await c.ready()
        assert await installed(c.csms) == []
        assert await install(c.csms, ROOT.pem) == "Accepted"
        assert await installed(c.csms) == [hash_data(ROOT)]
        assert any("a root for the CSMS (Root A) until" in line for line in (await c.status())["certificates"])
        assert await delete(c.csms, ROOT) == "Accepted"
        assert await delete(c.csms, ROOT) == "NotFound"
        assert await installed(c.csms) == []
        assert "ReconfigurationOfSecurityParameters" in events(c.csms)


@BOTH
async def test_what_is_no_root_is_rejected(version: str) -> None:
    async with charger(version) as c:
        await c.ready()
        for pem in ("", "garbage", ROOT.pem[:-300], issue("old", days=(-9, -1)).pem, issue("leaf", ca=False).pem):
            assert await install(c.csms, pem) == "Rejected"
        assert await installed(c.csms) == []


@BOTH
async def test_a_certificate_of_our_own_outlives_a_restart_and_a_wrong_one_is_an_alarm(version: str) -> None:
    async with charger(version, variables={**QUICK, "CpoName": "Operator"}) as c:
        await c.ready()
        csr = await asks_to_sign(c.csms)
        assert await gives(c.csms, issue("CP", ROOT, ca=False).pem) == "Rejected"
        alarm = "InvalidChargePointCertificate" if version == "1.6" else "InvalidChargingStationCertificate"
        await c.csms.until(lambda: alarm in events(c.csms), "the alarm")
        assert await gives(c.csms, sign(csr, ROOT).pem) == "Accepted"
        await c.end()
        await c.start()
        assert any(line.startswith("our own certificate (CP)") for line in (await c.status())["certificates"])
        folder = Path(c.folder / "memory" / "certificates")
        assert {file.stat().st_mode & 0o777 for file in folder.rglob("*") if file.is_file()} == {0o600}
        assert "PRIVATE" not in c.log


@BOTH
async def test_a_certificate_that_comes_after_a_restart_is_taken(version: str) -> None:
    async with charger(version) as c:
        await c.ready()
        csr = await asks_to_sign(c.csms)
        await c.end()
        mark = c.csms.mark()
        await c.start()
        await c.csms.hear("BootNotification", mark)
        await eventually(lambda: _registered(c), "registered")
        assert await gives(c.csms, sign(csr, ROOT).pem) == "Accepted"


async def _deleted(csms: Csms, issued: Issued) -> bool:
    return await delete(csms, issued) == "Accepted"


async def _registered(c: Charger) -> bool:
    return bool((await c.status())["registration"] == "Accepted")


def demanding(root: Issued, folder: Path) -> ssl.SSLContext:
    """A server for 127.0.0.1 that wants to see a certificate of this authority's."""
    server = issue("127.0.0.1", root, ca=False, server="127.0.0.1")
    (folder / "server.pem").write_text(server.pem)
    (folder / "server.key").write_bytes(server.key_pem)
    (folder / "root.pem").write_text(root.pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    context.load_verify_locations(folder / "root.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def shown_to(csms: Csms) -> int:
    """The serial number of the certificate that the charger has shown."""
    assert csms._ws is not None
    found = csms._ws.transport.get_extra_info("ssl_object").getpeercert(binary_form=True)
    return der.fields(found).serial


@asynccontextmanager
async def secured(folder: Path) -> AsyncIterator[tuple[Charger, Csms]]:
    """A charger that got its root and its certificate over a bare line, and then went over to the third profile."""
    async with Csms("1.6", tls=demanding(ROOT, folder)) as secure, charger("1.6", variables=QUICK) as c:
        await c.ready()
        assert await install(c.csms, ROOT.pem) == "Accepted"
        leaf = sign(await asks_to_sign(c.csms), ROOT)
        assert await gives(c.csms, leaf.pem) == "Accepted"

        async def raised() -> bool:
            return await change(c.csms, "SecurityProfile", "3") == "Accepted"

        assert await change(c.csms, URL, secure.url) == "Accepted"
        await eventually(raised, "the link knows of the certificate")
        await secure.hear("BootNotification", timeout_s=30.0)
        assert shown_to(secure) == leaf.certificate.serial_number
        yield c, secure
        assert secure.wrong == []


async def test_a_charger_is_given_root_and_certificate_from_afar_and_renews_it(tmp_path: Path) -> None:
    async with secured(tmp_path) as (c, secure):
        await eventually(lambda: _registered(c), "registered")
        fresh = sign(await asks_to_sign(secure), ROOT)
        links = secure.links
        assert await gives(secure, fresh.pem) == "Accepted"
        await secure.until(lambda: secure.links > links, "the link is dialled with the new certificate", 30.0)
        assert shown_to(secure) == fresh.certificate.serial_number


async def test_lesson_19_a_certificate_that_the_server_refuses_gives_way_to_the_one_before(tmp_path: Path) -> None:
    async with secured(tmp_path) as (c, secure):
        await eventually(lambda: _registered(c), "registered")
        before = shown_to(secure)
        other = issue("Root B")
        assert await install(secure, other.pem) == "Accepted"
        strange = sign(await asks_to_sign(secure), other)
        mark = secure.mark()
        assert await gives(secure, strange.pem) == "Accepted"
        await secure.hear("BootNotification", mark, 30.0)
        assert shown_to(secure) == before
        assert "LinkReturned" in c.log


async def test_the_root_of_the_link_that_stands_cannot_be_deleted_from_afar(tmp_path: Path) -> None:
    async with secured(tmp_path) as (_c, secure):
        other = issue("Root B")
        assert await install(secure, other.pem) == "Accepted"
        assert await delete(secure, ROOT) == "Failed"
        await eventually(lambda: _deleted(secure, other), "the other root is known to be of no use")
        assert await installed(secure) == [hash_data(ROOT)]
