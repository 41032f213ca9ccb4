"""Complaints of decoding threads that go on while the last ones are read."""

import subprocess
import sys

THREADS, LINES = 4, 1_000  # less in all than is looked at in one go
PROGRAM = f"""
import os, threading
from feature_extract.video.libav_log import Complaints

complaints = Complaints()

def complain():
    for _ in range({LINES}):
        os.write(2, b"header damaged\\n")

threads = [threading.Thread(target=complain) for _ in range({THREADS})]
for thread in threads:
    thread.start()
heard = b""
while any(thread.is_alive() for thread in threads):
    heard += complaints.new()
print(heard.count(b"header damaged") + complaints.new().count(b"header damaged"))
"""


def test_none_is_lost_that_comes_while_others_are_read() -> None:
    """A picture whose only sign of damage was lost would be shown, grey, as if all were well."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, check=True)
    assert int(done.stdout) == THREADS * LINES
