from typing import TYPE_CHECKING, Final

from stream_app.encoder.base import Encoder
from stream_app.encoder.cache import CachedEncoder

if TYPE_CHECKING:
    from stream_app.settings import Settings

#: what the article's method reads of a text: all that GPT-2 can
ARTICLE_TOKENS: Final = 1_024


def create_encoder(settings: "Settings", *, logits_norm: bool = False) -> Encoder:
    """The GPT-2 that the settings name, behind a text cache.

    Takes seconds, or minutes where a model is fetched first. With `logits_norm` the features hold
    the norm of the logits, texts are read up to 1,024 tokens and arithmetic is fp32.

    Raises:
        ModelError: the model is missing, broken or no GPT-2, or the hub cannot be reached.
    """
    # torch and transformers take seconds to import: only those who encode pay.
    import torch

    from stream_app.encoder.gpt2 import Gpt2Encoder
    from stream_app.encoder.loading import load_model
    from stream_app.encoder.logits_norm import LogitsNorm
    from stream_app.encoder.precision import Bf16Body, fuse_gelu, resolve_precision
    from stream_app.encoder.reference import reference_digest
    from stream_app.encoder.signatures import VERSION

    if settings.torch_threads:
        torch.set_num_threads(settings.torch_threads)
    loaded = load_model(settings.encoder, settings.encoder_revision)
    asked = "fp32" if logits_norm else settings.precision
    max_tokens = ARTICLE_TOKENS if logits_norm else settings.max_tokens
    body = loaded.model.transformer
    fuse_gelu(body)
    encoder = Gpt2Encoder(
        Bf16Body(body) if resolve_precision(asked) == "bf16" else body,
        loaded.tokenizer,
        # The precision asked for, not the one found: `auto` promises the stated tolerance only,
        # so that state may move between processors.
        identity=f"gpt2 {loaded.digest} {max_tokens} v{VERSION} {reference_digest()} {asked}",
        max_tokens=max_tokens,
        token_budget=settings.token_budget,
        logits_norm=LogitsNorm(loaded.model.lm_head.weight) if logits_norm else None,
    )
    return CachedEncoder(encoder, settings.text_cache)
