"""The model card beside the bundled weights, with the figures of the run that made them."""

from pathlib import Path
from typing import Any

_CARD = Path(__file__).with_name("model_card.md")


def model_card(report: dict[str, Any]) -> str:
    """README.md for the model's folder, from the training report."""
    characters = {name.split("_")[0]: 0 for name in report["characters"]}
    for name, count in report["characters"].items():
        characters[name.split("_")[0]] += count
    table = "\n".join(
        f"| {language} | {after['texts']} | {before['bits_per_byte']:.2f} "
        f"| {after['bits_per_byte']:.2f} | {before['nats_per_token']:.2f} "
        f"| {after['nats_per_token']:.2f} |"
        for language, before in report["before"].items()
        for after in [report["after"][language]]
    )
    return _CARD.read_text(encoding="utf-8").format(
        parameters=report["parameters"],
        seen=report["tokens_seen"] / 1e6,
        steps=report["steps"],
        minutes=report["minutes"],
        threads=report["threads"],
        seed=report["seed"],
        table=table,
        texts=report["texts"],
        corpus=report["tokens_in_corpus"] / 1e6,
        **characters,
    )
