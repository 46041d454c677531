import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.encoder.plain_text import plain_text


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("RT @user_1: look https://t.co/AbC1 $AAPL", "RT @user: look http $AAPL"),
        ("看这里http://t.cn/abc今天@小明 说", "看这里http今天@user 说"),
        ("write to first.last@example.org", "write to @user"),
        ("@a @b @c @d @e hello", "@user @user @user hello"),
        ("call 5551234567 or 12", "call 0000000 or 12"),
        ("a  b\t c\nd ", "a b c\nd"),
        ("", ""),
    ],
)
def test_pointers_become_placeholders(text: str, plain: str) -> None:
    assert plain_text(text) == plain


@given(st.text(max_size=200))
def test_any_text_has_a_plain_form_of_one_line_at_most_more_than_it_had(text: str) -> None:
    assert plain_text(text).count("\n") <= text.count("\n")


@pytest.mark.parametrize("piece", ["@", "a.", "1", "a", "http", "@user", " ", "a@", "@user ", "\n"])
def test_the_longest_texts_are_done_and_not_hung_on(piece: str) -> None:
    # Quadratic expressions take minutes here.
    assert len(plain_text(piece * 100_000)) <= len(piece) * 300_000
