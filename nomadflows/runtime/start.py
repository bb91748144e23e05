"""From the environment to a running step, in the order that is over soonest.

The request for the step's configuration is on its way while the AMQP library is imported; the other imports and the
component's hooks run while the broker answers. The garbage collector rests until the step is ready: imports make no
garbage, only a heap that would be walked again and again.
"""

from __future__ import annotations

import gc
import os
import sys


def main() -> int:
    """The exit code of the process."""
    gc.disable()
    from nomadflows.runtime.signals import watch_signals

    wakeup = watch_signals()
    from nomadflows.runtime.settings import Settings, SettingsError

    try:
        settings = Settings(os.environ)
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 1
    from nomadflows.runtime import log
    from nomadflows.runtime.preparation import Preparation, run_shutdown_hook

    log.set_up(settings)
    if settings.shutdown_only:
        gc.enable()
        run_shutdown_hook(settings)
        return 0
    from nomadflows.broker.wire import Crypto

    crypto = Crypto(settings.crypto_password, settings.crypto_iv)
    preparation = Preparation(settings, crypto)
    preparation.start()
    from nomadflows.runtime.process import StepProcess

    return StepProcess(settings, crypto, preparation).run(wakeup)
