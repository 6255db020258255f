"""Strangers' clients, azure-identity and msgraph-sdk, against the simulated Entra tenant.

Reads the line that `latchkey-sandbox vendors` prints from standard input.
"""

import asyncio
import json
import logging
import os
import sys
from datetime import datetime, timezone

VENDORS = json.load(sys.stdin)
os.environ["REQUESTS_CA_BUNDLE"] = os.environ["SSL_CERT_FILE"] = VENDORS["ca"]

from azure.core.exceptions import ClientAuthenticationError  # noqa: E402  (reads the variables above)
from azure.identity.aio import ClientSecretCredential  # noqa: E402
from kiota_abstractions.base_request_configuration import RequestConfiguration  # noqa: E402
from kiota_authentication_azure.azure_identity_authentication_provider import (  # noqa: E402
    AzureIdentityAuthenticationProvider,
)
from msgraph import GraphRequestAdapter, GraphServiceClient  # noqa: E402
from msgraph.generated.models.o_data_errors.o_data_error import ODataError  # noqa: E402
from msgraph.generated.models.password_profile import PasswordProfile  # noqa: E402
from msgraph.generated.models.reference_create import ReferenceCreate  # noqa: E402
from msgraph.generated.models.unified_role_assignment import UnifiedRoleAssignment  # noqa: E402
from msgraph.generated.models.user import User  # noqa: E402
from msgraph.generated.users.item.user_item_request_builder import UserItemRequestBuilder  # noqa: E402
from msgraph.generated.users.users_request_builder import UsersRequestBuilder  # noqa: E402

TENANT = VENDORS["graph"]
logging.getLogger("azure").setLevel(logging.CRITICAL)  # a refused token is asked for here


def credential(secret):
    return ClientSecretCredential(
        TENANT["tenant"],
        TENANT["client_id"],
        secret,
        authority=TENANT["url"],
        disable_instance_discovery=True,
    )


def client_of(proof):
    provider = AzureIdentityAuthenticationProvider(
        proof, scopes=["https://graph.microsoft.com/.default"], allowed_hosts=["localhost"]
    )
    adapter = GraphRequestAdapter(provider)
    adapter.base_url = TENANT["url"] + "/v1.0"
    return GraphServiceClient(request_adapter=adapter)


async def refused(expected_status, call):
    try:
        await call
    except ODataError as error:
        assert error.response_status_code == expected_status, error
        assert error.error.code and error.error.message
        assert error.error.inner_error.request_id
        return error
    raise AssertionError(f"a refusal with {expected_status} was expected")


async def a_wrong_secret_gets_no_token(_):
    async with credential("nonsense") as proof:
        try:
            await proof.get_token("https://graph.microsoft.com/.default")
        except ClientAuthenticationError as error:
            assert "AADSTS7000215" in str(error), error
        else:
            raise AssertionError("a token was given for a wrong secret")


async def users_come_page_by_page(client):
    query = UsersRequestBuilder.UsersRequestBuilderGetQueryParameters(
        top=2, select=["id", "userPrincipalName", "accountEnabled"]
    )
    page = await client.users.get(RequestConfiguration(query_parameters=query))
    names = [user.user_principal_name for user in page.value]
    while page.odata_next_link:
        page = await client.users.with_url(page.odata_next_link).get()
        names += [user.user_principal_name for user in page.value]
    assert f"break-glass@{TENANT['domain']}" in names and len(names) == len(set(names)) > 2, names


async def an_account_lives_from_creation_to_deletion(client):
    name = f"stranger@{TENANT['domain']}"
    made = await client.users.post(
        User(
            account_enabled=False,
            display_name="A Stranger",
            mail_nickname="stranger",
            user_principal_name=name,
            password_profile=PasswordProfile(force_change_password_next_sign_in=False, password="Quite-Long-1!"),
        )
    )
    assert made.id and made.user_principal_name == name
    again = User(
        account_enabled=False,
        display_name="Another",
        mail_nickname="stranger",
        user_principal_name=name,
        password_profile=PasswordProfile(password="Quite-Long-1!"),
    )
    await refused(400, client.users.post(again))

    user = client.users.by_user_id(made.id)
    await user.patch(User(account_enabled=True))
    select = ["id", "accountEnabled", "signInSessionsValidFromDateTime", "lastPasswordChangeDateTime"]
    shown = await user.get(RequestConfiguration(query_parameters=query_of(select)))
    assert shown.account_enabled is True
    assert isinstance(shown.sign_in_sessions_valid_from_date_time, datetime)
    await user.patch(
        User(password_profile=PasswordProfile(force_change_password_next_sign_in=False, password="Even-Longer-2!"))
    )
    assert (await user.revoke_sign_in_sessions.post()).value is True
    await roles_are_given_and_taken(client, made.id)
    await groups_are_joined_and_left(client, made.id)
    await user.patch(User(account_enabled=False))
    await user.delete()
    await refused(404, user.get())


def query_of(select):
    return UserItemRequestBuilder.UserItemRequestBuilderGetQueryParameters(select=select)


async def roles_are_given_and_taken(client, user):
    assignments = client.role_management.directory.role_assignments
    given = await assignments.post(
        UnifiedRoleAssignment(principal_id=user, role_definition_id=TENANT["role"], directory_scope_id="/")
    )
    twice = UnifiedRoleAssignment(principal_id=user, role_definition_id=TENANT["role"], directory_scope_id="/")
    await refused(400, assignments.post(twice))
    builder = type(assignments)
    query = builder.RoleAssignmentsRequestBuilderGetQueryParameters(filter=f"principalId eq '{user}'")
    held = await assignments.get(RequestConfiguration(query_parameters=query))
    assert [role.role_definition_id for role in held.value] == [TENANT["role"]]
    await assignments.by_unified_role_assignment_id(given.id).delete()
    held = await assignments.get(RequestConfiguration(query_parameters=query))
    assert held.value == []


async def groups_are_joined_and_left(client, user):
    members = client.groups.by_group_id(TENANT["group"]).members
    await members.ref.post(ReferenceCreate(odata_id=f"{TENANT['url']}/v1.0/directoryObjects/{user}"))
    of_user = client.users.by_user_id(user).member_of
    assert TENANT["group"] in [entry.id for entry in (await of_user.get()).value]
    await members.by_directory_object_id(user).ref.delete()
    assert TENANT["group"] not in [entry.id for entry in (await of_user.get()).value]


async def main():
    async with credential(TENANT["client_secret"]) as proof:
        token = await proof.get_token("https://graph.microsoft.com/.default")
        assert token.expires_on > datetime.now(timezone.utc).timestamp()
        client = client_of(proof)
        for check in (
            a_wrong_secret_gets_no_token,
            users_come_page_by_page,
            an_account_lives_from_creation_to_deletion,
        ):
            await check(client)
            print("ok", check.__name__)


asyncio.run(main())
