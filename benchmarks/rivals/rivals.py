"""Who is compared, by what program, and what each cannot do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_LIBRARY: Final = "a library for models: reads no stream, keeps no state"
_ENCODER: Final = "brings no encoder; calls the one it is given"


@dataclass(frozen=True, kw_only=True)
class Rival:
    """One alternative that a user could pick.

    `requirements` is the name of a file, None for this Python. `encoder` and `stream` are the
    modules that are run; where one is None, `cannot` says why.
    """

    name: str
    requirements: str | None
    encoder: str | None = None
    stream: str | None = None
    #: arguments of the stream's program
    arguments: tuple[str, ...] = ()
    precisions: tuple[str, ...] = ("fp32",)
    #: of a turn's texts, of a stream's posts without and with a model: slow ones get fewer
    share: float = 1.0
    stream_share: float = 1.0
    whole_share: float = 1.0
    cannot: str = ""
    #: what it does less than a worker of ours, or otherwise
    differs: str = ""


_PROGRAMS: Final = "benchmarks.rivals.programs"
_FAUST: Final = ("worker", "-l", "warn")

OURS: Final = "kol-stream"
RIVALS: Final = (
    Rival(
        name=OURS,
        requirements=None,
        encoder="benchmarks.rivals.ours",
        precisions=("auto", "fp32"),
        differs="checks every field, signatures of texts, KOL events, leader, web API",
    ),
    Rival(
        name="the article's script",
        requirements="transformers",
        encoder=f"{_PROGRAMS}.article",
        share=0.2,
        cannot="a batch script: reads a list of posts, keeps nothing",
    ),
    Rival(
        name="transformers, padded batches",
        requirements="transformers",
        encoder=f"{_PROGRAMS}.padded",
        precisions=("fp32", "bf16"),
        cannot=_LIBRARY,
    ),
    Rival(
        name="transformers pipeline",
        requirements="transformers",
        encoder=f"{_PROGRAMS}.pipeline",
        precisions=("fp32", "bf16"),
        cannot=_LIBRARY,
    ),
    Rival(
        name="sentence-transformers",
        requirements="sentence-transformers",
        encoder=f"{_PROGRAMS}.sentences",
        precisions=("fp32", "bf16"),
        cannot=_LIBRARY,
    ),
    Rival(
        name="Faust, as its tutorial has it",
        requirements="faust",
        stream=f"{_PROGRAMS}.faust_tutorial",
        arguments=_FAUST,
        stream_share=0.1,
        whole_share=0.05,
        cannot=_ENCODER,
        differs="JSON Records, a table write for each post; the model is called for each post",
    ),
    Rival(
        name="Faust, take(N, within)",
        requirements="faust",
        stream=f"{_PROGRAMS}.faust_take",
        arguments=_FAUST,
        stream_share=0.25,
        whole_share=0.25,
        cannot=_ENCODER,
        differs="a table write for each user of a batch; take() leaves only a table in memory",
    ),
    Rival(
        name="Quix Streams",
        requirements="quixstreams",
        stream=f"{_PROGRAMS}.quix",
        whole_share=0.25,
        cannot=_ENCODER,
        differs="no batches over users: the model is called for each post",
    ),
    Rival(
        name="Bytewax",
        requirements="bytewax",
        stream=f"{_PROGRAMS}.bytewax_flow",
        cannot=_ENCODER,
        differs="state in snapshots every 5 s on this machine's disk, none in Kafka",
    ),
    Rival(
        name="bare loop",
        requirements=None,
        stream="benchmarks.bare_loop",
        cannot=_ENCODER,
        differs="aiokafka and msgspec: no recovery, no state on disk, no line, tells nobody",
    ),
)
