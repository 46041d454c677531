"""Features of texts from the body of a GPT-2. Imports torch: load this module only when needed."""

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import torch

from stream_app.encoder.body import PackedBody
from stream_app.encoder.lanes import Lanes
from stream_app.encoder.logits_norm import LogitsNorm
from stream_app.encoder.packing import Packed, pack, passes
from stream_app.encoder.signatures import Projection, Vectors
from stream_app.messages import EMBEDDING_DIMENSIONS, TextFeatures

#: tokens of a reference text that are read: they only fix mean and deviation per dimension
REFERENCE_TOKENS: Final = 40
#: texts whose tokens are looked up while those before them are computed elsewhere
TEXTS_AT_ONCE: Final = 4_096
_NOTHING: Final = bytes(2 * EMBEDDING_DIMENSIONS)


class _Ahead(NamedTuple):
    """What a device has been told to compute; with CUDA it may not have begun."""

    lengths: list[int]  # tokens of each text
    rows: list[int]  # the texts that have any, in the order of the passes
    pooled: list[torch.Tensor]  # of each pass (texts, dimensions), in this machine's memory
    logits_norms: list[torch.Tensor]  # of each pass (texts,); none where not asked for
    done: Any  # torch.cuda.Event, or None where all is there already


class Gpt2Encoder:
    """Mean-pooled last hidden states, without the first position.

    The first position is left out because GPT-2 keeps its attention sink there: its vector is
    hundreds of times longer than the others and the same for every text.
    """

    def __init__(
        self,
        body: PackedBody,
        tokenizer: Any,
        *,
        identity: str,
        references: Sequence[str],
        max_tokens: int,
        token_budget: int,
        logits_norm: LogitsNorm | None = None,
    ) -> None:
        """`references`: texts that fix what is average; `token_budget`: most tokens of a pass."""
        self.identity = identity
        self._body = body
        self._tokenizer = tokenizer
        self._max_tokens = min(max_tokens, body.positions)
        self._budget = token_budget
        self._logits_norm = logits_norm
        self._lanes = Lanes(torch.get_num_threads() if body.device.type == "cpu" else 1)
        tokens = [ids[:REFERENCE_TOKENS] for ids in self._tokens(references)]
        self._projection = Projection(self._finish(self._begin(tokens))[0])

    def encode(self, texts: Sequence[str]) -> list[TextFeatures]:
        features: list[TextFeatures] = []
        ahead: _Ahead | None = None
        for start in range(0, len(texts), TEXTS_AT_ONCE):
            before = ahead
            ahead = self._begin(self._tokens(texts[start : start + TEXTS_AT_ONCE]))
            if before is not None:
                features += self._features(before)
        if ahead is not None:
            features += self._features(ahead)
        return features

    def _features(self, ahead: _Ahead) -> Iterator[TextFeatures]:
        pooled, logits_norms = self._finish(ahead)
        norms = np.linalg.norm(pooled, axis=1).tolist()
        embeddings = self._projection.embeddings(pooled)
        signatures = self._projection.signatures(pooled)
        for i, length in enumerate(ahead.lengths):
            yield TextFeatures(
                embedding=embeddings[i].tobytes() if length > 1 else _NOTHING,
                embedding_norm=norms[i],
                signature=signatures[i].tobytes() if length > 1 else b"",
                logits_norm=None if self._logits_norm is None else logits_norms[i],
            )

    def _tokens(self, texts: Sequence[str]) -> list[list[int]]:
        found = self._tokenizer(
            list(texts),
            truncation=True,
            max_length=self._max_tokens,
            return_attention_mask=False,
        )
        ids: list[list[int]] = found["input_ids"]
        return ids

    @torch.inference_mode()
    def _pass(self, tokens: Sequence[list[int]]) -> tuple[torch.Tensor, torch.Tensor | None]:
        texts = pack(tokens, self._body.device)
        states = self._body(texts)
        vectors = _host(pool(states, texts))
        if self._logits_norm is None:
            return vectors, None
        return vectors, _host(self._logits_norm(states, texts))

    def _begin(self, tokens: list[list[int]]) -> _Ahead:
        """Compute all passes, or on CUDA ask for them."""
        lengths = [len(ids) for ids in tokens]
        rows: list[int] = []
        pooled: list[torch.Tensor] = []
        logits_norms: list[torch.Tensor] = []
        chosen = list(passes(lengths, self._budget, self._lanes.count))
        some = [[tokens[row] for row in one] for one in chosen]
        for one, (vectors, norms) in zip(chosen, self._lanes.map(self._pass, some), strict=True):
            rows += one
            pooled.append(vectors)
            if norms is not None:
                logits_norms.append(norms)
        done = None
        if self._body.device.type == "cuda":
            event: Any = torch.cuda.Event
            done = event()
            done.record()
        return _Ahead(lengths, rows, pooled, logits_norms, done)

    def _finish(self, ahead: _Ahead) -> tuple[Vectors, list[float]]:
        """Pooled vectors (texts, dimensions) and norms of the logits, 0 for texts without."""
        if ahead.done is not None:
            ahead.done.synchronize()
        pooled = np.zeros((len(ahead.lengths), self._body.dimensions), dtype=np.float32)
        logits_norms = np.zeros(len(ahead.lengths))
        if ahead.rows:
            pooled[ahead.rows] = np.concatenate([part.numpy() for part in ahead.pooled])
        if ahead.rows and self._logits_norm is not None:
            logits_norms[ahead.rows] = np.concatenate([p.numpy() for p in ahead.logits_norms])
        return pooled, logits_norms.tolist()


def pool(states: torch.Tensor, texts: Packed) -> torch.Tensor:
    """Mean over each text's tokens but the first (texts, dimensions); 0 for a single token."""
    return torch.cat(
        [
            group[:, 1:].mean(dim=1) if group.shape[1] > 1 else torch.zeros_like(group[:, 0])
            for group in texts.split(states)
        ]
    )


def _host(tensor: torch.Tensor) -> torch.Tensor:
    """In this machine's memory; CUDA copies into pinned memory while this thread goes on."""
    if tensor.device.type != "cuda":
        return tensor.cpu()
    here = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    return here.copy_(tensor, non_blocking=True)
