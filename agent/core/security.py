"""The list of security events (OCPP 2 part 2 appendix 1, and the security whitepaper of its predecessor) as a table,
and the words of the security log.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from agent.core.events import Event
from agent.core.record import record
from agent.core.types import Instant

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = 253402300799.0  # the end of the year 9999
_MINUTE_S, _HOUR_S, _DAY_S = 60.0, 3600.0, 86400.0


@record
class Kind:
    """`critical`: in a full queue others go first. `quiet_s`: after one of these the next ones are only counted for so
    long, since whoever causes them can do so at any pace. `level`: how it shows in the technician's journal."""

    critical: bool = False
    quiet_s: float = 0.0
    level: str = "warning"


KINDS: Mapping[str, Kind] = {
    "FirmwareUpdated": Kind(critical=True, level="info"),
    "FailedToAuthenticateAtCsms": Kind(quiet_s=_HOUR_S),
    "CsmsFailedToAuthenticate": Kind(quiet_s=_HOUR_S),
    "SettingSystemTime": Kind(critical=True, quiet_s=_MINUTE_S, level="info"),
    "StartupOfTheDevice": Kind(critical=True, level="info"),
    "ResetOrReboot": Kind(critical=True, level="info"),
    "SecurityLogWasCleared": Kind(critical=True),
    "ReconfigurationOfSecurityParameters": Kind(level="info"),
    "MemoryExhaustion": Kind(critical=True, quiet_s=_HOUR_S),
    "InvalidMessages": Kind(quiet_s=10 * _MINUTE_S),
    "AttemptedReplayAttacks": Kind(quiet_s=10 * _MINUTE_S),
    "TamperDetectionActivated": Kind(critical=True),
    "InvalidFirmwareSignature": Kind(quiet_s=_MINUTE_S),
    "InvalidFirmwareSigningCertificate": Kind(quiet_s=_MINUTE_S),
    "InvalidCsmsCertificate": Kind(quiet_s=_HOUR_S),
    "InvalidChargingStationCertificate": Kind(quiet_s=_MINUTE_S),
    "InvalidTLSVersion": Kind(quiet_s=_HOUR_S),
    "InvalidTLSCipherSuite": Kind(quiet_s=_HOUR_S),
}
OTHER = Kind(quiet_s=_MINUTE_S)  # a kind that the list does not name
LONGEST_QUIET_S = _DAY_S
MAX_INFO = 255  # characters


@record
class Entry:
    """One line of the security log."""

    number: int  # from 1, without gaps, over restarts
    at: Instant
    kind: str
    info: str = ""

    def line(self) -> str:
        """As it stands in an uploaded log."""
        known = "" if self.at.quality else " (clock not set)"
        return f"{timestamp(self.at.utc)}{known} {self.number} {self.kind} {self.info}".rstrip()


@record
class ClockSet(Event):
    """Our UTC has jumped (+: later), because somebody has told us the time."""

    jump_s: float
    by: str = "the CSMS"


@record
class SecurityLogLost(Event):
    """The security log was cleared, or could not be saved from a damaged store."""

    why: str


def timestamp(utc: float) -> str:
    """UTC to the second. By timedelta: a 32-bit time_t would end in 2038."""
    return (_EPOCH + timedelta(seconds=min(max(utc, 0.0), _LATEST))).isoformat(timespec="seconds")[:-6] + "Z"
