"""How clients get in at the broker: TLS and SASL, from settings to arguments of both libraries.

Every client of Kafka in this program takes its arguments from here.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from stream_app.errors import AccessError, SettingsError
from stream_app.settings.parsing import is_loopback

if TYPE_CHECKING:
    from confluent_kafka import KafkaError

    from stream_app.settings import Settings

_TIMEOUT_S: Final = 10.0
_POLL_S: Final = 0.05
#: How long it is waited for another address, once one was out of reach.
_NEXT_ADDRESS_S: Final = 2.0


def uses_tls(settings: Settings) -> bool:
    """Whether connections are encrypted."""
    return settings.broker_security in ("ssl", "sasl_ssl")


def uses_sasl(settings: Settings) -> bool:
    """Whether clients say who they are with a name and a password."""
    return settings.broker_security in ("sasl_plaintext", "sasl_ssl")


def aiokafka_arguments(settings: Settings) -> dict[str, Any]:
    """For aiokafka's consumers and producers. Raises SettingsError where a file is no good."""
    found: dict[str, Any] = {
        "bootstrap_servers": settings.broker,
        "security_protocol": settings.broker_security.upper(),
        "ssl_context": tls_context(settings),
    }
    if uses_sasl(settings):
        found["sasl_mechanism"] = _mechanism(settings)
        found["sasl_plain_username"] = settings.sasl_user
        found["sasl_plain_password"] = _password(settings)
    return found


def librdkafka_options(settings: Settings) -> dict[str, Any]:
    """For confluent-kafka's clients. Raises SettingsError where a file is no good."""
    found: dict[str, Any] = {
        "bootstrap.servers": settings.broker,
        "security.protocol": settings.broker_security,
        "log_level": 0,  # what matters is in the errors that we raise
    }
    if tls_context(settings) is not None:  # says in our words what librdkafka says in its own
        certificate, key = settings.broker_cert, settings.broker_key or settings.broker_cert
        files = {"ca": settings.broker_ca, "certificate": certificate, "key": key}
        found |= {f"ssl.{name}.location": str(path) for name, path in files.items() if path}
        if settings.broker_key_password is not None:
            found["ssl.key.password"] = settings.broker_key_password.get_secret_value()
    if uses_sasl(settings):
        found["sasl.mechanism"] = _mechanism(settings)
        found["sasl.username"] = settings.sasl_user
        found["sasl.password"] = _password(settings)
    return found


def tls_context(settings: Settings) -> ssl.SSLContext | None:
    """Trusts the CA of the settings, else those of this machine; None without TLS.

    Raises:
        SettingsError: a file is missing, cannot be read, or is not what it should be.
    """
    if not uses_tls(settings):
        return None
    context = _trusting(settings.broker_ca)
    if settings.broker_cert is not None:
        _identify(context, settings, settings.broker_cert)
    return context


def _trusting(ca: Path | None) -> ssl.SSLContext:
    if ca is None:
        return ssl.create_default_context()
    _require_readable("KOL_BROKER_CA", ca)
    try:
        return ssl.create_default_context(cafile=str(ca))
    except ssl.SSLError as error:
        raise SettingsError(f"KOL_BROKER_CA: {ca} holds no certificates in PEM form") from error


def _identify(context: ssl.SSLContext, settings: Settings, certificate: Path) -> None:
    """The context has the client's certificate and its key."""
    key = settings.broker_key or certificate
    _require_readable("KOL_BROKER_CERT", certificate)
    _require_readable("KOL_BROKER_KEY", key)
    secret = settings.broker_key_password

    def password() -> str:
        # Without this OpenSSL would ask on the terminal.
        if secret is None:
            raise SettingsError(f"KOL_BROKER_KEY: {key} is encrypted; set KOL_BROKER_KEY_PASSWORD")
        return secret.get_secret_value()

    try:
        context.load_cert_chain(certificate, key, password)
    except (ssl.SSLError, ValueError) as error:
        reason = getattr(error, "reason", None) or "no certificate and key in PEM form"
        raise SettingsError(
            f"KOL_BROKER_CERT, KOL_BROKER_KEY: {certificate} and {key} do not make a client's "
            f"certificate and its key ({reason}); is KOL_BROKER_KEY_PASSWORD right?"
        ) from error


def _require_readable(name: str, path: Path) -> None:
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise SettingsError(f"{name}: cannot read {path}: {error.strerror}") from error


def _mechanism(settings: Settings) -> str:
    return (settings.sasl_mechanism or "").upper()


def _password(settings: Settings) -> str:
    password = settings.sasl_password
    return "" if password is None else password.get_secret_value()


def warning(settings: Settings) -> str | None:
    """What others could overhear, in a line; None where there is nothing to warn of."""
    hosts = [address.rpartition(":")[0] for address in settings.broker.split(",")]
    if settings.broker_security != "sasl_plaintext" or all(is_loopback(host) for host in hosts):
        return None
    told = "the password and all records" if settings.sasl_mechanism == "plain" else "all records"
    return (
        f"KOL_BROKER_SECURITY is sasl_plaintext: {told} cross the network unencrypted; "
        "sasl_ssl encrypts them"
    )


def require_access(settings: Settings, *, timeout_s: float = _TIMEOUT_S) -> None:
    """Returns unless the broker turns us away, or is not the one that we trust.

    librdkafka would try again without end, for it cannot know that nobody mends it. One out of
    reach is no matter of this: whoever needs it waits for it.

    Raises:
        AccessError: one line that says what was refused and which settings to look at.
        SettingsError: a file is no good.
    """
    if settings.broker_security == "plaintext":
        return
    from confluent_kafka.admin import AdminClient

    said: list[KafkaError] = []
    client = AdminClient(
        librdkafka_options(settings) | {"error_cb": said.append, "socket.timeout.ms": 10_000}
    )
    answer = client.describe_cluster(request_timeout=timeout_s)
    deadline = monotonic() + timeout_s
    is_over = False
    while not is_over:
        is_over = answer.done() or monotonic() >= deadline
        client.poll(0 if is_over else _POLL_S)
        while said:
            _refuse(settings, said.pop(0))
            # Out of reach under one address of its name; it may be there under the next.
            deadline = min(deadline, monotonic() + _NEXT_ADDRESS_S)


def _refuse(settings: Settings, error: KafkaError) -> None:
    text = error.str().partition(" (after ")[0]
    if error.name() == "_AUTHENTICATION":
        raise AccessError(
            f"the broker at {settings.broker} does not let us in ({text}); check KOL_SASL_USER, "
            "KOL_SASL_PASSWORD and KOL_SASL_MECHANISM"
        )
    # A connection that breaks off while it is made may be that of a broker that starts or stops;
    # an alert is what a broker says that is not content with our certificate.
    if "SSL alert" in text or (error.name() == "_SSL" and "isconnected" not in text):
        raise AccessError(
            f"no safe connection to the broker at {settings.broker} ({text}); check KOL_BROKER_CA, "
            "KOL_BROKER_CERT, and that KOL_BROKER_SECURITY fits the listener"
        )
