"""D: Local authorization list. Which tokens the CSMS has listed, under which version, and what it says of each.

An update is taken as a whole or not at all, and is on disk with its version by one commit; only the entries that it
names are written. The version of an empty list is 0, whatever the CSMS called it, and of one that has lost entries to
a damaged disk, so that the CSMS sends it anew. Nobody but the CSMS changes the list.
Refused are: more entries than one message or the list may have, a token twice or without a name, a full list with an
entry that says nothing of its token, and any update while the disk refuses.

Ten thousand entries take about two megabytes: the values that entries have in common are held once.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from agent.blocks.kept import Kept, maybe, number, token, whole
from agent.blocks.station import Block, Facts, Out
from agent.core.effects import Effect, Forget, Note, Remember, Reply, StatusAnswer, VersionAnswer
from agent.core.events import Event, Restored
from agent.core.local_list import TokensListed
from agent.core.record import replace
from agent.core.requests import LocalListRequested, LocalListSent
from agent.core.types import Instant, ListEntry, TokenInfo, TokenStatus
from drivers.api import IdToken

TABLE = "local_list"
STATE = "local_list_state"
UNSUPPORTED = -1


class LocalList(Block):
    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._vars = facts.variables
        self._entries: dict[str, TokenInfo] = {}
        self._version = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def version(self) -> int:
        return self._version if self._entries else 0

    @property
    def enabled(self) -> bool:
        return self._vars.flag("LocalAuthListCtrlr.Enabled")

    def lookup(self, token: IdToken) -> TokenInfo | None:
        """What the list says of a token; None when it says nothing, or is switched off."""
        return self._entries.get(_key(token)) if self.enabled else None

    # --- the CSMS -----------------------------------------------------------------------------------------------

    def on_requested(self, e: LocalListRequested, _now: Instant) -> Out:
        yield Reply(e.ref, VersionAnswer(self.version if self.enabled else UNSUPPORTED))

    def on_sent(self, e: LocalListSent, _now: Instant) -> Out:
        status, reason, why = self._judge(e)
        if status == "Accepted":
            yield from self._take(e)
        else:
            yield Note("warning", "LocalListRefused", f"local list version {e.version} not taken: {why}")
        yield Reply(e.ref, StatusAnswer(status, reason=reason))

    def _judge(self, e: LocalListSent) -> tuple[str, str, str]:
        """Status, reason code, and the reason in words."""
        keys = [_key(entry.token) for entry in e.entries]
        cleared = e.full and not keys  # the version of an empty list is 0, and some central systems say so
        most = int(self._vars.number("LocalAuthListCtrlr.ItemsPerMessage"))
        room = self._most_entries()
        unclear = e.full and any(entry.info is None for entry in e.entries)
        old = not e.full and e.version <= self.version
        rules = (
            (not self.enabled, "NotSupported", "NotEnabled", "the list is switched off"),
            (not self._facts.storing, "Failed", "OutOfStorage", "the disk refuses"),
            (e.version < (0 if cleared else 1), "Failed", "ValueTooLow", "versions count from 1"),
            (len(keys) > most, "Failed", "TooManyElements", f"more than {most} entries at once"),
            (len(set(keys)) < len(keys), "Failed", "InvalidIdToken", "a token stands there twice"),
            ("" in keys, "Failed", "InvalidIdToken", "a token is empty"),
            (unclear, "Failed", "MissingParam", "an entry says nothing of its token"),
            (old, "VersionMismatch", "", f"the list has version {self.version}"),
            (self._size_after(e) > room, "Failed", "OutOfMemory", f"more than {room} entries"),
        )
        return next(((status, reason, why) for wrong, status, reason, why in rules if wrong), ("Accepted", "", ""))

    def _most_entries(self) -> int:
        row = self._vars.find("LocalAuthListCtrlr.Entries")
        return int(row.maximum or 0) if row is not None else 0

    def _size_after(self, e: LocalListSent) -> int:
        if e.full:
            return len(e.entries)
        there = [_key(entry.token) in self._entries for entry in e.entries]
        change = sum((entry.info is not None) - known for entry, known in zip(e.entries, there, strict=True))
        return len(self._entries) + change

    def _take(self, e: LocalListSent) -> Iterator[Event | Effect]:
        if e.full:
            self._entries.clear()
            yield Forget(TABLE)
        shared: dict[TokenInfo, TokenInfo] = {}
        for entry in e.entries:
            yield self._change(entry, shared)
        self._version = e.version
        yield Remember(STATE, "version", [e.version, len(self._entries)])
        yield TokensListed(tuple(entry.token for entry in e.entries if entry.info is not None))
        text = f"local list version {self.version} taken: {len(self._entries)} entries"
        yield Note("info", "LocalListChanged", text, (("VERSION", self.version), ("ENTRIES", len(self._entries))))

    def _change(self, entry: ListEntry, shared: dict[TokenInfo, TokenInfo]) -> Effect:
        key = _key(entry.token)
        if entry.info is None:
            self._entries.pop(key, None)
            return Forget(TABLE, key)
        info = _valid(entry.info)
        self._entries[key] = shared.setdefault(info, info)
        return Remember(TABLE, key, _encode(info))

    # --- memory -------------------------------------------------------------------------------------------------

    def on_restored(self, e: Restored, _now: Instant) -> Out:
        shared: dict[TokenInfo, TokenInfo] = {}
        kept, state = Kept(e, TABLE), Kept(e, STATE)
        for key, info in kept.rows(_decode).items():
            self._entries[key] = shared.setdefault(info, info)
        version, count = state.row("version", _state) or (0, 0)
        yield from (*kept.forget(), *state.forget())
        self._version = version if count == len(self._entries) else 0
        if count != len(self._entries):
            text = (
                f"local list version {version} has lost entries on the disk: {len(self._entries)} are left of {count}"
            )
            yield Note("error", "LocalListDamaged", f"{text}; it counts as version 0 until the CSMS sends it anew")

    HEARS: ClassVar = {
        Restored: "on_restored",
        LocalListRequested: "on_requested",
        LocalListSent: "on_sent",
    }


def _key(token: IdToken) -> str:
    return token.value.strip().lower()


def _valid(info: TokenInfo) -> TokenInfo:
    """A card that is in use elsewhere is a valid card: whether it may charge twice is for the CSMS to say."""
    return replace(info, status=TokenStatus.ACCEPTED) if info.status is TokenStatus.CONCURRENT_TX else info


def _encode(info: TokenInfo) -> list[Any]:
    return [str(info.status), info.expires, [info.group.value, info.group.kind] if info.group else None]


def _decode(_key: str, value: list[Any]) -> TokenInfo:
    status, expires, group = value
    return TokenInfo(TokenStatus(status), maybe(token, group), maybe(number, expires))


def _state(_key: str, value: list[Any]) -> tuple[int, int]:
    version, count = value
    return whole(version), whole(count)
