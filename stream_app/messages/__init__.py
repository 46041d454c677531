"""Wire types, checks, user keys and event ids: all that crosses a topic. Needs msgspec alone."""

from stream_app.messages.bad_input import REASONS, BadInput
from stream_app.messages.decoding import MAX_NESTING, MAX_VALUE_BYTES
from stream_app.messages.features import EMBEDDING_DIMENSIONS, TextFeatures
from stream_app.messages.fields import COUNT_FIELDS
from stream_app.messages.interaction import (
    KINDS,
    Interaction,
    Kind,
    decode_interaction,
    encode_interaction,
)
from stream_app.messages.kol_event import (
    Cause,
    CauseType,
    EventUser,
    Factor,
    KolEvent,
    decode_event,
    decode_kept_event,
    encode_event,
    event_headers,
    event_id,
    event_source,
    stamp_event,
)
from stream_app.messages.post import Post, decode_post, encode_post
from stream_app.messages.times import MAX_TIME_MS, MIN_TIME_MS, parse_time, rfc3339
from stream_app.messages.user_keys import murmur2, partition_of, user_key

__all__ = [
    "COUNT_FIELDS",
    "EMBEDDING_DIMENSIONS",
    "KINDS",
    "MAX_NESTING",
    "MAX_TIME_MS",
    "MAX_VALUE_BYTES",
    "MIN_TIME_MS",
    "REASONS",
    "BadInput",
    "Cause",
    "CauseType",
    "EventUser",
    "Factor",
    "Interaction",
    "Kind",
    "KolEvent",
    "Post",
    "TextFeatures",
    "decode_event",
    "decode_interaction",
    "decode_kept_event",
    "decode_post",
    "encode_event",
    "encode_interaction",
    "encode_post",
    "event_headers",
    "event_id",
    "event_source",
    "murmur2",
    "parse_time",
    "partition_of",
    "rfc3339",
    "stamp_event",
    "user_key",
]
