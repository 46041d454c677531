"""Which settings of TLS and SASL make sense together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from stream_app.settings.model import Settings

_SECURITY: Final = "KOL_BROKER_SECURITY"
_OF_TLS: Final = ("broker_ca", "broker_cert", "broker_key", "broker_key_password")
_OF_SASL: Final = ("sasl_mechanism", "sasl_user", "sasl_password")


def check_access(settings: Settings) -> None:
    """Raise ValueError where a setting would have no use, or one that is needed is missing.

    A password that is given and not used would be taken for protection that there is not.
    """
    security = settings.broker_security
    _refuse_useless(settings, _OF_TLS, "ssl", "sasl_ssl")
    _refuse_useless(settings, _OF_SASL, "sasl_plaintext", "sasl_ssl")
    if security.startswith("sasl_"):
        missing = [_variable(name) for name in _OF_SASL if getattr(settings, name) is None]
        if missing:
            raise ValueError(f"{', '.join(missing)}: required because {_SECURITY} is {security}")
    for name, whole in (("broker_key", "broker_cert"), ("broker_key_password", "broker_cert")):
        if getattr(settings, name) is not None and getattr(settings, whole) is None:
            raise ValueError(f"{_variable(name)}: has no use without {_variable(whole)}")


def _refuse_useless(settings: Settings, names: tuple[str, ...], *needed: str) -> None:
    if settings.broker_security in needed:
        return
    for name in names:
        if getattr(settings, name) is not None:
            raise ValueError(
                f"{_variable(name)}: has no use while {_SECURITY} is {settings.broker_security}; "
                f"set {_SECURITY} to {' or '.join(needed)}, or leave {_variable(name)} out"
            )


def _variable(name: str) -> str:
    return "KOL_" + name.upper()
