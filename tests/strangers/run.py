"""Runs strangers' clients against the pretend vendors: run.py SANDBOX_BINARY CLIENT…

The vendors are started for each client anew and end with it. A client in JavaScript finds its packages by NODE_PATH.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def passes(client, sandbox):
    vendors = subprocess.Popen([sandbox, "vendors"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        where = vendors.stdout.readline()
        print(f"--- {client}", flush=True)
        program = "node" if client.endswith(".js") else sys.executable
        # Node.js reads whom to trust before a script can say it.
        trusting = {**os.environ, "NODE_EXTRA_CA_CERTS": json.loads(where)["ca"]}
        ran = subprocess.run([program, HERE / client], input=where, text=True, timeout=300, env=trusting)
        return ran.returncode == 0
    finally:
        vendors.stdin.close()
        vendors.wait(timeout=30)


def main():
    sandbox, *clients = sys.argv[1:]
    failed = [client for client in clients if not passes(client, sandbox)]
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


main()
