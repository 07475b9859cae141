"""Any sequence of events, absurd ones included: the station never raises, settles, keeps its safety rules, numbers the
journal of each transaction without gaps, arms no deadline that comes for ever, and does the same when it is replayed.
"""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.blocks.assembly import assemble
from agent.blocks.holds import fits
from agent.blocks.reservation import Reservations
from agent.blocks.station import Station
from agent.core import requests as r
from agent.core.effects import Ask, Authorize, Boot, Effect, Heartbeat, Record, Status
from agent.core.events import (
    BootAnswered,
    CallFailed,
    DeviceFound,
    DeviceLost,
    Event,
    EvseRead,
    HeartbeatAnswered,
    LinkDown,
    LinkUp,
    MeterRead,
    QueueEmptied,
    QueueFilled,
    Restored,
    SamplesThinned,
    Stopping,
    StorageFailed,
    StorageRecovered,
    Tick,
    TokenAnswered,
    TokenPresented,
    TransactionAnswered,
    UnlockDone,
)
from agent.core.evse import CONNECTED, EvseLimits
from agent.core.profile import Kind, Period, Profile, Purpose, Recurrency
from agent.core.technician import Ordered, RetryHere, ServiceHere, StartHere, StopHere, UnlockHere, WriteHere
from agent.core.types import (
    ClockQuality,
    Instant,
    ListEntry,
    Registration,
    ResetKind,
    TokenInfo,
    TokenStatus,
    TransactionEvent,
    TxKind,
    VariableId,
)
from agent.core.vendor import VendorAnswered
from drivers.api import EvseReading, Fault, IdToken, Measurand, Pilot, Sample, StopButton

REF = r.Ref("1", "Fuzz")
TOKENS = st.sampled_from([IdToken("AA"), IdToken("aa", "Central"), IdToken("BB"), IdToken(""), IdToken("C" * 300)])
ABSURD = st.sampled_from([float("nan"), float("inf"), float("-inf"), -1.0, 0.0, 1e30, 1e300, 5000.0])
NUMBERS = st.one_of(ABSURD, st.floats(0, 1e6))
UTC = st.one_of(st.none(), st.sampled_from([-6e10, 0.0, 1_800_000_000.0, 2e11]), st.floats(1.7e9, 1.9e9))
INFOS = st.builds(TokenInfo, st.sampled_from(TokenStatus), st.one_of(st.none(), TOKENS), UTC)
MANY = st.integers(-(2**62), 2**62)
EVSE = st.sampled_from([1, 2])
NAMED = st.one_of(st.none(), st.sampled_from([-1, 0, 1, 2, 3]))
NAMES = st.sampled_from(["f-1-1", "f-2-2", "7", "", "-1"])
PERIODS = st.lists(st.builds(Period, st.integers(-5, 10**12), NUMBERS, NAMED), max_size=3).map(tuple)
PROFILES = st.builds(
    Profile,
    MANY,
    st.integers(-1, 11),
    st.sampled_from(Purpose),
    st.sampled_from(Kind),
    st.sampled_from(["A", "W", "?"]),
    st.one_of(st.just((Period(0, 16.0), Period(60, 0.0))), PERIODS),
    st.one_of(st.none(), st.sampled_from(Recurrency)),
    UTC,
    st.one_of(st.none(), st.integers(-1, 10**12)),
    UTC,
    UTC,
    st.one_of(st.none(), NUMBERS),
    st.one_of(st.none(), NAMES),
)
CALLS = st.one_of(
    st.builds(Authorize, TOKENS, st.sampled_from([(1,), (1, 2)])), st.just(Boot("PowerUp")), st.just(Heartbeat())
)
WRITES = st.builds(
    r.VariableWrite,
    st.sampled_from(
        [
            VariableId("TxCtrlr", "TxStartPoint"),
            VariableId("TxCtrlr", "TxStopPoint"),
            VariableId("TxCtrlr", "StopTxOnInvalidId"),
            VariableId("TxCtrlr", "StopTxOnEVSideDisconnect"),
            VariableId("TxCtrlr", "MaxEnergyOnInvalidId"),
            VariableId("TxCtrlr", "EVConnectionTimeOut"),
            VariableId("AlignedDataCtrlr", "Interval"),
            VariableId("SampledDataCtrlr", "TxUpdatedInterval"),
            VariableId("SampledDataCtrlr", "TxEndedInterval"),
            VariableId("ChargingStation", "StatusMinimumDuration"),
            VariableId("AuthCtrlr", "MasterPassGroupId"),
            VariableId("AuthCtrlr", "AuthorizeRemoteStart"),
            VariableId("", "Nothing", "x", -1),
        ]
    ),
    st.sampled_from(
        ["", "true", "false", "0", "1", "60", "-1", "1e300", "EVConnected", "Authorized", "EnergyTransfer"]
    ),
)
READINGS = st.builds(
    EvseReading,
    st.one_of(st.sampled_from(Pilot), st.sampled_from(CONNECTED)),
    st.sampled_from([None, True, False, False]),
    st.one_of(st.none(), NUMBERS),
    st.one_of(st.just(32.0), st.none(), NUMBERS),
    st.one_of(st.just(()), st.sampled_from(Fault).map(lambda fault: (fault,))),
    stop_button=st.one_of(st.none(), st.none(), st.sampled_from(StopButton)),
)


def samples(wh: float, power_w: float) -> tuple[Sample, ...]:
    return Sample(Measurand.ENERGY_ACTIVE_IMPORT_REGISTER, wh), Sample(Measurand.POWER_ACTIVE_IMPORT, power_w)


HARDWARE: st.SearchStrategy[Event] = st.one_of(
    st.builds(EvseRead, EVSE, READINGS),
    st.builds(EvseRead, EVSE, st.just(EvseReading(Pilot.C, True, cable_a=32.0))),
    st.builds(EvseRead, EVSE, st.just(EvseReading(Pilot.B, False, cable_a=32.0))),
    st.builds(MeterRead, EVSE, st.builds(samples, st.floats(5000, 5200), st.sampled_from([0.0, 7000.0]))),
    st.builds(MeterRead, EVSE, st.builds(samples, NUMBERS, NUMBERS)),
    st.builds(DeviceLost, EVSE, st.sampled_from(["controller", "meter", "reader"]), st.just("")),
    st.builds(DeviceFound, EVSE, st.sampled_from(["controller", "meter", "reader"])),
    st.builds(TokenPresented, st.sampled_from([(1,), (2,), (1, 2)]), TOKENS),
    st.builds(UnlockDone, EVSE, st.booleans()),
)
RUNTIME: st.SearchStrategy[Event] = st.one_of(
    st.builds(LinkUp, st.booleans()),
    st.builds(LinkDown),
    st.just(BootAnswered(Registration.ACCEPTED, 300.0)),
    st.builds(BootAnswered, st.sampled_from(Registration), st.one_of(NUMBERS.filter(lambda n: n >= 0)), UTC),
    st.builds(HeartbeatAnswered, UTC),
    st.sampled_from([QueueFilled(), QueueEmptied(), StorageFailed(""), StorageRecovered(), SamplesThinned(1), Tick()]),
    st.builds(TokenAnswered, st.builds(Authorize, TOKENS, st.sampled_from([(1,), (2,), (1, 2)])), INFOS),
    st.builds(CallFailed, CALLS, st.just("timeout")),
)
ENTRIES = st.lists(st.builds(ListEntry, TOKENS, st.one_of(st.none(), INFOS)), max_size=3).map(tuple)
RESERVATION = st.sampled_from([-1, 1, 2, 3])
MOMENTS = st.sampled_from([0.0, 1_800_000_030.0, 1_800_000_300.0, 1_800_010_000.0, 1.9e9, 2e11])
RESERVED = st.builds(
    lambda number, expires, token, evse: [
        (r.ReserveRequested(REF, number, expires, token, evse, IdToken("BB")), 1.0, 0.0)
    ],
    RESERVATION,
    MOMENTS,
    TOKENS,
    st.sampled_from([None, 1, 2]),
)
TRIGGERS = (
    *("Boot", "BootAgain", "Heartbeat", "Status", "MeterValues", "SampledValues", "TransactionEvent", "Firmware"),
    *("SignedFirmware", "Diagnostics", "Log", "SignCertificate", "?"),
)
REQUESTS: st.SearchStrategy[Event] = st.one_of(
    st.builds(
        r.StartRequested,
        st.just(REF),
        TOKENS,
        NAMED,
        st.one_of(st.none(), MANY),
        st.one_of(st.none(), TOKENS),
        st.one_of(st.none(), PROFILES),
    ),
    st.builds(r.StopRequested, st.just(REF), NAMES),
    st.builds(r.AvailabilityRequested, st.just(REF), st.booleans(), NAMED, NAMED),
    st.builds(r.VariablesSetRequested, st.just(REF), st.lists(WRITES, max_size=3).map(tuple)),
    st.builds(r.VariablesRequested, st.just(REF), st.none()),
    st.builds(r.ReportRequested, st.just(REF), MANY, st.sampled_from(["FullInventory", "SummaryInventory", "?"])),
    st.builds(r.UnlockRequested, st.just(REF), st.sampled_from([-1, 0, 1, 2, 3]), st.sampled_from([0, 1])),
    st.builds(r.ClearCacheRequested, st.just(REF)),
    st.builds(
        r.TriggerRequested,
        st.just(REF),
        st.sampled_from(TRIGGERS),
        NAMED,
    ),
    st.builds(r.TransactionStatusRequested, st.just(REF), st.one_of(st.none(), NAMES)),
    st.builds(r.DataReceived, st.just(REF), st.just("")),
    st.just(VendorAnswered("Accepted", None, (("m", "x"),))),
    st.builds(r.ProfileSetRequested, st.just(REF), st.sampled_from([-1, 0, 1, 2]), PROFILES),
    st.builds(r.ProfileClearRequested, st.just(REF), st.one_of(st.none(), MANY), NAMED),
    st.builds(r.ScheduleRequested, st.just(REF), st.sampled_from([-1, 0, 1, 2]), st.integers(0, 2**62)),
    st.just(r.LocalListRequested(REF)),
    st.builds(r.LocalListSent, st.just(REF), st.sampled_from([-1, 0, 1, 2, 2**40]), st.booleans(), ENTRIES),
    st.builds(r.ReserveRequested, st.just(REF), RESERVATION, MOMENTS, TOKENS, NAMED, st.one_of(st.none(), TOKENS)),
    st.builds(r.ReservationCancelRequested, st.just(REF), RESERVATION),
)
HERE = r.Ref("2", "Fuzz", "anna")
ORDERS: st.SearchStrategy[Event] = st.builds(
    Ordered,
    st.just(HERE),
    st.one_of(
        st.builds(StartHere, st.sampled_from([-1, 0, 1, 2, 3]), TOKENS, st.booleans()),
        st.builds(StopHere, st.sampled_from([-1, 0, 1, 2, 3])),
        st.builds(UnlockHere, st.sampled_from([0, 1, 2, 3])),
        st.builds(ServiceHere, st.booleans(), NAMED),
        st.builds(lambda write, value: WriteHere(write.id, value), WRITES, st.sampled_from(["1", "x", None])),
        st.just(RetryHere()),
    ),
    st.just("why"),
)
RARE: st.SearchStrategy[Event] = st.one_of(
    st.builds(r.ResetRequested, st.just(REF), st.sampled_from(ResetKind), NAMED), st.just(Stopping(""))
)
# how long before the event, by how much UTC leaps meanwhile, and whose words the CSMS's answers to the journal are
STEPS = st.tuples(
    st.one_of(
        HARDWARE, HARDWARE, HARDWARE, RUNTIME, REQUESTS, ORDERS, st.builds(TransactionAnswered, st.none(), INFOS, NAMES)
    ),
    st.sampled_from([0.0, 0.1, 1.0, 1.0, 15.0, 70.0, 1000.0]),
    st.sampled_from([0.0] * 20 + [-3600.0, 0.3, 1e9]),
)
Step = tuple[Event, float, float]


def plain(*events: Event) -> list[Step]:
    return [(event, 1.0, 0.0) for event in events]


def metered(evse: int, pilot: Pilot, wh: float) -> list[Step]:
    """The car is as it should be, and the meter goes on."""
    drawing = pilot is Pilot.C
    cable_a = 0.0 if pilot is Pilot.A else 32.0
    reading = EvseReading(pilot, drawing, cable_a=cable_a)
    return plain(EvseRead(evse, reading), MeterRead(evse, samples(wh, 7000.0 * drawing)))


def carded(token: IdToken, evses: tuple[int, ...], info: TokenInfo) -> list[Step]:
    return plain(TokenPresented(evses, token), TokenAnswered(Authorize(token, evses), info))


ACCEPTED = TokenInfo(TokenStatus.ACCEPTED)
ONLINE = plain(LinkUp(), BootAnswered(Registration.ACCEPTED, 300.0))
READY = [*ONLINE, *metered(1, Pilot.A, 5000.0), *metered(2, Pilot.A, 5000.0)]
SENSE = st.one_of(
    st.builds(metered, EVSE, st.sampled_from([Pilot.A, Pilot.B, Pilot.C, Pilot.C]), st.floats(5000, 5100)),
    st.builds(carded, TOKENS, st.sampled_from([(1,), (2,), (1, 2)]), st.one_of(st.just(ACCEPTED), INFOS)),
    st.just(ONLINE),
    RESERVED,
)
STORIES = st.lists(st.one_of(SENSE, SENSE, STEPS.map(lambda step: [step])), min_size=10, max_size=40).map(
    lambda parts: [step for part in parts for step in part]
)
MOST_TICKS = 4000  # in one wait; the shortest interval that the CSMS can set is a second


class Run:
    """One station through one sequence of events."""

    def __init__(self, evses: int) -> None:
        self.evses = evses
        self.station: Station = assemble([EvseLimits(n, 32.0) for n in range(1, evses + 1)], prefix="f")
        self.mono, self.utc, self.quality = 1000.1, 1_800_000_000.3, ClockQuality.SYNCED
        self.trace: list[Effect] = []
        self.journal: list[TransactionEvent] = []

    def go(self, steps: Sequence[tuple[Event, float, float]]) -> list[Effect]:
        self.feed(Restored({}))
        for event, wait_s, leap_s in steps:
            self.wait(wait_s)
            self.utc += leap_s
            self.quality = ClockQuality.UNKNOWN if leap_s == 1e9 else self.quality
            if isinstance(event, TransactionAnswered):
                if not self.journal:
                    continue
                event = TransactionAnswered(self.journal[len(self.journal) // 2], event.info, event.csms_id)
            if self.evses >= max(getattr(event, "evses", None) or (0,)) and self.knows(event):
                self.feed(event)
        self.wait(120.0)
        return self.trace

    def knows(self, event: Event) -> bool:
        """The hardware speaks of EVSEs that are there; the CSMS may name any."""
        call = getattr(event, "call", None)
        named = [*getattr(call, "evses", ())]
        if isinstance(event, (EvseRead, MeterRead, DeviceLost, DeviceFound, UnlockDone)):
            named.append(event.evse)
        return all(n <= self.evses for n in named)

    def wait(self, seconds: float) -> None:
        end = self.mono + seconds
        for _ in range(MOST_TICKS):
            at = self.station.next_deadline()
            if at is None or at > end:
                break
            self.utc += max(at - self.mono, 0.0)
            self.mono = max(at, self.mono)
            self.feed(Tick())
        else:
            raise AssertionError("a deadline comes for ever")
        self.utc += end - self.mono
        self.mono = end

    def feed(self, event: Event) -> None:
        effects = self.station.handle(event, Instant(self.mono, self.utc, self.quality, "b"))
        self.trace += effects
        self.journal += [effect.event for effect in effects if isinstance(effect, Record)]
        self.check()

    def check(self) -> None:
        points = self.station.facts.variables.members("TxCtrlr.TxStartPoint")
        for evse in self.station.facts.evses.values():
            assert evse.offer_a == 0 or 6 <= evse.offer_a <= 32
            if evse.offer_a > 0:
                assert evse.grant is not None
                assert evse.pilot in CONNECTED
                assert evse.operative
                assert not evse.stopped_by_fault
                assert evse.tx is not None or points == ("EnergyTransfer",)
                assert evse.tx is None or (evse.tx.stop is None and not evse.tx.withheld)
        self.check_reservations()

    def check_reservations(self) -> None:
        """There are never more than EVSEs can stand for, and nobody is granted what is reserved for somebody else."""
        holds = next(block for block in self.station.blocks if isinstance(block, Reservations)).holds
        assert len(holds.table) <= 2 * self.evses
        for evse in self.station.facts.evses.values():
            own = holds.of(evse)
            if own is not None and evse.grant is not None:
                assert fits(own, evse.grant.token, evse.grant.info.group)
            if own is not None:
                assert evse.reserved
                assert evse.operative
                assert not evse.stopped_by_fault


def check_journal(journal: Sequence[TransactionEvent]) -> None:
    by_tx: dict[str, list[TransactionEvent]] = {}
    for event in journal:
        by_tx.setdefault(event.transaction, []).append(event)
    for events in by_tx.values():
        kinds = [event.kind for event in events]
        assert [event.seq for event in events] == list(range(len(events)))
        assert kinds[0] is TxKind.STARTED
        assert kinds.count(TxKind.STARTED) == 1
        assert TxKind.ENDED not in kinds[:-1]
        register = [event.energy_wh for event in events]
        assert register == sorted(register)


def comparable(trace: Sequence[Effect]) -> list[str]:
    """As text, for a NaN does not equal itself."""
    return [repr(effect) for effect in trace]


@settings(
    max_examples=400,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(
    st.sampled_from([1, 2]),
    st.one_of(st.just(READY), st.just([])),
    STORIES,
    st.lists(st.tuples(RARE, st.just(1.0), st.just(0.0)), max_size=2),
)
def test_no_sequence_of_events_breaks_the_station(
    evses: int, start: list[Step], steps: list[Step], end: list[Step]
) -> None:
    whole = [*start, *steps, *end]
    run = Run(evses)
    trace = run.go(whole)
    check_journal(run.journal)
    assert comparable(trace) == comparable(Run(evses).go(whole))


def test_the_fuzz_reaches_charging_and_its_end() -> None:
    """A sequence without nonsense comes out as it should, so the rules above are tried where they matter."""
    c = EvseRead(1, EvseReading(Pilot.C, True, cable_a=32.0))
    b = EvseRead(1, EvseReading(Pilot.B, False, cable_a=32.0))
    meter = MeterRead(1, samples(5000.0, 7000.0))
    run = Run(1)
    events = [LinkUp(), BootAnswered(Registration.ACCEPTED, 300.0), b, meter, TokenPresented((1,), IdToken("AA"))]
    run.go([(event, 1.0, 0.0) for event in events])
    asked = next(e.call for e in run.trace if isinstance(e, Ask) and isinstance(e.call, Authorize))
    run.feed(TokenAnswered(asked, TokenInfo(TokenStatus.ACCEPTED)))
    for event in (c, meter, TokenPresented((1,), IdToken("AA")), b, meter):
        run.wait(2.0)
        run.feed(event)
    check_journal(run.journal)
    assert [e.kind for e in run.journal][:: len(run.journal) - 1] == [TxKind.STARTED, TxKind.ENDED]
    assert any(isinstance(e, Ask) and isinstance(e.call, Status) for e in run.trace)
