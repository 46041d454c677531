"""Where a page of a list ended, as an opaque text."""

import base64
import binascii
import math

import msgspec

_decode = msgspec.msgpack.Decoder(tuple[float, str]).decode


def encode_cursor(z: float, key: str) -> str:
    """The place of a user in the ranking order, in characters that need no escaping in a URL."""
    packed = msgspec.msgpack.encode((z, key))
    return base64.urlsafe_b64encode(packed).rstrip(b"=").decode()


def decode_cursor(text: str) -> tuple[float, str]:
    """The place that `encode_cursor` wrote; raises ValueError for any other text."""
    try:
        padded = text.encode("ascii") + b"=" * (-len(text) % 4)
        z, key = _decode(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (UnicodeError, binascii.Error, msgspec.MsgspecError) as error:
        msg = "not a cursor of this system"
        raise ValueError(msg) from error
    if math.isnan(z):
        msg = "not a cursor of this system"
        raise ValueError(msg)
    return z, key
