"""The bench: what a person does with a device and a register map before there is an agent.

`shelf` finds maps, `mapcheck` names every mistake in one, `scan` looks for devices on a line, `table` reads values
beside their registers, `judge` says which of them are nonsense. Nothing here prints, and nothing knows the agent.
"""
