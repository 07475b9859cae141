"""Signing meters, over real sockets: signatures that hold, restarts, power cuts, and meters that do not sign."""

from __future__ import annotations

import socket
from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from drivers.api import DriverError, IdToken, Measurand, Phase, Sample, SignedData, SignedSession, SignsMeterData
from drivers.bus import Policy, TcpSettings
from drivers.registry import find
from drivers.signed import em580, ocmf, session, wm3m4
from drivers.simulated.hardware import SimulatedHardware
from drivers.simulated.plan import SimBus, SimEvse, SimStation, SimUnit
from drivers.simulated.signed import Signer
from drivers.wire import make_bus
from tests.drivers.ocmf_proof import proved

UTC = 1_800_000_000.0
CARD = IdToken("04A1B2C3D4E5F6")
MINE = SignedSession("a1-1-7", CARD, "CP001 1", UTC, 60)
OTHER = SignedSession("a1-1-8", IdToken("99887766", "Central"), "CP001 1", UTC, 60)
METERS = ("em580", "wm3m4")


class Rig:
    def __init__(self, hw: SimulatedHardware, meter: Any, anew: Any) -> None:
        self.hw, self.meter, self.anew = hw, meter, anew

    @property
    def signer(self) -> Signer:
        found: Signer = self.hw.hands.meters[1].signer  # type: ignore[attr-defined]
        return found


@asynccontextmanager
async def rigged(name: str) -> AsyncIterator[Rig]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    plan = SimStation(
        buses=(SimBus("lan", tcp_port=port),),
        evses=(SimEvse(1, SimUnit("reference", "lan", 1), SimUnit(name, "lan", 33)),),
        latency_s=(0.0, 0.001),
    )
    async with SimulatedHardware(plan) as hw:
        bus = make_bus(TcpSettings("127.0.0.1", port), Policy(timeout_s=0.5, quarantine_s=0.0))

        def anew() -> Any:
            return find(name)(bus=bus, unit=33)

        yield Rig(hw, anew(), anew)
        await bus.close()


@pytest.fixture(params=METERS)
async def rig(request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    async with rigged(request.param) as rig:
        yield rig


def payload(data: SignedData | None, key: str) -> dict[str, Any]:
    assert data is not None
    assert data.public_key == key
    return proved(data.text, key)


async def test_a_session_is_signed_with_what_was_counted_from_begin_to_end(rig: Rig) -> None:
    assert isinstance(rig.meter, SignsMeterData)
    await rig.hw.do("meter", evse=1, wh=5000.0)
    await rig.meter.begin(MINE)
    await rig.hw.do("meter", evse=1, wh=7500.0)
    ended = await rig.meter.end(MINE)
    told = payload(ended, await rig.meter.public_key())
    assert [reading["RV"] for reading in told["RD"]] == [5.0, 7.5]
    assert [reading["TX"] for reading in told["RD"]] == ["B", "E"]


async def test_a_session_says_whose_it_is_and_where(rig: Rig) -> None:
    await rig.meter.begin(MINE)
    told = payload(await rig.meter.end(MINE), await rig.meter.public_key())
    assert (told["IS"], told["IT"], told["ID"]) == (True, "ISO14443", CARD.value)
    assert (told["CT"], told["CI"]) == ("CBIDC", "CP001 1")


async def test_the_meter_has_the_time_that_it_was_given(rig: Rig) -> None:
    await rig.meter.begin(MINE)
    told = payload(await rig.meter.end(MINE), await rig.meter.public_key())
    assert told["RD"][0]["TM"].startswith("2027-01-15T08:00:0")


async def test_the_method_is_the_one_that_the_meter_signs_by(rig: Rig) -> None:
    await rig.meter.begin(MINE)
    curve = {"em580": "brainpool256r1", "wm3m4": "secp256r1"}[type(rig.meter).__name__.lower()]
    assert (await rig.meter.end(MINE)).method == f"ECDSA-{curve}-SHA256"


async def test_only_the_meter_of_iskra_signs_the_beginning() -> None:
    async with rigged("em580") as rig:
        assert await rig.meter.begin(MINE) is None
    async with rigged("wm3m4") as rig:
        begun = payload(await rig.meter.begin(MINE), await rig.meter.public_key())
        assert [reading["TX"] for reading in begun["RD"]] == ["B"]


async def test_a_forged_text_is_found_out(rig: Rig) -> None:
    await rig.meter.begin(MINE)
    ended = await rig.meter.end(MINE)
    with pytest.raises(AssertionError):
        proved(ended.text.replace('"RV":', '"RV":9'), ended.public_key)


async def test_after_a_restart_an_open_session_is_ended_as_if_nothing_had_been(rig: Rig) -> None:
    await rig.meter.begin(MINE)
    told = payload(await rig.anew().end(MINE), await rig.meter.public_key())
    assert told["ID"] == CARD.value


async def test_the_result_is_told_again_when_it_was_not_stored(rig: Rig) -> None:
    await rig.meter.begin(MINE)
    first = await rig.meter.end(MINE)
    assert (await rig.anew().end(MINE)).text == first.text


async def test_an_old_session_gives_way_to_a_new_one(rig: Rig) -> None:
    await rig.meter.begin(OTHER)
    await rig.anew().begin(MINE)
    told = payload(await rig.meter.end(MINE), await rig.meter.public_key())
    assert told["ID"] == CARD.value


async def test_an_old_result_gives_way_to_a_new_session(rig: Rig) -> None:
    await rig.meter.begin(OTHER)
    await rig.meter.end(OTHER)
    await rig.meter.begin(MINE)
    assert payload(await rig.meter.end(MINE), await rig.meter.public_key())["ID"] == CARD.value


async def test_the_result_of_another_session_is_never_taken_for_ours(rig: Rig) -> None:
    await rig.meter.begin(OTHER)
    await rig.meter.end(OTHER)
    with pytest.raises(DriverError, match="another"):
        await rig.meter.end(MINE)


async def test_what_was_never_begun_cannot_be_ended(rig: Rig) -> None:
    with pytest.raises(DriverError, match="holds no signed session"):
        await rig.meter.end(MINE)


async def test_a_power_cut_in_the_middle_leaves_a_session_that_can_be_ended(rig: Rig) -> None:
    await rig.hw.do("meter", evse=1, wh=5000.0)
    await rig.meter.begin(MINE)
    await rig.hw.do("power", to="fail")
    with pytest.raises(DriverError):
        await rig.meter.read()
    await rig.hw.do("power", to="restore")
    told = payload(await rig.anew().end(MINE), await rig.anew().public_key())
    assert told["RD"][0]["RV"] == 5.0
    assert told["RD"][-1]["TX"] in ("E", "P")


async def test_a_meter_that_never_signs_is_not_waited_for_without_end(rig: Rig, monkeypatch: Any) -> None:
    for module in (em580, wm3m4):
        monkeypatch.setattr(module, "SIGN_S", 0.3)
    await rig.meter.begin(MINE)
    rig.signer.stuck = True
    with pytest.raises(DriverError, match=r"signing takes more than 0\.3 s"):
        await rig.meter.end(MINE)


async def test_a_meter_that_refuses_to_begin_says_so(rig: Rig) -> None:
    rig.signer.refuses = 132
    with pytest.raises(DriverError, match=r"measurement is not valid|does not begin"):
        await rig.meter.begin(MINE)


async def test_a_meter_without_the_time_refuses_where_it_must() -> None:
    async with rigged("wm3m4") as rig:
        with pytest.raises(DriverError, match="its clock is not set"):
            await rig.meter.begin(SignedSession("a1-1-7", CARD, "CP001 1", None))


async def test_a_meter_that_is_set_up_not_to_sign_has_no_key() -> None:
    async with rigged("em580") as rig:
        rig.signer.signature_type = 2  # type: ignore[attr-defined]
        with pytest.raises(DriverError, match="set up not to sign"):
            await rig.meter.public_key()


async def test_the_key_is_der_of_a_public_key(rig: Rig) -> None:
    assert b64decode(await rig.meter.public_key()) == rig.signer.public_der()


async def test_a_meter_that_was_exchanged_tells_its_own_key(rig: Rig) -> None:
    before = await rig.meter.public_key()
    rig.signer._private = None  # another one stands in its place
    await rig.meter.number()  # which is asked at each connect
    assert await rig.meter.public_key() not in ("", before)


async def test_the_packed_values_of_iskra_are_in_si_units() -> None:
    async with rigged("wm3m4") as rig:
        await rig.hw.do("meter", evse=1, wh=12345.6, rate_w=7200.0)
        samples = {(s.measurand, s.phase): s.value for s in await rig.meter.read()}
        assert samples[Measurand.ENERGY_ACTIVE_IMPORT_REGISTER, None] == pytest.approx(12345.6, abs=0.5)
        assert samples[Measurand.POWER_ACTIVE_IMPORT, None] == pytest.approx(7200.0)
        assert samples[Measurand.VOLTAGE, Phase.L2_N] == pytest.approx(231.2, rel=0.02)
        assert samples[Measurand.FREQUENCY, None] == pytest.approx(50.0, rel=0.01)
        assert await rig.meter.identity() == "Iskra WM3M4, serial number SIM0WM3"
        assert await rig.meter.number() == "SIM0WM3"


async def test_the_values_of_the_other_come_by_its_map() -> None:
    async with rigged("em580") as rig:
        await rig.hw.do("meter", evse=1, wh=12345.0)
        assert Sample(Measurand.ENERGY_ACTIVE_IMPORT_REGISTER, 12345.0) in await rig.meter.read()


# --- without a device ---


@pytest.mark.parametrize(
    "text",
    [
        "",
        "OCMF|{}",
        "OCMF|{}|{}",
        "XCMF|{}|{}",
        'OCMF|{"RD":[|{"SD":"00"}',
        'OCMF|{}|{"SD":1}',
        "OCMF|[]|[]",
        "x" * 5000,
    ],
)
def test_what_is_no_whole_ocmf_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is |holds "):
        ocmf.parse(text)


@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        ("3006020101020102", "3006020101020102"),
        ("300802020001020200" + "02", "3006020101020102"),
        ("300702020080020101", "300702020080020101"),
    ],
)
def test_superfluous_zeros_leave_a_signature(written: str, wanted: str) -> None:
    assert wm3m4.tidy_der(bytes.fromhex(written)).hex() == wanted


@pytest.mark.parametrize("broken", ["", "3006", "3006020101020101ff", "3106020101020102", "30060201ff0303ff"])
def test_what_is_no_signature_is_refused(broken: str) -> None:
    with pytest.raises(ValueError, match="no ECDSA signature"):
        wm3m4.tidy_der(bytes.fromhex(broken))


def test_no_card_can_break_out_of_the_metadata() -> None:
    text = wm3m4.metadata(SignedSession("t", IdToken('0|"4}\n\\é'), "CP 1", UTC))
    assert "|" not in text
    assert len(text) < wm3m4.MAX_METADATA


def test_a_card_is_not_shown_by_what_was_signed() -> None:
    assert CARD.value not in repr(SignedData(f'OCMF|{{"ID":"{CARD.value}"}}|'))
    assert session.READ_WORDS <= 50
