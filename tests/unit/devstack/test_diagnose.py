"""What `nomadflows doctor` makes of the queues that wait for people."""

from nomadflows.devstack.diagnose import left_behind


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
