"""The layout of the store's file that a release writes: `layout.py SITE`. Older releases cannot read a later one."""

from __future__ import annotations

import sys

sys.path.insert(0, sys.argv[1])
sys.dont_write_bytecode = True

from agent.store.migrations import MIGRATIONS  # noqa: E402  of the release that is packed

print(len(MIGRATIONS))
