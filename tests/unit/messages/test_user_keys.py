from importlib import import_module

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.messages import murmur2, partition_of, user_key

aiokafka = import_module("aiokafka.partitioner")  # untyped: imported so that all of it is Any


@given(st.binary(max_size=40))
def test_the_hash_is_aiokafka_s(key: bytes) -> None:
    assert murmur2(key) == aiokafka.murmur2(key) & 0xFFFFFFFF


@given(st.binary(max_size=40), st.integers(1, 64))
def test_the_partition_is_where_a_producer_puts_the_key(key: bytes, partitions: int) -> None:
    everywhere = list(range(partitions))
    assert partition_of(key, partitions) == aiokafka.DefaultPartitioner()(
        key, everywhere, everywhere
    )


# Values of org.apache.kafka.common.utils.UtilsTest, as signed 32-bit numbers.
@pytest.mark.parametrize(
    ("key", "signed"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_the_hash_is_the_java_client_s(key: bytes, signed: int) -> None:
    assert murmur2(key) == signed & 0xFFFFFFFF


def test_a_user_id_may_hold_colons_and_the_key_stays_unambiguous() -> None:
    assert user_key("web", "a:b") == "web:a:b"
