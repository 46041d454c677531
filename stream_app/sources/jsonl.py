"""Our own format: JSON Lines, each line a post as it travels on topic `posts`."""

from stream_app.messages import Post, decode_post


def posts_of_line(line: bytes) -> list[Post]:
    """The one post of a line.

    Raises:
        BadInput: the line is no valid post.
    """
    return [decode_post(line)]
