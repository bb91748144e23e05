"""What a component was made for, and whether that is here: `python 3.11`, `node 20`, and after it, where the component
holds compiled code, system and processor, such as `linux-x86_64`.

Asked when a node unpacks a component, and again by each process of it, since nodes get another Python or Node in time.
Loaded by every Python step: nothing but what is loaded anyway.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from typing import Final

VARIABLE: Final = "NOMADFLOWS_ARTIFACT_NEEDS"
NODE_CHECK: Final = "_nomadflows_needs.js"  # in a packed Node component: what Node loads before the component
_NODE_CHECK: Final = """\
// Written by `nomadflows component deploy`: what lies here may be compiled for one Node, and another must not load it.
const wanted = %s;
const found = [process.versions.node.split('.')[0], `${process.platform}-${process.arch}`];
if (wanted.some((word, index) => word !== found[index])) {
  console.error(`the component was deployed for node ${wanted.join(' ')}, this node has ${found.join(' ')}`);
  process.exit(1);
}
"""


def python_here() -> tuple[str, str]:
    """Of the Python that runs this."""
    system = os.uname()
    return f"{sys.version_info.major}.{sys.version_info.minor}", f"{system.sysname}-{system.machine}".lower()


def refusal(needs: str, here: Sequence[str]) -> str:
    """Why the component must not run; "" if it may, or nothing is known of what it needs."""
    language, *wanted = needs.split() or [""]
    if list(here[: len(wanted)]) == wanted:
        return ""
    return f"the component was deployed for {language} {' '.join(wanted)}, this node has {' '.join(here) or 'none'}"


def node_check(needs: str) -> str:
    """The same question in Node's language."""
    return _NODE_CHECK % json.dumps(needs.split()[1:])
