"""Transaction events for the tests of the store, and any event at all for hypothesis."""

from __future__ import annotations

from hypothesis import strategies as st

from agent.core.effects import Record
from agent.core.types import (
    ChargingState,
    ClockQuality,
    Context,
    Instant,
    Reading,
    StopReason,
    TransactionEvent,
    Trigger,
    TxKind,
)
from agent.store import Store
from drivers.api import IdToken, Measurand, Phase, Sample, SignedData

BOOT = "0d5f8a52-6a0e-4b52-9be0-6f7f3c9d2a11"
LINES = (Phase.L1_N, Phase.L2_N, Phase.L3_N)
MEASURED = (Measurand.VOLTAGE, Measurand.CURRENT_IMPORT, Measurand.POWER_ACTIVE_IMPORT)


def at(seconds: float, quality: ClockQuality = ClockQuality.SYNCED, boot: str = BOOT) -> Instant:
    return Instant(1000.25 + seconds, 1_800_000_000.5 + seconds, quality, boot)


def reading(when: Instant, wh: float) -> Reading:
    """What a three-phase meter tells: twelve values."""
    values = [Sample(m, 230.1, phase) for m in MEASURED for phase in LINES]
    values += [Sample(Measurand.POWER_ACTIVE_IMPORT, 11040.2), Sample(Measurand.FREQUENCY, 50.01)]
    return Reading(when, Context.PERIODIC, (*values, Sample(Measurand.ENERGY_ACTIVE_IMPORT_REGISTER, wh)))


def event(tx: str, seq: int, kind: TxKind = TxKind.UPDATED, trigger: Trigger | None = None) -> TransactionEvent:
    usual = Trigger.METER_VALUE_PERIODIC if kind is TxKind.UPDATED else Trigger.AUTHORIZED
    when = at(60 * seq)
    return TransactionEvent(
        tx,
        seq,
        kind,
        when,
        trigger or usual,
        evse=1,
        connector=1,
        started_wh=1000,
        energy_wh=1000 + 10 * seq,
        charging_state=ChargingState.CHARGING,
        started_at=at(0),
        token=IdToken("04A2B3C4") if kind is TxKind.STARTED else None,
        readings=(reading(when, 1000.0 + 10 * seq),),
        stop_reason=StopReason.LOCAL if kind is TxKind.ENDED else None,
    )


def started(tx: str) -> Record:
    return Record(event(tx, 0, TxKind.STARTED))


def sample(tx: str, seq: int) -> Record:
    return Record(event(tx, seq))


def change(tx: str, seq: int) -> Record:
    return Record(event(tx, seq, trigger=Trigger.CHARGING_STATE_CHANGED))


def ended(tx: str, seq: int) -> Record:
    return Record(event(tx, seq, TxKind.ENDED))


def whole(tx: str, samples: int) -> list[Record]:
    """A transaction from start to end."""
    return [started(tx), *(sample(tx, n + 1) for n in range(samples)), ended(tx, samples + 1)]


def drain(store: Store, bound: int = 100_000) -> list[TransactionEvent]:
    """Everything that is told from now on, in order; the CSMS answers each."""
    told: list[TransactionEvent] = []
    while (row := store.head()) is not None:
        assert len(told) < bound
        told.append(row.event)
        store.answered(row.id)
    return told


# --- any event ------------------------------------------------------------------------------------------------

numbers = st.floats(allow_nan=False)
instants = st.builds(
    Instant, mono=numbers, utc=numbers, quality=st.sampled_from(ClockQuality), boot=st.sampled_from(["", "a", BOOT])
)
tokens = st.builds(IdToken, st.text(max_size=36), st.sampled_from(["ISO14443", "Central"]))
samples = st.builds(
    Sample,
    st.sampled_from(Measurand),
    st.one_of(numbers, st.integers(-(2**53), 2**53)),
    st.none() | st.sampled_from(Phase),
)
signed = st.none() | st.builds(SignedData, st.text(), st.text(), st.text(), st.text())
readings = st.builds(Reading, instants, st.sampled_from(Context), st.lists(samples, max_size=4).map(tuple), signed)
counts = st.integers(-(2**31), 2**31)
events = st.builds(
    TransactionEvent,
    transaction=st.text(max_size=36),
    seq=counts,
    kind=st.sampled_from(TxKind),
    at=instants,
    trigger=st.sampled_from(Trigger),
    evse=counts,
    connector=counts,
    started_wh=counts,
    energy_wh=counts,
    charging_state=st.sampled_from(ChargingState),
    started_at=st.none() | instants,
    token=st.none() | tokens,
    group=st.none() | tokens,
    readings=st.lists(readings, max_size=3).map(tuple),
    stop_reason=st.none() | st.sampled_from(StopReason),
    offline=st.booleans(),
    reservation_id=st.none() | counts,
    remote_start_id=st.none() | counts,
    phases=st.none() | counts,
    cable_a=st.none() | counts,
)
