"""Public data sets as posts and interactions."""

from stream_app.sources.events import Event, in_event_time_order
from stream_app.sources.lines import BadLine
from stream_app.sources.reading import FORMATS, format_named, read_events

__all__ = [
    "FORMATS",
    "BadLine",
    "Event",
    "format_named",
    "in_event_time_order",
    "read_events",
]
