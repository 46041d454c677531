import pytest
import torch

from stream_app.encoder.logits_norm import LogitsNorm
from stream_app.encoder.packing import pack


def test_the_gram_matrix_sums_over_the_whole_vocabulary_for_each_text() -> None:
    chance = torch.Generator().manual_seed(0)
    head = torch.randn(20_001, 16, generator=chance)
    texts = pack([[0] * 7, [0] * 7, [0]])
    states = torch.randn(15, 16, generator=chance)
    expected = [
        float((part.double() @ head.double().T).norm())
        for part in (states[:7], states[7:14], states[14:])
    ]
    assert LogitsNorm(head)(states, texts).tolist() == pytest.approx(expected, rel=1e-9)
