import gzip
import io
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from stream_app.errors import UsageError
from stream_app.messages import MAX_VALUE_BYTES, Post, encode_post
from stream_app.sources import BadLine, in_event_time_order, read_events
from tests.builders import NOON, make_post

ONE, TWO = make_post(id="1"), make_post(id="2", created_at=NOON + 1)


def written(path: Path, *lines: bytes) -> str:
    path.write_bytes(b"\n".join(lines))
    return str(path)


def test_posts_come_in_the_order_of_the_lines(tmp_path: Path) -> None:
    path = written(tmp_path / "p.jsonl", encode_post(TWO), encode_post(ONE), b"")
    assert list(read_events([path])) == [TWO, ONE]


def test_a_gzipped_file_is_known_by_its_content(tmp_path: Path) -> None:
    path = written(tmp_path / "p.jsonl", gzip.compress(encode_post(ONE)))
    assert list(read_events([path, path])) == [ONE, ONE]


@pytest.mark.parametrize("data", [encode_post(ONE), gzip.compress(encode_post(ONE))])
def test_a_dash_is_standard_input(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    stdin = SimpleNamespace(buffer=io.BufferedReader(io.BytesIO(data)))
    monkeypatch.setattr("sys.stdin", stdin)
    assert list(read_events(["-"])) == [ONE]


def test_a_bad_line_is_told_by_its_number_and_the_rest_is_read(tmp_path: Path) -> None:
    path = written(
        tmp_path / "p", b"", encode_post(ONE), b"{}", b" ", b"nonsense", encode_post(TWO)
    )
    first, bad, worse, last = read_events([path])
    assert (first, last) == (ONE, TWO)
    assert isinstance(bad, BadLine)
    assert isinstance(worse, BadLine)
    assert str(bad) == f"{path}:3: missing-field: id: required, but absent"
    assert (worse.number, worse.reason) == (5, "invalid-json")


def test_lines_may_end_as_on_windows(tmp_path: Path) -> None:
    path = written(tmp_path / "p", encode_post(ONE) + b"\r", encode_post(TWO) + b"\r", b"\r")
    assert list(read_events([path])) == [ONE, TWO]


def test_a_line_without_end_is_one_bad_line(tmp_path: Path) -> None:
    path = written(tmp_path / "p", b"x" * (9 * MAX_VALUE_BYTES), encode_post(ONE))
    bad, good = read_events([path])
    assert isinstance(bad, BadLine)
    assert (bad.number, bad.reason) == (1, "too-large")
    assert good == ONE


def test_a_missing_file_or_folder_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nowhere: No such file"):
        list(read_events([str(tmp_path / "nowhere")]))
    with pytest.raises(UsageError, match="Is a directory"):
        list(read_events([str(tmp_path)]))


@pytest.mark.parametrize("damage", [lambda b: b[:-9], lambda b: b[:30] + b"\0\0\0" + b[33:]])
def test_a_broken_gzip_file_is_wrong_usage(
    tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    packed = gzip.compress(b"".join(encode_post(make_post(id=str(i))) + b"\n" for i in range(50)))
    path = written(tmp_path / "p.gz", damage(packed))
    with pytest.raises(UsageError, match=r"p\.gz: "):
        list(read_events([path]))


def test_an_unknown_format_is_wrong_usage_and_names_the_known() -> None:
    with pytest.raises(UsageError, match="jsonl, twitter-v1"):
        list(read_events([], "csv"))


def test_event_time_orders_and_equal_times_keep_their_order() -> None:
    late = make_post(id="a", observed_at=NOON + 9)
    twins = [make_post(id=name) for name in "xyz"]
    assert in_event_time_order([late, *twins]) == [*twins, late]


def test_a_bad_file_stops_only_when_reached(tmp_path: Path) -> None:
    events = read_events([written(tmp_path / "p", encode_post(ONE)), str(tmp_path / "nowhere")])
    assert isinstance(next(events), Post)
    with pytest.raises(UsageError):
        next(events)
