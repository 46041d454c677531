import re

# Begins where a word begins and has a limit: else a long run without "@" takes quadratic time.
_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[A-Za-z0-9-]+\.[A-Za-z0-9.-]+")
_URL = re.compile(r"(?:https?://|www\.)[!-~…]*")
_HANDLE = re.compile(r"@[\w·\-]+")
_HANDLES = re.compile(r"(?:@user\s*){4,}")
_NUMBER = re.compile(r"\d{7,}")
_SPACE = re.compile(r"[^\S\n]+")


def plain_text(text: str) -> str:
    """`text` without what points elsewhere: addresses, handles, links and long numbers.

    They say little about what a text is about and cost many tokens; and a copy stays a copy with a
    fresh short link. The bundled model was trained on texts treated so.
    """
    text = _EMAIL.sub("@user", text)
    text = _URL.sub("http", text)
    text = _HANDLE.sub("@user", text)
    text = _HANDLES.sub("@user @user @user ", text)
    text = _NUMBER.sub("0000000", text)
    return _SPACE.sub(" ", text).strip()
