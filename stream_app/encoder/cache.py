from collections import OrderedDict
from collections.abc import Callable, Sequence
from hashlib import blake2b

from stream_app.encoder.base import Encoder
from stream_app.messages import TextFeatures


class CachedEncoder:
    """The least recently used texts' features are forgotten first; repeats are encoded once.

    Texts are the same where the encoder reads the same of them: a copy with another link is known.
    """

    def __init__(
        self, encoder: Encoder, capacity: int, *, read: Callable[[str], str] = str
    ) -> None:
        """Keep features of at most `capacity` texts, some 0.5 kB each; 0 keeps none.

        `read`: what the encoder is given of a text.
        """
        self._encoder = encoder
        self._capacity = capacity
        self._read = read
        self._kept: OrderedDict[bytes, TextFeatures] = OrderedDict()
        #: texts answered from memory or from within the same call, and texts encoded
        self.hits = 0
        self.misses = 0

    @property
    def identity(self) -> str:
        return self._encoder.identity

    def encode(self, texts: Sequence[str]) -> list[TextFeatures]:
        readings = [self._read(text) for text in texts]
        keys = [blake2b(text.encode(), digest_size=16).digest() for text in readings]
        found: dict[bytes, TextFeatures] = {}
        new: dict[bytes, str] = {}
        for key, text in zip(keys, readings, strict=True):
            if (features := self._kept.get(key)) is None:
                new[key] = text
            else:
                self._kept.move_to_end(key)
                found[key] = features
        if new:
            found.update(zip(new, self._encoder.encode(list(new.values())), strict=True))
            self._keep(found, new)
        self.misses += len(new)
        self.hits += len(texts) - len(new)
        return [found[key] for key in keys]

    def _keep(self, found: dict[bytes, TextFeatures], new: dict[bytes, str]) -> None:
        for key in new:
            self._kept[key] = found[key]
        while len(self._kept) > self._capacity:
            self._kept.popitem(last=False)
