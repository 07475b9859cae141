"""A and B: what the link as a whole keeps beside its plan: what stood before, a certificate that waits, and how each
password is spelled.

Rules kept: each is durable with the step that it comes from; what makes no sense in the store is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from agent.blocks.kept import Kept, text, whole
from agent.core.effects import Effect, Forget, Remember
from agent.core.network import CertificateTaken, Plan, Profile, Target, read_plan

TABLE = "network"
_BEFORE, _CERTIFICATE, _FORMS = "before", "certificate", "forms"


class Doubts:
    """`before`: the plan and the slot to go back to, while those that have taken their place have been accepted and
    have not stood long enough. `certificate`: one of ours that came while another change was tried."""

    def __init__(self) -> None:
        self.before: tuple[Plan, int] | None = None
        self.certificate: CertificateTaken | None = None

    def restore(self, kept: Kept) -> None:
        self.before = kept.row(_BEFORE, lambda _key, value: (read_plan(value), whole(value["slot"])))
        self.certificate = kept.row(_CERTIFICATE, lambda _key, value: CertificateTaken(text(value[0]), text(value[1])))

    def begin(self, plan: Plan, slot: int) -> Iterator[Effect]:
        """Of several changes that follow one another so fast, what stood before the first counts."""
        if self.before is None:
            self.before = plan, slot
            yield Remember(TABLE, _BEFORE, plan.json() | {"slot": slot})

    def end(self) -> Iterator[Effect]:
        if self.before is not None:
            self.before = None
            yield Forget(TABLE, _BEFORE)

    def put_off(self, e: CertificateTaken) -> Iterator[Effect]:
        """Of several that come meanwhile the newest counts, beside the one that was good before all of them."""
        first = self.certificate or e
        fresh = CertificateTaken(e.mark, first.before)
        if fresh != self.certificate:
            self.certificate = fresh
            yield Remember(TABLE, _CERTIFICATE, [fresh.mark, fresh.before])

    def take_up(self) -> Iterator[Effect]:
        if self.certificate is not None:
            self.certificate = None
            yield Forget(TABLE, _CERTIFICATE)


class Forms:
    """In which form the password of each slot is taken: the one that worked first, the others one after the other."""

    def __init__(self) -> None:
        self._known: dict[int, str] = {}
        self._tries = 0

    def restore(self, kept: Kept) -> None:
        self._known = kept.row(_FORMS, lambda _key, value: {int(k): text(v) for k, v in value.items()}) or {}

    def of(self, slot: int, profile: Profile, *, fresh: bool) -> str:
        """`fresh`: this password is on trial, and what worked before says nothing of it."""
        known = None if fresh else self._known.get(slot)
        forms = sorted(profile.forms, key=lambda form: form != known)
        return forms[self._tries % len(forms)]

    def next(self, target: Target | None) -> bool:
        """Another form of the password is left to be tried before this counts as a failure."""
        forms: tuple[Any, ...] = target.profile.forms if target else ()
        self._tries = (self._tries + 1) % max(1, len(forms))
        return self._tries != 0

    def afresh(self) -> None:
        """Another target."""
        self._tries = 0

    def drop(self, slot: int) -> None:
        self._known.pop(slot, None)

    def worked(self, target: Target) -> Iterator[Effect]:
        if len(target.profile.forms) > 1 and self._known.get(target.slot) != target.form:
            self._known[target.slot] = target.form
            yield Remember(TABLE, _FORMS, {str(k): v for k, v in self._known.items()})
        self._tries = 0


class Failures:
    """A row of failures, until a link is good: `count` and `why` are of the target in use. Not durable."""

    def __init__(self) -> None:
        self.count = 0
        self.why = ""
        self._told: set[str] = set()

    def is_news(self, security: str) -> bool:
        """This security event was not told in this row."""
        news = bool(security) and security not in self._told
        self._told |= {security}
        return news

    def add(self, why: str) -> None:
        self.count, self.why = self.count + 1, why

    def begin(self) -> None:
        """Another target; the row goes on."""
        self.count, self.why = 0, ""

    def end(self) -> None:
        self.begin()
        self._told.clear()
