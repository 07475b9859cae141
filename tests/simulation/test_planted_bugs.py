"""Bugs are planted one at a time (`planted`), and each is caught by the seed that is named here, within a day or two.

| bug                          | caught at seed | by                                                               |
|------------------------------|----------------|------------------------------------------------------------------|
| RAM-only transaction id      | 1, OCPP 1.6    | after a restart a message names a transaction nobody knows       |
| delete before answer         | 1, OCPP 1.6    | a transaction's end never reaches the CSMS                       |
| act before commit            | 1, OCPP 1.6    | power is on before the transaction is on disk                    |
| new id on retry              | 1, OCPP 2.0.1  | a message id that is no row of the journal                       |
| stale sample re-stamped      | 1, OCPP 1.6    | a reading that the meter never gave at that moment               |
| no quarantine after time-out | 1, OCPP 2.0.1  | the answer to one question is taken for that to another          |
| end without settling         | 1, OCPP 1.6    | watt-hours between two transactions                              |
| open transactions forgotten  | 1, OCPP 1.6    | a transaction that is open for ever                              |
| counter not stored           | 1, OCPP 1.6    | a transaction id is used a second time                           |
| cable's rating not looked at | 1, OCPP 2.0.1  | an offer above the cable                                         |
| periods slept over           | 10, OCPP 1.6   | an offer above the period that has begun                         |
| the supply given to each     | 2, OCPP 1.6    | two offers above the supply                                      |
| the lowest stack level rules | 1, OCPP 1.6    | a composite schedule that the brute force does not find          |
| a day of 25 hours            | 10, OCPP 1.6   | the same                                                         |
| supervision without patience | 1, OCPP 1.6    | a fault without a cause                                          |
| reservations forgotten       | 7, OCPP 1.6    | a stranger starts where somebody had reserved                    |
| the local list forgotten     | 6, OCPP 2.0.1  | a version that is not the one that was taken                     |
| logs forgotten               | 20, OCPP 1.6   | an upload that never comes to an end                             |
| installed in mid-transaction | 2, OCPP 2.0.1  | firmware is installed while a transaction is open                |
| firmware status told twice   | 1, OCPP 1.6    | a word told again although it was answered                       |
| installed before the boot    | 3, OCPP 1.6    | new firmware that never ran                                      |
| new id for a security event  | 2, OCPP 1.6    | an id under which no event is stored                             |
| links believed in at once    | 5, OCPP 1.6    | a central system that accepts and then closes is stayed with     |
| trials without an end        | 2, OCPP 1.6    | a place that is no good is dialled for long                      |
"""

from __future__ import annotations

import pytest

from tests.simulation import planted, planted_promises
from tests.simulation.plan import rough
from tests.simulation.planted import Plant

CAUGHT: list[tuple[Plant, int, str, str]] = [
    (planted.ram_only_transaction_id, 1, "1.6", "which is unknown"),
    (planted.delete_before_answer, 1, "1.6", "never told to have ended|billed 0 times"),
    (planted.act_before_commit, 1, "1.6", "gets power before"),
    (planted.new_id_on_retry, 1, "2.0.1", "told before it is stored|tells again"),
    (planted.stale_sample_restamped, 1, "1.6", "is no reading of the meter"),
    (planted.no_quarantine, 1, "2.0.1", "the bus took the answer"),
    (planted.end_without_settling, 1, "1.6", "belong to no transaction"),
    (planted.forgets_open_transactions, 1, "1.6", "open for ever"),
    (planted.counts_from_one_again, 1, "1.6", "starts a second time"),
    (planted.offer_above_the_cable, 1, "2.0.1", "although limits are"),
    (planted.sleeps_over_periods, 10, "1.6", "its profiles allow|station's profiles allow|are allowed"),
    (planted.everybody_takes_all, 2, "1.6", "the supply has|station's profiles allow"),
    (planted.lowest_level_governs, 1, "1.6", "profiles allow|are allowed|composite schedule"),
    (planted.judges_at_once, 1, "1.6", "is a false alarm"),
    (planted.recurs_an_hour_late, 10, "1.6", "profiles allow|are allowed|composite schedule"),
    (planted_promises.forgets_reservations, 7, "1.6", "which is kept for"),
    (planted_promises.forgets_the_list, 6, "2.0.1", "local list has version"),
    (planted_promises.forgets_logs, 20, "1.6", "log of order .* has come to"),
    (planted_promises.installs_in_mid_transaction, 2, "2.0.1", "being installed while|restarts for new firmware while"),
    (planted_promises.tells_firmware_twice, 1, "1.6", "firmware of order .* was told after"),
    (planted_promises.installed_before_the_boot, 3, "1.6", "told to be installed, and never ran"),
    (planted_promises.new_id_for_a_security_event, 2, "1.6", "is none that waits"),
    (planted_promises.believes_in_links_at_once, 5, "1.6", "is believed in"),
    (planted_promises.trials_without_end, 2, "1.6", "is still dialled after"),
]


@pytest.mark.parametrize(("plant", "seed", "version", "how"), CAUGHT, ids=[plant.__name__ for plant, *_ in CAUGHT])
def test_a_planted_bug_is_caught_at_its_seed(plant: Plant, seed: int, version: str, how: str) -> None:
    import re

    outcome = planted.run_with(plant, rough(seed, version, 2.0))
    assert outcome.broken, "the bug was not found"
    assert any(re.search(how, line) for line in outcome.broken), outcome.broken
