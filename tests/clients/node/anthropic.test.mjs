// Anthropic's own client for Node, and its helpers.

import assert from "node:assert/strict";
import { test } from "node:test";

import Anthropic from "@anthropic-ai/sdk";

const client = new Anthropic({
  baseURL: process.env.BASE_URL.replace(/\/v1$/, ""),
  authToken: process.env.API_KEY,
  apiKey: null,
  maxRetries: 0,
});
const user = (content) => ({ role: "user", content });
const asked = { max_tokens: 2000 };
const weather = {
  name: "Weather",
  description: "Tells the weather in a city.",
  input_schema: { type: "object", properties: { city: { type: "string" } } },
};

test("a message comes whole", async () => {
  const message = await client.messages.create({ ...asked, model: "Echo", messages: [user("hello 世界")] });

  assert.deepEqual(message.content, [{ type: "text", text: "hello 世界" }]);
  assert.equal(message.stop_reason, "end_turn");
  assert.match(message._request_id, /^req_/);
});

test("a message is streamed, and put together again", async () => {
  const stream = client.messages.stream({ ...asked, model: "Count", messages: [user("count to 30")] });
  let told = "";
  stream.on("text", (delta) => (told += delta));
  const final = await stream.finalMessage();

  assert.equal(final.content[0].text, told);
  assert.equal(told.split(" ").length, 30);
  assert.ok(final.usage.input_tokens > 0);
});

test("thoughts come apart from the answer, with a signature", async () => {
  const thinking = { type: "enabled", budget_tokens: 1024 };
  const stream = client.messages.stream({ ...asked, thinking, model: "Reason", messages: [user("why?")] });
  const [thoughts, answer] = (await stream.finalMessage()).content;

  assert.match(thoughts.thinking, /why\?/);
  assert.ok(thoughts.signature);
  assert.equal(answer.text, "The answer to: why?");
});

test("tools are called over several rounds", async () => {
  const messages = [user('call Weather {"city": "Paris"}\ncall Weather {"city": "Rome"}')];
  const cities = [];
  for (let round = 0; round < 4; round++) {
    const message = await client.messages
      .stream({ ...asked, model: "Agent", messages, tools: [weather] })
      .finalMessage();
    if (message.stop_reason !== "tool_use") break;
    const calls = message.content.filter((block) => block.type === "tool_use");
    cities.push(...calls.map((call) => call.input.city));
    const results = calls.map((call) => ({ type: "tool_result", tool_use_id: call.id, content: "sunny" }));
    messages.push({ role: "assistant", content: message.content }, user(results));
  }

  assert.deepEqual(cities, ["Paris", "Rome"]);
});

test("an error is the client's own", async () => {
  await assert.rejects(
    client.messages.create({ ...asked, model: "Echo", messages: [] }),
    (error) => error instanceof Anthropic.BadRequestError && error.requestID?.startsWith("req_"),
  );
});
