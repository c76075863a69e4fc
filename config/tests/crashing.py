"""A real server that dies where it is told to: a process for each request, killed by kill -9 (security.md F).

    python -m config.tests.crashing        prints its port, and serves until it is ended

`X-Die: before-commit` and `X-Die: after-commit` name the point. Tests run
it on their own database; nothing of it is in the house's own settings.
"""

import os
import signal
import sys
from socketserver import ForkingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

HEADER = "HTTP_X_DIE"


class DieBeforeCommit:
    """Between MemberMiddleware and RetryMiddleware: the answer is kept, and nothing is committed yet."""

    point = "before-commit"

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        response = self.get_response(request)
        if request.META.get(HEADER) == self.point:
            os.kill(os.getpid(), signal.SIGKILL)
        return response


class DieAfterCommit(DieBeforeCommit):
    """Before MemberMiddleware: the transaction has ended, and nobody hears of it."""

    point = "after-commit"


class ForkingServer(ForkingMixIn, WSGIServer):
    """A process a request."""


class QuietHandler(WSGIRequestHandler):
    def log_message(self, *args):
        pass


def main() -> None:
    from django.conf import settings

    member = settings.MIDDLEWARE.index("accounts.users.middleware.MemberMiddleware")
    settings.MIDDLEWARE.insert(member + 1, "config.tests.crashing.DieBeforeCommit")
    settings.MIDDLEWARE.insert(member, "config.tests.crashing.DieAfterCommit")
    from config.wsgi import application

    server = ForkingServer(("127.0.0.1", 0), QuietHandler)
    server.set_app(application)
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    main()
