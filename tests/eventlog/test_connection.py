"""One description of a cluster, for every client library."""

import ssl

from eventlog.connection import KafkaSettings

SECURE = KafkaSettings(
    "a:1, b:2",
    security_protocol="SASL_SSL",
    sasl_mechanism="SCRAM-SHA-256",
    sasl_username="u",
    sasl_password="secret",
    topic_prefix="t.",
)


def test_both_clients_are_told_the_same() -> None:
    """aiokafka and librdkafka get the same servers, mechanism and credentials, each in its own words."""
    ours, theirs = SECURE.aiokafka(), SECURE.confluent()
    assert ours["bootstrap_servers"] == ["a:1", "b:2"]
    assert theirs["bootstrap.servers"] == "a:1,b:2"
    assert ours["security_protocol"] == theirs["security.protocol"] == "SASL_SSL"
    assert ours["sasl_mechanism"] == theirs["sasl.mechanism"] == "SCRAM-SHA-256"
    assert (ours["sasl_plain_username"], ours["sasl_plain_password"]) == ("u", "secret")
    assert (theirs["sasl.username"], theirs["sasl.password"]) == ("u", "secret")
    assert isinstance(ours["ssl_context"], ssl.SSLContext)


def test_plain_text_needs_no_credentials() -> None:
    """On one's own machine nothing but the address is passed on."""
    assert KafkaSettings("a:1").confluent() == {"bootstrap.servers": "a:1", "security.protocol": "PLAINTEXT"}
    assert set(KafkaSettings("a:1").aiokafka()) == {"bootstrap_servers", "security_protocol"}


def test_the_password_is_never_shown() -> None:
    """Settings end up in logs; the password must not."""
    assert "secret" not in repr(SECURE)


def test_a_prefix_stands_before_the_names_in_kafka_only() -> None:
    """Tokens and rows know a topic by its logical name, whatever it is called in Kafka."""
    assert SECURE.real("documents") == "t.documents"
    assert SECURE.logical("t.documents") == "documents"
