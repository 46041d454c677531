"""How original users of the real sets are, by the bundled model: prints Markdown.

    python -m tools.originality_report --data FOLDER [--users N]

"Distinct" and "copy" come from the texts themselves: shared character 5-grams (Jaccard index, links
and handles aside) with the most similar earlier post of the author, below 0.2 and from 0.8.
"""

import argparse
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np

from stream_app.core.originality import (
    SIGNS,
    nearest_distances,
    originality_at,
    similarity_at,
)
from stream_app.encoder import Encoder, create_encoder
from stream_app.encoder.plain_text import plain_text
from stream_app.settings import load_settings
from tools.training_corpus import read_rows

MEMORY = 64  # posts of a user that are remembered
DISTINCT_BELOW, COPY_FROM = 0.2, 0.8
PERCENTILES = (50, 90, 95, 99)


class Own(NamedTuple):
    at: float
    id: str
    text: str


class Compared(NamedTuple):
    text: str
    nearest: int  # signs apart from the nearest earlier post; -1 = none
    overlap: float  # Jaccard index with the most similar earlier text


Users = dict[str, list[Own]]


def tweets(path: Path) -> Users:
    users: Users = defaultdict(list)
    for row in read_rows(path):
        if not row.get("retweeted_status"):  # a repost is no post of the one who reposts
            at = parsedate_to_datetime(row["created_at"]).timestamp()
            users[row["user"]["id_str"]].append(Own(at, row["id_str"], row["text"]))
    return users


def notes(path: Path) -> Users:
    users: Users = defaultdict(list)
    for row in read_rows(path):
        text = f"{row['title']}\n{row['desc']}".strip()
        users[row["user_id"]].append(Own(float(row["time"]), row["note_id"], text))
    return users


def sets(folder: Path) -> Iterator[tuple[str, Users]]:
    yield "stocknet", tweets(folder / "stocknet_tweets_2014-01_2015-08.jsonl.gz")
    yield "PHEME", tweets(folder / "pheme_source_tweets_2014-08_2014-11.jsonl.gz")
    yield "XHS", notes(folder / "xhs_notes_dev.jsonl.gz")


def shingles(text: str) -> frozenset[str]:
    plain = "".join(plain_text(text).replace("http", "").replace("@user", "").casefold().split())
    return frozenset(plain[i : i + 5] for i in range(max(1, len(plain) - 4)))


def jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    return len(one & other) / len(one | other)


def compare(posts: Sequence[Own], encoder: Encoder) -> list[Compared]:
    """Each post with a signature against the author's remembered earlier ones."""
    posts = sorted(posts)
    seen: list[tuple[bytes, frozenset[str]]] = []
    found = []
    for post, features in zip(posts, encoder.encode([p.text for p in posts]), strict=True):
        own = features.signature
        if not own:
            continue
        grams = shingles(post.text)
        nearest = min(nearest_distances(own, [other for other, _ in seen]), default=-1)
        overlap = max((jaccard(grams, other) for _, other in seen), default=0.0)
        found.append(Compared(post.text, nearest, overlap))
        seen = [*seen[-MEMORY + 2 :], (own, grams)]
    return found


def factor(posts: Sequence[Compared]) -> float:
    """T without decay: the plain mean of the posts' originality."""
    return sum(originality_at(post.nearest) for post in posts) / len(posts)


def _quantiles(posts: Sequence[Compared]) -> str:
    if not posts:
        return " - |" * len(PERCENTILES)
    similarity = [similarity_at(min(post.nearest, SIGNS)) for post in posts]
    return " ".join(f"{value:.3f} |" for value in np.percentile(similarity, PERCENTILES))


def report(name: str, compared: dict[str, list[Compared]]) -> None:
    later = [post for posts in compared.values() for post in posts if post.nearest >= 0]
    distinct = [post for post in later if post.overlap < DISTINCT_BELOW]
    copies = [post for post in later if post.overlap >= COPY_FROM]
    print(f"| {name} distinct | {len(distinct)} | {_quantiles(distinct)}")
    print(f"| {name} copies | {len(copies)} | {_quantiles(copies)}")
    for kind, posts in (("distinct", distinct), ("copies", copies)):
        mean = sum(originality_at(post.nearest) for post in posts) / max(len(posts), 1)
        below = sum(originality_at(post.nearest) < 0.9 for post in posts) / max(len(posts), 1)
        print(f"  {name} {kind}: mean originality {mean:.3f}, below 0.9: {below:.1%}")
    for least in (2, 5, 10):
        values = [factor(posts) for posts in compared.values() if len(posts) >= least]
        if values:
            below = sum(value < 0.9 for value in values) / len(values)
            low, half = np.percentile(values, (10, 50))
            print(
                f"  {name} users with {least}+ posts: {len(values)}, T < 0.9: {below:.1%}, "
                f"10th percentile {low:.2f}, median {half:.2f}"
            )
    lowest = sorted((p for p in compared.items() if len(p[1]) >= 5), key=lambda p: factor(p[1]))
    for user, posts in lowest[:3]:
        print(f"  lowest {name} {user}: T {factor(posts):.2f}, {len(posts)} posts")
        for post in posts[-2:]:
            print(f"    {originality_at(post.nearest):.2f} {plain_text(post.text)[:100]!r}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the public posts")
    parser.add_argument("--encoder", default="bundled")
    parser.add_argument("--users", type=int, default=500, help="users of each set, by chance")
    options = parser.parse_args()
    encoder = create_encoder(load_settings(encoder=options.encoder))
    print("| posts | n |", " | ".join(f"p{p}" for p in PERCENTILES), "|")
    for name, users in sets(options.data):
        several = sorted(user for user, posts in users.items() if len(posts) > 1)
        chosen = random.Random(0).sample(several, min(options.users, len(several)))
        report(name, {user: found for user in chosen if (found := compare(users[user], encoder))})


if __name__ == "__main__":
    main()
