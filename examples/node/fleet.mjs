#!/usr/bin/env node
// Runs shell commands side by side as agents of liongated, and shows what they write while they write it.
//
//     fleet.mjs COMMAND...
//
// Each line is shown behind the number of its command. The exit status is 0 if all went well, 1 if one has failed, 3 if the
// daemon cannot be reached. Ctrl-C ends this program alone: the agents run on.
//
// Nothing but Node.js is needed (18 or newer). What there is to see is what ../python/fleet.py shows: requests in one write,
// spawns that may be repeated, and a subscription that goes on where it was.

import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

const GIVE_UP_AFTER_MS = 60_000;
const LONGEST_PAUSE_MS = 5_000;

/** The connection is gone, or the daemon asks to come back later. Both pass. */
class Lost extends Error {}

/** The daemon has said no. */
class Refused extends Error {}

/** Where liongatectl looks, too. */
function socketPath() {
    const { LIONGATE_SOCKET, XDG_RUNTIME_DIR } = process.env;
    if (LIONGATE_SOCKET) return LIONGATE_SOCKET;
    const own = XDG_RUNTIME_DIR && `${XDG_RUNTIME_DIR}/liongate/control.sock`;
    return own && existsSync(own) ? own : "/run/liongate/control.sock";
}

/** The messages that come over a socket, one by one; Lost when there are no more. */
async function* messagesOf(socket) {
    let rest = "";
    try {
        for await (const text of socket.setEncoding("utf8")) {
            const lines = (rest + text).split("\n");
            // What has no end yet.
            rest = lines.pop();
            for (const line of lines) yield JSON.parse(line);
        }
    } catch (error) {
        if (error instanceof SyntaxError) throw error;
        throw new Lost(error.message);
    }
    throw new Lost("the daemon has closed the connection");
}

/** JSON-RPC 2.0, a line a message. */
class Connection {
    #nextId = 1;
    #notifications = []; // that came while a reply was waited for

    constructor(path) {
        this.socket = connect(path);
        this.messages = messagesOf(this.socket);
    }

    close() {
        this.socket.destroy();
    }

    async #receive() {
        return (await this.messages.next()).value;
    }

    /** Their results, in the same order. */
    async callAll(method, many) {
        const requests = many.map((params) => ({ jsonrpc: "2.0", id: this.#nextId++, method, params }));
        this.socket.write(requests.map((request) => `${JSON.stringify(request)}\n`).join(""));
        const replies = new Map();
        while (replies.size < requests.length) {
            const message = await this.#receive();
            if (message.method) this.#notifications.push(message);
            else replies.set(message.id, Connection.#result(message));
        }
        return requests.map(({ id }) => replies.get(id));
    }

    async call(method, params = {}) {
        return (await this.callAll(method, [params]))[0];
    }

    static #result({ error, result }) {
        if (!error) return result;
        throw error.data.retryable ? new Lost(error.message) : new Refused(error.message);
    }

    async *notifications() {
        for (;;) yield this.#notifications.shift() ?? (await this.#receive());
    }
}

/** Agents that belong together, from their spawns to their ends. */
class Fleet {
    over = false;
    failed = 0;
    #logId;
    #cursor; // the last event that was seen; undefined until it is known where they all begin
    #correlationId = `fleet-${randomUUID()}`;

    constructor(commands) {
        this.agents = commands.map((command, i) => ({ id: randomUUID(), number: i + 1, command }));
        this.numbers = new Map(this.agents.map(({ id, number }) => [id, number]));
    }

    async run(path) {
        let deadline = Date.now() + GIVE_UP_AFTER_MS;
        let pause = 100;
        while (!this.over) {
            const before = this.#cursor;
            const connection = new Connection(path);
            try {
                await this.#spawn(connection);
                await this.#follow(connection);
            } catch (why) {
                if (!(why instanceof Lost)) throw why;
                if (this.#cursor !== before) [deadline, pause] = [Date.now() + GIVE_UP_AFTER_MS, 100];
                // A daemon that has never answered is not there.
                if (this.#logId === undefined || Date.now() > deadline) throw why;
                console.error(`${why.message}; trying again`);
                await sleep(pause);
                pause = Math.min(pause * 2, LONGEST_PAUSE_MS);
            } finally {
                connection.close();
            }
        }
    }

    async #spawn(connection) {
        if (this.#cursor !== undefined) return;
        this.#logId = (await connection.call("daemon.status")).log_id;
        const spawned = await connection.callAll(
            "agent.spawn",
            this.agents.map(({ id, number, command }) => ({
                agent_id: id,
                backend: "exec",
                prompt: "",
                options: { argv: ["sh", "-c", command], cwd: process.cwd(), chunking: "line" },
                correlation_id: this.#correlationId,
                labels: { fleet: String(number) },
            })),
        );
        this.#cursor = Math.min(...spawned.map(({ seq }) => seq)) - 1;
    }

    async #follow(connection) {
        await connection.call("events.subscribe", {
            log_id: this.#logId,
            after: this.#cursor,
            correlation_id: this.#correlationId,
            until: "idle",
        });
        for await (const { method, params } of connection.notifications()) {
            if (method === "event") this.#show(params);
            else if (method === "gap") console.error(`events ${params.from} to ${params.to} are gone`);
            else if (method === "end") {
                this.over = true;
                return;
            }
            // Where to go on. Only now: what was not shown yet has to come again.
            this.#cursor = method === "gap" ? params.to : params.seq;
        }
    }

    #show(event) {
        const number = this.numbers.get(event.agent_id);
        if (event.type === "AgentPartialOutput") {
            const stream = event.channel === "error" ? process.stderr : process.stdout;
            const chunk = Buffer.from(event.chunk, event.encoding ?? "utf8");
            const end = chunk.at(-1) === 10 ? "" : "\n";
            stream.write(Buffer.concat([Buffer.from(`${number}| `), chunk, Buffer.from(end)]));
        } else if (event.type === "AgentError") {
            this.failed++;
            console.error(`${number}: ${event.code}: ${event.message}`);
        }
    }
}

async function main(commands) {
    if (commands.length === 0) {
        console.error("usage: fleet.mjs COMMAND...");
        return 2;
    }
    const fleet = new Fleet(commands);
    try {
        await fleet.run(socketPath());
    } catch (why) {
        if (!(why instanceof Lost || why instanceof Refused)) throw why;
        const refused = why instanceof Refused;
        console.error(`${refused ? "the daemon refuses it" : "the daemon cannot be reached"}: ${why.message}`);
        return refused ? 1 : 3;
    }
    return fleet.failed > 0 ? 1 : 0;
}

process.exitCode = await main(process.argv.slice(2));
