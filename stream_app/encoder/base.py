from collections.abc import Sequence
from typing import Protocol

from stream_app.messages import TextFeatures


class Encoder(Protocol):
    """Turns texts into features. Blocking; to be called from one thread at a time."""

    @property
    def identity(self) -> str:
        """What the features depend on: numbers stored under another identity cannot be compared."""
        ...

    def encode(self, texts: Sequence[str]) -> list[TextFeatures]:
        """Features of each text, in the order given; the same for a text alone or among others."""
        ...
