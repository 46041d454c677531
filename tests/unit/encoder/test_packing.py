import torch
from hypothesis import given
from hypothesis import strategies as st

from stream_app.encoder.packing import pack, passes


@given(st.lists(st.integers(0, 50), max_size=60), st.integers(1, 200))
def test_passes_hold_every_text_with_tokens_once_within_the_budget(
    lengths: list[int], budget: int
) -> None:
    found = list(passes(lengths, budget))
    assert sorted(row for rows in found for row in rows) == [i for i, n in enumerate(lengths) if n]
    for rows in found:
        assert len(rows) == 1 or sum(lengths[row] for row in rows) <= budget
        assert [lengths[row] for row in rows] == sorted((lengths[r] for r in rows), reverse=True)


@given(st.lists(st.integers(1, 60), min_size=1, max_size=300), st.integers(1, 4))
def test_passes_keep_all_lanes_busy_alike_once_there_is_work_for_them(
    lengths: list[int], lanes: int
) -> None:
    budget, total, longest = 1_024, sum(lengths), max(lengths)
    sizes = [sum(lengths[row] for row in rows) for rows in passes(lengths, budget, lanes)]
    if total < 2 * 256:
        assert len(sizes) == 1
    elif total >= lanes * 256 and total <= lanes * (budget - longest):
        assert len(sizes) <= lanes
        assert max(sizes) <= -(-total // lanes) + longest


texts = st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=6), min_size=1, max_size=20)


@given(texts)
def test_packed_texts_come_out_again_by_length_each_with_positions_from_0(
    tokens: list[list[int]],
) -> None:
    tokens.sort(key=len)
    packed = pack(tokens)
    whole = torch.stack([packed.ids, packed.positions], dim=1)
    found = [text for group in packed.split(whole) for text in group.tolist()]
    assert found == [[[token, place] for place, token in enumerate(text)] for text in tokens]
    assert packed.starts.tolist() == [sum(map(len, tokens[:n])) for n in range(len(tokens) + 1)]
    assert packed.starts.dtype is torch.int32
    assert len(packed.groups) == len({len(text) for text in tokens})
