"""The installed agent on a booted system: `make test-platform`. README.md says what is here and how to write a test."""
