"""What the central system orders beside charging: local lists, reservations, firmware, logs, certificates.

Like `people`: one task with its own dice. What is asked and answered is told to `promises`, which knows what follows.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.simulation.books import Payload
from tests.simulation.people import MEMBERS, OUTSIDERS, Visitors, pause
from tests.simulation.places import BAD, DOOR, address
from tests.simulation.plan import DAY_S, EPOCH, Rng
from tests.simulation.promises import Held
from tests.simulation.scene import STRANGER, TOKENS, Scene
from tests.simulation.workshop import BAD as UNFIT
from tests.simulation.workshop import GOOD, PACES, STRANGE, mark

LISTED = (*TOKENS, STRANGER, "0499", "0498")
KINDS16 = {"CSMSRoot": "CentralSystemRootCertificate", "ManufacturerRoot": "ManufacturerRootCertificate"}
KINDS201 = {"CSMSRoot": "CSMSRootCertificate", "ManufacturerRoot": "ManufacturerRootCertificate"}


def stamp(at_s: float) -> str:
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=EPOCH + at_s)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Steward:
    def __init__(self, scene: Scene) -> None:
        self._scene, self._csms, self._promises = scene, scene.csms, scene.checker.promises
        self._rng: Rng = scene.plan.rng("steward")
        self._v16 = scene.plan.version == "1.6"
        self._number = 0
        self._version = 0

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._orders())
            group.create_task(self._signs())
            group.create_task(self._moves())

    async def _orders(self) -> None:
        while True:
            await pause(self._rng, DAY_S / self._scene.plan.chores_a_day)
            await self._rng.choice(_CHORES)(self)

    async def _ask(self, action: str, payload: Payload) -> Payload | None:
        """The answer; {"error": code} when it is refused, None when none came while we waited."""
        heard: list[Payload] = []
        await self._csms.ask(action, payload, lambda _status, answer: heard.append(answer))
        return heard[0] if heard else None

    def _next(self) -> int:
        self._number += 1
        return self._number

    # --- the local list ---------------------------------------------------------------------------------------------

    async def _list(self) -> None:
        """One that is whole, some that change it, right and wrong versions."""
        for full in (True, False, False)[self._rng.choice((0, 0, 1)) :]:
            await self._send_list(full)
            await pause(self._rng, 30.0)
            await self._ask_version()
        await pause(self._rng, 3600.0)
        await self._ask_version()

    async def _send_list(self, full: bool) -> None:
        rng, known = self._rng, self._promises.local_list
        if self._csms.line is None:
            return
        version = self._version = max(1, self._version + rng.choice((1, 1, 1, 0, -1, 5)))
        tokens = [token for token in LISTED if rng.random() < 0.5]
        removed = set() if full else {token for token in tokens if rng.random() < 0.3}
        before = known.version, known.entries
        known.unsure()
        answer = await self._ask("SendLocalList", self._listing(version, full, tokens, removed))
        if answer is None:
            return
        known.version, known.entries = before
        status = str(answer.get("status", ""))
        known.judged(status, version, full)
        if status == "Accepted":
            known.took(version, full, set(tokens), removed)
        if self._scene.disk_full:
            known.unsure()

    def _listing(self, version: int, full: bool, tokens: list[str], removed: set[str]) -> Payload:
        kind = "Full" if full else "Differential"
        if self._v16:
            entries = [{"idTag": t} | ({} if t in removed else {"idTagInfo": self._csms.status16(t)}) for t in tokens]
            return {"listVersion": version, "updateType": kind, "localAuthorizationList": entries}
        infos = {t: {} if t in removed else {"idTokenInfo": self._csms.status201(t)} for t in tokens}
        found = [{"idToken": {"idToken": t, "type": "ISO14443"}} | infos[t] for t in tokens]
        listed = {"localAuthorizationList": found} if found else {}
        return {"versionNumber": version, "updateType": kind} | listed

    async def _ask_version(self) -> None:
        answer = await self._ask("GetLocalListVersion", {})
        key = "listVersion" if self._v16 else "versionNumber"
        if answer is not None and key in answer:
            self._promises.local_list.told(answer[key])

    # --- reservations -----------------------------------------------------------------------------------------------

    async def _reserve(self) -> None:
        """Somebody reserves, and somebody comes: the same, one of his group, or a stranger."""
        rng, scene = self._rng, self._scene
        number, evse = rng.randrange(1, 4), rng.choice((0, *scene.points, *scene.points))
        bearer = rng.choice(MEMBERS)
        group = rng.choice(("", TOKENS[bearer][1]))
        lasts_s = rng.choice((90.0, 1800.0, 4 * 3600.0, 9 * 3600.0))
        held = Held(evse, bearer, group, scene.now() + lasts_s)
        if self._csms.line is None:
            return
        self._promises.reservations.asked(number, held)
        answer = await self._ask("ReserveNow", self._reservation(number, held))
        if answer is not None:
            accepted = answer.get("status") == "Accepted"
            self._promises.reservations.answered(number, held, accepted)
            held.sure &= not scene.disk_full
        if rng.random() < 0.7:
            await pause(rng, min(lasts_s, 3600.0) / 2)
            await self._comes(evse, bearer)
        if rng.random() < 0.3:
            await self._cancel(number)

    def _reservation(self, number: int, held: Held) -> Payload:
        until = stamp(held.expires)
        if self._v16:
            told = {"connectorId": held.evse, "expiryDate": until, "idTag": held.token, "reservationId": number}
            return told | ({"parentIdTag": held.group} if held.group else {})
        told = {"id": number, "expiryDateTime": until, "idToken": {"idToken": held.token, "type": "ISO14443"}}
        told |= {"evseId": held.evse} if held.evse else {}
        return told | ({"groupIdToken": {"idToken": held.group, "type": "Central"}} if held.group else {})

    async def _comes(self, evse: int, bearer: str) -> None:
        card = self._rng.choice((bearer, *MEMBERS, self._rng.choice(OUTSIDERS)))
        guest = Visitors(self._scene, evse or self._rng.choice(tuple(self._scene.points)), self._rng)
        if guest.free:
            await guest.comes(card, self._rng.choice((30.0, 300.0, 1500.0)))

    async def _cancel(self, number: int) -> None:
        if self._csms.line is None:
            return
        reservations = self._promises.reservations
        reservations.cancelled(number, known=False)
        answer = await self._ask("CancelReservation", {"reservationId": number})
        if answer is not None and answer.get("status") == "Accepted":
            reservations.cancelled(number, known=not self._scene.disk_full)

    # --- firmware ---------------------------------------------------------------------------------------------------

    async def _update(self) -> None:
        """One order; sometimes another one, or the same again, before it is over."""
        order = self._firmware()
        await self._order_update(*order)
        if self._rng.random() < 0.3:
            await pause(self._rng, 200.0)
            await self._order_update(*(order if self._rng.random() < 0.3 else self._firmware()))
        if self._rng.random() < 0.3:
            await self._trigger(firmware=True)

    def _firmware(self) -> tuple[str, int | None, str, Payload]:
        """Action, request id, place and payload."""
        rng, number = self._rng, self._next()
        place = (
            f"http://files/{rng.choice(tuple(PACES))}/{number}" if rng.random() < 0.6 else f"ftp://files/fast/{number}"
        )
        signed = rng.random() < 0.5
        now = self._scene.now()
        at = stamp(now + rng.choice((-600.0, 0.0, 0.0, 400.0, 3000.0)))
        tries: Payload = rng.choice(({}, {"retries": 2, "retryInterval": 30}, {"retries": 0}))
        if self._v16 and not signed:
            return "UpdateFirmware", None, place, {"location": place, "retrieveDate": at} | tries
        firmware = {"location": place, "retrieveDateTime": at}
        if rng.random() < 0.3:
            firmware |= {"installDateTime": stamp(now + rng.choice((60.0, 3600.0)))}
        if signed:
            words = [rng.choice((GOOD, GOOD, GOOD, GOOD, "invalid")), rng.choice((GOOD, GOOD, GOOD, UNFIT))]
            firmware |= {"signingCertificate": words[0], "signature": words[1]}
        action = "SignedUpdateFirmware" if self._v16 else "UpdateFirmware"
        return action, number, place, {"requestId": number, "firmware": firmware} | tries

    async def _order_update(self, action: str, key: int | None, place: str, payload: Payload) -> None:
        if self._csms.line is None:
            return
        updates = self._promises.updates
        updates.places.setdefault(key, []).append(place)
        updates.statuses.asked(key)
        answer = await self._ask(action, payload)
        if answer is not None:
            status = answer.get("status", "Accepted" if "error" not in answer else "")
            updates.statuses.answered(key, status in ("Accepted", "AcceptedCanceled"))

    # --- logs -------------------------------------------------------------------------------------------------------

    async def _log(self) -> None:
        await self._order_log()
        if self._rng.random() < 0.3:
            await pause(self._rng, 60.0)
            await self._order_log()
        if self._rng.random() < 0.3:
            await self._trigger(firmware=False)

    async def _order_log(self) -> None:
        rng, number = self._rng, self._next()
        if self._csms.line is None:
            return
        place = f"http://files/{rng.choice(tuple(PACES))}/{number}"
        key = None if self._v16 and rng.random() < 0.5 else number
        tries: Payload = rng.choice(({}, {"retries": 1, "retryInterval": 20}, {"retries": 0}))
        kind = rng.choice(("DiagnosticsLog", "SecurityLog"))
        asked: Payload = {"log": {"remoteLocation": place}, "logType": kind, "requestId": number}
        if key is None:
            asked = {"location": place}
        logs = self._promises.logs
        logs.asked(key)
        self._promises.names.pop(key, None)
        action = "GetDiagnostics" if key is None else "GetLog"
        answer = await self._ask(action, asked | tries)
        if answer is not None:
            name = str(answer.get("fileName", answer.get("filename", "")))
            logs.answered(key, bool(name))
            self._promises.names[key] = name

    async def _trigger(self, firmware: bool) -> None:
        """How does it stand?"""
        words = ("Firmware", "SignedFirmware") if firmware else ("Diagnostics", "Log")
        plain = self._v16 and self._rng.random() < 0.5
        word: str = words[0] if plain or (firmware and not self._v16) else words[1]
        extended = self._v16 and not plain
        asked = "FirmwareStatusNotification" if word == "SignedFirmware" else f"{word}StatusNotification"
        told = self._promises.updates.statuses if firmware else self._promises.logs
        told.triggered()
        await self._ask("ExtendedTriggerMessage" if extended else "TriggerMessage", {"requestedMessage": asked})

    # --- certificates -------------------------------------------------------------------------------------------------

    async def _roots(self) -> None:
        """Some come, one goes, and what is there is told."""
        rng, kinds = self._rng, KINDS16 if self._v16 else KINDS201
        kind = rng.choice(tuple(kinds))
        text = f"{rng.choice((GOOD, GOOD, GOOD, UNFIT))} root {rng.randrange(4)}"
        answer = await self._ask("InstallCertificate", {"certificateType": kinds[kind], "certificate": text})
        if answer is not None and answer.get("status") == "Accepted":
            self._promises.certificate_kept(kind, text, True)
        await self._ask_ids(kinds[kind])
        if rng.random() < 0.4:
            answer = await self._ask("DeleteCertificate", {"certificateHashData": _hash_data(text)})
            if answer is not None and answer.get("status") == "Accepted":
                self._promises.certificate_kept(kind, text, False)
            await self._ask_ids(kinds[kind])

    async def _ask_ids(self, kind: str) -> None:
        asked = {"certificateType": kind if self._v16 else [kind]}
        answer = await self._ask("GetInstalledCertificateIds", asked)
        if answer is not None and "status" in answer:
            self._promises.certificate_ids(answer, self._v16)

    async def _sign(self) -> None:
        """The station is to ask for a certificate."""
        word = "SignChargePointCertificate" if self._v16 else "SignChargingStationCertificate"
        await self._ask("ExtendedTriggerMessage" if self._v16 else "TriggerMessage", {"requestedMessage": word})

    async def _signs(self) -> None:
        """What is asked for is signed, after a while, now and then."""
        rng = self._rng.__class__(f"{self._scene.plan.seed}/signer")
        while True:
            request = await self._csms.requests.get()
            await pause(rng, 20.0)
            dice = rng.random()
            if dice < 0.8:
                kind = STRANGE if dice < 0.2 else ""
                chain = f"chain for {kind}{request}" if dice < 0.7 else "garbage"
                answer = await self._ask("CertificateSigned", {"certificateChain": chain})
                if answer is not None and answer.get("status") == "Accepted" and self._scene.workshop.own != chain:
                    self._scene.checker.complain(f"{chain} was accepted, and is not used")

    # --- the link -----------------------------------------------------------------------------------------------------

    async def _moves(self) -> None:
        """The charger is sent elsewhere now and then, sometimes twice in a row."""
        rng = self._scene.plan.rng("mover")
        for number in itertools.count(1):
            await pause(rng, rng.choice((2.0, 300.0, *[DAY_S / self._scene.plan.moves_a_day] * 3)))
            kind = rng.choice((DOOR, DOOR, DOOR, *BAD))
            await self._set_url(address(kind, number, self._scene.plan.secure))

    async def _set_url(self, url: str) -> None:
        if self._v16:
            await self._ask("ChangeConfiguration", {"key": "NetworkConfiguration[1].OcppCsmsUrl", "value": url})
            return
        component = {"name": "NetworkConfiguration", "instance": "1"}
        write = {"component": component, "variable": {"name": "OcppCsmsUrl"}, "attributeValue": url}
        await self._ask("SetVariables", {"setVariableData": [write]})

    # --- other --------------------------------------------------------------------------------------------------------

    async def _vendor(self) -> None:
        vendor = self._rng.choice(("known", "unknown"))
        answer = await self._ask("DataTransfer", {"vendorId": vendor, "data": "x"})
        right = {"known": "Accepted", "unknown": "UnknownVendorId"}[vendor]
        if answer is not None and answer.get("status", right) != right:
            self._scene.checker.complain(f"the vendor {vendor} was answered by {answer}")

    async def finish(self) -> None:
        """Nothing is reserved any more."""
        for number in range(1, 4):
            await self._cancel(number)


def _hash_data(text: str) -> Payload:
    hashes = {"issuerNameHash": mark(text), "issuerKeyHash": mark("key of " + text)}
    return {"hashAlgorithm": "SHA256", **hashes, "serialNumber": mark("number of " + text)[:16]}


_CHORES: tuple[Callable[[Steward], Coroutine[Any, Any, None]], ...] = (
    Steward._list,
    Steward._reserve,
    Steward._reserve,
    Steward._reserve,
    Steward._update,
    Steward._update,
    Steward._log,
    Steward._roots,
    Steward._sign,
    Steward._vendor,
)
