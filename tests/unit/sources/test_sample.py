import pytest

from stream_app.messages import Post
from stream_app.sample import sample_path
from stream_app.sources import read_events


@pytest.fixture(scope="module")
def posts() -> list[Post]:
    return [post for post in read_events([str(sample_path())]) if isinstance(post, Post)]


def test_the_sample_is_small_and_whole(posts: list[Post]) -> None:
    assert sample_path().stat().st_size < 2_000_000
    assert 3_000 <= len(posts) <= 10_000
    assert len(posts) == sum(1 for _ in read_events([str(sample_path())]))


def test_the_sample_is_in_event_time_order(posts: list[Post]) -> None:
    assert posts == sorted(posts, key=lambda post: post.event_time)


def test_the_sample_has_enough_users_and_engagement_for_a_line(posts: list[Post]) -> None:
    assert len({post.key for post in posts}) >= 1_000
    assert sum(post.observed_at > post.created_at for post in posts) >= 500


def test_the_sample_names_its_source_and_licence() -> None:
    folder = sample_path().parent
    readme = (folder / "README.md").read_text(encoding="utf-8")
    assert "github.com/yumoxu/stocknet-dataset" in readme
    assert "Xu and Shay B. Cohen" in readme
    assert "MIT License" in (folder / "LICENSE.stocknet").read_text(encoding="utf-8")
