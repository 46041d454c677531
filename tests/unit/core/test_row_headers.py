"""Headers of many rows at once say what each row's own header says."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.core.row import UserRow, decode_header, encode_row
from stream_app.core.row_headers import decode_headers
from tests.unit.core.test_row import rows as any_rows

encoded = st.builds(encode_row, any_rows, st.floats(allow_nan=False), st.integers(0, 2**64 - 1))


@given(st.lists(encoded, max_size=8))
def test_many_headers_are_those_of_the_rows_one_by_one(rows: list[bytes]) -> None:
    headers = decode_headers(rows)
    for index, header in enumerate(map(decode_header, rows)):
        found = [field[index] for field in headers if isinstance(field, np.ndarray)]
        assert (*found, headers.tiers.get(index)) == header


FOREIGN = [b"", b"\x01", b"\x01" * 47, bytes(200), b"\x02" * 200]


@pytest.mark.parametrize("foreign", FOREIGN)
def test_one_foreign_row_among_good_ones_is_refused_as_it_is_alone(foreign: bytes) -> None:
    good = encode_row(UserRow("x", "y"), 0.0, 0)
    with pytest.raises(ValueError, match="row") as alone:
        decode_header(foreign)
    with pytest.raises(ValueError, match="row") as among:
        decode_headers([good, foreign, good + bytes(48)])
    assert str(among.value) == str(alone.value)
