"""What the packages promise, as far as it shows without building one; `tests.platform` builds and installs them."""
