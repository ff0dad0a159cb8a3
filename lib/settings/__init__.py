"""The environment as values: `Settings()` reads it once, never raises because of a value, and lists what is wrong."""

from lib.settings.accounts import AccountConfig
from lib.settings.model import Settings
from lib.settings.values import Problem

__all__ = ["AccountConfig", "Problem", "Settings"]
