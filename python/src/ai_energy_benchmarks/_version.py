"""The package's version: that of the program within. A test and `cargo xtask release` hold the two together."""

__version__ = "0.1.0"
