"""Public data sets as posts."""

from stream_app.sources.lines import BadLine
from stream_app.sources.reading import FORMATS, in_event_time_order, read_events

__all__ = ["FORMATS", "BadLine", "in_event_time_order", "read_events"]
