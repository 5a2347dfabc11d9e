// The rival better-sse as its documentation uses it: one channel, one session for each subscriber, history of the last
// events for those who come back. Takes the two requests that the generator sends. Plain Node.js, one process.

import { createServer } from "node:http";
import { createChannel, createSession } from "better-sse";

const HISTORY = 1000;
const PATH = "/.well-known/mercure";
// Events are strings already: as JSON they would travel in quotes.
const options = { serializer: String };

const channel = createChannel();
const history = [];
let published = 0;

const server = createServer(async (request, response) => {
  if (!request.url.startsWith(PATH)) {
    response.writeHead(404).end();
  } else if (request.method === "GET") {
    const session = await createSession(request, response, options);
    for (const event of missed(session.lastId)) session.push(event.data, "message", event.id);
    channel.register(session);
  } else {
    let form = "";
    request.setEncoding("utf8");
    for await (const part of request) form += part;
    // As long on the wire as an id of the hub: every contestant sends the same bytes.
    const id = `#1${String(++published).padStart(22, "0")}`;
    const data = new URLSearchParams(form).get("data");
    history.push({ id, data });
    if (history.length > HISTORY) history.shift();
    channel.broadcast(data, "message", { eventId: id });
    response.writeHead(200, { "Content-Type": "text/plain" }).end(id);
  }
});

function missed(lastId) {
  const index = lastId ? history.findIndex((event) => event.id === lastId) : -1;
  return index < 0 ? [] : history.slice(index + 1);
}

// A publisher's connection lives as long as the run.
server.keepAliveTimeout = 0;
server.listen({ port: 0, host: "127.0.0.1", backlog: 4096 }, () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
});
