"""Emits when it fires and when it fired last."""

from datetime import datetime, timezone

_EPOCH = "1970-01-01T00:00:00.000Z"


def _moment(text):
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


def process(message, config, snapshot, context):
    now = datetime.now(timezone.utc)
    if config.get("start") and now < _moment(config["start"]):
        return
    if config.get("end") and now >= _moment(config["end"]):
        return
    fire = now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    yield {"fireTime": fire, "lastPoll": snapshot.get("lastPoll", _EPOCH)}
    context.emit("snapshot", {"lastPoll": fire})
