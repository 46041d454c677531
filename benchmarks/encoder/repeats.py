"""How many texts of a stream the text cache spares.

    python -m benchmarks.encoder.repeats FILE... [--format twitter-v1] [--capacity 20000]

The posts of the files, in the order of event time and in batches as a worker takes them, go through
the cache with an encoder behind it that costs nothing. A post observed again does not come to it:
a worker asks for the features of a post it knows no second time.
"""

import argparse
import json
import sys
import tracemalloc
from collections.abc import Sequence

from benchmarks import environment
from benchmarks.null_worker import NullEncoder
from stream_app.encoder import CachedEncoder
from stream_app.encoder.plain_text import plain_text
from stream_app.messages import Post
from stream_app.sources import BadLine, in_event_time_order, read_events

BATCH = 256


def texts_of(paths: Sequence[str], format_name: str) -> tuple[int, list[str]]:
    """Records of posts; and each post's text once, in the order in which a worker would meet it."""
    events = (e for e in read_events(paths, format_name) if not isinstance(e, BadLine))
    records = [event for event in in_event_time_order(events) if isinstance(event, Post)]
    posts: dict[tuple[str, str], str] = {}
    for post in records:
        posts.setdefault((post.key, post.id), post.text)
    return len(records), list(posts.values())


def through(cache: CachedEncoder, texts: Sequence[str]) -> float:
    """Share of the texts that the cache spared."""
    for start in range(0, len(texts), BATCH):
        cache.encode(texts[start : start + BATCH])
    return round(cache.hits / (cache.hits + cache.misses), 4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+")
    parser.add_argument("--format", default="jsonl")
    parser.add_argument("--capacity", type=int, default=20_000)
    options = parser.parse_args()
    records, texts = texts_of(options.files, options.format)
    if not texts:
        sys.exit("no posts in these files")
    as_read = CachedEncoder(NullEncoder(), options.capacity, read=plain_text)
    tracemalloc.start()
    hit_rate = through(as_read, texts)
    kept = min(options.capacity, as_read.misses)
    bytes_a_text = round(tracemalloc.get_traced_memory()[0] / kept)
    tracemalloc.stop()
    report = {
        "benchmark": "repeated texts",
        **environment.describe(("msgspec",)),
        "records": records,
        "posts": len(texts),
        "different_texts": len(set(texts)),
        "different_as_read": len(set(map(plain_text, texts))),
        "capacity": options.capacity,
        "hit_rate": hit_rate,
        "records_not_encoded": round(1 - as_read.misses / records, 4),
        "hit_rate_of_exact_copies": through(CachedEncoder(NullEncoder(), options.capacity), texts),
        "hit_rate_without_bound": through(
            CachedEncoder(NullEncoder(), len(texts), read=plain_text), texts
        ),
        "bytes_a_text": bytes_a_text,
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
