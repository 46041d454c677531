"""Rankings come in pieces."""

from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from stream_app.core.quantile_sketch import QuantileSketch
from stream_app.core.standing import standing_of
from stream_app.engine.board_reader import BoardReader
from stream_app.engine.internal_records import RankingChunk, encode, record_key
from stream_app.errors import StateError
from tests.builders import make_post
from tests.histories import row_after
from tests.schemes import make_scheme
from tests.unit.engine.stand_ins import fixed_line

SKETCH = QuantileSketch().serialize()


def reader() -> BoardReader:
    return BoardReader({}, "kol-rankings", "kol", make_scheme().formula)


def someone(key: str) -> Any:
    found = standing_of(row_after([make_post(text="")], make_scheme()), make_scheme())
    assert found is not None
    return msgspec.structs.replace(found, key=key)


def pieces(
    sequence: int, *names: str, version: int | None = None, formula: int | None = None
) -> list[Any]:
    """A ranking of one user a piece."""
    line = fixed_line(sequence if version is None else version, [])
    if formula is not None:
        line = msgspec.structs.replace(line, formula=formula)
    return [
        record(
            RankingChunk(
                sequence=sequence,
                index=index,
                chunks=len(names),
                items=[someone(name)],
                line=line if index == 0 else None,
                members=[len(names)] if index == 0 else [],
                sketch=SKETCH if index == 0 else b"",
            )
        )
        for index, name in enumerate(names)
    ]


def record(chunk: RankingChunk, app_id: str = "kol") -> Any:
    return SimpleNamespace(key=record_key(app_id, str(chunk.index)), value=encode(chunk))


def names(board_reader: BoardReader) -> list[str] | None:
    board = board_reader.board
    return None if board is None else [standing.key for standing in board.items]


def test_a_ranking_is_shown_when_all_its_pieces_are_there() -> None:
    found = reader()
    for one in pieces(5, "a", "b", "c"):
        assert found.board is None
        found.on_record(one)
    assert names(found) == ["a", "b", "c"]
    assert found.board is not None
    assert (found.board.line.version, found.board.members) == (5, (3,))


def test_pieces_of_different_rankings_are_never_mixed() -> None:
    found, old, new = reader(), pieces(5, "a", "b"), pieces(6, "c", "d")
    for one in (old[0], new[0], new[1]):
        found.on_record(one)
    assert names(found) == ["c", "d"]
    found.on_record(old[1])  # what compaction left of the other
    assert names(found) == ["c", "d"]


def test_a_shorter_ranking_replaces_a_longer_one() -> None:
    found = reader()
    for one in [*pieces(5, "a", "b", "c"), *pieces(6, "d")]:
        found.on_record(one)
    assert names(found) == ["d"]


def test_an_older_line_does_not_come_back() -> None:
    found = reader()
    for one in [*pieces(6, "a"), *pieces(7, "b", version=5)]:
        found.on_record(one)
    assert names(found) == ["a"]


def test_a_ranking_of_another_formula_is_not_shown() -> None:
    found = reader()
    for one in pieces(5, "a", formula=make_scheme().formula + 1):
        found.on_record(one)
    assert found.board is None
    assert found.is_outdated
    for one in pieces(6, "b"):
        found.on_record(one)
    assert names(found) == ["b"]
    assert not found.is_outdated


def test_records_of_other_apps_and_empty_ones_are_passed_over() -> None:
    found = reader()
    chunk = RankingChunk(1, 0, 1, [], fixed_line(1, []), [], SKETCH)
    found.on_record(record(chunk, "other"))
    found.on_record(SimpleNamespace(key=None, value=encode(chunk)))
    found.on_record(SimpleNamespace(key=record_key("kol", "0"), value=None))
    assert found.board is None


def test_a_format_that_is_not_known_is_refused() -> None:
    with pytest.raises(StateError, match="format 9"):
        reader().on_record(SimpleNamespace(key=record_key("kol", "0"), value=b"\x09"))
