"""Embeddings that are moved together come out as one by one."""

from hypothesis import given
from hypothesis import strategies as st

from stream_app.core.aggregate import fold_post, new_row
from stream_app.core.blending import Blending
from tests.builders import NOON, make_post
from tests.histories import TEXTS, features_of
from tests.schemes import DAY_MS, make_scheme

SCHEME = make_scheme()
USERS = 3

#: (user, text, days); so far apart that nothing is left of what was before
moves = st.lists(
    st.tuples(
        st.integers(0, USERS - 1),
        st.sampled_from(TEXTS),
        st.integers(-400, 400) | st.sampled_from([40_000, 80_000]),
    ),
    max_size=12,
)


@given(moves)
def test_a_batch_moves_embeddings_as_its_events_one_by_one(
    found: list[tuple[int, str, int]],
) -> None:
    together = [new_row("x", str(user)) for user in range(USERS)]
    alone = [new_row("x", str(user)) for user in range(USERS)]
    blending = Blending()
    for number, (user, text, days) in enumerate(found):
        at = NOON + days * DAY_MS
        post = make_post(id=f"p{number}", text=text, created_at=at)
        fold_post(together[user], post, features_of(text), SCHEME, blending)
        fold_post(alone[user], post, features_of(text), SCHEME)
    blending.settle()
    assert together == alone
