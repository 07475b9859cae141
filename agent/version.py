"""The version of this program, as `pyproject.toml` has it: asking the package's metadata would be slow."""

VERSION = "0.1.0"
