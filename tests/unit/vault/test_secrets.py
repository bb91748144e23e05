from __future__ import annotations

from nomadflows.vault.secrets import FlowSecret, VersionSecret


def test_a_version_shares_its_flows_message_key_and_has_its_own_passwords() -> None:
    flow = FlowSecret.new()
    one, two = VersionSecret.new(flow), VersionSecret.new(flow)
    assert (
        (one.crypto_password, one.crypto_iv)
        == (two.crypto_password, two.crypto_iv)
        == (flow.crypto_password, flow.crypto_iv)
    )
    assert len({one.amqp_password, two.amqp_password, one.api_key, two.api_key, flow.crypto_password}) == 5


def test_the_iv_is_16_bytes_on_the_wire() -> None:
    assert all(len(FlowSecret.new().crypto_iv.encode()) == 16 for _ in range(50))


def test_secrets_survive_json_and_do_not_show() -> None:
    secret = VersionSecret.new(FlowSecret.new())
    assert VersionSecret.from_json(secret.to_json()) == secret
    assert not any(value in repr(secret) for value in secret.to_json().values())
    assert not any(value in repr(FlowSecret.new()) for value in FlowSecret.new().to_json().values())


def test_a_password_needs_no_escaping_in_an_amqp_address() -> None:
    from urllib.parse import quote

    for _ in range(50):
        secret = VersionSecret.new(FlowSecret.new())
        assert quote(secret.amqp_password, safe="") == secret.amqp_password
