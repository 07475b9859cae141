"""K: Smart charging, the profiles that came with remote starts, from the request until their transaction begins.

Three steps: *asked* by the start that is being handled; *wished* once that start was accepted, while no EVSE is chosen;
*promised* to the EVSE that was granted to its token. Nothing of it is remembered over a restart: a grant is not either.
A start that is refused or lapses leaves nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from agent.blocks.composite import Installed
from agent.core.events import Denied, Granted, RemoteStartWanted
from agent.core.profile import Profile
from agent.core.record import record, replace
from agent.core.requests import StartRequested
from agent.core.types import Trigger
from drivers.api import IdToken

MAX_WISHES = 16
NOWHERE = -1


@record
class _Wish:
    """A profile for the transaction that a remote start may lead to."""

    token: IdToken
    remote_start_id: int | None
    profile: Profile
    evses: tuple[int, ...] = ()


class Wishes:
    """`revision` grows whenever what is promised changes."""

    def __init__(self) -> None:
        self._asked: _Wish | None = None
        self._wished: dict[tuple[str, tuple[int, ...]], _Wish] = {}  # by token and EVSEs
        self._promised: dict[int, _Wish] = {}  # by EVSE
        self.revision = 0

    def __len__(self) -> int:
        """How many are promised; those that are only wished for may come to nothing."""
        return len(self._promised)

    def promised(self) -> Iterator[Installed]:
        """As profiles of a transaction that is yet without a name."""
        return (Installed(wish.profile, evse) for evse, wish in self._promised.items())

    def ask(self, e: StartRequested, profile: Profile) -> None:
        self._asked = _Wish(e.token, e.remote_start_id, profile)

    def ask_no_more(self) -> None:
        self._asked = None

    def accept(self, e: RemoteStartWanted) -> None:
        """The start was accepted. What an earlier one of this token has brought for one of these EVSEs is void."""
        for token, evses in [*self._wished]:
            if token == _key(e.token) and {*evses} & {*e.evses}:
                del self._wished[token, evses]
        asked, self._asked = self._asked, None
        if asked is not None and (asked.token, asked.remote_start_id) == (e.token, e.remote_start_id):
            if len(self._wished) >= MAX_WISHES:
                del self._wished[next(iter(self._wished))]
            self._wished[_key(e.token), e.evses] = replace(asked, evses=e.evses)

    def grant(self, e: Granted) -> None:
        """The EVSE is somebody's: what was promised there before is void, what he wished for is promised now."""
        self.drop(e.evse)
        key = next((key for key in self._wished if key[0] == _key(e.token) and e.evse in key[1]), None)
        if key is None or e.trigger is not Trigger.REMOTE_START:
            return
        if self._wished[key].remote_start_id == e.remote_start_id:
            self._promised[e.evse] = self._wished.pop(key)
            self.revision += 1

    def keep(self, evse: int, token: IdToken | None) -> Profile | None:
        """The profile that was promised to this token here; from now on nothing is."""
        wish = self._promised.get(evse)
        self.drop(evse)
        kept = wish is not None and token is not None and _key(token) == _key(wish.token)
        return wish.profile if kept and wish is not None else None

    def drop(self, evse: int) -> None:
        if self._promised.pop(evse, None) is not None:
            self.revision += 1

    def deny(self, e: Denied) -> None:
        self._wished.pop((_key(e.token), e.evses), None)  # else the card was refused for something else

    def clear(self, is_meant: Callable[[Installed], bool]) -> bool:
        """Whether there was any."""
        promised = [one.evse for one in self.promised() if is_meant(one)]
        wished = [key for key, wish in self._wished.items() if is_meant(Installed(wish.profile, _where(wish)))]
        for evse in promised:
            self.drop(evse)
        for key in wished:
            del self._wished[key]
        return bool(promised or wished)


def _where(wish: _Wish) -> int:
    return wish.evses[0] if len(wish.evses) == 1 else NOWHERE


def _key(token: IdToken) -> str:
    return token.value.lower()
