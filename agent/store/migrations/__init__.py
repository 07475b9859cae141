"""The layouts of the store's file, one module each; the n-th takes a file from `user_version` n-1 to n.

Rules: a released module is never changed; each runs in one transaction; later modules add columns and no tables, so
that every file has its tables at the same pages and a damaged one can be read by the first page of a fresh one
(`agent.store.salvage`).
"""

from agent.store.migrations import m001_first

MIGRATIONS = (m001_first.SQL,)
