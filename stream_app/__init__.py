"""kol-stream: live key opinion leaders from posts in Kafka."""

__version__ = "0.1.0"
