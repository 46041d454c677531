"""The article's batch method as anyone would write it down: nothing of the package is used.

GPT-2 with its head, one text at a time, the norm of all its logits, dictionaries of users, one
percentile, `>=`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoTokenizer, GPT2LMHeadModel


def norm_by_the_head(
    folder: str | Path, *, summed_in: torch.dtype = torch.float64
) -> Callable[[str], float]:
    """A function from a text to the Frobenius norm of its logits; the model runs in fp32.

    Summed in fp32, millions of squares lose digits: 2e-4 of the norm at 1,024 tokens.
    """
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    load: Any = GPT2LMHeadModel
    model = load.from_pretrained(folder, dtype=torch.float32).eval()
    limit = min(1024, model.config.n_positions)

    def norm(text: str) -> float:
        if text == "":
            return 0.0
        ids = tokenizer(text, return_tensors="pt", truncation=True, max_length=limit)["input_ids"]
        with torch.no_grad():
            logits = model(ids).logits
        return float(torch.linalg.norm(logits, dtype=summed_in))

    return norm


def plain_scores(lines: Iterable[bytes], norm: Callable[[str], float]) -> dict[str, float]:
    """User key -> score, of JSON Lines of valid posts."""
    texts: dict[str, dict[str, str]] = {}
    followers: dict[str, int] = {}
    counted_at: dict[str, datetime] = {}
    for post in sorted(map(json.loads, lines), key=observed_at):
        user, at = f"{post['platform']}:{post['user_id']}", observed_at(post)
        texts.setdefault(user, {}).setdefault(post["id"], post["text"])
        count = post.get("follower_count")
        if count is not None and (user not in counted_at or at > counted_at[user]):
            followers[user], counted_at[user] = count, at
    return {
        user: followers.get(user, 0) * float(np.mean([norm(text) for text in own.values()]))
        for user, own in texts.items()
    }


def observed_at(post: dict[str, Any]) -> datetime:
    created_at = datetime.fromisoformat(post["created_at"])
    return max(created_at, datetime.fromisoformat(post.get("observed_at", post["created_at"])))


def plain_kols(scores: dict[str, float], percent: float = 90) -> tuple[float, set[str]]:
    """The threshold, and who reaches it."""
    threshold = float(np.percentile(list(scores.values()), percent))
    return threshold, {user for user, score in scores.items() if score >= threshold}
