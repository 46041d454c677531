"""`kol article`: the article's batch method over files of posts."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import click

from stream_app.cli import options
from stream_app.cli.post_files import PostFiles, files_argument, format_option
from stream_app.cli.terminal import bar, is_terminal, json_text, print_table, spinner
from stream_app.cli.wording import plural, printable, score_text
from stream_app.messages import Post

if TYPE_CHECKING:
    from stream_app.encoder import Encoder
    from stream_app.evaluation.article import ArticleUser, PostArchive, Verdict
    from stream_app.settings import Settings


@click.command()
@files_argument
@format_option
@click.option(
    "--json", "as_json", is_flag=True, help="print threshold, population and KOLs as JSON"
)
def article(files: Sequence[str], format_name: str, as_json: bool) -> None:
    """Name the KOLs in files of posts by the article's batch method: followers x norm.

    A user's score is her newest known follower count times the mean, over her posts, of the
    Frobenius norm of the language model's logits; a KOL scores at least the quantile of the lowest
    tier in KOL_TIERS (0.90) of all users' scores. The model is KOL_ENCODER, in fp32, and reads up
    to 1,024 tokens. Nothing decays and nobody is left out. Bad lines are named on standard error
    and passed over.

    The streaming preset, KOL_PRESET=article, agrees with it.
    """
    settings = options.read_settings()
    from stream_app.evaluation.article import PostArchive, find_kols

    quantile = next(iter(settings.tiers.values()))
    encoder = _load(settings)
    archive = PostArchive()
    for event in PostFiles(files, format_name).as_they_come():
        if isinstance(event, Post):
            archive.add(event)
    verdict = find_kols(_encode(archive, encoder), quantile)
    if as_json:
        click.echo(json_text(_as_json(verdict)))
    else:
        _print(verdict, quantile, archive.posts)


def _load(settings: Settings) -> Encoder:
    """First of all, so that a missing model is said before anything has been read."""
    from stream_app.encoder import create_encoder

    waiting: AbstractContextManager[None] = (
        spinner("loading the model") if is_terminal() else nullcontext()
    )
    with waiting:
        return create_encoder(settings, logits_norm=True)


def _encode(archive: PostArchive, encoder: Encoder) -> list[ArticleUser]:
    with bar("texts encoded", archive.texts) as progress:
        return archive.users(encoder, progress.move)


def _as_json(verdict: Verdict) -> dict[str, object]:
    return {
        "threshold": verdict.threshold,
        "population": verdict.population,
        "kols": [{"key": user.key, "score": user.score} for user in verdict.kols],
    }


_COLUMNS = ("#", "user", "score", "followers", "mean norm", "posts")
_NUMBERS = ("#", "score", "followers", "mean norm", "posts")


def _print(verdict: Verdict, quantile: float, posts: int) -> None:
    if verdict.kols:
        rows = [_row(position, user) for position, user in enumerate(verdict.kols, start=1)]
        print_table(_COLUMNS, rows, right=_NUMBERS)
    for line in _closing_lines(verdict, quantile, posts):
        click.echo(line)


def _row(position: int, user: ArticleUser) -> tuple[str, ...]:
    return (
        str(position),
        printable(user.key),
        score_text(user.score),
        "?" if user.followers is None else f"{user.followers:,}",
        score_text(user.mean_norm),
        f"{user.posts:,}",
    )


def _closing_lines(verdict: Verdict, quantile: float, posts: int) -> list[str]:
    """What the list rests on and, last, how long it is."""
    if verdict.threshold is None:
        return ["no posts, so no users and no threshold", "0 KOLs of 0 users"]
    lines = [
        f"{plural(posts, 'post')}; threshold {score_text(verdict.threshold)}, "
        f"the {quantile:g} quantile of all scores"
    ]
    if verdict.threshold == 0:
        lines.append(
            "at a threshold of 0 everybody is a KOL, as the method is written; "
            "unknown followers count as 0"
        )
    return [*lines, f"{len(verdict.kols)} KOLs of {verdict.population} users"]
