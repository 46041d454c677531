"""Every setting of the program, once, and how it is read."""

from stream_app.settings.loading import SettingRow, describe, fingerprint, load_settings
from stream_app.settings.model import DEFAULT_ENCODER, DEFAULT_ENCODER_REVISION, Settings

__all__ = [
    "DEFAULT_ENCODER",
    "DEFAULT_ENCODER_REVISION",
    "SettingRow",
    "Settings",
    "describe",
    "fingerprint",
    "load_settings",
]
