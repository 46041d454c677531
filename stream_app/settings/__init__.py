"""Every setting of the program, once, and how it is read."""

from stream_app.settings.loading import (
    KEPT_WITH_STATE,
    SettingRow,
    describe,
    fingerprint,
    load_settings,
)
from stream_app.settings.model import DEFAULT_ENCODER, DEFAULT_ENCODER_REVISION, Settings
from stream_app.settings.parsing import duration_text

__all__ = [
    "DEFAULT_ENCODER",
    "DEFAULT_ENCODER_REVISION",
    "KEPT_WITH_STATE",
    "SettingRow",
    "Settings",
    "describe",
    "duration_text",
    "fingerprint",
    "load_settings",
]
