"""The article's batch method against a straightforward script, and its bookkeeping."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence

import msgspec
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from stream_app.encoder import Encoder, create_encoder
from stream_app.encoder.loading import model_folder
from stream_app.evaluation.article import (
    ArticleUser,
    PostArchive,
    Verdict,
    article_kols,
    find_kols,
)
from stream_app.messages import Post, TextFeatures, encode_post
from stream_app.settings import load_settings
from tests.article_posts import LONG_TEXT, one_text_each, several_texts_each
from tests.builders import NOON, make_post
from tests.fakes import FakeEncoder
from tests.plain_article import norm_by_the_head, plain_kols, plain_scores
from tests.tiny_gpt2 import write_tiny_gpt2

#: of norms and scores: what fp32 leaves of a text encoded alone or beside longer ones
REL = 1e-6


class Pair:
    """The same GPT-2 behind the package's encoder, and with its head in plain transformers."""

    def __init__(self, name: str, folder: str) -> None:
        self.encoder: Encoder = create_encoder(load_settings(encoder=name), logits_norm=True)
        self.norm = norm_by_the_head(folder)
        self.norm_summed_in_fp32 = norm_by_the_head(folder, summed_in=torch.float32)


@pytest.fixture(scope="module", params=["tiny", "bundled"])
def model(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Pair]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # so little at a time gains nothing from more
    if request.param == "tiny":
        folder = str(write_tiny_gpt2(tmp_path_factory.mktemp("tiny")))
        yield Pair(folder, folder)
    else:
        yield Pair("bundled", str(model_folder("bundled", None)))
    torch.set_num_threads(threads)


def lines_of(posts: Sequence[Post]) -> list[bytes]:
    return [encode_post(post) for post in posts]


def scores_of(posts: Sequence[Post], encoder: Encoder) -> dict[str, float]:
    archive = PostArchive()
    for post in posts:
        archive.add(post)
    return {user.key: user.score for user in archive.users(encoder)}


# -- against the script


@pytest.mark.parametrize(
    "text",
    [
        "$AAPL beats estimates again, and raises its outlook for the year http://t.co/x @someone",
        "今天天气很好，转发一下",
        "a",
        "🌟",
        " \n ",
        "",
        LONG_TEXT,
    ],
)
def test_the_norm_of_a_text_is_that_of_all_its_logits(text: str, model: Pair) -> None:
    [features] = model.encoder.encode([text])
    assert features.logits_norm == pytest.approx(model.norm(text), rel=REL)


@pytest.mark.parametrize("make", [one_text_each, several_texts_each])
def test_scores_threshold_and_kols_are_those_of_a_straightforward_script(
    make: Callable[[int], list[Post]], model: Pair
) -> None:
    posts = make(60)
    expected = plain_scores(lines_of(posts), model.norm)
    threshold, kols = plain_kols(expected)
    assert scores_of(posts, model.encoder) == pytest.approx(expected, rel=REL)
    verdict = article_kols(posts, model.encoder, 0.90)
    assert verdict.threshold == pytest.approx(threshold, rel=REL)
    assert verdict.population == len(expected)
    assert {user.key for user in verdict.kols} == kols
    rough = plain_scores(lines_of(posts), model.norm_summed_in_fp32)
    assert plain_kols(rough)[1] == kols


# -- bookkeeping


class LengthEncoder(FakeEncoder):
    """The norm of a text is its length; remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def encode(self, texts: Sequence[str]) -> list[TextFeatures]:
        self.asked += texts
        return super().encode(texts)


observations = st.builds(
    make_post,
    id=st.sampled_from(["a", "b", "c"]),
    user_id=st.sampled_from(["u1", "u2", "u3", "ü"]),
    text=st.text("xy ", max_size=4),
    created_at=st.just(NOON),
    observed_at=st.integers(NOON, NOON + 4),
    follower_count=st.none() | st.integers(0, 5),
)


@given(st.lists(observations, max_size=25))
def test_the_bookkeeping_is_that_of_a_brute_force_over_all_observations(posts: list[Post]) -> None:
    expected: dict[str, float] = {}
    for key in {post.key for post in posts}:
        own = sorted((p for p in posts if p.key == key), key=lambda post: post.observed_at)
        counted = [post for post in own if post.follower_count is not None]
        newest = max((post.observed_at for post in counted), default=0)
        count = next((p.follower_count for p in counted if p.observed_at == newest), 0) or 0
        texts = [next(p.text for p in own if p.id == name) for name in {post.id for post in own}]
        expected[key] = count * sum(map(len, texts)) / len(texts)
    assert scores_of(posts, FakeEncoder()) == pytest.approx(expected, rel=1e-12)
    verdict = article_kols(posts, FakeEncoder(), 0.90)
    if not posts:
        assert verdict == Verdict(None, 0, ())
        return
    threshold, _ = plain_kols(expected)
    assert verdict.threshold == pytest.approx(threshold, rel=1e-12)
    assert verdict.population == len(expected)
    assert verdict.kols, "the best user reaches any quantile"


@given(st.lists(observations, max_size=25), st.randoms(use_true_random=False))
def test_the_order_of_the_lines_matters_at_equal_times_only(
    posts: list[Post], chance: random.Random
) -> None:
    ordered = list({(post.key, post.observed_at): post for post in posts}.values())
    shuffled = chance.sample(ordered, len(ordered))
    assert scores_of(shuffled, FakeEncoder()) == scores_of(ordered, FakeEncoder())


def test_the_same_id_under_another_user_is_another_post() -> None:
    archive = PostArchive()
    for user in ("u1", "u2"):
        archive.add(make_post(user_id=user))
    assert archive.posts == 2
    assert [user.posts for user in archive.users(FakeEncoder())] == [1, 1]


def test_every_different_text_is_encoded_once_and_progress_is_told() -> None:
    archive, encoder, told = PostArchive(), LengthEncoder(), list[int]()
    texts = [f"text {number}" for number in range(600)]
    for number, text in enumerate(texts * 2):
        archive.add(make_post(id=f"p{number}", text=text))
    archive.users(encoder, told.append)
    assert archive.texts == 600
    assert sorted(encoder.asked) == sorted(texts)
    assert told == sorted(told)
    assert told[-1] == 600


def test_unknown_followers_are_told_apart_from_none_and_score_zero_like_them() -> None:
    archive = PostArchive()
    archive.add(make_post(user_id="unknown"))
    archive.add(make_post(user_id="none", follower_count=0))
    unknown, none = archive.users(FakeEncoder())
    assert (unknown.followers, none.followers) == (None, 0)
    assert unknown.score == none.score == 0.0


def test_an_encoder_without_norms_is_refused() -> None:
    archive = PostArchive()
    archive.add(make_post())

    class WithoutNorms(FakeEncoder):
        def encode(self, texts: Sequence[str]) -> list[TextFeatures]:
            return [msgspec.structs.replace(f, logits_norm=None) for f in super().encode(texts)]

    with pytest.raises(ValueError, match="logits_norm"):
        archive.users(WithoutNorms())


# -- the line


def users_scoring(*scores: float) -> list[ArticleUser]:
    return [
        ArticleUser(key=f"x:{number:03}", followers=1, mean_norm=score, posts=1)
        for number, score in enumerate(scores)
    ]


def test_a_kol_scores_at_least_the_percentile_of_all_users() -> None:
    scores = [float(number) for number in range(101)]  # the 0.9 quantile is 90 itself
    verdict = find_kols(users_scoring(*scores), 0.90)
    assert verdict.threshold == np.percentile(scores, 90) == 90.0
    assert [user.score for user in verdict.kols] == scores[:89:-1]


def test_ties_at_the_threshold_are_all_in_and_stand_in_the_order_of_the_key() -> None:
    verdict = find_kols(users_scoring(*[3.0] * 5, 1.0), 0.90)
    assert verdict.threshold == 3.0
    assert [user.key for user in verdict.kols] == [f"x:{number:03}" for number in range(5)]


def test_a_threshold_of_zero_makes_everybody_a_kol() -> None:
    verdict = find_kols(users_scoring(*[0.0] * 19, 5.0), 0.90)
    assert verdict.threshold == 0.0
    assert len(verdict.kols) == verdict.population == 20


def test_another_quantile_is_another_line() -> None:
    scores = np.random.default_rng(3).lognormal(3, 2, 200)
    verdict = find_kols(users_scoring(*scores), 0.995)
    assert verdict.threshold == np.percentile(scores, 99.5)
    assert len(verdict.kols) == 1
