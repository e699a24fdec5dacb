"""``python -m tests.hub_simulator --root FOLDER``: prints its address as one line, serves until stopped."""

import argparse
import signal
import sys
import threading
from pathlib import Path

from tests.hub_simulator.server import running_hub
from tests.hub_simulator.state import TOKEN


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.hub_simulator", description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="a folder tree owner/name/files")
    parser.add_argument("--port", type=int, default=0, help="0 chooses a free one")
    parser.add_argument("--port-file", type=Path, help="write the port here once the hub answers")
    parser.add_argument("--token", default=TOKEN, help="the token that opens gated repositories")
    parser.add_argument("--page-size", type=int, default=100)
    parser.add_argument("--exit-with-parent", action="store_true", help="stop when standard input closes")
    return parser.parse_args()


def _stop_with_input(stop: threading.Event) -> None:
    sys.stdin.buffer.read()
    stop.set()


def main() -> None:
    arguments = _arguments()
    stop = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: stop.set())
    if arguments.exit_with_parent:
        threading.Thread(target=_stop_with_input, args=(stop,), daemon=True).start()
    with running_hub(arguments.root, arguments.port, arguments.token, arguments.page_size) as hub:
        if arguments.port_file:
            arguments.port_file.write_text(hub.url.rpartition(":")[2])
        print(hub.url, flush=True)
        stop.wait()


if __name__ == "__main__":
    main()
