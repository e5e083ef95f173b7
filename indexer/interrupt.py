"""Ctrl-C while a command is being loaded ends it without a word: there is nothing yet to tell of.

Where Ctrl-C is ignored, as in the background of a script, it stays so.
"""

import signal


def end_silently() -> None:
    """From here on, instead of by a KeyboardInterrupt out of the middle of an import."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def be_told() -> None:
    """From here on Ctrl-C is a KeyboardInterrupt again."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
