"""sentence-transformers loading the same GPT-2 directory, with mean pooling."""

from collections.abc import Callable

from benchmarks.rivals.programs.models import MAX_TOKENS, PASS, dtype_of
from benchmarks.rivals.programs.turns import serve


def create(folder: str, precision: str) -> Callable[[list[str]], list[float]]:
    """It sorts texts by length and pads each batch itself."""
    import numpy as np
    from sentence_transformers import SentenceTransformer, models

    body = models.Transformer(
        folder, max_seq_length=MAX_TOKENS, model_args={"dtype": dtype_of(precision)}
    )
    body.tokenizer.pad_token = body.tokenizer.eos_token
    pooling = models.Pooling(body.get_embedding_dimension(), pooling_mode="mean")
    model = SentenceTransformer(modules=[body, pooling], device="cpu")

    def encode(texts: list[str]) -> list[float]:
        found = model.encode(texts, batch_size=PASS, show_progress_bar=False)
        norms: list[float] = np.linalg.norm(found.astype(np.float32), axis=1).tolist()
        return norms

    return encode


if __name__ == "__main__":
    serve(create)
