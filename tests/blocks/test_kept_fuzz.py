"""Whatever the store remembers, however it came there: a station starts with it, lives, and gives no power for it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.blocks.assembly import assemble
from agent.blocks.station import Station
from agent.core import requests as r
from agent.core.effects import Effect, Forget, Note, Offer, Record
from agent.core.events import (
    BootAnswered,
    Event,
    EvseRead,
    LinkDown,
    LinkUp,
    MeterRead,
    OpenTransaction,
    Restored,
    Tick,
    TokenPresented,
)
from agent.core.evse import EvseLimits
from agent.core.firmware import FirmwareSeen, UpdatePolicy
from agent.core.network import FileLink, Links, Profile
from agent.core.types import ClockQuality, Instant, Registration, TxKind, VariableId
from drivers.api import EvseReading, IdToken, Measurand, Pilot, Sample

UTC = 1_800_000_000.0
REF = r.Ref("1", "Fuzz")
AT = [900.0, UTC - 100, 2, "b"]
TOKEN = ["AA", "ISO14443"]
PERIODS = [[0, 16.0, 3], [60, 10.0, None]]
PROFILE = {
    "id": 1,
    "stack_level": 0,
    "purpose": "TxDefaultProfile",
    "kind": "Recurring",
    "unit": "A",
    "periods": PERIODS,
    "recurrency": "Daily",
    "start": UTC - 50,
    "duration_s": 600,
    "valid_to": UTC + 1e6,
}
STATION_MAX = {"id": 2, "stack_level": 0, "purpose": "ChargingStationMaxProfile", "kind": "Absolute", "unit": "W"}
SLOT = {
    "url": "ws://other/",
    "identity": "CP",
    "password": "x" * 16,
    "form": "text",
    "versions": "OCPP16",
    "security": 1,
}
PLAN = {"slots": {"1": {**SLOT, "mark": "m", "utc": UTC}, "3": {**SLOT, "mark": ""}}, "priority": [3, 1], "floor": 0}
UPDATE = {
    "number": 3,
    "request_id": 7,
    "signed": True,
    "status": "Downloading",
    "tries": 1,
    "begun": 1,
    "installs": 0,
    "reboots": 0,
    "before": "1",
    "target": "2",
    "boot": "b",
    "phase": "fetching",
    "activation": "reboot",
}
ORDER = {
    "location": "http://x/f",
    "retrieve_at": UTC,
    "install_at": None,
    "retries": 3,
    "retry_interval_s": 9,
    "request_id": 7,
    "certificate": "c",
    "signature": "s",
}
UPLOAD = {
    "number": 2,
    "kind": "Security",
    "location": "http://x/",
    "name": "n.log",
    "tries": 2,
    "retry_s": 60.0,
    "request_id": None,
    "oldest": None,
    "latest": UTC,
    "begun": True,
}
READING = {"at": AT, "context": "Sample.Periodic", "samples": [["Voltage", 230.0, "L1"]]}
SNAPSHOT = {
    "evse": 2,
    "started_at": AT,
    "started_wh": 4000,
    "token": TOKEN,
    "group": None,
    "remote_start_id": 1,
    "reservation_id": None,
    "begin": READING,
    "stop": None,
    "leaving": ["Remote", "RemoteStop", TOKEN],
    "withheld": False,
    "energy_limit_wh": None,
    "signed": ["open", ["a", "b", "c", "d"]],
    "key_told": True,
}
GOOD: Mapping[str, Mapping[str, Any]] = {
    "variables": {"TxCtrlr.EVConnectionTimeOut": "60", "SecurityCtrlr.OrganizationName": "x"},
    "boot": {"reason": "RemoteReset"},
    "counters": {"transactions": 4},
    "open": {"f-1": SNAPSHOT},
    "ended_samples": {"f-1/1": READING, "f-1/2": READING, "f-0/1": READING},
    "finished": {"1": True},
    "availability": {"0": True, "1": False},
    "auth_cache": {"aa": {"status": "Accepted", "group": TOKEN, "expires": UTC + 9, "learnt": UTC - 9}},
    "local_list": {"bb": ["Accepted", UTC + 9, TOKEN], "cc": ["Blocked", None, None]},
    "local_list_state": {"version": [3, 2]},
    "reservations": {
        "5": {"token": TOKEN, "group": TOKEN, "expires": UTC + 300, "evse": 1, "made": UTC - 9},
        "6": {"token": TOKEN, "group": None, "expires": UTC + 300, "evse": 0, "made": None},
    },
    "profiles": {
        "1": {"evse": 1, "transaction": "", "profile": PROFILE},
        "2": {"evse": 0, "transaction": "", "profile": STATION_MAX | {"start": UTC, "periods": PERIODS}},
    },
    "schedules_began": {"1": ["t-1", *AT]},
    "firmware": {"state": UPDATE, "order": ORDER, "untold": [["Downloading", 7, True], ["Idle", None, False]]},
    "diagnostics": {"upload": UPLOAD, "telling": [["Uploading", None, False], ["Uploaded", 3, True]]},
    "security_log": {"1": ["StartupOfTheDevice", "power was lost", AT]},
    "security_queue": {"1": ["StartupOfTheDevice", "power was lost", AT]},
    "certificates": {"signing": 1},
    "certificate_alarms": {"abc": "soon"},
    "network": {"plan": PLAN, "wanted": PLAN | {"starts": 1}, "forms": {"1": "hex"}},
}
JSON = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.sampled_from([0, 1, -1, 2, 99, 2**70, -(2**70), 10**400, 1.5, 1e300, float("nan"), float("inf"), UTC]),
        st.sampled_from(["", "x", "1", "0", "-1", "1e9", "OCPP21", "hex", "Accepted", "waiting", "é\n", "9" * 5000]),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.sampled_from(["a", "1", "slots"]), inner)),
    max_leaves=5,
)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every place within, as the container and the key."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, part in list(inside) for place in ((value, key), *places(part))]


@st.composite
def damaged(draw: st.DrawFn) -> dict[str, dict[str, Any]]:
    """What a station remembers, with up to four places changed, lost, renamed or added."""
    tables: dict[str, dict[str, Any]] = deepcopy({name: dict(rows) for name, rows in GOOD.items()})
    for _ in range(draw(st.integers(1, 4))):
        found = [place for rows in tables.values() for place in places(rows)]
        container, key = found[draw(st.integers(0, len(found) - 1))]
        how = draw(st.sampled_from(["change", "change", "change", "lose", "rename"]))
        if how == "change":
            container[key] = draw(JSON)
        elif how == "lose":
            del container[key]
        elif isinstance(container, dict):
            container[draw(st.sampled_from(["x", "", "-1", "2", "99", "1.5", "٣", "9" * 5000]))] = container.pop(key)
    return tables


FILE = Links((FileLink(Profile("ws://file/", "CP", 1), "m"),), ("OCPP16", "OCPP201"))


class Run:
    def __init__(self, tables: Mapping[str, Mapping[str, Any]]) -> None:
        limits = [EvseLimits(n, 32.0) for n in (1, 2)]
        policy = UpdatePolicy(installer=True)
        self.station: Station = assemble(limits, prefix="f", links=FILE, updates=policy)
        self.mono, self.utc, self.effects = 1000.0, UTC, list[Effect]()
        found = (OpenTransaction(key, 3, value, "7", 4500) for key, value in tables.get("open", {}).items())
        self.feed(Restored(tables, tuple(found), True))

    def feed(self, *events: Event) -> None:
        for event in events:
            now = Instant(self.mono, self.utc, ClockQuality.SYNCED, "b")
            self.effects += self.station.handle(event, now)

    def wait(self, seconds: float) -> None:
        end = self.mono + seconds
        for _ in range(2000):
            at = self.station.next_deadline()
            if at is None or at > end:
                break
            assert at == at  # no NaN
            self.utc, self.mono = self.utc + max(0.0, at - self.mono), max(at, self.mono)
            self.feed(Tick())
        else:
            raise AssertionError("a deadline comes for ever")
        self.utc, self.mono = self.utc + end - self.mono, end

    def live(self) -> None:
        meter = (Sample(Measurand.ENERGY_ACTIVE_IMPORT_REGISTER, 5000.0),)
        idle = EvseReading(Pilot.A, False, cable_a=0.0)
        for evse in (1, 2):
            self.feed(EvseRead(evse, idle), MeterRead(evse, meter))
        self.feed(FirmwareSeen("1"), LinkUp(), BootAnswered(Registration.ACCEPTED, 300.0, self.utc))
        self.wait(5)
        self.feed(TokenPresented((1, 2), IdToken("AA")), TokenPresented((1, 2), IdToken("BB")))
        self.feed(r.VariablesRequested(REF, None), r.LocalListRequested(REF), r.ScheduleRequested(REF, 1, 600))
        self.feed(r.ReserveRequested(REF, 5, UTC + 900, IdToken("AA"), 2), r.LogRequested(REF, "Security", "http://x/"))
        for word in ("Firmware", "SignedFirmware", "Diagnostics", "Log", "Status", "SignCertificate"):
            self.feed(r.TriggerRequested(REF, word))
        write = r.VariableWrite(VariableId("SecurityCtrlr", "BasicAuthPassword"), "y" * 20)
        self.feed(r.VariablesSetRequested(REF, (write,)), LinkDown())
        self.wait(200_000)


@settings(
    max_examples=600,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(damaged())
def test_nothing_that_is_remembered_ends_the_process_or_gives_power(tables: dict[str, dict[str, Any]]) -> None:
    run = Run(json.loads(json.dumps(tables)))
    run.live()
    assert not any(isinstance(effect, Offer) and effect.current_a > 0 for effect in run.effects)


@pytest.mark.parametrize("table", sorted(GOOD))
def test_what_is_sound_is_not_forgotten(table: str) -> None:
    run = Run({table: GOOD[table]})
    lost = [e for e in run.effects if isinstance(e, Note) and e.code in ("Unreadable", "ProfileForgotten")]
    assert lost == []


@pytest.mark.parametrize("table", ["auth_cache", "local_list", "reservations", "security_log", "availability"])
def test_a_row_that_cannot_be_read_is_forgotten_with_one_line_for_all(table: str) -> None:
    run = Run({table: {"x": {"a": 1}, "y": ["?"], **GOOD[table]}})
    assert {e.key for e in run.effects if isinstance(e, Forget) and e.table == table} == {"x", "y"}
    assert [e.code for e in run.effects if isinstance(e, Note)].count("Unreadable") == 1


@pytest.mark.parametrize("snapshot", [{}, SNAPSHOT | {"stop": ["Nap", "?", None]}, SNAPSHOT | {"evse": "2"}])
def test_an_open_transaction_that_cannot_be_read_is_ended_with_what_the_journal_knows(snapshot: object) -> None:
    run = Run({"open": {"f-1": snapshot}})
    (ended,) = [e.event for e in run.effects if isinstance(e, Record)]
    told = (ended.transaction, ended.kind, ended.seq, ended.energy_wh)
    assert told == ("f-1", TxKind.ENDED, 3, 4500)
    assert Forget("open", "f-1") in run.effects


def test_a_signed_transaction_can_be_ended_where_no_meter_signs_any_more() -> None:
    """Signing was taken out of the configuration while it ran."""
    run = Run({"open": {"f-1": SNAPSHOT}})
    run.live()
    assert [e.event.kind for e in run.effects if isinstance(e, Record)][-1] is TxKind.ENDED
