"""Every setting, once: name, type, default, limits and what it means."""

from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import (
    BeforeValidator,
    Field,
    PlainValidator,
    PrivateAttr,
    SecretStr,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from stream_app.settings import parsing
from stream_app.settings.access import check_access

DEFAULT_ENCODER: Final = "openai-community/gpt2"
DEFAULT_ENCODER_REVISION: Final = "607a30d783dfa663caf39e06633721c8d4cfcd7e"

Duration = Annotated[float, PlainValidator(parsing.duration)]
SessionTimeout = Annotated[float, PlainValidator(parsing.session_timeout)]
Window = Annotated[float | None, PlainValidator(parsing.window)]
Weights = Annotated[dict[str, float], NoDecode, PlainValidator(parsing.weights)]
Exponents = Annotated[dict[str, float] | None, NoDecode, PlainValidator(parsing.exponents)]
Secret = Annotated[SecretStr | None, BeforeValidator(parsing.one_line)]
Token = Annotated[SecretStr | None, BeforeValidator(parsing.token)]
Tiers = Annotated[dict[str, float], NoDecode, PlainValidator(parsing.tiers)]
Brokers = Annotated[str, PlainValidator(parsing.brokers)]
Address = Annotated[str | None, PlainValidator(parsing.address)]
LowerCase = BeforeValidator(lambda value: value.lower() if isinstance(value, str) else value)

_TOPIC_CHARACTERS = r"^[A-Za-z0-9._-]"  # Kafka's; 200 leave room for the longest suffix of 249

_DAY_S = 86_400.0


class Settings(BaseSettings):
    """All settings after all checks, frozen. Durations are seconds.

    Made by `load_settings`, which also refuses unknown KOL_* variables and words the errors.
    """

    model_config = SettingsConfigDict(
        env_prefix="KOL_",
        env_file=".env",
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        validate_default=True,
        hide_input_in_errors=True,
    )

    broker: Brokers = Field("127.0.0.1:9092", description="Kafka: host:port, several with commas")
    broker_security: Annotated[
        Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"], LowerCase
    ] = Field(
        "plaintext",
        description="how to talk to Kafka: plaintext, ssl (TLS), sasl_plaintext or sasl_ssl",
    )
    broker_ca: Path | None = Field(
        None, description="PEM file with the CAs of Kafka's brokers; default: this machine's"
    )
    broker_cert: Path | None = Field(
        None, description="PEM file with our certificate, where brokers ask for one"
    )
    broker_key: Path | None = Field(
        None, description="PEM file with the key of KOL_BROKER_CERT; default: that file"
    )
    broker_key_password: Secret = Field(None, description="password of that key, if it has one")
    sasl_mechanism: Annotated[
        Literal["plain", "scram-sha-256", "scram-sha-512"] | None, LowerCase
    ] = Field(None, description="SASL mechanism: plain, scram-sha-256 or scram-sha-512")
    sasl_user: Annotated[str | None, BeforeValidator(parsing.one_line)] = Field(
        None, description="user name for SASL"
    )
    sasl_password: Secret = Field(None, description="password for SASL")
    app_id: str = Field(
        "kol",
        pattern=_TOPIC_CHARACTERS + "{1,200}$",
        description="Faust app id and consumer group; workers with the same one share the work",
    )
    prefix: str = Field(
        "", pattern=_TOPIC_CHARACTERS + "{0,200}$", description="put before every topic's name"
    )
    partitions: int = Field(8, ge=1, le=1024, description="partitions of posts and its like")

    preset: Annotated[Literal["influence", "resonance", "volume", "article"], LowerCase] = Field(
        "influence", description="what a score means: influence, resonance, volume or article"
    )
    half_life: Duration = Field(30 * _DAY_S, description="time in which a post's weight halves")
    weights: Weights = Field(
        dict(parsing.DEFAULT_WEIGHTS),
        description="weight of each count and interaction; names left out keep their defaults",
    )
    exponents: Exponents = Field(
        None, description="exponents of the factors; names left out keep the preset's"
    )
    tiers: Tiers = Field(
        {"kol": parsing.Quantile("0.90")}, description="tiers and their quantiles, ascending"
    )
    leave_margin: float = Field(
        0.01, ge=0, lt=1, description="how far below its quantile a tier is left"
    )
    min_posts: int = Field(1, ge=1, description="posts a user needs to be eligible")
    active_window: Window = Field(
        90 * _DAY_S, description="age of the newest post at which users expire"
    )
    min_population: int | None = Field(
        None, ge=1, description="eligible users below which no line is drawn; default by quantile"
    )
    ranking_size: int = Field(1_000, ge=1, le=10_000, description="users in the published ranking")
    post_memory: int = Field(64, ge=1, le=1_024, description="posts remembered of each user")
    interaction_memory: int = Field(
        64, ge=1, le=1_024, description="interaction ids remembered of each user"
    )

    encoder: str = Field(
        DEFAULT_ENCODER, min_length=1, description="GPT-2: bundled, a directory or a hub name"
    )
    encoder_revision: str | None = Field(
        None, min_length=1, description="commit of a hub encoder; pinned for the default one"
    )
    max_tokens: int = Field(128, ge=1, le=1_024, description="tokens of a text the encoder reads")
    layers: int = Field(
        0, ge=0, le=1_024, description="layers of the encoder that are run, from the first; 0: all"
    )
    token_budget: int = Field(
        0, ge=0, le=1_048_576, description="most tokens in one pass of the encoder; 0: by device"
    )
    text_cache: int = Field(
        20_000, ge=0, le=10_000_000, description="texts whose features are kept; about 0.5 kB each"
    )
    precision: Annotated[Literal["auto", "fp32", "bf16"], LowerCase] = Field(
        "auto", description="arithmetic of the encoder: auto, fp32 or bf16"
    )
    device: Annotated[Literal["auto", "cpu", "cuda", "mps"], LowerCase] = Field(
        "auto", description="where the encoder runs: auto, cpu, cuda or mps"
    )
    torch_threads: int = Field(0, ge=0, le=1_024, description="threads of the encoder; 0: torch's")

    batch_size: int = Field(256, ge=1, le=100_000, description="most events in one batch")
    linger: Duration = Field(0.020, description="longest wait to fill a batch")
    snapshot_interval: Duration = Field(0.250, description="least time between snapshots")
    data_dir: Path = Field(Path("kol-data"), description="folder of the worker's state")
    session_timeout: SessionTimeout = Field(
        10.0, description="silence after which Kafka gives a worker's partitions to others"
    )
    broker_timeout: Duration = Field(300.0, description="how long a lost broker is waited for")

    web_bind: str = Field("127.0.0.1", min_length=1, description="address the web API listens on")
    web_port: int = Field(6066, ge=0, le=65_535, description="its port; 0: any free one")
    web_advertise: Address = Field(
        None,
        description="host:port for other workers; default: KOL_WEB_BIND, or this host's name",
    )
    web_token: Token = Field(
        None, description="bearer token; required when bound elsewhere than loopback"
    )
    web_streams: int = Field(
        2_000, ge=1, le=100_000, description="most event streams that may be open at once"
    )
    log_level: Annotated[Literal["debug", "info", "warning", "error"], LowerCase] = Field(
        "info", description="debug, info, warning or error"
    )

    _options: frozenset[str] = PrivateAttr(frozenset())  # names given as options of a command

    def topic(self, name: str) -> str:
        """The topic's full name."""
        return self.prefix + name

    def least_population(self, tier: str) -> int:
        """Eligible users below which this tier has no line."""
        if self.min_population is not None:
            return self.min_population
        return parsing.least_population(self.tiers[tier])

    @model_validator(mode="before")
    @classmethod
    def _apply_preset(cls, given: dict[str, Any]) -> dict[str, Any]:
        forced = forced_by_preset(str(given.get("preset", "")))
        if forced and given.get("exponents") is not None:
            raise ValueError("KOL_EXPONENTS: preset article has none to choose; leave it out")
        pinned = {}
        if given.get("encoder", DEFAULT_ENCODER) == DEFAULT_ENCODER:
            pinned["encoder_revision"] = DEFAULT_ENCODER_REVISION
        return pinned | given | forced

    @model_validator(mode="after")
    def _fit_together(self) -> "Settings":
        lowest = next(iter(self.tiers.values()))
        if self.leave_margin > lowest:
            raise ValueError(
                f"KOL_LEAVE_MARGIN: {self.leave_margin:g} is above the lowest quantile of "
                f"KOL_TIERS, {lowest:g}"
            )
        if self.web_token is None and not parsing.is_loopback(self.web_bind):
            raise ValueError(
                f"KOL_WEB_TOKEN: required because KOL_WEB_BIND is {self.web_bind}, which others "
                "can reach; set one, or bind to 127.0.0.1"
            )
        check_access(self)
        return self


def forced_by_preset(preset: str) -> dict[str, Any]:
    """Settings that a preset leaves no choice about: the article's method knows no decay."""
    if preset.lower() != "article":
        return {}
    # 1,024 tokens: all positions that GPT-2 has (encoder.factory.ARTICLE_TOKENS).
    whole = {"precision": "fp32", "max_tokens": 1_024, "layers": 0}
    return whole | {"leave_margin": 0.0, "active_window": None}
