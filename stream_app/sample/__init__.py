"""The bundled sample of real posts; README.md beside it says where they are from."""

from pathlib import Path


def sample_path() -> Path:
    """The sample: posts as JSON Lines, gzipped, in event-time order."""
    return Path(__file__).with_name("posts.jsonl.gz")
