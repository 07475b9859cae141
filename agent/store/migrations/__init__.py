"""The layouts of the store's file, one module each; the n-th takes a file from `user_version` n-1 to n.

Rules: a released module is never changed; each runs in one transaction; the tables are only added to, so that pages of
a damaged file can be read by the layout of a fresh one (`agent.store.salvage`).
"""

from agent.store.migrations import m001_first

MIGRATIONS = (m001_first.SQL,)
