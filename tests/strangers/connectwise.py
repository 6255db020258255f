"""A stranger's client, pyconnectwise, against the simulated ConnectWise PSA.

Reads the line that `latchkey-sandbox vendors` prints from standard input. Its models are strict
(pydantic), so a wrong type on the wire fails here even where our own connector would not look.
"""

import json
import os
import sys

VENDORS = json.load(sys.stdin)
os.environ["REQUESTS_CA_BUNDLE"] = VENDORS["ca"]

from pyconnectwise import ConnectWiseManageAPIClient  # noqa: E402  (reads the variable above)
from pyconnectwise.exceptions import (  # noqa: E402
    AuthenticationFailedException,
    MalformedRequestException,
    NotFoundException,
    ObjectExistsError,
)

PSA = VENDORS["connectwise"]


def connect(**changed):
    given = {
        "company_name": PSA["company"],
        "manage_url": PSA["site"],
        "client_id": PSA["client_id"],
        "public_key": PSA["public_key"],
        "private_key": PSA["private_key"],
    }
    return ConnectWiseManageAPIClient(**{**given, **changed})


def raises(expected, act):
    try:
        act()
    except expected as error:
        return error
    raise AssertionError(f"{expected.__name__} was expected")


def the_codebase_is_discovered_and_the_system_answers(client):
    assert client.codebase.strip("/").startswith("v20"), client.codebase
    assert client.system.info.get().version


def a_wrong_key_is_refused(_):
    stranger = connect(private_key="nonsense")
    raises(AuthenticationFailedException, stranger.system.info.get)


def tickets_come_page_by_page(client):
    seen = [ticket.id for ticket in client.service.tickets.paginated(1, 2).all()]
    assert sorted(seen) == sorted(PSA["tickets"]), seen
    assert client.service.tickets.count.get().count == len(seen)


def conditions_choose(client):
    on_board = client.service.tickets.get(params={"conditions": f"board/id={PSA['board']}"})
    assert on_board and all(ticket.board.id == PSA["board"] for ticket in on_board)
    nonsense = {"conditions": "nonsense ="}
    raises(MalformedRequestException, lambda: client.service.tickets.get(params=nonsense))


def a_ticket_is_read_and_its_status_set(client):
    ticket = client.service.tickets.id(PSA["tickets"][0])
    assert ticket.get().company.name == "ACME Ltd"
    change = [{"op": "replace", "path": "status/id", "value": PSA["status_requested"]}]
    assert ticket.patch(change).status.name == "JIT Requested"
    raises(NotFoundException, client.service.tickets.id(999_999).get)


def notes_keep_their_flags(client):
    notes = client.service.tickets.id(PSA["tickets"][0]).notes
    made = notes.post({"text": "internal, by a stranger", "internalAnalysisFlag": True})
    assert made.internal_analysis_flag and not made.detail_description_flag
    changed = notes.id(made.id).patch([{"op": "replace", "path": "text", "value": "overwritten"}])
    assert changed.text == "overwritten"
    assert [n.text for n in notes.get() if n.id == made.id] == ["overwritten"]
    notes.id(made.id).delete()
    assert all(n.id != made.id for n in notes.get())


def boards_members_and_companies_parse(client):
    board = client.service.boards.id(PSA["board"])
    assert board.get().name == "Help Desk"
    assert "JIT Active" in [status.name for status in board.statuses.get()]
    assert {"jdoe", "msmith"} <= {member.identifier for member in client.system.members.get()}
    assert client.company.companies.id(PSA["company_id"]).get().identifier == "ACME"


def a_callback_is_registered_once(client):
    entry = {
        "description": "stranger",
        "url": "https://receiver.example/hook",
        "objectId": PSA["board"],
        "type": "ticket",
        "level": "board",
        "memberId": 243,
        "payloadVersion": "3.0.0",
    }
    made = client.system.callbacks.post(entry)
    assert made.level.lower() == "board" and made.url == entry["url"]
    raises(ObjectExistsError, lambda: client.system.callbacks.post(entry))
    client.system.callbacks.id(made.id).delete()
    assert all(known.id != made.id for known in client.system.callbacks.get())


def main():
    client = connect()
    for check in (
        the_codebase_is_discovered_and_the_system_answers,
        a_wrong_key_is_refused,
        tickets_come_page_by_page,
        conditions_choose,
        a_ticket_is_read_and_its_status_set,
        notes_keep_their_flags,
        boards_members_and_companies_parse,
        a_callback_is_registered_once,
    ):
        check(client)
        print("ok", check.__name__)


main()
