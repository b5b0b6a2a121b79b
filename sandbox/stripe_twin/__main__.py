"""``python -m sandbox.stripe_twin``: the twin as a process of its own."""

import argparse
import logging
import signal
import sys
import threading
from pathlib import Path

from sandbox.stripe_twin.server import Server
from sandbox.stripe_twin.twin import Twin


def main() -> int:
    parser = _parser()
    arguments = parser.parse_args()
    if (arguments.webhook is None) != (arguments.webhook_secret is None):
        parser.error("--webhook and --webhook-secret are given together: a webhook is always signed")
    logging.basicConfig(level=arguments.log_level.upper(), format="%(asctime)s %(name)s %(levelname)s %(message)s")
    try:
        server = Server(arguments.port)
    except OSError as error:
        print(f"Port {arguments.port} cannot be used ({error.strerror}); choose another with --port.", file=sys.stderr)
        return 1
    server.twin = Twin(
        file=arguments.file,
        base_url=server.base_url,
        webhook_url=arguments.webhook,
        webhook_secret=arguments.webhook_secret,
    )
    server.twin.start()
    for name in (signal.SIGTERM, signal.SIGINT):
        # shutdown() waits for serve_forever(), which this very thread runs: ask from another one.
        signal.signal(name, lambda *_: threading.Thread(target=server.shutdown).start())
    if arguments.with_parent:
        threading.Thread(target=_stop_with_parent, args=(server,), daemon=True).start()
    print(f"Stripe twin (test payments) on {server.base_url}, file {arguments.file}", flush=True)
    server.serve_forever(poll_interval=0.1)
    server.close_connections()
    server.server_close()
    server.twin.stop()
    return 0


def _stop_with_parent(server: Server) -> None:
    """A pipe from the parent closes however the parent ends, kill -9 included."""
    sys.stdin.read()
    server.shutdown()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sandbox.stripe_twin", description="A Stripe test server.")
    parser.add_argument("--port", type=int, default=12111, help="on 127.0.0.1; 0 takes a free one")
    parser.add_argument("--file", type=Path, default=Path("var/stripe_twin.sqlite"), help="keeps everything it knows")
    parser.add_argument("--webhook", metavar="URL", help="where events go")
    parser.add_argument("--webhook-secret", metavar="whsec_...", help="signs them")
    parser.add_argument("--with-parent", action="store_true", help="stop when standard input closes")
    parser.add_argument("--log-level", default="warning", choices=["debug", "info", "warning", "error"])
    return parser


if __name__ == "__main__":
    sys.exit(main())
