"""From environment, `.env` and options to `Settings`, with errors of one line each."""

import difflib
import os
import re
from pathlib import Path
from typing import Any, Final, TypedDict

from dotenv import dotenv_values
from pydantic import SecretStr, ValidationError
from pydantic_core import ErrorDetails

from stream_app.errors import SettingsError
from stream_app.settings import parsing
from stream_app.settings.model import Settings, forced_by_preset

_PREFIX: Final = "KOL_"
_DURATIONS: Final = frozenset(
    {"half_life", "active_window", "linger", "snapshot_interval"}
    | {"session_timeout", "broker_timeout"}
)
_MAPS: Final = frozenset({"weights", "exponents", "tiers"})
_SECRETS: Final = frozenset({"web_token", "sasl_password", "broker_key_password"})

#: A name and a password written into an address, where none belong.
_WRITTEN_IN: Final = re.compile(r"[^/,]+@")

KEPT_WITH_STATE: Final = frozenset(
    {"preset", "half_life", "weights", "post_memory", "interaction_memory"}
    # the encoder's identity
    | {"encoder", "encoder_revision", "max_tokens", "layers", "precision"}
)
"""Settings whose change gives stored numbers another meaning; `fingerprint` carries them."""


class SettingRow(TypedDict):
    """A setting as `kol settings` shows it.

    The source is default, environment, .env, option, or preset where the preset leaves no choice.
    """

    name: str
    value: str | int | float | None
    default: str | int | float | None
    source: str
    help: str


def load_settings(**overrides: Any) -> Settings:
    """All settings; an override (a command's option) of None counts as not given.

    Options win over the environment, the environment over `.env`, `.env` over the defaults.

    Raises:
        SettingsError: a KOL_* variable nobody knows, or a value that is not allowed; one line
            that names the variable, the value and what is allowed.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    unknown = given.keys() - Settings.model_fields.keys()
    if unknown:
        raise TypeError(f"no such settings: {', '.join(sorted(unknown))}")
    _refuse_unknown_variables()
    try:
        settings = Settings(**given)
    except ValidationError as error:
        lines = [_line(detail, given) for detail in error.errors(include_url=False)]
        raise SettingsError("; ".join(lines)) from None
    settings._options = frozenset(given)  # noqa: SLF001 - pydantic's way to carry what is no field
    return settings


def describe(settings: Settings) -> list[SettingRow]:
    """Every setting with its value and where it came from, in the order of the model."""
    options = settings._options  # noqa: SLF001 - see load_settings
    forced = forced_by_preset(settings.preset)
    rows = []
    for name, field in Settings.model_fields.items():
        default = field.get_default()
        row = SettingRow(
            name=variable(name),
            value=_text(name, getattr(settings, name)),
            default=_text(name, default),
            source="preset" if name in forced else source_of(name, options),
            help=str(field.description),
        )
        rows.append(row)
    return rows


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return _PREFIX + name.upper()


def source_of(name: str, options: frozenset[str]) -> str:
    """Where a setting's value comes from."""
    if name in options:
        return "option"
    if variable(name) in _nonempty(os.environ):
        return "environment"
    return ".env" if variable(name) in _nonempty(_env_file()) else "default"


def fingerprint(settings: Settings, encoder: str) -> dict[str, str]:
    """What gives stored numbers their meaning; state kept under another fingerprint is void.

    Presets but `article` store the same numbers and differ only in how they are put together.

    Args:
        settings: all settings.
        encoder: the encoder's identity, which covers weights, vocabulary, tokens and
            layers read and precision, whatever it is called and wherever it was loaded from.
    """
    return {
        "family": "article" if settings.preset == "article" else "engagement",
        "half_life": parsing.duration_text(settings.half_life),
        "weights": parsing.pairs_text(dict(sorted(settings.weights.items()))),
        "encoder": encoder,
        "post_memory": str(settings.post_memory),
        "interaction_memory": str(settings.interaction_memory),
    }


def _refuse_unknown_variables() -> None:
    known = {variable(name) for name in Settings.model_fields}
    for place, found in (("the environment", dict(os.environ)), (".env", _env_file())):
        for name in sorted(found):
            if name.upper().startswith(_PREFIX) and name.upper() not in known:
                nearest = difflib.get_close_matches(name.upper(), known, n=1, cutoff=0.0)[0]
                raise SettingsError(
                    f"{name}: no such setting (in {place}); did you mean {nearest}? "
                    "`kol settings` lists all"
                )


def _env_file() -> dict[str, str]:
    try:
        found = dotenv_values(Path(".env"), encoding="utf-8")
    except UnicodeDecodeError:
        raise SettingsError(".env: not UTF-8 text; save it as UTF-8") from None
    return {name: value for name, value in found.items() if value is not None}


def _nonempty(found: Any) -> set[str]:
    return {name.upper() for name, value in found.items() if value}


def _line(detail: ErrorDetails, given: dict[str, Any]) -> str:
    """One error in one line: variable, bad value, what is allowed."""
    said = detail["msg"].removeprefix("Value error, ")
    if not detail["loc"]:
        return said  # a rule between settings, which names them itself
    name = str(detail["loc"][0])
    value = given.get(name, os.environ.get(variable(name), _env_file().get(variable(name))))
    shown = "(hidden)" if name in _SECRETS else repr(_WRITTEN_IN.sub("(hidden)@", str(value)))
    if detail["type"] != "value_error":  # ours say what is allowed
        said = _allowed(name) or said.removeprefix("Input should be ")
    return f"{variable(name)}: {shown} is not allowed; it takes {said}"


def _allowed(name: str) -> str:
    """The limits of a field in words, empty where it has none."""
    limits: dict[str, Any] = {}
    for rule in Settings.model_fields[name].metadata:
        for limit in ("ge", "le", "lt", "pattern"):
            if getattr(rule, limit, None) is not None:
                limits[limit] = getattr(rule, limit)
    words = [f"from {limits['ge']}"] if "ge" in limits else []
    words += [f"up to {limits['le']}"] if "le" in limits else []
    words += [f"below {limits['lt']}"] if "lt" in limits else []
    kind = "a whole number" if _is_whole(name) else "a number"
    if words:
        return f"{kind} {' '.join(words)}"
    return f"text like {limits['pattern']}" if "pattern" in limits else ""


def _is_whole(name: str) -> bool:
    return Settings.model_fields[name].annotation in (int, int | None)


def _text(name: str, value: Any) -> str | int | float | None:
    """The value as it is written in a setting."""
    if isinstance(value, SecretStr):
        return "(hidden)"
    if isinstance(value, float) and name in _DURATIONS:
        return parsing.duration_text(value)
    if isinstance(value, dict) and name in _MAPS:
        return parsing.pairs_text(value)
    return value if value is None or isinstance(value, int | float) else str(value)
