"""What the article's score adds to followers alone: prints figures for files of posts.

    python -m tools.article_report [FILE...] [--format NAME] [--encoder NAME]

Without a file, of the bundled sample.
"""

import argparse
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from stream_app.encoder import create_encoder
from stream_app.encoder.loading import load_model
from stream_app.evaluation.article import ArticleUser, PostArchive, find_kols
from stream_app.messages import Post
from stream_app.sample import sample_path
from stream_app.settings import Settings, load_settings
from stream_app.sources import FORMATS, read_events

QUANTILE = 0.90


def ranks(values: Sequence[float]) -> npt.NDArray[np.float64]:
    """Ranks from 1; equal values share the mean of theirs."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    shared: npt.NDArray[np.float64] = (last - (counts - 1) / 2.0)[place]
    return shared


def spearman(one: Sequence[float], other: Sequence[float]) -> float:
    return float(np.corrcoef(ranks(one), ranks(other))[0, 1])


def token_counts(texts: Iterable[str], settings: Settings) -> list[float]:
    loaded = load_model(settings.encoder, settings.encoder_revision)
    limit = min(1_024, loaded.model.config.n_positions)
    return [
        float(len(loaded.tokenizer(text, truncation=True, max_length=limit)["input_ids"]))
        for text in texts
    ]


def by_followers_alone(users: Sequence[ArticleUser]) -> set[str]:
    bare = [
        ArticleUser(key=u.key, followers=u.followers, mean_norm=1.0, posts=u.posts) for u in users
    ]
    return {user.key for user in find_kols(bare, QUANTILE).kols}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", metavar="FILE", default=[str(sample_path())])
    parser.add_argument("--format", default="jsonl", choices=list(FORMATS))
    parser.add_argument("--encoder", default="bundled")
    options = parser.parse_args()
    settings = load_settings(encoder=options.encoder)
    encoder = create_encoder(settings, logits_norm=True)
    posts = [e for e in read_events(options.files, options.format) if isinstance(e, Post)]
    archive = PostArchive()
    for post in posts:
        archive.add(post)
    users = archive.users(encoder)
    verdict = find_kols(users, QUANTILE)
    kols = {user.key for user in verdict.kols}
    followers = [float(user.followers or 0) for user in users]
    texts = sorted({post.text for post in posts})
    norms = [float(features.logits_norm or 0) for features in encoder.encode(texts)]
    tokens = token_counts(texts, settings)
    print(f"{archive.posts} posts of {verdict.population} users")
    print(f"threshold {verdict.threshold}, {len(kols)} KOLs")
    print(f"KOLs that followers alone would name: {len(kols & by_followers_alone(users))}")
    print(f"Spearman, users, F x norm and F: {spearman([u.score for u in users], followers):.4f}")
    print(f"Spearman, texts, norm and number of tokens: {spearman(norms, tokens):.4f}")
    for name, values in (("norm", norms), ("tokens", tokens)):
        shares = " ".join(f"{value:.0f}" for value in np.percentile(values, (5, 50, 95, 100)))
        print(f"{name} of texts, 5th, 50th, 95th, 100th percentile: {shares}")


if __name__ == "__main__":
    main()
