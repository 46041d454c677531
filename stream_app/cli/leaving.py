"""The end of the process, which does not wait for texts that are being encoded.

Python waits for every thread at its end. The encoder's may be at a batch that takes half a minute,
and whose features nobody wants any more: its posts were not acknowledged, and come again.
"""

from __future__ import annotations

import logging
import os
import sys
import threading

#: How the name of the encoder's thread begins; `engine.pipeline` gives it, and is heavy to import.
_ENCODER_THREAD = "encoder"
_IDLE_WITHIN_S = 0.2


def leave(code: int) -> int:
    """The exit code, to be returned; or no return at all, where the encoder is still at work."""
    for thread in threading.enumerate():
        if thread.name.startswith(_ENCODER_THREAD):
            thread.join(_IDLE_WITHIN_S)
            if thread.is_alive():
                logging.shutdown()
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
    return code
