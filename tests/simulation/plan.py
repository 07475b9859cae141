"""What a seed makes of a run: the charger, how busy its days are, and how often each thing goes wrong.

Every actor draws from a stream of its own, named by text, so that one more draw here does not change what happens
there, and the hash seed of the interpreter has no say in anything.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

HOUR_S, DAY_S = 3600.0, 86400.0
EPOCH = 1_796_000_000.0  # true UTC when a run begins

MAPS = Path(__file__).with_name("maps")  # of meters that no manufacturer has made

Rng = random.Random


@dataclass(frozen=True, slots=True)
class CsmsFaults:
    """Chances for each message of the station."""

    unheard: float = 0.0  # the request is lost
    lost: float = 0.0  # the request is taken, its answer is lost
    late: float = 0.0  # the answer comes after the time-out
    doubled: float = 0.0
    refused: float = 0.0  # CALLERROR; the next try is taken
    poisoned: float = 0.0  # CALLERROR, whenever this message comes
    pending: float = 0.0  # of boots
    rejected: float = 0.0  # of boots
    to_security: str = ""  # what it does with security events: "" takes them, "refuses", "ignores"


@dataclass(frozen=True, slots=True)
class Plan:
    """`*_a_day` are mean numbers of things a day."""

    seed: int
    version: str
    days: float
    evses: int = 1
    controller: str = "reference"
    meter: str = "eastron_sdm630"
    attached: bool = False
    resume: str = "if-still-plugged"
    station_max_a: float | None = None
    visits_a_day: float = 5.0
    orders_a_day: float = 8.0  # requests of the CSMS
    cuts_a_day: float = 0.0  # power cuts and kills, at a boundary
    links_a_day: float = 0.0
    buses_a_day: float = 0.0
    meters_a_day: float = 0.0
    swaps: float = 0.0  # chance that somebody changes a meter in a long power cut
    clocks_a_day: float = 0.0
    disks_a_day: float = 0.0
    faults_a_day: float = 0.0
    csms: CsmsFaults = field(default_factory=CsmsFaults)
    chores_a_day: float = 0.0  # orders of the CSMS about anything but charging
    moves_a_day: float = 2.0  # how often the CSMS sends the charger elsewhere
    secure: bool = False  # the link shows a certificate of ours
    installer: str = "slots"
    quiet_installs: bool = False  # they disturb nobody
    variables: Mapping[str, str] = field(default_factory=dict)
    switches: str = ""  # phases: "profiles", "automatic"
    wakes: bool = False

    def rng(self, name: str) -> Rng:
        return random.Random(f"{self.seed}/{name}")


_VARIABLES = {
    "SampledDataCtrlr.TxUpdatedInterval": ("60", "120", "300", "0"),
    "AlignedDataCtrlr.Interval": ("0", "0", "900", "3600"),
    "AuthCtrlr.LocalPreAuthorize": ("false", "true"),
    "AuthCtrlr.OfflineTxForUnknownIdEnabled": ("false", "true"),
    "AuthCtrlr.AuthorizeRemoteStart": ("false", "true"),
    "TxCtrlr.StopTxOnEVSideDisconnect": ("true", "true", "false"),
    "TxCtrlr.StopTxOnInvalidId": ("true", "false"),
    "TxCtrlr.MaxEnergyOnInvalidId": ("0", "2000"),
    "TxCtrlr.EVConnectionTimeOut": ("60", "120", "300"),
    "ChargingStation.StatusMinimumDuration": ("0", "5"),
}
_POINTS = (("PowerPathClosed", "EVConnected,Authorized"),) * 3 + (
    ("EVConnected", "EVConnected"),
    ("Authorized", "Authorized"),
    ("EnergyTransfer", "EVConnected,Authorized"),
)
_COMMON = {"OCPPCommCtrlr.RetryBackOffWaitMinimum": "5", "OCPPCommCtrlr.MessageAttemptInterval[TransactionEvent]": "20"}


INSTALLERS = ("slots", "slots", "command", "plain", "blind")  # see `workshop`
METERS = ("eastron_sdm630", "eastron_sdm630", "two_words", "two_words", "eastron_sdm120", "carlo_gavazzi_em340")


def rough(seed: int, version: str, days: float) -> Plan:
    """Everything goes wrong, how much of it is the seed's."""
    rng = random.Random(f"{seed}/plan")
    storm = rng.choice((0.5, 1.0, 2.0))
    variables = _COMMON | {key: rng.choice(values) for key, values in _VARIABLES.items()}
    start, stop = rng.choice(_POINTS)
    if version != "1.6":
        variables |= {"TxCtrlr.TxStartPoint": start, "TxCtrlr.TxStopPoint": stop}
    attached = rng.random() < 0.3
    return Plan(
        seed,
        version,
        days,
        evses=rng.choice((1, 1, 2)),
        controller="reference" if not attached else rng.choice(("reference", "evse_wb", "heidelberg_ec")),
        meter=rng.choice(METERS),
        attached=attached,
        resume=rng.choice(("if-still-plugged", "if-still-plugged", "never")),
        station_max_a=rng.choice((None, None, 20.0, 9.0)),
        cuts_a_day=4.0 * storm,
        links_a_day=3.0 * storm,
        buses_a_day=2.0 * storm,
        meters_a_day=1.0 * storm,
        swaps=0.1,
        clocks_a_day=0.5 * storm,
        disks_a_day=0.5 * storm,
        faults_a_day=1.0 * storm,
        csms=CsmsFaults(
            unheard=0.02,
            lost=0.03,
            late=0.02,
            doubled=0.02,
            refused=0.02,
            poisoned=0.002,
            pending=0.1,
            rejected=0.1,
            to_security=rng.choice(("", "", "", "refuses", "ignores")),
        ),
        variables=variables,
        chores_a_day=8.0,
        installer=rng.choice(INSTALLERS),
        quiet_installs=rng.random() < 0.2,
        secure=rng.random() < 0.5,
    )


def calm(seed: int, version: str, days: float) -> Plan:
    """Nothing goes wrong but what people do, and no rule differs between the versions."""
    found = rough(seed, version, days)
    pinned = {"TxCtrlr.TxStartPoint": "PowerPathClosed", "TxCtrlr.TxStopPoint": "EVConnected,Authorized"}
    same = {"SampledDataCtrlr.TxEndedMeasurands": "", "SampledDataCtrlr.TxEndedInterval": "60"}
    quiet = {"TxCtrlr.StopTxOnUnlock": "true", "TxCtrlr.MaxEnergyOnInvalidId": "0"}
    return replace(
        found,
        orders_a_day=0.0,
        chores_a_day=0.0,
        cuts_a_day=0.0,
        links_a_day=0.0,
        buses_a_day=0.0,
        meters_a_day=0.0,
        swaps=0.0,
        clocks_a_day=0.0,
        disks_a_day=0.0,
        faults_a_day=0.0,
        csms=CsmsFaults(),
        variables={**found.variables, **pinned, **same, **quiet},
    )
