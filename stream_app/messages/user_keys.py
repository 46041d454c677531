"""Who a record belongs to, and which partition that user lives in."""

from functools import lru_cache
from typing import Final

_MASK: Final = 0xFFFFFFFF
_SEED: Final = 0x9747B28C
_M: Final = 0x5BD1E995


def user_key(platform: str, user_id: str) -> str:
    """`platform:user_id`. Unambiguous, for a platform has no colon."""
    return f"{platform}:{user_id}"


#: Keys whose partition is remembered: few users write most posts.
_KEYS: Final = 32_768


@lru_cache(maxsize=_KEYS)
def partition_of(key: bytes, partitions: int) -> int:
    """The partition the Java client, aiokafka and librdkafka's murmur2_random choose for `key`."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions


def murmur2(data: bytes) -> int:
    """MurmurHash2, 32 bits, with Kafka's seed; the value is unsigned.

    Formula: `org.apache.kafka.common.utils.Utils.murmur2`.
    """
    length = len(data)
    h = _SEED ^ length
    whole = length & ~3
    for start in range(0, whole, 4):
        k = int.from_bytes(data[start : start + 4], "little") * _M & _MASK
        h = (h * _M & _MASK) ^ ((k ^ (k >> 24)) * _M & _MASK)
    if length != whole:
        h = (h ^ int.from_bytes(data[whole:], "little")) * _M & _MASK
    h = (h ^ (h >> 13)) * _M & _MASK
    return h ^ (h >> 15)
