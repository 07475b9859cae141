"""What the station tells of orders that take long (firmware, logs), followed word by word as it leaves.

What may follow what is one table a kind of message. A word is told once; told again it is only when its answer did not
come in time, or came in the last moment of a process. What was triggered says the same at any time. Where several
stories fit what was heard, all of them are kept, and only when none is left something is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

LAST_MOMENT_S = 1.0  # an answer so late in a life may not have been stored
Follows = Mapping[str, tuple[str, ...]]

_END = ("InstallationFailed", "InstallVerificationFailed")
FIRMWARE: Follows = {
    "": ("DownloadScheduled", "Downloading"),
    "DownloadScheduled": ("Downloading",),
    "Downloading": ("Downloaded", "DownloadFailed"),
    "Downloaded": ("SignatureVerified", "InvalidSignature", "InstallScheduled", "Installing", *_END),
    "SignatureVerified": ("InstallScheduled", "Installing"),
    "InstallScheduled": ("Installing",),
    "Installing": ("InstallRebooting", "Installed", "InstallScheduled", *_END),
    "InstallRebooting": ("Installed", "InstallationFailed"),
}
PLAIN: Follows = {  # the words of an older version, where an order has no id
    "": ("Downloading",),
    "Downloading": ("Downloaded", "DownloadFailed"),
    "Downloaded": ("Installing", "InstallationFailed"),
    "Installing": ("Installed", "InstallationFailed"),
}
_SENT = ("Uploaded", "UploadFailure", "PermissionDenied", "BadMessage", "AcceptedCanceled", "UploadFailed")
LOG: Follows = {"": ("Uploading",), "Uploading": _SENT}


@dataclass(frozen=True, slots=True)
class Story:
    """`word` was told last, by the message `open` unless that was answered; `starts` orders may still begin."""

    word: str = ""
    open: str = ""
    starts: int = 0


@dataclass(slots=True)
class Order:
    """One request of the CSMS, or all that have no id. `due`: it was accepted, and must come to an end."""

    stories: set[Story] = field(default_factory=lambda: {Story()})
    triggers: int = 0
    due: bool = False
    told_at: float = 0.0
    due_at: float = 0.0
    acked: dict[str, float] = field(default_factory=dict)


class Statuses:
    """`name` for complaints; `follows` by whether the order has an id."""

    def __init__(
        self, name: str, follows: Follows, plain: Follows, now: Callable[[], float], complain: Callable[[str], None]
    ) -> None:
        self.name, self._follows, self._plain, self._now, self._complain = name, follows, plain, now, complain
        self.orders: dict[int | None, Order] = {}
        self._triggers = 0
        self._before: dict[int | None, bool] = {}
        self._asked_at = 0.0
        self.told_count = 0

    def _order(self, key: int | None) -> Order:
        return self.orders.setdefault(key, Order(triggers=self._triggers))

    def _table(self, key: int | None) -> Follows:
        return self._plain if key is None else self._follows

    # --- the CSMS ---------------------------------------------------------------------------------------------------

    def asked(self, key: int | None) -> None:
        """From now on it may be accepted, and replace the one before."""
        order = self._order(key)
        order.stories = {replace(story, starts=story.starts + 1) for story in order.stories}
        self._before = {one: other.due for one, other in self.orders.items()}
        self._asked_at = self._now()
        for other in self.orders.values():
            other.due = False

    def answered(self, key: int | None, accepted: bool) -> None:
        """The last one that was asked for."""
        order = self._order(key)
        if accepted:
            order.due, order.due_at = True, self._asked_at
            return
        order.stories = {replace(story, starts=max(story.starts - 1, 0)) for story in order.stories}
        for one, due in self._before.items():
            self.orders[one].due = due

    def triggered(self) -> None:
        self._triggers += 1
        for order in (*self.orders.values(), self._order(None)):
            order.triggers += 1

    # --- the station --------------------------------------------------------------------------------------------------

    def told(self, key: int | None, word: str, message_id: str) -> None:
        order, table = self._order(key), self._table(key)
        order.told_at = self._now()
        self.told_count += 1
        found: set[Story] = set()
        for story in order.stories:
            if word in table.get(story.word, ()) or (word == story.word and story.open):
                found.add(replace(story, word=word, open=message_id))
            if story.starts and word in table[""]:
                found.add(Story(word, message_id, story.starts - 1))
        if not found and order.triggers and (word == "Idle" or any(word in words for words in table.values())):
            order.triggers -= 1
            return
        if order.triggers:
            found |= order.stories
        if not found:
            before = ", ".join(sorted(story.word or "nothing" for story in order.stories))
            self._complain(f"{self.name} of order {key}: {word} was told after {before}")
            found = {Story(word, message_id)}
        order.stories = found

    def acked(self, message_id: str) -> None:
        for order in self.orders.values():
            if any(story.open == message_id for story in order.stories):
                order.acked = {message_id: self._now()}
                order.stories = {
                    replace(story, open="" if story.open == message_id else story.open) for story in order.stories
                }

    # --- breaks -------------------------------------------------------------------------------------------------------

    def line_lost(self) -> None:
        """What was triggered is not told later."""
        self._triggers = 0
        for order in self.orders.values():
            order.triggers = 0

    def life_lost(self, sure: bool) -> None:
        self._before.clear()
        for key, order in self.orders.items():
            late = any(self._now() - at < LAST_MOMENT_S for at in order.acked.values())
            if late:
                order.stories |= {replace(story, open="?") for story in order.stories if story.word}
            if not sure:
                starts = max(story.starts for story in order.stories)
                order.stories = {Story(word, "?" * bool(word), starts) for word in _words(self._table(key))}
                order.due = False

    # --- the end ------------------------------------------------------------------------------------------------------

    def unfinished(self) -> list[str]:
        found = []
        for key, order in self.orders.items():
            over = any(story.word and story.word not in self._table(key) for story in order.stories)
            if order.due and not (over and order.told_at >= order.due_at):
                found.append(f"{self.name} of order {key} has come to {sorted(s.word for s in order.stories)}")
        return found


def _words(table: Follows) -> list[str]:
    return ["", *dict.fromkeys(word for words in table.values() for word in words)]
