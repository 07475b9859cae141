"""Anything that a central system could send: the charger stays up, answers each call once, and charges on."""
