from functools import cache
from hashlib import sha256
from importlib.resources import files


@cache
def _content() -> str:
    return files("stream_app.encoder").joinpath("reference_texts.txt").read_text(encoding="utf-8")


def reference_texts() -> list[str]:
    """Texts that fix what "average" means for an encoder, one per line, English and Chinese.

    Public posts of stocknet (MIT) and MF_KOC (Apache-2.0), with handles and links replaced.
    """
    return _content().splitlines()


def reference_digest() -> str:
    """Changes with the texts, and with them every signature."""
    return sha256(_content().encode()).hexdigest()[:8]
