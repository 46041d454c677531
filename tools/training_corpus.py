"""Texts for the bundled model: from the public posts, cleaned, no repeats, split by author."""

import csv
import gzip
import hashlib
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from stream_app.encoder.plain_text import plain_text

HELD_BACK_ONE_IN = 50
REPOST_CHARACTERS = 16  # shorter reposts are mostly set phrases ("转发微博") and mentions


class Text(NamedTuple):
    author: str
    text: str
    language: str  # "en", "zh", or "" for trained on but not measured


class Corpus(NamedTuple):
    train: list[str]
    held_back: dict[str, list[str]]  # language -> texts of authors that `train` never saw
    characters: dict[str, int]  # source -> characters in `train`


_CJK = re.compile(r"[㐀-鿿]")


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as lines:
        if path.name.endswith(".csv.gz"):
            yield from csv.DictReader(lines)
        else:
            yield from map(json.loads, lines)


def _tweets(path: Path) -> Iterator[Text]:
    for row in read_rows(path):
        # The text of a retweet is cut at 140 characters; the original is whole.
        tweet = row.get("retweeted_status") or row
        language = "en" if tweet.get("lang", row.get("lang")) == "en" else ""
        yield Text(tweet["user"]["id_str"], tweet["text"], language)


def _notes(path: Path) -> Iterator[Text]:
    for row in read_rows(path):
        yield Text(row["user_id"], f"{row['title']}\n{row['desc']}", "zh")


def _pages(path: Path) -> Iterator[Text]:
    for row in read_rows(path):
        yield Text(row["page_id"], f"{row['message']}\n{row['description']}", "en")


def _weibo(path: Path) -> Iterator[Text]:
    for row in read_rows(path):
        yield Text(row["uid"], row["text"], "zh")


def _weibo_reposts(path: Path) -> Iterator[Text]:
    for row in read_rows(path):
        own = row["text"].split("//@", 1)[0]
        if len(own) >= REPOST_CHARACTERS:
            yield Text(row["uid"], own, "zh")


SOURCES: dict[str, Callable[[Path], Iterator[Text]]] = {
    "stocknet_tweets_2014-01_2015-08.jsonl.gz": _tweets,
    "pheme_source_tweets_2014-08_2014-11.jsonl.gz": _tweets,
    "fb_news_posts_dev.csv.gz": _pages,
    "xhs_notes_dev.jsonl.gz": _notes,
    "ced_weibo_originals_2010_2012.jsonl.gz": _weibo,
    "ced_weibo_reposts_2010_2012.jsonl.gz": _weibo_reposts,
}


def held_back(author: str) -> bool:
    """Whether all texts of `author` are kept for measuring: about one author in fifty."""
    return int.from_bytes(hashlib.sha256(author.encode()).digest()[:8]) % HELD_BACK_ONE_IN == 0


def _fingerprint(text: str) -> str:
    """Equal for texts that differ in links, handles, numbers, case or spacing only."""
    return re.sub(r"http|@user|RT|\W|\d|_", "", text).casefold()


def read_corpus(folder: Path) -> Corpus:
    """All sources of `folder`; raises FileNotFoundError where one is missing."""
    corpus = Corpus([], {"en": [], "zh": []}, {})
    seen: set[str] = set()
    waiting: list[Text] = []
    for name, read in SOURCES.items():
        characters = 0
        for author, raw, language in read(folder / name):
            text = plain_text(raw)
            if held_back(author):
                waiting.append(Text(author, text, language))
            elif text and (mark := _fingerprint(text)) not in seen:
                seen.add(mark)
                corpus.train.append(text)
                characters += len(text)
        corpus.characters[name] = characters
    # Last, so that a text also written by an author in `train` is no text "not seen".
    for _, text, language in waiting:
        mark = _fingerprint(text)
        chinese = len(_CJK.findall(text)) * 5 > len(text)
        if language and chinese == (language == "zh") and mark and mark not in seen:
            seen.add(mark)
            corpus.held_back[language].append(text)
    return corpus
