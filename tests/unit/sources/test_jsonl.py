import pytest

from stream_app.messages import BadInput, encode_interaction, encode_post
from stream_app.sources.jsonl import events_of_line
from tests.builders import make_interaction, make_post


def test_a_line_is_a_post_or_an_interaction_by_its_fields() -> None:
    post, interaction = make_post(), make_interaction()
    assert events_of_line(encode_post(post)) == [post]
    assert events_of_line(encode_interaction(interaction)) == [interaction]


def test_a_post_may_carry_one_of_their_names_as_somebody_elses_field() -> None:
    post = make_post(text='about "kind" and "target_user_id"')
    line = encode_post(post)
    assert events_of_line(b'{"kind":"photo",' + line[1:]) == [post]
    assert events_of_line(b'{"target_user_id":"u9",' + line[1:]) == [post]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b'{"kind":"like","target_user_id":"u"}', "missing-field: id: "),
        (encode_interaction(make_interaction(kind="poke")), "invalid-field: kind: "),
        (b'{"kind":"like"}', "missing-field: id: "),
        (b'{"kind":"like","target_user_id":"u"', "invalid-json: value: "),
        (b"[]", "invalid-json: value: "),
    ],
)
def test_a_bad_line_is_refused_with_the_reason_of_what_it_looks_like(
    line: bytes, said: str
) -> None:
    with pytest.raises(BadInput) as caught:
        events_of_line(line)
    assert str(caught.value).startswith(said)
