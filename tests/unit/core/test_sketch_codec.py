"""Bytes of a sketch: the same sketch comes back, and nothing else is let in."""

import math
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.core import sketch_codec
from stream_app.core.bucket_counts import Tally
from stream_app.core.quantile_sketch import QuantileSketch
from tests.unit.core.test_quantile_sketch_laws import batches, sketch_of


@given(batches, st.none() | st.integers(-1_000, 1_000), st.integers(0, 4))
def test_a_sketch_comes_back_as_it_was(values: list[float], k_min: int | None, level: int) -> None:
    sketch = sketch_of(values, k_min)
    sketch.coarsen(level)
    back = QuantileSketch.deserialize(sketch.serialize())
    assert back == sketch
    assert (back.n, back.n_zero, back.k_min) == (sketch.n, sketch.n_zero, sketch.k_min)
    assert back.relative_accuracy == sketch.relative_accuracy


def test_equal_sketches_give_equal_bytes_however_they_came_about() -> None:
    sketch = sketch_of([1.0, 5.0, -700.0, 1e6])
    sketch.delete(1e6)
    sketch.replace(5.0, 2.0)
    assert sketch.serialize() == sketch_of([2.0, -700.0, 1.0]).serialize()


def test_counts_beyond_32_bits_come_back() -> None:
    sketch = sketch_of([1.0])
    for _ in range(40):
        sketch.merge(sketch)
    assert sketch.n == 1 << 40
    assert QuantileSketch.deserialize(sketch.serialize()) == sketch


def test_a_million_users_take_less_than_12_kb() -> None:
    rng = np.random.default_rng(3)
    sketch = sketch_of((rng.normal(0, 1.5, 10**6) + rng.exponential(1 / 1.2, 10**6)).tolist())
    assert len(sketch.serialize()) < 12_000


def test_every_truncation_is_refused() -> None:
    whole = sketch_of([1.0, 2.0, -math.inf]).serialize()
    for size in range(len(whole)):
        with pytest.raises(ValueError, match="serialised sketch"):
            QuantileSketch.deserialize(whole[:size])


def test_every_changed_byte_is_refused() -> None:
    whole = sketch_of([1.0, 2.0, -math.inf]).serialize()
    for at in range(len(whole)):
        with pytest.raises(ValueError, match="serialised sketch"):
            QuantileSketch.deserialize(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
    with pytest.raises(ValueError, match="serialised sketch"):
        QuantileSketch.deserialize(whole + b"\0")


def _signed(body: bytes) -> bytes:
    return body + struct.pack("<I", zlib.crc32(body))


def _frame(**changes: Any) -> bytes:
    tally = Tally(np.array([5, 700]), np.array([2, 1]))
    frame = sketch_codec.Frame(accuracy=1e-3, level=0, floor=-(1 << 62), n=4, n_zero=1, tally=tally)
    return sketch_codec.pack(frame._replace(**changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"n": 5},
        {"n_zero": 0},
        {"n": 1},
        {"n": 1 << 60, "n_zero": 1 << 60},
        {"level": 41},
        {"accuracy": 2.0},
        {"accuracy": math.nan},
        {"floor": 1 << 60},
        {"tally": Tally(np.array([5, 700, 800]), np.array([1 << 60, -(1 << 60), 3]))},
        {"tally": Tally(np.array([5, 1 << 60]), np.array([2, 1]))},
    ],
)
def test_a_frame_with_impossible_content_is_refused_though_its_checksum_fits(
    changes: dict[str, Any],
) -> None:
    QuantileSketch.deserialize(_frame())
    with pytest.raises(ValueError, match=r"serialised|level|accuracy|k_min"):
        QuantileSketch.deserialize(_frame(**changes))


def test_a_wrong_length_or_payload_is_refused_though_its_checksum_fits() -> None:
    body = _frame()[:-4]
    header = body[: sketch_codec._HEADER.size]
    raw = zlib.decompress(body[len(header) :])
    swapped = raw[8:16] + raw[:8] + raw[16:]
    for payload in (zlib.compress(raw + b"\0"), zlib.compress(raw[:-1]), b"none", b""):
        with pytest.raises(ValueError, match="serialised sketch"):
            QuantileSketch.deserialize(_signed(header + payload))
    with pytest.raises(ValueError, match="out of order"):
        QuantileSketch.deserialize(_signed(header + zlib.compress(swapped)))
    with pytest.raises(ValueError, match="impossible header"):
        QuantileSketch.deserialize(_signed(body[:1] + b"\x05" + body[2:]))
