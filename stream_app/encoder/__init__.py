"""Texts to features by a GPT-2. Importing this package loads neither torch nor transformers."""

from stream_app.encoder.base import Encoder
from stream_app.encoder.cache import CachedEncoder
from stream_app.encoder.factory import create_encoder

__all__ = ["CachedEncoder", "Encoder", "create_encoder"]
