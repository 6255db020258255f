"""A stranger's client, haloitsm-python, against the simulated HaloPSA.

Reads the line that `latchkey-sandbox vendors` prints from standard input. It always asks for the scope `all`, and it posts
what it is given: a list, as the vendor demands, or a bare object, which the vendor refuses.
"""

import json
import logging
import os
import sys

VENDORS = json.load(sys.stdin)
os.environ["REQUESTS_CA_BUNDLE"] = VENDORS["ca"]

from halo import HaloClient  # noqa: E402  (reads the variable above)
from halo.exceptions import (  # noqa: E402
    HaloAuthenticationError,
    HaloResourceNotFound,
    HaloValidationError,
)

PSA = VENDORS["halopsa"]
PRIVATE_NOTE = 7
logging.getLogger("halo").setLevel(logging.CRITICAL)  # refused tokens are asked for here


def connect(**changed):
    return HaloClient(**{"base_url": PSA["url"], **PSA["everything"], **changed})


def raises(expected, act):
    try:
        act()
    except expected as error:
        return error
    raise AssertionError(f"{expected.__name__} was expected")


def a_wrong_secret_and_a_scope_that_is_not_ticked_get_no_token(_):
    wrong = raises(HaloAuthenticationError, connect(client_secret="nonsense").tickets.list)
    assert "credentials" in str(wrong), wrong
    narrow = connect(client_id=PSA["client_id"], client_secret=PSA["client_secret"])
    assert "scope" in str(raises(HaloAuthenticationError, narrow.tickets.list))


def a_token_that_is_not_known_is_fetched_anew(_):
    client = connect(token="nonsense")
    assert client.get("/Agent/me")["name"] == "Another program"
    assert client.auth.get_token() != "nonsense"


def tickets_come_page_by_page(client):
    seen, page = [], 1
    while found := client.tickets.list(page_size=2, page_no=page):
        seen, page = seen + [ticket.id for ticket in found], page + 1
    assert page > 3 and sorted(seen) == sorted(PSA["tickets"]), seen
    of_acme = client.tickets.list(client_id=PSA["customer_id"])
    assert {ticket.client_name for ticket in of_acme} == {"ACME Ltd"} and len(of_acme) < len(seen)


def a_ticket_is_made_and_its_status_set(client):
    new = {"summary": "Logged by a stranger", "client_id": PSA["customer_id"], "team": PSA["team"]}
    raises(HaloValidationError, lambda: client.tickets.create(new))
    made = client.tickets.create([new])
    client.tickets.create([{"id": made.id, "status_id": PSA["status_requested"]}])
    shown = client.tickets.get(made.id, includedetails=True, includestatus=True)
    assert (shown.summary, shown.status_name) == (new["summary"], "JIT requested"), shown.raw
    made.delete()
    raises(HaloResourceNotFound, lambda: client.tickets.get(made.id))


def an_action_keeps_its_privacy_and_names_its_agent(client):
    ticket = PSA["tickets"][0]
    note = {"ticket_id": ticket, "note": "private, by a stranger", "hiddenfromuser": True, "sendemail": False}
    raises(HaloValidationError, lambda: client.actions.create([note]))  # without an outcome
    made = client.actions.create([{**note, "outcome_id": PRIVATE_NOTE}])
    assert made.hiddenfromuser is True and made.actionby_agent_id == client.get("/Agent/me")["id"], made.raw
    assert note["note"] in [action.note for action in client.actions.list(ticket_id=ticket)]
    public = client.actions.list(ticket_id=ticket, excludeprivate=True)
    assert made.id not in [action.id for action in public]
    assert client.actions.get(made.id, ticket_id=ticket).note == note["note"]


def agents_customers_and_events_are_listed(client):
    agents = {agent["id"]: agent["name"] for agent in client.get("/Agent")}
    assert agents[PSA["agent_id"]] == "Jane Doe", agents
    assert "ACME Ltd" in [customer.name for customer in client.clients.list()]
    events = client.get("/Lookup", params={"lookupid": 64})
    assert any("Status Changed" in event["name"] for event in events)


def main():
    client = connect()
    for check in (
        a_wrong_secret_and_a_scope_that_is_not_ticked_get_no_token,
        a_token_that_is_not_known_is_fetched_anew,
        tickets_come_page_by_page,
        a_ticket_is_made_and_its_status_set,
        an_action_keeps_its_privacy_and_names_its_agent,
        agents_customers_and_events_are_listed,
    ):
        check(client)
        print("ok", check.__name__)


main()
