"""Features of texts from the body of a GPT-2. Imports torch: load this module only when needed."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
import torch

from stream_app.encoder.logits_norm import LogitsNorm
from stream_app.encoder.plain_text import plain_text
from stream_app.encoder.reference import reference_texts
from stream_app.encoder.signatures import Projection, Vectors
from stream_app.messages import EMBEDDING_DIMENSIONS, TextFeatures

#: tokens of a reference text that are read: they only fix mean and deviation per dimension
REFERENCE_TOKENS: Final = 40
_NOTHING: Final = bytes(2 * EMBEDDING_DIMENSIONS)


class Gpt2Encoder:
    """Mean-pooled last hidden states, without the first position and without padding.

    The first position is left out because GPT-2 keeps its attention sink there: its vector is
    hundreds of times longer than the others and the same for every text.
    """

    def __init__(
        self,
        body: Any,
        tokenizer: Any,
        *,
        identity: str,
        max_tokens: int,
        token_budget: int,
        logits_norm: LogitsNorm | None = None,
    ) -> None:
        """`body`: a GPT2Model in evaluation mode; `token_budget`: tokens of a pass with padding."""
        self.identity = identity
        self._body = body
        self._tokenizer = tokenizer
        self._max_tokens = min(max_tokens, body.config.n_positions)
        self._budget = token_budget
        self._logits_norm = logits_norm
        tokens = [ids[:REFERENCE_TOKENS] for ids in self._tokens(reference_texts())]
        self._projection = Projection(self._pool(tokens)[0])

    def encode(self, texts: Sequence[str]) -> list[TextFeatures]:
        if not texts:
            return []
        tokens = self._tokens(texts)
        pooled, logits_norms = self._pool(tokens)
        norms = np.linalg.norm(pooled, axis=1).tolist()
        embeddings = self._projection.embeddings(pooled)
        signatures = self._projection.signatures(pooled)
        return [
            TextFeatures(
                embedding=embeddings[i].tobytes() if len(ids) > 1 else _NOTHING,
                embedding_norm=norms[i],
                signature=signatures[i].tobytes() if len(ids) > 1 else b"",
                logits_norm=None if self._logits_norm is None else logits_norms[i],
            )
            for i, ids in enumerate(tokens)
        ]

    def _tokens(self, texts: Sequence[str]) -> list[list[int]]:
        # The article's method reads a text as it is.
        plain = list(texts) if self._logits_norm else [plain_text(text) for text in texts]
        found = self._tokenizer(plain, truncation=True, max_length=self._max_tokens)
        ids: list[list[int]] = found["input_ids"]
        return ids

    def _pool(self, tokens: list[list[int]]) -> tuple[Vectors, list[float]]:
        """Pooled vectors (texts, dimensions) and norms of the logits (0 where not asked for)."""
        pooled = np.zeros((len(tokens), self._body.config.n_embd), dtype=np.float32)
        logits_norms = [0.0] * len(tokens)
        for rows in batches([len(ids) for ids in tokens], self._budget):
            hidden = self._hidden([tokens[row] for row in rows])
            for row, states in zip(rows, hidden, strict=True):
                states = states[: len(tokens[row])]
                if len(states) > 1:
                    pooled[row] = states[1:].mean(dim=0).numpy()
                if self._logits_norm is not None:
                    logits_norms[row] = self._logits_norm(states)
        return pooled, logits_norms

    @torch.inference_mode()
    def _hidden(self, tokens: list[list[int]]) -> torch.Tensor:
        """Last hidden states, fp32, (texts, longest, dimensions).

        Padding stands on the right, where a causal model never looks from a real token: no mask
        is needed and positions count from 0. What stands at the padding itself is not used.
        """
        longest = max(map(len, tokens))
        padded = np.zeros((len(tokens), longest), dtype=np.int64)
        for row, ids in zip(padded, tokens, strict=True):
            row[: len(ids)] = ids
        states: torch.Tensor = self._body(torch.from_numpy(padded), use_cache=False)[0]
        return states.float()


def batches(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Indices of texts for one pass each: similar lengths, at most `budget` tokens with padding.

    Texts without tokens are in no batch; one longer than the budget has a batch of its own.
    """
    batch: list[int] = []
    for row in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        if not lengths[row]:
            break
        if batch and (len(batch) + 1) * lengths[batch[0]] > budget:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch
