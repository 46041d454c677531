from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from stream_app.encoder.base import Encoder
from stream_app.encoder.cache import CachedEncoder
from stream_app.encoder.plain_text import plain_text
from stream_app.encoder.reference import reference_digest, reference_texts
from stream_app.errors import SettingsError

if TYPE_CHECKING:
    from stream_app.settings import Settings

#: what the article's method reads of a text: all that GPT-2 can
ARTICLE_TOKENS: Final = 1_024


def create_encoder(settings: "Settings", *, logits_norm: bool = False) -> Encoder:
    """The GPT-2 that the settings name, behind a text cache.

    Takes seconds, or minutes where a model is fetched first. With `logits_norm` the features hold
    the norm of the logits, texts are read as they are and up to 1,024 tokens, through all layers,
    and arithmetic is fp32.

    Raises:
        ModelError: the model is missing, broken or no GPT-2, or the hub cannot be reached.
        SettingsError: the device is not there, or the model has fewer layers than asked for.
    """
    # torch and transformers take seconds to import: only those who encode pay.
    import torch

    from stream_app.encoder.body import PackedBody
    from stream_app.encoder.device import resolve_device, resolve_precision, token_budget
    from stream_app.encoder.gpt2 import Gpt2Encoder
    from stream_app.encoder.loading import load_model
    from stream_app.encoder.logits_norm import LogitsNorm

    device = resolve_device(settings.device)
    if settings.torch_threads:
        torch.set_num_threads(settings.torch_threads)
    loaded = load_model(settings.encoder, settings.encoder_revision)
    reading = Reading.of(settings, logits_norm=logits_norm)
    body = PackedBody(
        loaded.model.transformer,
        layers=_checked_layers(reading.layers, loaded.model.config.n_layer),
        precision=resolve_precision(reading.precision, device),
        device=device,
    )
    read = (lambda text: text) if logits_norm else plain_text
    encoder = Gpt2Encoder(
        body,
        loaded.tokenizer,
        identity=reading.identity(loaded.digest, loaded.model.config.n_layer),
        references=[read(text) for text in reference_texts()],
        max_tokens=reading.max_tokens,
        token_budget=token_budget(settings.token_budget, device),
        logits_norm=LogitsNorm(loaded.model.lm_head.weight) if logits_norm else None,
    )
    return CachedEncoder(encoder, settings.text_cache, read=read)


class Reading(NamedTuple):
    """What of a text is read, and how exactly: with the model, all that features depend on."""

    max_tokens: int
    layers: int  # 0: all
    precision: Literal["auto", "fp32", "bf16"]

    @classmethod
    def of(cls, settings: "Settings", *, logits_norm: bool) -> "Reading":
        """The article's method leaves no choice."""
        if logits_norm:
            return cls(ARTICLE_TOKENS, 0, "fp32")
        return cls(settings.max_tokens, settings.layers, settings.precision)

    def identity(self, digest: str, layers: int) -> str:
        """Of an encoder that reads so, with a model of this digest and so many layers.

        The precision is the one asked for, not the one found, and the device is left out: `auto`
        promises the stated tolerance only, so that state may move between machines.
        """
        from stream_app.encoder.signatures import VERSION

        whole = f"gpt2 {digest} {self.max_tokens} v{VERSION} {reference_digest()} {self.precision}"
        return whole if self.layers in (0, layers) else f"{whole} {self.layers} layers"


def _checked_layers(asked: int, there: int) -> int:
    if asked > there:
        raise SettingsError(
            f"KOL_LAYERS: {asked} is not allowed; the encoder has {there} layers, 0 is all of them"
        )
    return asked
