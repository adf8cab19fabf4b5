"""The node file: read once, checked whole, every default named."""

from exchange.settings.explain import DEFAULT, EffectiveValue, explain
from exchange.settings.model import (
    Address,
    KeySource,
    NodeSettings,
    PeerLink,
)
from exchange.settings.reader import SettingsError, load, parse

__all__ = [
    "DEFAULT",
    "Address",
    "EffectiveValue",
    "KeySource",
    "NodeSettings",
    "PeerLink",
    "SettingsError",
    "explain",
    "load",
    "parse",
]
