// A stranger's client, connectwise-rest, against the simulated ConnectWise PSA.
//
// Reads the line that `latchkey-sandbox vendors` prints from standard input. It says itself what a callback's signature is, and so
// checks what the simulator signs.

const assert = require("node:assert/strict");
const { once } = require("node:events");
const { readFileSync } = require("node:fs");
const { createServer } = require("node:http");
const { get } = require("node:https");
const { ManageAPI, utils } = require("connectwise-rest");

const PSA = JSON.parse(readFileSync(0, "utf8")).connectwise;

function connect(changed) {
    const given = { publicKey: PSA.public_key, privateKey: PSA.private_key, clientId: PSA.client_id, ...changed };
    return new ManageAPI({ ...given, companyId: PSA.company, companyUrl: PSA.site, logger: () => {} });
}

// The key that a message names, as anybody can read it.
async function key(url) {
    const parts = [];
    const [answer] = await once(get(url), "response");
    for await (const part of answer) parts.push(part);
    return JSON.parse(Buffer.concat(parts)).signing_key;
}

async function a_wrong_key_is_refused() {
    await assert.rejects(connect({ privateKey: "nonsense" }).SystemAPI.getSystemInfo(), { status: 401 });
}

async function tickets_come_page_by_page_and_in_the_order_asked_for(api) {
    const all = await api.paginate(api.ServiceAPI.getServiceTickets, { pageSize: 2 }, { orderBy: "id asc" });
    assert.deepEqual(all.map((ticket) => ticket.id), PSA.tickets);
    const found = await api.ServiceAPI.getServiceTickets({ conditions: `board/id=${PSA.board} and company/id=${PSA.company_id}` });
    assert.ok(found.length > 0 && found.length < all.length);
    assert.ok(found.every((ticket) => ticket.board.id === PSA.board && ticket.company.id === PSA.company_id));
}

async function a_callback_holds_before_a_strangers_check(api) {
    const { verifyMessage } = utils.Callback;
    const told = [];
    const receiver = createServer(async (request, response) => {
        const parts = [];
        for await (const part of request) parts.push(part);
        told.push({ body: JSON.parse(Buffer.concat(parts)), signature: request.headers["x-content-signature"] });
        response.end(() => receiver.emit("told"));
    }).listen(0, "127.0.0.1");
    await once(receiver, "listening");
    const made = await api.SystemAPI.postSystemCallbacks({
        description: "stranger", url: `http://127.0.0.1:${receiver.address().port}/hook`, objectId: PSA.board,
        type: "ticket", level: "board", memberId: 243, payloadVersion: "3.0.0",
    });

    const id = PSA.tickets[0];
    const spelt = `Größe "L" & 'XL' + <b>`;
    const arrived = once(receiver, "told", { signal: AbortSignal.timeout(10_000) });
    await api.ServiceAPI.patchServiceTicketsById(id, [{ op: "replace", path: "summary", value: spelt }]);
    await arrived;
    const [{ body, signature }] = told;
    const signing = await key(body.Metadata.key_url);
    assert.ok(verifyMessage(body, signature, signing));
    assert.ok(!verifyMessage(body, signature, "another key"));
    assert.ok(!verifyMessage({ ...body, ID: id + 1 }, signature, signing));
    assert.deepEqual([body.Action, body.Type, body.ID], ["updated", "ticket", id]);
    assert.equal(JSON.parse(body.Entity).summary, spelt);

    await api.SystemAPI.deleteSystemCallbacksById(made.id);
    receiver.close();
    receiver.closeAllConnections();
}

async function main() {
    const api = connect();
    for (const check of [
        a_wrong_key_is_refused,
        tickets_come_page_by_page_and_in_the_order_asked_for,
        a_callback_holds_before_a_strangers_check,
    ]) {
        await check(api);
        console.log("ok", check.name);
    }
}

main();
