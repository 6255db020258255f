"""A mail server of other people's making, which tells on standard output what it sees: server.py SETTINGS

SETTINGS is one JSON object; every line of output is one too. It ends when standard input does.
What it does with a mail is chosen by the recipient: see `Mailroom`.
"""

import asyncio
import email
import email.policy
import json
import logging
import os
import ssl
import sys
import warnings
from html.parser import HTMLParser

from aiosmtpd.smtp import SMTP, AuthResult


def tell(**what):
    print(json.dumps(what), flush=True)


class Markup(HTMLParser):
    """What a mail program would make of a page: is it whole, and where does it lead?"""

    VOID = {"meta", "br", "hr", "img", "input", "link"}

    def __init__(self, page):
        super().__init__()
        self.open, self.tags, self.links, self.faults, self.text = [], [], [], [], []
        self.feed(page)
        self.close()
        self.faults += [f"<{tag}> is never closed" for tag in self.open]

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.links += [value for name, value in attributes if name in ("href", "src")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"</{tag}> closes nothing")

    def handle_data(self, data):
        if "style" not in self.open:
            self.text.append(data)

    def told(self):
        text = " ".join("".join(self.text).split())
        return {"tags": self.tags, "links": self.links, "faults": self.faults, "text": text}


def read(content):
    """A mail as Python's own mail parser reads it."""
    message = email.message_from_bytes(content, policy=email.policy.default)
    parts = [part for part in message.walk() if not part.is_multipart()]
    return {
        "headers": [[name.lower(), str(value)] for name, value in message.items()],
        "type": message.get_content_type(),
        "parts": [{"type": part.get_content_type(), "text": lines(part)} for part in parts],
        "defects": [repr(defect) for part in message.walk() for defect in part.defects],
        "markup": [Markup(part.get_content()).told() for part in parts if part.get_content_type() == "text/html"],
    }


def lines(part):
    return part.get_content().replace("\r\n", "\n")


class Mailroom:
    """Takes every mail, but for certain recipients."""

    def __init__(self, settings):
        self.login = settings["login"]
        self.seen = set()

    def authenticate(self, server, session, envelope, mechanism, data):
        given = [data.login.decode(), data.password.decode()]
        return AuthResult(success=given == self.login, handled=False)

    async def handle_MAIL(self, server, session, envelope, address, options):
        if address.startswith("stranger@"):
            return "553 5.7.1 <stranger@msp.example>: not owned by user latchkey"
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(self, server, session, envelope, address, options):
        who = address.split("@")[0]
        if who == "unknown":
            return f"550 5.1.1 <{address}>: no such mailbox"
        if who == "grey" and address not in self.seen:
            self.seen.add(address)
            return "451 4.7.1 greylisted, come again"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        who = envelope.rcpt_tos[0].split("@")[0]
        if who == "spam":
            return "554 5.7.1 this looks like spam"
        tell(took={"from": envelope.mail_from, "to": envelope.rcpt_tos, **read(envelope.content)})
        if who == "slow":
            await asyncio.sleep(3600)
        if who == "hangup":
            server.transport.abort()
        if who == "brief":
            asyncio.get_running_loop().call_later(0.05, server.transport.abort)
        return "250 OK: queued"


class Server(SMTP):
    """Tells what it hears, and whether that came in clear."""

    def __init__(self, *args, is_tls, is_attacked, **settings):
        super().__init__(*args, **settings)
        self.is_tls, self.is_attacked = is_tls, is_attacked

    def connection_made(self, transport):
        if self.transport is None:
            tell(opened=True)
        super().connection_made(transport)

    def connection_lost(self, error):
        tell(closed=True)
        super().connection_lost(error)

    def data_received(self, data):
        tell(heard=data.decode("latin-1"), in_clear=not (self.is_tls or self._tls_protocol))
        super().data_received(data)

    async def push(self, status):
        """Somebody in between puts words of their own behind the answer to STARTTLS."""
        if self.is_attacked and "to start TLS" in str(status):
            status += "\r\n250-attacker\r\n250 AUTH PLAIN LOGIN"
        await super().push(status)


async def serve(settings):
    context = None
    if settings["security"] != "none":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(settings["certificate"], settings["key"])
    is_tls, room = settings["security"] == "tls", Mailroom(settings)

    def connection():
        return Server(
            room,
            is_tls=is_tls,
            is_attacked=settings["is_attacked"],
            hostname="mail.example",
            tls_context=None if is_tls else context,
            require_starttls=settings["security"] == "starttls",
            auth_required=settings["login"] is not None,
            auth_require_tls=settings["security"] == "starttls",
            authenticator=room.authenticate,
            loop=asyncio.get_running_loop(),
        )

    loop = asyncio.get_running_loop()
    server = await loop.create_server(connection, settings["host"], 0, ssl=context if is_tls else None)
    tell(port=server.sockets[0].getsockname()[1])
    await loop.run_in_executor(None, sys.stdin.read)
    os._exit(0)


# It speaks of what the tests do to it on purpose.
logging.getLogger("mail").setLevel(logging.CRITICAL)
warnings.simplefilter("ignore")
asyncio.run(serve(json.loads(sys.argv[1])))
