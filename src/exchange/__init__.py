"""Cross-region exchange and mutual recognition of environmental facts."""

__version__ = "0.1.0"
