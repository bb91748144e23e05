"""The child process: `python -m nomadflows.evaluation SECONDS`."""

import sys

from nomadflows.evaluation.aside import serve

serve(float(sys.argv[1]), sys.stdin.buffer, sys.stdout.buffer)
