"""TLS and SASL from settings to the arguments of both Kafka libraries."""

import os
import re
import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme
from confluent_kafka.admin import AdminClient

from stream_app.broker_access import (
    aiokafka_arguments,
    librdkafka_options,
    require_access,
    tls_context,
    warning,
)
from stream_app.errors import SettingsError
from stream_app.settings import load_settings

ROOT = Path(__file__).parents[2]
HUSH = "hush-Zq7"
SASL = {"sasl_mechanism": "SCRAM-SHA-512", "sasl_user": "kol", "sasl_password": HUSH}


@pytest.fixture(autouse=True)
def _no_settings_around(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith("KOL_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def refusal(**given: Any) -> str:
    with pytest.raises(SettingsError) as caught:
        tls_context(load_settings(**given))
    assert "\n" not in str(caught.value)
    assert HUSH not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    authority = trustme.CA()
    mine = authority.issue_cert("me@example.org")
    other = authority.issue_cert("other@example.org")
    found = {name: tmp_path / f"{name}.pem" for name in ("ca", "cert", "key", "other", "whole")}
    authority.cert_pem.write_to_path(str(found["ca"]))
    mine.cert_chain_pems[0].write_to_path(str(found["cert"]))
    mine.private_key_pem.write_to_path(str(found["key"]))
    other.private_key_pem.write_to_path(str(found["other"]))
    mine.private_key_and_cert_chain_pem.write_to_path(str(found["whole"]))
    return found


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"broker_security": "tls"}, "KOL_BROKER_SECURITY: 'tls' is not allowed"),
        ({"broker_ca": "x"}, "KOL_BROKER_CA: has no use while KOL_BROKER_SECURITY is plaintext"),
        (
            {"broker_security": "sasl_plaintext", "broker_ca": "x"} | SASL,
            "KOL_BROKER_CA: has no use while KOL_BROKER_SECURITY is sasl_plaintext",
        ),
        ({"sasl_password": HUSH}, "KOL_SASL_PASSWORD: has no use while"),
        (
            {"broker_security": "ssl"} | SASL,
            "set KOL_BROKER_SECURITY to sasl_plaintext or sasl_ssl",
        ),
        (
            {"broker_security": "sasl_ssl", "sasl_user": "kol"},
            "KOL_SASL_MECHANISM, KOL_SASL_PASSWORD: required because KOL_BROKER_SECURITY is sasl",
        ),
        ({"broker_security": "ssl", "broker_key": "x"}, "KOL_BROKER_KEY: has no use without"),
        (
            {"broker_security": "ssl", "broker_key_password": HUSH},
            "KOL_BROKER_KEY_PASSWORD: has no use without KOL_BROKER_CERT",
        ),
        (
            {"broker_security": "sasl_ssl"} | SASL | {"sasl_password": f"{HUSH}\n"},
            "KOL_SASL_PASSWORD: (hidden) is not allowed",
        ),
        ({"broker": f"kol:{HUSH}@kafka:9093"}, "KOL_BROKER: '(hidden)@kafka:9093' is not allowed"),
        ({"broker": f"a,SASL_SSL://kol:{HUSH}@kafka"}, "KOL_BROKER:"),
    ],
)
def test_settings_that_make_no_sense_together_are_refused(
    given: dict[str, Any], words: str
) -> None:
    assert words in refusal(**given)


def test_a_file_that_is_no_good_is_named_with_its_setting(
    files: dict[str, Path], tmp_path: Path
) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_text("")
    tls = {"broker_security": "ssl"}
    gone = tmp_path / "gone.pem"
    for path, why in ((gone, "No such file"), (tmp_path, "Is a directory")):
        assert f"KOL_BROKER_CA: cannot read {path}: {why}" in refusal(**tls, broker_ca=path)
    assert "KOL_BROKER_CA" in refusal(**tls, broker_ca=empty)
    assert "KOL_BROKER_CERT: cannot read" in refusal(**tls, broker_cert=gone)
    assert "KOL_BROKER_KEY: cannot" in refusal(**tls, broker_cert=files["cert"], broker_key=gone)
    for key in ("other", "ca"):  # of another certificate, and none at all
        said = refusal(**tls, broker_cert=files["cert"], broker_key=files[key])
        assert "do not make a client's certificate and its key" in said
    assert "KOL_BROKER_CERT, KOL_BROKER_KEY" in refusal(**tls, broker_cert=files["cert"])


def test_an_encrypted_key_without_its_password_is_not_asked_for_on_the_terminal(
    files: dict[str, Path],
) -> None:
    from cryptography.hazmat.primitives import serialization as form

    key = form.load_pem_private_key(files["key"].read_bytes(), None)
    lock = form.BestAvailableEncryption(HUSH.encode())
    files["key"].write_bytes(key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, lock))
    given = {
        "broker_security": "ssl",
        "broker_cert": files["cert"],
        "broker_key": files["key"],
    }
    assert "is encrypted; set KOL_BROKER_KEY_PASSWORD" in refusal(**given)
    assert "KOL_BROKER_KEY_PASSWORD right?" in refusal(**given, broker_key_password=f"not {HUSH}")
    assert tls_context(load_settings(**given, broker_key_password=HUSH)) is not None


def test_both_libraries_are_told_the_same(files: dict[str, Path]) -> None:
    settings = load_settings(
        broker="kafka:9093",
        broker_security="sasl_ssl",
        broker_ca=files["ca"],
        broker_cert=files["whole"],
        **SASL,
    )
    given = aiokafka_arguments(settings)
    context = given.pop("ssl_context")
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname
    assert given == {
        "bootstrap_servers": "kafka:9093",
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "kol",
        "sasl_plain_password": HUSH,
    }
    options = librdkafka_options(settings)
    assert options == {
        "bootstrap.servers": "kafka:9093",
        "security.protocol": "sasl_ssl",
        "log_level": 0,
        "ssl.ca.location": str(files["ca"]),
        "ssl.certificate.location": str(files["whole"]),
        "ssl.key.location": str(files["whole"]),
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "kol",
        "sasl.password": HUSH,
    }
    AdminClient(options)  # which knows all of them


def test_without_security_nothing_is_asked_and_nothing_encrypted() -> None:
    settings = load_settings(broker="127.0.0.1:1")
    assert librdkafka_options(settings) == {
        "bootstrap.servers": "127.0.0.1:1",
        "security.protocol": "plaintext",
        "log_level": 0,
    }
    assert aiokafka_arguments(settings)["ssl_context"] is None
    require_access(settings)  # asks nobody


def test_the_addresses_of_brokers_are_given_to_clients_in_one_place() -> None:
    found = {
        path.relative_to(ROOT).as_posix()
        for path in ROOT.glob("stream_app/**/*.py")
        if re.search(r"bootstrap[._]servers", path.read_text("utf-8"))
    }
    assert found == {"stream_app/broker_access.py"}


def test_what_others_could_overhear_is_warned_of() -> None:
    bare = {"broker_security": "sasl_plaintext"} | SASL
    assert warning(load_settings(broker="kafka:9092,127.0.0.1", **bare)) is not None
    said = warning(load_settings(broker="kafka:9092", **bare | {"sasl_mechanism": "plain"}))
    assert said is not None
    assert "the password and all records" in said
    assert warning(load_settings(broker="127.0.0.1:9092,[::1]:9092,localhost", **bare)) is None
    assert warning(load_settings(broker="kafka:9092")) is None
