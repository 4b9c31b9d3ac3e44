// What Event Hubs looks like to its SDK, as far as sending goes: anonymous SASL, a token put to
// $cbs, links to hubs, batches with a partition key. Prints the port, then one line of JSON for
// every batch it has taken.
//
//     node serve.js
//
// Standard input takes commands: "lose N" breaks the connection when the next N batches arrive, and
// forgets them; "forget N" takes the next N and breaks it instead of acknowledging them; "drop"
// breaks every connection. It ends when standard input does.
"use strict";
const rhea = require("rhea");
const frames = require("rhea/lib/frames.js");
const types = require("rhea/lib/types.js");

// AMQP lets a list end before its empty last fields, and rhea does so; Microsoft's services write
// all of them, and the SDK reads by position without asking how many there are. Neither does it know
// the default of begin's fifth field, how many links there may be.
const FIELDS = { open: 10, begin: 8, attach: 14, flow: 11, transfer: 11, disposition: 6, detach: 3, end: 1, close: 1 };
const LEAST = {
  open: { container_id: "x" }, begin: { next_outgoing_id: 0, incoming_window: 0, outgoing_window: 0 },
  attach: { name: "x", handle: 0, role: true }, flow: { incoming_window: 0, next_outgoing_id: 0, outgoing_window: 0 },
  transfer: { handle: 0 }, disposition: { role: true, first: 0 }, detach: { handle: 0 }, end: {}, close: {},
};
for (const [name, count] of Object.entries(FIELDS)) {
  const prototype = Object.getPrototypeOf(frames[name](LEAST[name]));
  const described = prototype.described;
  prototype.described = function () {
    for (let i = 0; i < count; i += 1) {
      if (this.value[i] === undefined) this.value[i] = name === "begin" && i === 4 ? types.wrap_uint(255) : new types.Null();
    }
    return described.call(this);
  };
}

const LARGEST = 1048576; // Standard tier
const container = rhea.create_container();
container.sasl_server_mechanisms.enable_anonymous();
const sockets = new Set();
let lose = 0;
let forget = 0;
let tokens = 0;

const say = (line) => process.stdout.write(JSON.stringify(line) + "\n");
const address = (link, side) => (link[side] && link[side].address) || "";
const echo = (link) => {
  link.set_source({ address: address(link, "source") });
  link.set_target({ address: address(link, "target") });
};

container.on("sender_open", ({ sender }) => echo(sender));
container.on("receiver_open", ({ receiver }) => echo(receiver));
container.on("message", (context) => {
  const { receiver, delivery, connection } = context;
  const target = address(receiver, "target");
  // A batch has a format of its own and comes undecoded: a message whose parts are messages.
  const message = Buffer.isBuffer(context.message) ? rhea.message.decode(context.message) : context.message;
  const answer = (properties, body) =>
    connection
      .find_sender((s) => address(s, "source") === target)
      .send({ correlation_id: message.message_id, application_properties: properties, body });
  if (target.endsWith("$management")) {
    // Asked for after an error, before the SDK tries again.
    delivery.accept();
    const ids = rhea.types.wrap_array(["0", "1"], 0xa1);
    answer(
      { "status-code": 200, "status-description": "OK" },
      { name: message.application_properties.name, created_at: 0, partition_count: 2, partition_ids: ids },
    );
    return;
  }
  if (target === "$cbs") {
    const { operation, type, name } = message.application_properties;
    tokens += 1;
    say({ token: operation, type, name, number: tokens });
    delivery.accept();
    answer({ "status-code": 202, "status-description": "Accepted" }, "");
    return;
  }
  if (lose > 0) {
    lose -= 1;
    connection.socket.destroy();
    return;
  }
  const annotations = message.message_annotations || {};
  const parts = Array.isArray(message.body.content) ? message.body.content : [message.body.content];
  say({
    hub: target.split("/").pop(),
    key: annotations["x-opt-partition-key"] || null,
    bodies: parts.map((part) => Buffer.from(rhea.message.decode(part).body.content).toString("utf8")),
  });
  if (forget > 0) {
    forget -= 1;
    connection.socket.destroy();
    return;
  }
  delivery.accept();
});
container.on("connection_open", ({ connection }) => sockets.add(connection.socket));
for (const event of ["disconnected", "connection_error", "session_error", "receiver_error", "sender_error"]) {
  container.on(event, ({ connection }) => sockets.delete(connection.socket));
}
container.on("error", () => {});

const server = container.listen({
  port: 0,
  host: "127.0.0.1",
  max_frame_size: 65536,
  channel_max: 255,
  receiver_options: { autoaccept: false, max_message_size: LARGEST },
});
server.on("listening", () => console.log(server.address().port));

let rest = "";
process.stdin.on("data", (data) => {
  const lines = (rest + data).split("\n");
  rest = lines.pop();
  for (const line of lines) {
    const [command, count] = line.trim().split(" ");
    if (command === "lose") lose = Number(count);
    if (command === "forget") forget = Number(count);
    if (command === "drop") for (const socket of sockets) socket.destroy();
    say({ done: line.trim() });
  }
});
process.stdin.on("end", () => process.exit(0));
