"""Names for what the journal warns of and no hardware is to blame for: one row for each kind of trouble.

The fault catalogue (`agent.core.faults`) is of the charger itself, and the CSMS hears of it. These ids are for the
technician alone: every line at WARNING or above bears the id of its fault or of its trouble in the field FAULT, so that
one id leads from the journal to `etc/FAULTS.md` and to what is to be done. `EVENTS` gives the id of an event of the log
(its first word) that names no fault of its own; a test holds it complete. No id stands in both tables.
"""

from __future__ import annotations

from agent.core.faults import CATALOGUE, STORAGE
from agent.core.record import record


@record
class Trouble:
    id: str
    text: str
    remedy: str
    events: tuple[str, ...]


TROUBLES: tuple[Trouble, ...] = (
    Trouble(
        "bug",
        "the agent has met an error of its own",
        "make a support bundle and send it to the manufacturer; the agent has started again by itself",
        ("Bug", "ControlFailed"),
    ),
    Trouble(
        "library",
        "a library that the agent uses warns of something",
        "nothing, when all else is well; else add the line to what you send to the manufacturer",
        ("Library",),
    ),
    Trouble(
        "hang",
        "a part of the agent gives no sign of life",
        "look at the processor's load, the disk and the serial lines; if it comes again, send a support bundle",
        ("NoSignOfLife",),
    ),
    Trouble(
        "log-lost", "the journal did not take some lines", "look at the disk and at systemd-journald", ("LogLost",)
    ),
    Trouble(
        "configuration",
        "the configuration is not as it should be, or is not taken up",
        "run chargepoint check-config; after a change that needs it, restart the agent",
        ("Configuration", "ReloadRefused", "RestartNeeded", "VariableForgotten", "ProfileForgotten"),
    ),
    Trouble(
        "no-watchdog",
        "a controller does not withhold power by itself when the agent dies",
        "choose a controller with a watchdog, or guard the supply by other means",
        ("NoGuard",),
    ),
    Trouble(
        "control-socket",
        "the control socket cannot be opened, or somebody uses it who may not",
        "look at the socket's folder, owner and mode, at chargepoint.socket, and at who is in the group chargepoint",
        ("NoControlSocket", "SocketUnused", "ControlRefused"),
    ),
    Trouble(
        "not-settled",
        "the agent ended before a controller confirmed that power is withheld",
        "check the controller's bus; its own watchdog withholds the power",
        ("NotSettled",),
    ),
    Trouble(
        "reboot",
        "the configured reboot command did not work",
        "try [service] reboot_command by hand, as the agent's user",
        ("RebootFailed",),
    ),
    Trouble(
        "link",
        "there is no link to the CSMS, or not the one that it should be",
        "read the reason in chargepoint status; check the network, the URL, the identity and the password",
        ("LinkDown", "LastResort", "LinkReturned", "LinkSettingsDropped"),
    ),
    Trouble(
        "registration",
        "the CSMS does not accept this charger",
        "ask the CSMS's operator whether it knows this identity",
        ("Registration",),
    ),
    Trouble(
        "csms-message",
        "the CSMS sends, or answers with, what breaks the protocol",
        "look at chargepoint trace; tell the CSMS's operator; known faults of some are in etc/README.md (quirks)",
        ("Conversation", "FrameIgnored"),
    ),
    Trouble(
        "csms-refuses",
        "the CSMS does not take what it is sent",
        "read it with chargepoint queue, and ask the CSMS's operator why",
        ("DeadLetter", "SecurityEventNotTold"),
    ),
    Trouble(
        "data-lost",
        "something that was stored is lost or was left out",
        "restore the link so that the queue drains; look at the disk's size and health",
        ("SamplesThinned", "DeadLetterDropped", "Unreadable", "LocalListDamaged"),
    ),
    Trouble(
        "recorder",
        "the flight recorder cannot write; charging does not depend on it",
        "look at the disk's free space; [storage] recorder_mib makes it smaller, or 0 ends it",
        ("RecorderRests",),
    ),
    Trouble(
        "factory-reset",
        "a factory reset was ordered, and was not done or not wholly",
        "read why; look at the storage folder; order it again",
        ("FactoryResetRefused", "FactoryResetNotWhole"),
    ),
    Trouble(
        "request-refused",
        "an order of the CSMS was refused",
        "the line says why; tell the CSMS's operator",
        ("LocalListRefused", "ProfileRefused", "CertificateRefused"),
    ),
    Trouble(
        "meter-leap",
        "the register of an energy meter leapt",
        "was the meter replaced? Else check its bus, its map and its wiring",
        ("MeterDoubted", "MeterReplaced"),
    ),
    Trouble(
        "upload",
        "a log could not be sent",
        "check the address that the CSMS has named, and the way there",
        ("LogNotSent",),
    ),
    Trouble(
        "firmware",
        "an update of the firmware does not go as it should",
        "read the reason; check the address, the disk's free space and the updater that is configured",
        (
            "FetchFailed",
            "FirmwareNotKept",
            "FirmwareNotRemoved",
            "FirmwareUnknown",
            "NoManufacturerRoots",
            "UpdateEnded",
        ),
    ),
    Trouble(
        "certificate",
        "a certificate is missing, ends soon, or cannot be had",
        "ask the CSMS's operator to renew or install it; check the clock",
        ("CertificateExpiry", "NoCsr", "NotSigned", "SignCertificate", "TrustStore"),
    ),
    Trouble(
        "security",
        "a security event of the kind that the line names",
        "was it you? Else find out who, and look at the housing, the keys and the network",
        ("SecurityEvent",),
    ),
    Trouble(
        "vendor-handler",
        "a handler of the manufacturer's own messages has failed",
        "tell the manufacturer",
        ("VendorHandler",),
    ),
)
EVENTS: dict[str, str] = {
    **{event: trouble.id for trouble in TROUBLES for event in trouble.events},
    **dict.fromkeys(("StorageFailed", "StorageSalvaged"), STORAGE),
}
UNLISTED = "unlisted"  # an event of somebody else's: the line itself must do


def id_of(event: str) -> str:
    """What a line at WARNING or above is about, when it names no fault of its own."""
    return EVENTS.get(event, UNLISTED)


def remedy_of(id_: str) -> str:
    """What to do about a fault or a trouble; "" when nobody knows."""
    if id_ in CATALOGUE:
        return CATALOGUE[id_].remedy
    return next((trouble.remedy for trouble in TROUBLES if trouble.id == id_), "")
