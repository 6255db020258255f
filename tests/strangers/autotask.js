// Strangers' clients, @apigrate/autotask-restapi and the webhook half of autotask-rest-api-types, against the simulated Autotask PSA.
//
// Reads the line that `latchkey-sandbox vendors` prints from standard input. The second one registers the webhook and checks
// what the simulator signs.

const assert = require("node:assert/strict");
const { once } = require("node:events");
const { readFileSync } = require("node:fs");
const { createServer } = require("node:http");
const { AutotaskApiError, AutotaskRestApi } = require("@apigrate/autotask-restapi");

const PSA = JSON.parse(readFileSync(0, "utf8")).autotask;
const ALL = { filter: [{ op: "gt", field: "id", value: 0 }] };
const INTERNAL = 2;
const KEY = "a-stranger's-own-key-0123456789";

function connect(changed) {
    const given = { user: PSA.user, secret: PSA.secret, code: PSA.integration_code, ...changed };
    return new AutotaskRestApi(given.user, given.secret, given.code, { base_url: PSA.discovery });
}

async function refused(status, call) {
    const is = (error) => error instanceof AutotaskApiError && error.status === status;
    let refusal;
    await assert.rejects(call, (error) => is((refusal = error)));
    return refusal.details;
}

async function the_zone_is_discovered_and_a_wrong_secret_is_refused(api) {
    assert.equal((await api._get("/Version")).customerType, "Live");
    assert.equal(api.zoneInfo.url, PSA.discovery);
    const details = await refused(401, connect({ secret: "nonsense" })._get("/Version"));
    assert.equal(details, "");
}

async function tickets_come_page_by_page(api) {
    const search = { ...ALL, MaxRecords: 2, IncludeFields: ["id", "ticketNumber"] };
    const seen = [];
    let page = await api.Tickets.query(search);
    for (;;) {
        page.items.forEach((ticket) => assert.deepEqual(Object.keys(ticket).sort(), ["id", "ticketNumber"]));
        seen.push(...page.items.map((ticket) => ticket.id));
        const next = page.pageDetails.nextPageUrl;
        if (!next) break;
        const zone = `${api.zoneInfo.url}V1.0`;
        assert.ok(next.startsWith(zone), next);
        page = await api._post(next.slice(zone.length), search);
    }
    assert.deepEqual(seen, PSA.tickets);
    assert.equal((await api.Tickets.count(ALL)).queryCount, seen.length);
}

async function filters_choose(api) {
    const inQueue = { op: "eq", field: "queueID", value: PSA.queue };
    const found = await api.Tickets.query({ filter: [inQueue, { op: "eq", field: "companyID", value: PSA.company_id }] });
    assert.ok(found.items.length > 0 && found.items.length < PSA.tickets.length);
    assert.ok(found.items.every((ticket) => ticket.queueID === PSA.queue && ticket.companyID === PSA.company_id));
    await refused(500, api.Tickets.query({ filter: [] }));
}

async function a_ticket_is_made_and_its_status_set(api) {
    const dueDateTime = "2030-03-21T00:00:00Z";
    const ticket = { companyID: PSA.company_id, queueID: PSA.queue, title: "By a stranger", status: 1, priority: 2, dueDateTime };
    const { errors } = await refused(500, api.Tickets.create({ ...ticket, priority: 99 }));
    assert.deepEqual(errors, ["Picklist value [99] does not exist for priority."]);
    const { itemId: id } = await api.Tickets.create(ticket);
    assert.deepEqual(await api.Tickets.update({ id, status: PSA.status_requested }), { itemId: id });
    const { item } = await api.Tickets.get(id);
    assert.equal(item.status, PSA.status_requested);
    assert.equal(item.title, ticket.title);
    assert.deepEqual(await api.Tickets.get(999_999), { item: null });
    await refused(500, api.Tickets.update({ id: 999_999, status: 1 }));
}

async function notes_hang_on_their_ticket(api) {
    const ticket = PSA.tickets[0];
    const note = { title: "Internal", description: "by a stranger", noteType: 3, publish: INTERNAL };
    const { itemId: id } = await api.TicketNotes.create(ticket, note);
    await api.TicketNotes.update(ticket, { id, description: "overwritten" });
    const found = await api.TicketNotes.query({ filter: [{ op: "eq", field: "ticketID", value: ticket }] });
    const made = found.items.find((known) => known.id === id);
    assert.deepEqual([made.title, made.description, made.publish], ["Internal", "overwritten", INTERNAL]);
}

async function lists_people_and_companies_are_told(api) {
    const { fields } = await api.Tickets.fieldInfo();
    const status = fields.find((field) => field.name === "status");
    const requested = status.picklistValues.find((pick) => pick.value === String(PSA.status_requested));
    assert.equal(requested.label, "JIT Requested");
    const people = await api.Resources.query({ filter: [{ op: "eq", field: "userName", value: "jdoe" }] });
    assert.deepEqual(people.items.map((person) => person.id), [PSA.resource_id]);
    assert.equal((await api.Companies.get(PSA.company_id)).item.companyName, "ACME Ltd");
}

async function a_callout_holds_before_a_strangers_check(api) {
    // An ECMAScript module, which does not look where NODE_PATH says.
    const webhooks = await import(require.resolve("autotask-rest-api-types/webhooks"));
    const told = [];
    const receiver = createServer(async (request, response) => {
        const parts = [];
        for await (const part of request) parts.push(part);
        told.push({ body: Buffer.concat(parts), signature: request.headers[webhooks.AUTOTASK_SIGNATURE_HEADER] });
        response.end(() => receiver.emit("told"));
    }).listen(0, "127.0.0.1");
    await once(receiver, "listening");
    const url = `http://127.0.0.1:${receiver.address().port}`;

    const [choice] = (await api._get("/TicketWebhookFields/entityInformation/fields")).fields.filter((f) => f.name === "fieldID");
    const numbers = new Map(choice.picklistValues.map((pick) => [pick.label, Number(pick.value)]));
    const [title, status] = webhooks.resolveFieldIds(["Title", "Status"], numbers);
    const webhook = {
        name: "stranger", webhookUrl: url, deactivationUrl: `${url}/off`, secretKey: KEY, isActive: true,
        isSubscribedToUpdateEvents: true, sendThresholdExceededNotification: false,
    };
    const fields = [{ fieldID: title, displayAlways: true }, { fieldID: status, subscribed: true }];
    const plan = webhooks.buildWebhookRegistrationPlan("Ticket", { webhook, fields });
    const { webhookId } = await webhooks.executeWebhookRegistrationPlan(plan, (step, body, parent) =>
        api._post(step.kind === "field" ? `/TicketWebhooks/${parent}/Fields` : "/TicketWebhooks", body));
    assert.equal((await api._get(`/TicketWebhooks/${webhookId}`)).item.isReady, true);

    const id = PSA.tickets[1];
    const spelt = `Größe "L" & 'XL' + <b>`;
    const arrived = once(receiver, "told", { signal: AbortSignal.timeout(10_000) });
    await api.Tickets.update({ id, title: spelt, status: PSA.status_requested });
    await arrived;
    const [{ body, signature }] = told;
    assert.ok(await webhooks.verifyAutotaskSignature(body, KEY, signature));
    assert.ok(!(await webhooks.verifyAutotaskSignature(body, "another key", signature)));
    const delivery = webhooks.parseWebhookDelivery(JSON.parse(body));
    assert.deepEqual([delivery.EntityType, delivery.Action, delivery.Id], ["Tickets", "Update", id]);
    assert.equal(delivery.Fields.Title, spelt);

    await api._delete(`/TicketWebhooks/${webhookId}`);
    receiver.close();
    receiver.closeAllConnections();
}

async function main() {
    const api = connect();
    for (const check of [
        the_zone_is_discovered_and_a_wrong_secret_is_refused,
        tickets_come_page_by_page,
        filters_choose,
        a_ticket_is_made_and_its_status_set,
        notes_hang_on_their_ticket,
        lists_people_and_companies_are_told,
        a_callout_holds_before_a_strangers_check,
    ]) {
        await check(api);
        console.log("ok", check.name);
    }
}

main();
