"""The life of the link: subprotocol, TLS and password, pings, cuts, and what must not get lost at a seam."""

from __future__ import annotations

import base64
import signal
import ssl
import subprocess
import time
from pathlib import Path

import pytest

from tests.conformance.csms import SILENCE, Csms
from tests.conformance.ledger import begun, change, charges, over, status, statuses
from tests.end_to_end.agent_helpers import IDENTITY, OTHER_CARD, charger, until

BOTH = pytest.mark.parametrize("version", ["1.6", "2.0.1"])


async def test_the_servers_choice_of_subprotocol_is_obeyed_and_remembered() -> None:
    csms = Csms("1.6")
    async with charger("2.0.1", "1.6", csms=csms) as c:
        await c.ready()
        assert csms.requests[0].headers["Sec-WebSocket-Protocol"] == "ocpp2.0.1, ocpp1.6"
        assert "chargePointModel" in csms.calls("BootNotification")[0]
        assert (await c.status())["protocol"] == "1.6"
        await c.end()
        mark = csms.mark()
        await c.start()
        await c.ready(mark)
        assert csms.requests[-1].headers["Sec-WebSocket-Protocol"] == "ocpp2.0.1, ocpp1.6"
        csms.versions = ("2.0.1",)  # the operator moves on; the charger follows without a restart
        mark = csms.mark()
        csms.cut()
        await csms.until(lambda: csms.version == "2.0.1", "the other version")
        await csms.hear("BootNotification", mark, reason="ApplicationReset")  # it is new to whoever speaks it
        mark = csms.mark()
        await c.do("plug-in")
        await csms.hear("StatusNotification", mark, connectorStatus="Occupied")
        await c.tap()
        assert (await begun(csms)).tag is not None


async def test_a_charge_that_began_in_one_version_is_told_to_its_end_in_the_other() -> None:
    """What waits is neutral: nothing is lost when the central system is replaced in between."""
    csms = Csms("1.6")
    async with charger("2.0.1", "1.6", csms=csms) as c:
        await c.ready()
        csms.cut(refuse=True)
        await until(lambda: "LinkDown" in c.log, "the link is gone")
        csms.versions = ("2.0.1",)
        await c.do("plug-in")
        await c.tap()
        await until(lambda: "refused: offline" in c.log, "strangers are refused offline")
        c.plan.variables["AllowOfflineTxForUnknownId"] = True
        c.write_config()
        assert c.process is not None
        c.process.send_signal(signal.SIGHUP)
        await until(lambda: "Reloaded" in c.log, "the variables are read again")
        await c.tap(OTHER_CARD)
        await c.charging()
        await c.do("unplug")
        await until(lambda: "TransactionEnded" in c.log, "the charge ends")
        csms.mend()
        await csms.until(lambda: csms.version == "2.0.1", "the other version")
        charge = await over(csms)
        assert charge.reason == "EVDisconnected"
        assert charge.ended_wh == pytest.approx(await c.meter_wh(), abs=0.5)


def certificates(folder: Path) -> ssl.SSLContext:
    """A CA and a server certificate for 127.0.0.1 under it, made by openssl."""

    def run(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    run("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=Test CA")
    run("req", *key, "-keyout", "s.key", "-out", "s.csr", "-subj", "/CN=127.0.0.1")
    (folder / "ext").write_text("subjectAltName=IP:127.0.0.1\n")
    sign = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "ext")
    run("x509", "-req", "-in", "s.csr", "-out", "s.pem", *sign)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "s.pem", folder / "s.key")
    return context


async def test_wss_with_a_ca_file_and_basic_authentication(tmp_path: Path) -> None:
    csms = Csms("2.0.1", tls=certificates(tmp_path))
    secret = 'password = "a:long&secret€"'
    async with charger("2.0.1", csms=csms, csms_lines=f'{secret}\nca_file = "{tmp_path}/ca.pem"') as c:
        await c.ready()
        name, _, word = csms.requests[0].headers["Authorization"].partition(" ")
        assert (name, base64.b64decode(word).decode()) == ("Basic", f"{IDENTITY}:a:long&secret€")
        assert "long&secret" not in c.log
        answer = await csms.call("GetVariables", {"getVariableData": [
            {"component": {"name": "SecurityCtrlr"}, "variable": {"name": "SecurityProfile"}}]})  # fmt: skip
        assert answer["getVariableResult"][0]["attributeValue"] == "2"


async def test_a_server_that_the_ca_file_does_not_vouch_for_is_not_spoken_to(tmp_path: Path) -> None:
    async with charger("2.0.1", csms=Csms("2.0.1", tls=certificates(tmp_path))) as c:
        await until(lambda: "LinkDown" in c.log, "the dial fails")
        assert "certificate" in (await c.status())["link"]["why"]
        assert c.csms.frames == []


@BOTH
async def test_the_ping_interval_changes_at_run_time(version: str) -> None:
    async with charger(version, variables={"WebSocketPingInterval": 0}) as c:
        await c.ready()
        assert c.csms.pings == 0
        assert await change(c.csms, "WebSocketPingInterval", "1") == "Accepted"
        await until(lambda: c.csms.pings >= 2, "two pings")
        assert await change(c.csms, "WebSocketPingInterval", "-1") == "Rejected"
        assert await change(c.csms, "WebSocketPingInterval", "0") == "Accepted"
        assert (await c.status())["link"]["rtt_s"] is not None


@BOTH
async def test_a_status_that_was_not_answered_before_the_cut_is_told_again(version: str) -> None:
    async with charger(version) as c:
        await c.ready()
        c.csms.on("StatusNotification", SILENCE)
        await c.do("plug-in")
        await status(c.csms, "Preparing" if version == "1.6" else "Occupied")
        c.csms.as_usual("StatusNotification")
        mark = c.csms.mark()
        c.csms.cut()
        await status(c.csms, "Preparing" if version == "1.6" else "Occupied", 1, mark)
        assert len(statuses(c.csms, 1, mark)) == 1


@BOTH
async def test_lesson_2_a_start_that_was_not_answered_before_the_cut_is_the_same_message_after_it(version: str) -> None:
    async with charger(version) as c:
        await c.ready()
        start = "StartTransaction" if version == "1.6" else "TransactionEvent"
        c.csms.on(start, SILENCE)
        await c.do("plug-in")
        await c.tap()
        await c.csms.hear(start)
        c.csms.cut()
        c.csms.as_usual(start)
        await begun(c.csms)
        sent = [f.message for f in c.csms.frames if not f.ours and f.message[2:3] == [start]]
        assert sent[0] == sent[1]
        assert len(charges(c.csms)) == 1


async def test_redials_are_spaced_also_after_handshakes_that_succeed_and_then_drop() -> None:
    csms = Csms("1.6")
    variables = {"RetryBackOffWaitMinimum": 1, "RetryBackOffRepeatTimes": 1}
    async with charger("1.6", csms=csms, variables=variables) as c:
        csms.on("BootNotification", SILENCE)
        times: list[float] = []
        for link in range(1, 4):
            await csms.until(lambda link=link: csms.links >= link, f"link {link}")  # type: ignore[misc]
            times.append(time.monotonic())
            csms.cut()
        assert times[1] - times[0] >= 0.9
        assert times[2] - times[1] >= 1.8
        assert c.process is not None and c.process.returncode is None
