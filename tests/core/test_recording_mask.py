"""No card number leaves a charger in a recording, wherever it stands; equal ones stay equal, and so do their ends."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agent.core.effects import Forget, Remember
from agent.core.events import Restored, TokenPresented
from agent.core.flat import flat
from agent.recording_mask import Mask, newest
from drivers.api import IdToken, shorten

CARD = "0100a57C21"
LINES: dict[str, Any] = {
    "a card at the reader": flat(TokenPresented((1,), IdToken(CARD))),
    "what the cache remembers": flat(Remember("auth_cache", CARD.lower(), {"status": "Accepted"})),
    "what the cache forgets": flat(Forget("auth_cache", CARD.lower())),
    "what the local list remembers": flat(Remember("local_list", CARD, {})),
    "the tables of the store": flat(Restored({"local_list": {CARD: {"status": "Accepted"}}})),
    "a card as the blocks remember it": flat(Remember("open", "tx", {"token": [CARD, "ISO14443"]})),
    "the image of the cache": ["O", 3, "blocks.cache.TokenCache", "_entries", ["D", 4, CARD, ["O", 5, "x"]]],
    "the group of the master card": ["d", "AuthCtrlr.MasterPassGroupId", CARD],
}


def masked(*lines: Any, key: bytes = b"k") -> list[Any]:
    mask = Mask(key, str)
    return [json.loads(line) for line in mask.lines([json.dumps(line) for line in lines])]


@pytest.mark.parametrize("what", LINES)
def test_a_card_is_masked_where_it_stands_and_in_every_other_text(what: str) -> None:
    text = json.dumps(masked(LINES[what], ["note", f"the card {CARD} was seen", CARD.upper()]))
    assert CARD.lower() not in text.lower()


def test_the_mask_keeps_length_and_end_and_is_the_same_everywhere() -> None:
    (_, number, _), (_, lower, _) = masked(["api.IdToken", CARD, "Central"], ["api.IdToken", CARD.lower(), "Central"])
    assert (len(number), shorten(number)) == (len(CARD), shorten(CARD))
    assert lower == number.lower()


def test_another_bundle_has_other_masks() -> None:
    line = ["api.IdToken", CARD, "Central"]
    assert masked(line, key=b"1") != masked(line, key=b"2")


def test_a_short_card_keeps_its_last_letter_only() -> None:
    ((_, number, _),) = masked(["api.IdToken", "AB12CD", "Central"])
    assert (len(number), number[-1]) == (6, "D")
    assert "AB12C" not in number


def test_what_only_looks_like_a_number_stays() -> None:
    assert masked(["step", 12345678, "12345678", ["l", [CARD], ["ISO14443"]]]) == [
        ["step", 12345678, "12345678", ["l", [CARD], ["ISO14443"]]]
    ]


def test_only_whole_segments_are_taken_the_newest_first() -> None:
    segments = [["new " * 5], ["middle"], ["old"]]
    found = newest([lambda lines=lines: lines for lines in segments], 28)  # type: ignore[misc]
    assert found == ["middle", "new " * 5]
