"""`chargepoint doctor`: is this charger fit to be left alone? One report, dated, for people and for scripts.

Each file looks at one thing and tells `Check`s: `host` (configuration, files, disk, clock), `hardware` (buses,
controllers, meters, readers), `csms` (the way to the central system), `running` (instead of these two, when the agent
runs: it holds the lines and the connection, and is asked). `report` draws, `main` is the command.
"""
