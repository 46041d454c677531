"""Headers that a worker writes on a record that it forwards to the partition of its user."""

from typing import Final

FORWARDED: Final = "kol-forwarded"
#: "topic/partition/offset" where it was first read
ORIGIN: Final = "kol-origin"
#: app id of the worker that forwarded it
APP: Final = "kol-app"
#: Nobody else's word for them is passed on.
MARKS: Final = (FORWARDED, ORIGIN, APP)
