"""A sender in a process of its own: publishing in the tests' process does not hold up what it sends.

    python -m tests.sender WORKSPACE/FLOW RATE < pipe

Sends until its input ends, then writes which messages were confirmed when, and which it sent again, as JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Self

from nomadflows.model.names import FlowRef
from nomadflows.settings import load_settings
from tests.traffic import Line, Traffic
from tests.world import World


class Sender:
    """Messages to one flow, so many a second, until `stop`."""

    def __init__(self, line: Line, rate: float) -> None:
        self._line = line
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.sender", str(line.ref), str(rate)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()

    def stop(self) -> None:
        """Its line then knows what was sent."""
        output, _ = self._process.communicate(timeout=60)
        assert self._process.returncode == 0, "the sender failed"
        found = json.loads(output)
        self._line.sent.update({int(number): moment for number, moment in found["sent"].items()})
        self._line.again.update(found["again"])


def main(flow: str, rate: float) -> None:
    traffic = Traffic(World(load_settings(), Path()))
    traffic.follow = True
    line = traffic.add(FlowRef.parse(flow), Path())
    traffic.start(rate, [line] * max(1, int(rate)))  # a second's worth over one connection, so that the rate is kept
    sys.stdin.read()
    traffic.stop()
    json.dump({"sent": line.sent, "again": sorted(line.again)}, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
