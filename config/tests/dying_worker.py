"""A worker that kills itself and all its processes at one point of sending, named by FAIL_POINT (security.md FA-03)."""

import os
import signal
import sys

from config.celery import app


def die(*_args, **_options):
    os.killpg(os.getpgrp(), signal.SIGKILL)


def after(function):
    """Let it do its work, and die then."""
    return lambda *args, **options: die(function(*args, **options))


def break_at(point):
    """Points in the order in which a delivery passes them."""
    from tenancy.events import sending

    points = {
        "before the claim": ("_claim", die),
        "in the claim": ("_claim_endpoint", after(sending._claim_endpoint)),
        "between claim and send": ("_travel", die),
        "between send and note": ("_write_down", die),
        "in the note": ("_count", die),
        "after the note": ("_write_down", after(sending._write_down)),
    }
    name, replacement = points[point]
    setattr(sending, name, replacement)


if __name__ == "__main__":
    app.loader.import_default_modules()
    break_at(os.environ["FAIL_POINT"])
    app.start(sys.argv[1:])
