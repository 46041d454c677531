"""Writes the bundled sample: one month of the stocknet tweets as posts, in event-time order.

    python -m tools.build_sample --data FOLDER

FOLDER holds stocknet_tweets_2014-01_2015-08.jsonl.gz and licenses/stocknet-dataset.MIT.txt.
The same input gives the same bytes.
"""

import argparse
import gzip
import sys
from collections.abc import Sequence
from pathlib import Path

from stream_app.messages import Post, encode_post, parse_time
from stream_app.sample import sample_path
from stream_app.sources import BadLine, in_event_time_order, read_events

TWEETS = "stocknet_tweets_2014-01_2015-08.jsonl.gz"
LICENCE = "licenses/stocknet-dataset.MIT.txt"

# July 2014: earnings season. Of all months the one with most users, so that the line is crossed
# both ways: users are promoted, and some demoted again when others pass them.
FIRST = parse_time("2014-07-01T00:00:00Z")
END = parse_time("2014-08-01T00:00:00Z")

README = """\
# The bundled sample

`posts.jsonl.gz`: {events:,} lines of real posts about companies and their shares on Twitter,
{first} to {last}. Each line is a post as it travels on topic `posts`, in event-time
order: {posts:,} posts of {users:,} users; {observations:,} lines are newer observations of a post,
read from a retweet, which carries the original's counts at that moment. Nothing was shifted or
made up: all times, counts and texts are as the source has them (HTML entities decoded). The
counts of a post just written are 0; engagement arrives with the retweets.

Not a fair picture of anyone: a keyword stream about 88 shares catches some posts of some users.

## Source and licence

Cut from `tweet/raw` of <https://github.com/yumoxu/stocknet-dataset>, which is under the MIT
licence ([LICENSE.stocknet](LICENSE.stocknet)); please cite

> Yumo Xu and Shay B. Cohen. Stock Movement Prediction from Tweets and Historical Prices.
> Proceedings of the 56th Annual Meeting of the Association for Computational Linguistics, 2018.

The licence covers what that project could license. The texts belong to their authors and are
subject to the platform's terms.

Made by `python -m tools.build_sample --data FOLDER`.
"""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER")
    data: Path = parser.parse_args(arguments).data
    posts = sample_posts(data / TWEETS)
    folder = sample_path().parent
    with sample_path().open("wb") as file, gzip.GzipFile("", "wb", 9, file, mtime=0) as packed:
        packed.writelines(encode_post(post) + b"\n" for post in posts)
    (folder / "README.md").write_text(readme(posts), encoding="utf-8")
    licence = (data / LICENCE).read_text(encoding="utf-8")
    (folder / "LICENSE.stocknet").write_text(licence, encoding="utf-8")
    print(f"{sample_path()}: {len(posts):,} posts, {sample_path().stat().st_size:,} bytes")


def sample_posts(tweets: Path) -> list[Post]:
    found = read_events([str(tweets)], "twitter-v1")
    good = []
    for post in found:
        if isinstance(post, BadLine):
            sys.exit(f"{post}: the sample is made of whole files only")
        if isinstance(post, Post) and FIRST <= post.event_time < END:
            good.append(post)
    return in_event_time_order(good)


def readme(posts: list[Post]) -> str:
    return README.format(
        events=len(posts),
        posts=len({(post.key, post.id) for post in posts}),
        users=len({post.key for post in posts}),
        observations=sum(post.observed_at > post.created_at for post in posts),
        first="2014-07-01",
        last="2014-07-31",
    )


if __name__ == "__main__":
    main()
