"""What `nomadflows doctor` makes of a broker, and of the queues that wait for people."""

import socket
import threading

import pytest

from nomadflows.devstack.diagnose import left_behind, rabbitmq
from nomadflows.settings import Settings


@pytest.mark.parametrize(("scheme", "first", "level"), [("amqp", b"AMQP", "ok"), ("amqps", b"\x16\x03", "unreachable")])
def test_a_broker_is_spoken_to_as_its_address_says(scheme, first, level):
    """TLS is begun with whoever `amqps` names; this one speaks none."""
    heard = []

    def listen(server):
        connection, _ = server.accept()
        with connection:
            heard.append(connection.recv(1024))
            connection.sendall(b"AMQP\x00\x00\x09\x01")

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=listen, args=(server,))
        thread.start()
        port = server.getsockname()[1]
        uri = f"{scheme}://me:secret@127.0.0.1:{port}"
        found = rabbitmq(Settings(amqp_uri=uri, rabbitmq_api="http://127.0.0.1:1", timeout=2))[0]
        thread.join()
    assert heard[0].startswith(first)
    assert (found.what, found.level) == (f"AMQP 127.0.0.1:{port}", level)


def queue(name, messages=0, vhost="nomadflows.default", **more):
    return {"vhost": vhost, "name": name, "messages": messages, **more}


def test_nothing_waits():
    found = left_behind([queue("nomadflows.unrouted"), queue("orders.dead", 59_999), queue("x.dead", vhost="/")])
    assert [(one.what, one.level, one.detail) for one in found] == [("unroutable messages", "ok", "none")]


def test_what_found_no_queue_is_told_for_each_workspace():
    queues = [queue("nomadflows.unrouted", 3), queue("nomadflows.unrouted", 2, "nomadflows.trial")]
    (found,) = left_behind(queues)
    assert (found.level, found.detail) == ("warning", "2 in workspace trial, 3 in workspace default")
    assert "flow dead FLOW --unrouted" in found.mend


def test_dead_letters_are_told_before_the_oldest_go():
    many, large = queue("orders.dead", 60_000), queue("scans.dead", 20, message_bytes=170_000_000)
    found = left_behind([many, large])[1:]
    assert [(one.what, one.level) for one in found] == [
        ("dead letters of default/orders", "warning"),
        ("dead letters of default/scans", "warning"),
    ]
    assert found[1].detail == "20, 162 MiB; from 75,000 or 200 MiB on the oldest go"
    assert "nomadflows flow dead default/orders" in found[0].mend


def test_the_dead_letters_of_other_vhosts_are_not_ours():
    assert len(left_behind([queue("orders.dead", 75_000, "/")])) == 1
