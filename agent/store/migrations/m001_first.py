"""The first layout of the file.

* `journal`: transaction events in the order of `id`, until the CSMS has answered. `role` tells starts, ends and plain
  samples apart without reading `body`.
* `dead`: journal rows that the CSMS would not take, with the reason; the same ids.
* `transactions`: what must outlive a transaction's delivered rows. `next_seq` and `energy_wh` are brought up to date
  when its last row leaves the journal; while rows wait there, the rows themselves tell.
* `kept`: what the blocks remember. Table and key are JSON strings, so that any text is a key.
* `clocks`: what must be added to the monotonic time of a power-up to get UTC.
* `marks`: single numbers and words of the store itself.

`check_sum` is the CRC-32 of `body` or `value`. STRICT and CHECK are there for the check at start: SQLite then finds a
page that belongs to another table, which is whole in itself.
"""

SQL = """
CREATE TABLE journal(
    id INTEGER PRIMARY KEY, tx TEXT NOT NULL, seq INTEGER NOT NULL, role INTEGER NOT NULL CHECK(role BETWEEN 0 AND 3),
    energy_wh INTEGER NOT NULL, check_sum INTEGER NOT NULL, body TEXT NOT NULL) STRICT;
CREATE TABLE dead(
    id INTEGER PRIMARY KEY, tx TEXT NOT NULL, seq INTEGER NOT NULL, role INTEGER NOT NULL CHECK(role BETWEEN 0 AND 3),
    energy_wh INTEGER NOT NULL, check_sum INTEGER NOT NULL, body TEXT NOT NULL, why TEXT NOT NULL) STRICT;
CREATE TABLE transactions(
    tx TEXT PRIMARY KEY, csms_id TEXT, via TEXT NOT NULL, next_seq INTEGER NOT NULL, energy_wh INTEGER NOT NULL,
    ended INTEGER NOT NULL CHECK(ended IN (0, 1)), level INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE kept(
    tbl TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, check_sum INTEGER NOT NULL,
    PRIMARY KEY(tbl, key)) STRICT, WITHOUT ROWID;
CREATE TABLE clocks(
    boot TEXT PRIMARY KEY, offset_s REAL NOT NULL, quality INTEGER NOT NULL CHECK(quality BETWEEN 0 AND 2))
    STRICT, WITHOUT ROWID;
CREATE TABLE marks(name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
"""
