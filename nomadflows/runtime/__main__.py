"""`python -m nomadflows.runtime`: the process Nomad starts for a step."""

import logging
import os
import sys

from nomadflows.runtime.start import main

code = main()
logging.shutdown()
sys.stdout.flush()
sys.stderr.flush()
os._exit(code)  # a component's left-over threads must not keep the process
