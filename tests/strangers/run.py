"""Runs every stranger's client against the pretend vendors: run.py SANDBOX_BINARY

The vendors are started for each client anew and end with it.
"""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
CLIENTS = ("connectwise.py", "graph.py")


def passes(client, sandbox):
    vendors = subprocess.Popen([sandbox, "vendors"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        where = vendors.stdout.readline()
        print(f"--- {client}", flush=True)
        return subprocess.run([sys.executable, HERE / client], input=where, text=True, timeout=300).returncode == 0
    finally:
        vendors.stdin.close()
        vendors.wait(timeout=30)


def main():
    (sandbox,) = sys.argv[1:]
    failed = [client for client in CLIENTS if not passes(client, sandbox)]
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


main()
