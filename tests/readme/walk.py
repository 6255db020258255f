"""Walks through README's section "Practise" as its reader would: walk.py README DIRECTORY_OF_PROGRAMS

Every command is typed as it stands there, at a terminal, in an empty directory, and what is asked is answered. In between the walk
is the technician, in the PSA's pages and the service's. Nothing but the commands' own `cargo build` is left out.
"""

import base64
import hashlib
import hmac
import html
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

PROMPT = "walk> "
PATIENCE = 60
PASSWORD = "four unlikely words together"


class Terminal:
    """A shell at a pseudo-terminal. Questions are answered as the page says."""

    def __init__(self, place):
        self.app = None
        self.last_code = None
        child, self.fd = pty.fork()
        if child == 0:
            os.chdir(place)
            environment = {**os.environ, "PS1": PROMPT, "TERM": "dumb", "BASH_SILENCE_DEPRECATION_WARNING": "1"}
            os.execvpe("bash", ["bash", "--norc", "--noprofile", "--noediting", "-i"], environment)
        self.child = child
        self.until(lambda said: said.endswith(PROMPT), "")

    def answers(self):
        yield "Id, chosen once and part of account names, such as jdoe", lambda _: "jane"
        yield "First and last name", lambda _: "Jane Doe"
        yield "Mail address, for alerts", lambda _: "jane@example.com"
        yield "Password", lambda _: PASSWORD
        yield "The same once more", lambda _: PASSWORD
        yield "The code that the app shows now", self.code_of_the_app
        yield "Type yes to go on", lambda _: "yes"
        yield "Is 176 really that person, who has a role [y/n]", lambda _: "y"

    def code_of_the_app(self, said):
        self.app = re.search(r"secret: ([A-Z2-7]{16,})", said)[1]
        return self.code()

    def code(self):
        """A code is good once: the next one is waited for."""
        while True:
            step = int(time.time()) // 30
            if step != self.last_code:
                self.last_code = step
                return one_time_code(self.app, step)
            time.sleep(1)

    def type(self, command):
        print(f"$ {command}", flush=True)
        os.write(self.fd, command.encode() + b"\n")
        said = self.until(lambda said: said.endswith(PROMPT), command)
        said = said.removesuffix(PROMPT)
        print(said.split("\n", command.count("\n") + 1)[-1], end="", flush=True)
        return said

    def status(self):
        os.write(self.fd, b"echo status=$?\n")
        return int(re.search(r"status=(\d+)\r?\n", self.until(lambda said: said.endswith(PROMPT), "echo"))[1])

    def until(self, is_done, command):
        said, answered, bound = "", 0, time.monotonic() + PATIENCE
        while not is_done(said):
            if not select.select([self.fd], [], [], max(0, bound - time.monotonic()))[0]:
                raise SystemExit(f"{command!r} did not come to its end; it said: {said}")
            said += os.read(self.fd, 65536).decode(errors="replace").replace("\r\n", "\n")
            asked = said[answered:]
            for question, answer in self.answers():
                if re.search(rf"(^|\n){re.escape(question)}: $", asked):
                    os.write(self.fd, answer(said).encode() + b"\n")
                    answered = len(said)
                    break
        return said

    def close(self):
        """Ends the service too, which takes a mere hang-up for a wish to read its certificate again."""
        os.write(self.fd, b"kill %1; wait; exit\n")
        try:
            while select.select([self.fd], [], [], PATIENCE)[0] and os.read(self.fd, 65536):
                pass
        except OSError:
            pass  # the terminal is gone
        os.kill(self.child, signal.SIGKILL)
        os.waitpid(self.child, 0)
        os.close(self.fd)


class Browser:
    """Keeps one cookie, follows redirects, sends forms from the page's own origin.

    As a browser does, and http.cookiejar does not, it takes a secure cookie to this very machine without TLS.
    """

    def __init__(self, site):
        self.site, self.cookie = site, None
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), Stays())

    def get(self, path):
        return self.send(urllib.request.Request(self.site + path))

    def post(self, path, **form):
        body = urllib.parse.urlencode(form).encode()
        return self.send(urllib.request.Request(self.site + path, body, {"Origin": self.site}))

    def send(self, request):
        if self.cookie:
            request.add_header("Cookie", self.cookie)
        try:
            answer = self.opener.open(request, timeout=PATIENCE)
        except urllib.error.HTTPError as error:
            answer = error
        if given := answer.headers["Set-Cookie"]:
            self.cookie = given.split(";")[0]
        if answer.status == 303:
            return self.get(answer.headers["Location"])
        if answer.status != 200:
            raise SystemExit(f"{request.full_url} answered {answer.status}: {plain(answer.read().decode())}")
        return answer.read().decode()


class Stays(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


def one_time_code(secret, step):
    key = base64.b32decode(secret + "=" * (-len(secret) % 8))
    digest = hmac.new(key, struct.pack(">Q", step), hashlib.sha1).digest()
    at = digest[-1] & 15
    return f"{(struct.unpack('>I', digest[at:at + 4])[0] & 0x7FFFFFFF) % 10**6:06}"


def eventually(what, look):
    bound = time.monotonic() + PATIENCE
    while time.monotonic() < bound:
        if found := look():
            return found
        time.sleep(0.2)
    raise SystemExit(f"this was not seen: {what}")


def blocks(readme):
    section = readme.split("\n## Practise\n")[1].split("\n## ")[0]
    return [block.replace("\\\n", " ") for block in re.findall(r"```sh\n(.*?)```", section, re.S)]


def lines(block):
    return [line.strip() for line in block.splitlines() if line.strip()]


def plain(page):
    return html.unescape(re.sub(r"<[^>]+>", " ", page))


def vendors(block, place):
    """The first terminal."""
    (build, start) = lines(block)
    assert build.startswith("cargo build "), build
    print(f"$ {start}", flush=True)
    log = open(place / "vendors.log", "w")
    running = subprocess.Popen(start, shell=True, cwd=place, stdin=subprocess.PIPE, stdout=log, process_group=0)
    eventually("the vendors' pages", lambda: answers("http://127.0.0.1:8090/"))
    return running


def answers(address):
    try:
        return urllib.request.urlopen(address, timeout=5).status == 200
    except urllib.error.URLError:
        return False


def be_the_technician(terminal):
    """Asks for access in the PSA, claims it, and finds it good."""
    pretend, service = Browser("http://127.0.0.1:8090"), Browser("http://127.0.0.1:8080")
    ticket = re.search(r"/connectwise/tickets/(\d+)", pretend.get("/connectwise").split("Shared mailbox")[0].rsplit("<li>", 1)[1])[1]
    pretend.post(f"/connectwise/tickets/{ticket}/save", length="1 hour", status="JIT Requested")
    granted = eventually("the note with the link", lambda: re.search(r"127.0.0.1:8080(/claim/\w+)", pretend.get(f"/connectwise/tickets/{ticket}")))
    claim = granted[1]
    service.post("/sign-in", person="jane", password=PASSWORD, code=terminal.code(), next=claim)
    token = re.search(r'name="form_token" value="([^"]+)"', service.get(claim))[1]
    shown = service.post(f"{claim}/reveal", form_token=html.unescape(token), code=terminal.code())
    upn, password = [html.unescape(value) for value in re.findall(r"<output[^>]*>([^<]*)</output>", shown)][:2]
    assert "Directory Readers" in plain(pretend.post("/tenant/sign-in", upn=upn, password=password)), "they do not open the tenant"
    print(f"(the technician has {upn}, and it opens the tenant)", flush=True)
    return pretend, ticket, upn, password


def refused(pretend, upn, password):
    page = plain(pretend.post("/tenant/sign-in", upn=upn, password=password))
    return "Directory Readers" not in page and page


def walk(readme, programs, place):
    (place / "target").mkdir()
    (place / "target" / "release").symlink_to(programs.resolve())
    (place / "practice").mkdir()
    first, *installation, last = blocks(readme)
    running = vendors(first, place)
    terminal = Terminal(place)
    try:
        for line in [line for block in installation for line in lines(block)]:
            terminal.type(line)
            if line.startswith("lk serve"):
                eventually("the service", lambda: answers("http://127.0.0.1:8080/livez"))
            elif (status := terminal.status()) != 0:
                raise SystemExit(f"it ended with {status}: {line}")
        pretend, ticket, upn, password = be_the_technician(terminal)
        for line in lines(last):
            said = terminal.type(line)
            if (status := terminal.status()) != 0:
                raise SystemExit(f"it ended with {status}: {line}")
            if line.startswith("lk end"):
                proof = lambda: "access has ended, proven off" in plain(pretend.get(f"/connectwise/tickets/{ticket}"))
                eventually("the proof in the ticket", proof)
                assert refused(pretend, upn, password), "the credentials still open the tenant"
                print("(the ticket has the proof, and the tenant refuses the credentials)", flush=True)
        assert "Whole:" in said, said
        terminal.type("kill %1; wait")
    finally:
        terminal.close()
        running.stdin.close()
        running.wait(timeout=30)


def main():
    readme, programs = Path(sys.argv[1]).read_text(), Path(sys.argv[2])
    with tempfile.TemporaryDirectory(prefix="latchkey-practise-") as place:
        try:
            walk(readme, programs, Path(place))
        except BaseException:
            log = Path(place) / "practice" / "service.log"
            print(log.read_text()[-4000:] if log.exists() else "(no log)", file=sys.stderr)
            raise
    print("README's walk ends with the proof.")


main()
