import pytest
import torch

from stream_app.encoder.attention import attention_for, by_length, by_length_in_vectors
from stream_app.encoder.packing import pack

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    "lengths",
    [[1], [8], [40] * 3, [41, 40, 40, 40], [60, 33, 30, 30, 16, 15, 15, 9, 8, 7, 2, 1, 1], [24, 1]],
    ids=str,
)
@pytest.mark.parametrize(("precision", "apart"), [("fp32", 1e-6), ("bf16", 0.02)])
def test_a_text_attends_to_itself_alone_also_where_it_is_read_on_into_the_next(
    lengths: list[int], precision: str, apart: float
) -> None:
    texts = pack([[0] * length for length in lengths])
    qkv = torch.randn(sum(lengths), 3, 2, 8, generator=torch.Generator().manual_seed(1))
    qkv = qkv.to(torch.bfloat16 if precision == "bf16" else torch.float32)
    start = 0
    found = by_length_in_vectors(qkv, texts, 0.3)
    for length in lengths:
        alone = by_length(qkv[start : start + length].clone(), pack([[0] * length]), 0.3)
        assert torch.allclose(found[start : start + length], alone, rtol=apart, atol=apart)
        start += length
    assert found.shape == (sum(lengths), 16)


def test_a_processor_reads_in_whole_vectors() -> None:
    assert attention_for(CPU, "bf16", 64) is by_length_in_vectors
    assert attention_for(CPU, "fp32", 64) is by_length_in_vectors
