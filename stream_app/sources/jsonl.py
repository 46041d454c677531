"""Our own format: JSON Lines, each line a post or an interaction as it travels in Kafka."""

from typing import Final

from stream_app.messages import decode_interaction, decode_post
from stream_app.sources.events import Event
from stream_app.sources.json_lines import fields_of_line

# A post may carry one of these names as a field of somebody else's; both make an interaction.
_OF_AN_INTERACTION: Final = frozenset({"kind", "target_user_id"})

_names = fields_of_line(*_OF_AN_INTERACTION)


def events_of_line(line: bytes) -> list[Event]:
    """The one post or interaction of a line.

    Raises:
        BadInput: the line is neither.
    """
    if _names(line) == _OF_AN_INTERACTION:
        return [decode_interaction(line)]
    return [decode_post(line)]
