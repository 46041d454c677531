"""A Kafka that asks who comes: TLS with certificates of both sides, and SASL with and without TLS.

Its plain listener stays, for the test's own clients.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import trustme
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # it re-exports them implicitly
    AdminClient,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from tests.kafka.broker import START_TIMEOUT_S, KafkaBroker, free_port

USER = "kol"
#: Found nowhere else, so that its traces can be looked for. Signs that configuration files,
#: shells and URLs give a meaning to are in it.
PASSWORD = "hush-Zq7=,;%41 ümläut"  # noqa: S105 - of a broker that lives for a minute
KEY_PASSWORD = "hush-key-Xw3"  # noqa: S105 - as above

_LISTENERS = """
listeners={listeners},CONTROLLER://{controller}
advertised.listeners={listeners},CONTROLLER://{controller}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,TLS:SSL,\
SASLTLS:SASL_SSL,SASLBARE:SASL_PLAINTEXT
inter.broker.listener.name=PLAINTEXT
ssl.keystore.type=PEM
ssl.keystore.location={keystore}
ssl.truststore.type=PEM
ssl.truststore.location={truststore}
listener.name.tls.ssl.client.auth=required
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512
listener.name.saslbare.plain.sasl.jaas.config={plain} required user_{user}="{password}";
listener.name.sasltls.plain.sasl.jaas.config={plain} required user_{user}="{password}";
listener.name.saslbare.scram-sha-512.sasl.jaas.config={scram} required;
listener.name.sasltls.scram-sha-512.sasl.jaas.config={scram} required;
"""
_MODULE = "org.apache.kafka.common.security"


class Certificates:
    """A CA, what the broker shows, what a client shows, and a CA that nobody should trust."""

    def __init__(self, folder: Path) -> None:
        authority, stranger = trustme.CA(), trustme.CA()
        self.ca, self.wrong_ca = folder / "ca.pem", folder / "wrong-ca.pem"
        self.broker, self.client = folder / "broker.pem", folder / "client.pem"
        self.key, self.locked_key = folder / "client.key", folder / "locked.key"
        authority.cert_pem.write_to_path(str(self.ca))
        stranger.cert_pem.write_to_path(str(self.wrong_ca))
        shown = authority.issue_cert("127.0.0.1")
        self.broker.write_bytes(_key(shown) + _chain(shown))
        mine = authority.issue_cert("client@example.org")
        self.client.write_bytes(_chain(mine))
        self.key.write_bytes(_key(mine))
        locked = BestAvailableEncryption(KEY_PASSWORD.encode())
        self.locked_key.write_bytes(_key(mine, locked))


class SecuredBroker(KafkaBroker):
    """One broker with a plain and three guarded listeners."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        directory.mkdir(parents=True, exist_ok=True)
        self.certificates = Certificates(directory)
        self._ports = {name: free_port() for name in ("TLS", "SASLTLS", "SASLBARE")}

    def address(self, listener: str) -> str:
        return f"127.0.0.1:{self._ports[listener]}"

    def settings(self, way: str) -> dict[str, Any]:
        """What lets a client in, as settings by name."""
        files = self.certificates
        said: dict[str, Any] = {"sasl_user": USER, "sasl_password": PASSWORD}
        ways: dict[str, dict[str, Any]] = {
            "tls": {
                "broker": self.address("TLS"),
                "broker_security": "ssl",
                "broker_ca": files.ca,
                "broker_cert": files.client,
                "broker_key": files.locked_key,
                "broker_key_password": KEY_PASSWORD,
            },
            "scram over tls": {
                "broker": self.address("SASLTLS"),
                "broker_security": "sasl_ssl",
                "broker_ca": files.ca,
                "sasl_mechanism": "scram-sha-512",
            }
            | said,
            "plain": {
                "broker": self.address("SASLBARE"),
                "broker_security": "sasl_plaintext",
                "sasl_mechanism": "plain",
            }
            | said,
        }
        return ways[way]

    def _properties(self) -> str:
        found = super()._properties()
        lines = found.splitlines()
        listeners = next(line for line in lines if line.startswith("listeners="))
        plain, controller = listeners.removeprefix("listeners=").split(",")
        kept = [line for line in lines if "listeners=" not in line and "protocol.map" not in line]
        guarded = [f"{name}://127.0.0.1:{port}" for name, port in self._ports.items()]
        return "\n".join(kept) + _LISTENERS.format(
            listeners=",".join((plain, *guarded)),
            controller=controller.removeprefix("CONTROLLER://"),
            keystore=self.certificates.broker,
            truststore=self.certificates.ca,
            plain=f"{_MODULE}.plain.PlainLoginModule",
            scram=f"{_MODULE}.scram.ScramLoginModule",
            user=USER,
            # As Java reads property files.
            password="".join(c if c.isascii() else f"\\u{ord(c):04x}" for c in PASSWORD),
        )

    def start(self) -> None:
        """Answers requests after the call, and knows the user."""
        super().start()
        made = UserScramCredentialUpsertion(
            USER, ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096), PASSWORD.encode()
        )
        admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})
        for future in admin.alter_user_scram_credentials([made]).values():
            future.result(START_TIMEOUT_S)


def _chain(certificate: trustme.LeafCert) -> bytes:
    return b"".join(blob.bytes() for blob in certificate.cert_chain_pems)


def _key(certificate: trustme.LeafCert, lock: KeySerializationEncryption | None = None) -> bytes:
    """In PKCS 8, the only form that Kafka reads."""
    key = load_pem_private_key(certificate.private_key_pem.bytes(), password=None)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock or NoEncryption())
