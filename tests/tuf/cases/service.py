"""What no suite can serve: a server that trickles, and wrong usage."""

import socket
import subprocess
import threading
import time

from bench import case
from clients import program


@case
def a_server_that_trickles_is_given_up(bench):
    listener = socket.create_server(("127.0.0.1", 0))

    def trickle():
        connection, _ = listener.accept()
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        try:
            while True:
                connection.sendall(b" ")
                time.sleep(0.05)
        except OSError:
            pass
    threading.Thread(target=trickle, daemon=True).start()
    client = bench.client()
    begin = time.monotonic()
    done = subprocess.run(
        [program(), "--metadata-dir", str(client.metadata), "--patience", "1", "--metadata-url",
         f"http://127.0.0.1:{listener.getsockname()[1]}/", "refresh"], stderr=subprocess.PIPE,
        timeout=20, check=False)
    assert done.returncode == 1 and 1 <= time.monotonic() - begin < 10, done.stderr


@case
def wrong_usage_ends_with_1(bench):
    client = bench.client()
    assert client.run("nonsense") == 1
    assert client.run("refresh") == 1
