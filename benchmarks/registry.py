"""Every benchmark, what it measures, which of its figures count and what they should be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Path = tuple[str | int, ...]


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One figure of a report.

    `path` leads to it: to a number, a list of numbers, or something with a list "all". A "*" stands
    for every name of an object, each a figure of its own, or for every item of a list, all of which
    are one figure's values.
    """

    name: str
    path: Path
    unit: str
    at_least: float | None = None
    at_most: float | None = None


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """A module that prints a JSON report.

    `repeats` is the option that tells it how often to measure; None where it has to be started
    again and again instead.
    """

    name: str
    module: str
    what: str
    figures: tuple[Figure, ...]
    kafka: bool
    repeats: Literal["--rounds", "--repeats", "--kills"] | None = None
    arguments: tuple[str, ...] = ()
    #: compares ways of doing something; asked for by name or with --all
    study: bool = False


def _rivals(part: Path, name: str) -> Figure:
    return Figure(name=name, path=(*part, "*", "ours_to_theirs"), unit="x", at_least=1.0)


def _encoder(tokens: str) -> tuple[Figure, ...]:
    return (
        Figure(name=tokens, path=(tokens, "posts_per_second", "*"), unit="posts/s"),
        Figure(name=f"{tokens}, to the article's loop", path=(tokens, "ratio"), unit="x"),
        Figure(
            name=f"{tokens}, of the peak", path=(tokens, "share_of_peak"), unit="", at_least=0.85
        ),
    )


BENCHMARKS: Final = (
    Benchmark(
        name="sketch",
        module="benchmarks.sketch",
        what="the quantile sketch beside KLL, DDSketch, t-digest and a sorted list",
        kafka=False,
        figures=(
            Figure(
                name="replace to KLL's insert",
                path=("gates", "replace / KLL insert", "value"),
                unit="x the time",
                at_most=6,
            ),
            Figure(
                name="rank error",
                path=("gates", "rank error on the model", "value"),
                unit="",
                at_most=5e-5,
            ),
        ),
    ),
    Benchmark(
        name="encoder",
        module="benchmarks.encoder",
        what="posts/s of the encoder, beside the article's loop and the machine's matrix peak",
        kafka=False,
        repeats="--rounds",
        arguments=("--tokens", "40,128"),
        figures=(*_encoder("40 tokens"), *_encoder("128 tokens")),
    ),
    Benchmark(
        name="encoder.variants",
        module="benchmarks.encoder.variants",
        what="what was tried to make the encoder quicker",
        kafka=False,
        repeats="--rounds",
        study=True,
        figures=(
            Figure(name="to the product", path=("variants", "*", "ratio_to_product"), unit="x"),
        ),
    ),
    Benchmark(
        name="encoder.stages",
        module="benchmarks.encoder.stages",
        what="where the time of a pass goes, of one thread",
        kafka=False,
        repeats="--rounds",
        study=True,
        figures=(Figure(name="40 tokens", path=("40 tokens", "shares", "*"), unit=""),),
    ),
    Benchmark(
        name="encoder.threads",
        module="benchmarks.encoder.threads",
        what="threads of the encoder beside the engine's",
        kafka=False,
        repeats="--rounds",
        study=True,
        figures=(Figure(name="posts/s", path=("rows", "*", "posts_per_second"), unit="posts/s"),),
    ),
    Benchmark(
        name="encoder.graphs",
        module="benchmarks.encoder.graphs",
        what="the model's body as it is, compiled, and as a CUDA graph",
        kafka=False,
        repeats="--rounds",
        study=True,
        figures=(
            Figure(
                name="as it is", path=("40 tokens", "as it is", "posts_per_second"), unit="posts/s"
            ),
        ),
    ),
    Benchmark(
        name="encoder.repeats",
        module="benchmarks.encoder.repeats",
        what="texts of the bundled stream that the text cache spares",
        kafka=False,
        arguments=("stream_app/sample/posts.jsonl.gz",),
        figures=(
            Figure(name="hit rate", path=("hit_rate",), unit=""),
            Figure(name="memory of a text", path=("bytes_a_text",), unit="bytes"),
        ),
    ),
    Benchmark(
        name="worker",
        module="benchmarks.worker",
        what="events/s of one worker without encoder cost, beside two plain aiokafka loops",
        kafka=True,
        repeats="--repeats",
        figures=(
            Figure(name="worker", path=("worker_events_per_s",), unit="events/s", at_least=18_000),
            Figure(name="bare loop", path=("bare_events_per_s",), unit="events/s"),
            Figure(name="worker to bare loop", path=("ratio",), unit="x", at_least=0.8),
            Figure(name="same work in a loop", path=("same_work_events_per_s",), unit="events/s"),
            Figure(name="worker to the same work", path=("ratio_to_same_work",), unit="x"),
            Figure(name="processor time", path=("worker_cpu_us_per_event",), unit="us an event"),
        ),
    ),
    Benchmark(
        name="whole_path",
        module="benchmarks.whole_path",
        what="a worker with its encoder on, beside the encoder alone; time until the KOL event",
        kafka=True,
        repeats="--rounds",
        figures=(
            Figure(name="worker", path=("worker_posts_per_s",), unit="posts/s"),
            Figure(name="to the encoder alone", path=("ratio",), unit="x", at_least=0.95),
            Figure(
                name="p50 at 70 % load",
                path=("latency_at_70_percent", "p50_ms"),
                unit="ms",
                at_most=150,
            ),
            Figure(
                name="p99 at 70 % load",
                path=("latency_at_70_percent", "p99_ms"),
                unit="ms",
                at_most=1_000,
            ),
        ),
    ),
    Benchmark(
        name="scale",
        module="benchmarks.scale",
        what="more worker processes, users and partitions",
        kafka=True,
        repeats="--repeats",
        figures=(
            Figure(name="workers", path=("workers", "*", "all"), unit="events/s"),
            Figure(name="partitions", path=("partitions", "*", "all"), unit="events/s"),
            Figure(
                name="leader, a line from 1,000 partitions",
                path=("leader", 2, "draw_line_from_new_snapshots_ms"),
                unit="ms",
            ),
        ),
    ),
    Benchmark(
        name="visibility",
        module="benchmarks.visibility",
        what="how long until what was produced is seen on every worker",
        kafka=True,
        figures=(
            Figure(
                name="p99", path=("until_seen_on_every_worker", "*", "p99_s"), unit="s", at_most=2
            ),
        ),
    ),
    Benchmark(
        name="event_streams",
        module="benchmarks.event_streams",
        what="what a thousand open event streams cost a worker",
        kafka=True,
        repeats="--rounds",
        figures=(
            Figure(name="streams", path=("posts_per_s", "*"), unit="posts/s"),
            Figure(name="with to without", path=("ratio",), unit="x"),
        ),
    ),
    Benchmark(
        name="recovery",
        module="benchmarks.recovery",
        what="a worker's start with the rows of a million users",
        kafka=True,
        figures=(
            Figure(
                name="without local state",
                path=("without_local_state", "rows_per_s"),
                unit="rows/s",
                at_least=10_000,
            ),
            Figure(
                name="with local state", path=("with_local_state", "ready_s"), unit="s", at_most=3
            ),
        ),
    ),
    Benchmark(
        name="rebalance",
        module="benchmarks.rebalance",
        what="how long consumption stops while a worker joins or leaves",
        kafka=True,
        repeats="--rounds",
        figures=(
            Figure(name="a join", path=("stop_in_a_join_s",), unit="s", at_most=5),
            Figure(name="a leave", path=("stop_in_a_leave_s",), unit="s", at_most=5),
            Figure(name="redelivered", path=("redelivered_share",), unit="of all", at_most=0.02),
        ),
    ),
    Benchmark(
        name="failover",
        module="benchmarks.failover",
        what="how late promotions come while one of three workers is killed",
        kafka=True,
        repeats="--kills",
        figures=(
            Figure(name="worst", path=("kills", "*", "worst_s"), unit="s"),
            Figure(
                name="worst of other partitions",
                path=("kills", "*", "worst_of_other_partitions_s"),
                unit="s",
            ),
        ),
    ),
    Benchmark(
        name="rebuild",
        module="benchmarks.rebuild",
        what="`kol rebuild` on posts kept in Kafka",
        kafka=True,
        figures=(
            Figure(name="scored anew", path=("events_per_s",), unit="events/s"),
            Figure(name="counted twice", path=("found", "counted_twice"), unit="", at_most=0),
        ),
    ),
    Benchmark(
        name="backpressure",
        module="benchmarks.backpressure",
        what="a worker whose encoder can do a tenth of what arrives",
        kafka=True,
        figures=(
            Figure(name="lost", path=("lost",), unit="posts", at_most=0),
            Figure(name="counted twice", path=("twice",), unit="posts", at_most=0),
            Figure(name="memory gained", path=("rss_growth_in_the_second_half_mb",), unit="MiB"),
            Figure(name="age of the line", path=("line_age_s_at_most",), unit="s"),
        ),
    ),
    Benchmark(
        name="rivals",
        module="benchmarks.rivals",
        what="encoders and streams that somebody could use instead, in the same run",
        kafka=True,
        repeats="--rounds",
        figures=(
            _rivals(("encoder", "40 tokens"), "40 tokens"),
            _rivals(("encoder", "128 tokens"), "128 tokens"),
            _rivals(("encoder", "lengths of tweets"), "lengths of tweets"),
            _rivals(("stream",), "stream"),
            _rivals(("whole",), "whole"),
        ),
    ),
)

#: Started by benchmarks, and no benchmark; the programs of rivals are named in their own list.
PARTS: Final = (
    "benchmarks",
    "benchmarks.bare_loop",
    "benchmarks.null_worker",
    "benchmarks.rivals.ours",
    "benchmarks.rivals.table",
)
