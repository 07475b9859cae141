"""Central systems that want something told otherwise, over a real socket: without the quirk they have something to
complain about, with it they have not. Each complaint is read from the frames of one whole charge.
"""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.conformance.csms import Csms, Payload, Refusal
from tests.conformance.ledger import begun, over, remote_start, status, trigger
from tests.end_to_end.agent_helpers import CARD, Charger, charger, until

pytestmark = pytest.mark.asyncio(loop_scope="module")
ABOUT = '[about]\nversion = 1\nwhat = "a test"\nsource = "this file"\n'
MANY = """[words]
token_case = "lower"
measurands = ["Energy.Active.Import.Register", "Current.Import", "Power.Active.Import"]
values_at_most = 2
no_phases = true
whole_values = true
no_format = true
no_fractions = true
no_connector_0 = true
not_sent = ["FirmwareStatusNotification", "SecurityEventNotification"]
stop_reason = "local-omitted"
[lengths]
vendorErrorCode = 3
"""
KNOWN = ("Energy.Active.Import.Register", "Current.Import", "Power.Active.Import")
BOTH = ("1.6", "2.0.1")


# --- what such a central system complains about ---------------------------------------------------------------------


def sent(csms: Csms) -> Iterator[tuple[str, Payload]]:
    """All that the charger said: calls by their action, answers by none."""
    for frame in csms.frames:
        if not frame.ours and frame.message[0] == 2:
            yield frame.message[2], frame.message[3]
        elif not frame.ours and frame.message[0] == 3:
            yield "", frame.message[2]


def readings(csms: Csms) -> Iterator[list[Payload]]:
    for _action, payload in sent(csms):
        for member in ("meterValue", "transactionData"):
            yield from (value["sampledValue"] for value in payload.get(member, ()))


def samples(csms: Csms) -> Iterator[Payload]:
    return (sample for values in readings(csms) for sample in values)


def tokens(csms: Csms) -> list[str]:
    old = [p["idTag"] for _action, p in sent(csms) if "idTag" in p]
    return old + [p["idToken"]["idToken"] for _action, p in sent(csms) if "idToken" in p]


def fractions(node: Any) -> list[str]:
    """Every time with a fraction of a second, however deep."""
    if isinstance(node, str):
        return [node] if re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", node) else []
    inner = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    return [found for item in inner for found in fractions(item)]


COMPLAINTS: dict[str, tuple[tuple[str, ...], Callable[[Csms], list[Any]]]] = {
    "a token in capitals": (BOTH, lambda c: [t for t in tokens(c) if t != t.lower()]),
    "a measurand that it does not know": (BOTH, lambda c: [s for s in samples(c) if s["measurand"] not in KNOWN]),
    "three values in one reading": (BOTH, lambda c: [values for values in readings(c) if len(values) > 2]),
    "a phase": (BOTH, lambda c: [s for s in samples(c) if "phase" in s]),
    "a value with a fraction": (BOTH, lambda c: [s for s in samples(c) if "." in str(s["value"])]),
    "a format": (("1.6",), lambda c: [s for s in samples(c) if "format" in s]),
    "a fraction of a second": (BOTH, lambda c: fractions([payload for _action, payload in sent(c)])),
    "connector 0": (("1.6",), lambda c: [p for p in c.calls("StatusNotification") if p["connectorId"] == 0]),
    "a firmware status": (("1.6",), lambda c: c.calls("FirmwareStatusNotification")),
    "a security event": (BOTH, lambda c: c.calls("SecurityEventNotification")),
    "the reason Local": (("1.6",), lambda c: [p for p in c.calls("StopTransaction") if p.get("reason") == "Local"]),
    "a long vendorErrorCode": (
        ("1.6",), lambda c: [p for p in c.calls("StatusNotification") if len(p.get("vendorErrorCode", "")) > 3]
    ),
}  # fmt: skip
CASES = [(version, what) for what, (versions, _look) in COMPLAINTS.items() for version in versions]


# --- one charge without quirks and one with them ---------------------------------------------------------------------


def quirks(folder: Path, text: str) -> str:
    """The lines of [csms] that put these words in force."""
    (folder / "quirks").mkdir(exist_ok=True)
    (folder / "quirks" / "test.toml").write_text(ABOUT + text)
    return f'quirks = ["test"]\nquirks_dir = "{folder}/quirks"'


async def whole_charge(version: str, lines: str) -> Csms:
    """A card, a charge, the same card again, a fault, and some questions; what the central system saw of it."""
    async with charger(version, csms_lines=lines) as c:
        await c.ready()
        await trigger(c.csms, "FirmwareStatusNotification")
        await c.do("plug-in")
        await c.tap()
        await begun(c.csms)
        await c.charging()
        await c.csms.call("GetCompositeSchedule", {"connectorId" if version == "1.6" else "evseId": 1, "duration": 60})
        mark = c.csms.mark()
        await c.csms.hear("MeterValues" if version == "1.6" else "TransactionEvent", mark)
        await c.tap()
        await over(c.csms)
        mark = c.csms.mark()
        await c.do("fault", name="ground")
        await status(c.csms, "Faulted", 1, mark)
        await trigger(c.csms, "StatusNotification")
        await trigger(c.csms, "Heartbeat")
        await c.csms.hear("Heartbeat", mark)
        await c.delivered()
        return c.csms


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def seen(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[dict[tuple[str, bool], Csms]]:
    lines = quirks(tmp_path_factory.mktemp("many"), MANY)
    kinds = [(version, quirky) for version in BOTH for quirky in (False, True)]
    found = await asyncio.gather(*(whole_charge(version, lines if quirky else "") for version, quirky in kinds))
    yield dict(zip(kinds, found, strict=True))


@pytest.mark.parametrize(("version", "what"), CASES)
async def test_a_quirk_leaves_nothing_to_complain_about(
    seen: dict[tuple[str, bool], Csms], version: str, what: str
) -> None:
    _versions, complaints = COMPLAINTS[what]
    assert complaints(seen[version, False]), f"without the quirk this says nothing: {what}"
    assert complaints(seen[version, True]) == []


@pytest.mark.parametrize("version", BOTH)
async def test_with_every_quirk_the_bill_is_the_same(seen: dict[tuple[str, bool], Csms], version: str) -> None:
    charge = await over(seen[version, True])
    assert charge.tag == CARD.lower()
    assert charge.ended_wh > charge.started_wh


# --- what does not show in the messages themselves -------------------------------------------------------------------


async def test_a_csms_that_closes_quiet_links_hears_heartbeats(tmp_path: Path) -> None:
    async def links(lines: str) -> int:
        """How many links it took until the fourth heartbeat, or until the second link."""
        async with charger("1.6", csms_lines=lines) as c:
            watch = asyncio.ensure_future(_closes_when_quiet(c.csms, 3.0))
            await c.ready()
            await c.csms.until(lambda: c.csms.links > 1 or len(c.csms.calls("Heartbeat")) == 4, "a sign of life")
            watch.cancel()
            return c.csms.links

    assert await links("") == 2
    assert await links(quirks(tmp_path, "[words]\nlongest_silence_s = 1\n")) == 1


async def _closes_when_quiet(csms: Csms, after_s: float) -> None:
    """Ends the link when no frame has come for so long; pings do not count."""
    while True:
        count = len(csms.frames)
        await asyncio.sleep(after_s)
        if csms.frames and len(csms.frames) == count:
            csms.cut()


async def test_a_csms_that_limits_messages_hears_them_at_its_pace(tmp_path: Path) -> None:
    async def told_in_s(lines: str) -> float:
        """From the first to the last of eight calls that all want to be told at once."""
        async with charger("1.6", csms_lines=lines, evses=2) as c:
            await c.ready()
            mark = c.csms.mark()
            await asyncio.gather(*(trigger(c.csms, "Heartbeat") for _ in range(8)))
            await c.csms.until(lambda: len(c.csms.calls("Heartbeat", mark)) == 8, "eight heartbeats")
            times = [f.at for f in c.csms.frames[mark:] if not f.ours and f.message[2:3] == ["Heartbeat"]]
            return times[-1] - times[0]

    paced_s = await told_in_s(quirks(tmp_path, "[words]\nmessages_per_s = 5\n"))
    assert paced_s > 1.1  # 1.4, less what the first of them was late
    assert await told_in_s("") < paced_s


async def test_a_csms_that_keeps_keys_in_hex_gets_their_bytes() -> None:
    key = "00112233445566778899AABBCCDDEEFF"

    async def password(lines: str) -> bytes:
        async with charger("1.6", csms_lines=f'password = "{key}"\n{lines}') as c:
            await c.ready()
            return base64.b64decode(c.csms.requests[0].headers["Authorization"].split()[1]).partition(b":")[2]

    assert await password("") == key.encode()
    assert await password('quirks = ["hex-password"]') == bytes.fromhex(key)


async def test_a_csms_that_wants_to_be_asked_about_its_own_starts_is_asked() -> None:
    async def asked(lines: str) -> list[Payload]:
        async with charger("1.6", csms_lines=lines) as c:
            await c.ready()
            await c.do("plug-in")
            assert await remote_start(c.csms, "REMOTE1") == "Accepted"
            await begun(c.csms)
            return c.csms.calls("Authorize")

    assert await asked("") == []
    assert await asked('quirks = ["asks-before-remote-start"]') == [{"idTag": "REMOTE1"}]


LONG = "DE-8AA-CA2B3C4D5-TOKEN-OF-36-LETTERS"


async def test_a_csms_with_long_tokens_may_start_with_them_and_hears_them_whole() -> None:
    async def started(lines: str) -> str:
        async with charger("1.6", csms_lines=lines) as c:
            await c.ready()
            await c.do("plug-in")
            try:
                await remote_start(c.csms, LONG)
            except Refusal as refusal:
                return refusal.why
            tag = str((await begun(c.csms)).tag)
            c.csms.wrong.clear()  # the schema says 20, and that is what this is about
            return tag

    assert await started("") == "idTag must be at most 20 characters"
    assert await started('quirks = ["long-tokens"]') == LONG


async def test_a_csms_that_takes_only_hex_for_cards_gets_others_as_local() -> None:
    async def kind(lines: str) -> str:
        async with charger("2.0.1", csms_lines=lines) as c:
            await c.ready()
            await c.do("plug-in")
            token = {"idToken": "no hex", "type": "ISO14443"}
            await c.csms.call("RequestStartTransaction", {"idToken": token, "remoteStartId": 1, "evseId": 1})
            return str((await begun(c.csms)).started["idToken"]["type"])

    assert await kind("") == "ISO14443"
    assert await kind('quirks = ["hex-card-tokens"]') == "Local"


async def test_a_reload_takes_quirks_up_and_status_names_them() -> None:
    async with charger("1.6") as c:
        await c.ready()
        assert (await c.status())["quirks"] == []
        c.plan.csms_lines = 'quirks = ["upper-case-tokens", "rate-limited"]'
        c.write_config()
        await _reload(c)
        assert (await c.status())["quirks"] == ["upper-case-tokens (version 1)", "rate-limited (version 1)"]


async def _reload(c: Charger) -> None:
    import signal

    assert c.process is not None
    c.process.send_signal(signal.SIGHUP)
    await until(lambda: "Reloaded" in c.log, "the configuration is read again")
