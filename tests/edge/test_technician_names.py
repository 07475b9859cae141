"""Who gives an order, as it is kept: by the word of the operating system, and of nobody else."""

from __future__ import annotations

import os
import pwd
from typing import Any

import pytest

from agent.edge.control import Peer
from agent.technician import who

ME = pwd.getpwuid(os.getuid()).pw_name
NOBODY = 4_000_000_123  # no account has this number


@pytest.mark.parametrize(
    ("uid", "request_", "name"),
    [
        (os.getuid(), {}, ME),
        (NOBODY, {}, f"uid {NOBODY}"),
        (NOBODY, {"sudo": "anna"}, f"uid {NOBODY}"),
        (0, {"sudo": "anna"}, "anna as root"),
        (0, {"sudo": "an\nna" + "x" * 99}, f"an na{'x' * 35} as root"),
        (0, {"sudo": ["anna"]}, "root"),
    ],
    ids=["an account", "no account", "a claim that nobody vouches for", "behind sudo", "a long claim", "no text"],
)
async def test_an_order_is_kept_under_the_name_that_the_system_vouches_for(
    uid: int, request_: dict[str, Any], name: str
) -> None:
    assert await who(Peer(1, uid, 0), request_) == name
