"""Everything that somebody could use instead, on the same posts, in the same run.

    python -m benchmarks.rivals [--parts encoder,stream,whole] [--rounds 5] [--only NAMES]

- encoder: posts/s of the encoders with a model of GPT-2 small's shape, and texts of 40 tokens, of
  128, and of the lengths that tweets have;
- stream: posts/s of the streams where encoding costs nothing;
- whole: posts/s of the streams with the bundled model, each with the encoder it is written for.

The two last start their own Kafka (Java and Maven). The first run makes an environment for each
rival. Ratios are ours to theirs, taken round by round. Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.encoder.subjects import MIXED, write_small_shape
from benchmarks.environment import describe
from benchmarks.figures import ratios, spread
from benchmarks.rivals import encoders, stream
from benchmarks.rivals.environments import pins, requirements
from benchmarks.rivals.rivals import OURS, RIVALS, Rival
from stream_app.encoder.loading import model_folder
from tests.kafka.broker import KafkaBroker

SEED = 0


def chosen(words: Sequence[str]) -> list[Rival]:
    """Ourselves, and the rivals whose names have one of these words; all if there is no word."""
    return [
        rival
        for rival in RIVALS
        if rival.name == OURS or not words or any(w.lower() in rival.name.lower() for w in words)
    ]


def beside(rates: Mapping[str, list[float]]) -> dict[str, Any]:
    """Each rival's posts/s, and how many times as many are ours; the first is what ships."""
    ours = next(values for name, values in rates.items() if name.startswith(OURS))
    return {
        name: {"posts_per_s": spread(values, 1), "ours_to_theirs": spread(ratios(ours, values), 3)}
        for name, values in rates.items()
    }


def encoder(options: Namespace, folder: Path) -> dict[str, Any]:
    """By tokens of a text."""
    some = [rival for rival in chosen(options.only) if rival.encoder is not None]
    model = write_small_shape(folder / "model")
    found: dict[str, Any] = {}
    for tokens in options.tokens:
        lengths = MIXED if tokens == "mixed" else [int(tokens)]
        rates, threads = encoders.measure(
            some, model, lengths, options.texts, options.rounds, folder
        )
        found["lengths of tweets" if tokens == "mixed" else f"{tokens} tokens"] = beside(rates)
        found["threads"] = threads
    return found


def streams(options: Namespace, folder: Path, part: str) -> dict[str, Any]:
    """With an encoder that costs nothing, or with the bundled model."""
    whole = part == "whole"
    some = [rival for rival in chosen(options.only) if rival.stream or rival.name == OURS]
    if whole:
        some = [rival for rival in some if rival.stream != stream.BARE]
    model = model_folder("bundled", None) if whole else None
    events = options.whole_events if whole else options.events
    batch = options.whole_batch if whole else options.batch_size

    def rounds(broker: str) -> Iterator[stream.Round]:
        for number in range(options.rounds):
            one = stream.Round(f"{part}{number}", broker, folder, batch, model)
            one.fill(events, options.users, options.seed + number)
            yield one

    kafka = folder / f"kafka-{part}"
    kafka.mkdir()
    with KafkaBroker(kafka) as broker:
        rates, rose = stream.measure(some, rounds(broker.bootstrap))
    return {**beside(rates), "events": events, "batch_size": batch, "rose_in_the_last_round": rose}


def about(rivals: Sequence[Rival]) -> dict[str, Any]:
    """Pinned versions, and what a rival does not do."""
    return {
        rival.name: {
            "requirements": list(pins(requirements(rival.requirements)))
            if rival.requirements
            else None,
            "cannot": rival.cannot,
            "differs": rival.differs,
        }
        for rival in rivals
    }


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--parts", type=lambda text: text.split(","), default=["encoder", "stream", "whole"]
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", type=lambda text: text.split(","), default=[], help="words")
    parser.add_argument(
        "--tokens", type=lambda text: text.split(","), default=["40", "128", "mixed"]
    )
    parser.add_argument("--texts", type=int, default=32, help="of a turn")
    parser.add_argument("--events", type=int, default=100_000, help="of the streams")
    parser.add_argument("--users", type=int, default=10_000)
    parser.add_argument("--batch-size", type=int, default=4_096)
    parser.add_argument("--whole-events", type=int, default=1_000, help="with a model")
    parser.add_argument("--whole-batch", type=int, default=256)
    parser.add_argument("--seed", type=int, default=SEED)
    options = parser.parse_args()
    report: dict[str, Any] = {
        "benchmark": "rivals",
        "environment": describe(
            ["faust-streaming", "aiokafka", "msgspec", "torch", "transformers"]
        ),
        "seed": options.seed,
        "rounds": options.rounds,
        "rivals": about(chosen(options.only)),
    }
    with tempfile.TemporaryDirectory() as name:
        for part in options.parts:
            sys.stderr.write(f"{part}\n")
            folder = Path(name)
            report[part] = (
                encoder(options, folder) if part == "encoder" else streams(options, folder, part)
            )
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
