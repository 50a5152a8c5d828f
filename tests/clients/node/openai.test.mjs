// OpenAI's own client for Node, and its helpers.

import assert from "node:assert/strict";
import { test } from "node:test";

import OpenAI from "openai";
import { zodFunction, zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";

const client = new OpenAI({ baseURL: process.env.BASE_URL, apiKey: process.env.API_KEY });
const user = (content) => [{ role: "user", content }];

test("an answer comes whole", async () => {
  const answer = await client.chat.completions.create({ model: "Echo", messages: user("hello 世界") });

  assert.equal(answer.choices[0].message.content, "hello 世界");
  assert.equal(answer.choices[0].finish_reason, "stop");
  assert.ok(answer._request_id);
});

test("an answer is streamed, and put together again", async () => {
  const stream = client.chat.completions.stream({
    model: "Count",
    messages: user("count to 30"),
    stream_options: { include_usage: true },
  });
  let told = "";
  stream.on("content", (delta) => (told += delta));
  const final = await stream.finalChatCompletion();

  assert.equal(final.choices[0].message.content, told);
  assert.equal(told.split(" ").length, 30);
  assert.equal(final.choices[0].message.role, "assistant");
  assert.equal(final.usage.completion_tokens, 30);
});

test("thoughts come apart from the answer", async () => {
  const stream = await client.chat.completions.create({
    model: "Reason",
    messages: user("why?"),
    stream: true,
  });
  const told = { content: "", reasoning_content: "" };
  for await (const { choices } of stream)
    for (const key in told) told[key] += choices[0].delta[key] ?? "";

  assert.equal(told.content, "The answer to: why?");
  assert.match(told.reasoning_content, /why\?/);
});

const cities = {
  messages: user('call weather {"city": "Paris"}\ncall weather {"city": "Rome"}'),
  model: "Tool",
};
const weather = (asked) => ({
  type: "function",
  function: {
    name: "weather",
    description: "Tells the weather in a city.",
    parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
    parse: JSON.parse,
    function: ({ city }) => {
      asked.push(city);
      return `sun in ${city}`;
    },
  },
});

for (const stream of [false, true])
  test(`tools are run, ${stream ? "streamed" : "whole"}`, async () => {
    const asked = [];
    const runner = client.chat.completions.runTools({ ...cities, stream, tools: [weather(asked)] });
    const content = await runner.finalContent();

    assert.deepEqual(asked, ["Paris", "Rome"]);
    assert.equal(content, "weather says: sun in Paris\nweather says: sun in Rome");
  });

const Solution = z.object({
  steps: z.array(z.object({ explanation: z.string() })),
  answer: z.string(),
});

test("a structured answer is parsed", async () => {
  const asked = {
    model: "Json",
    messages: user("Solve it."),
    response_format: zodResponseFormat(Solution, "solution"),
  };
  const whole = await client.chat.completions.parse(asked);
  const streamed = await client.chat.completions.stream(asked).finalChatCompletion();

  assert.ok(Solution.parse(whole.choices[0].message.parsed));
  assert.deepEqual(streamed.choices[0].message.parsed, whole.choices[0].message.parsed);
});

test("the arguments of a tool are parsed", async () => {
  const tool = zodFunction({ name: "weather", parameters: z.object({ city: z.string() }) });
  const answer = await client.chat.completions.parse({ ...cities, tools: [tool] });

  const parsed = answer.choices[0].message.tool_calls.map((call) => call.function.parsed_arguments);
  assert.deepEqual(parsed, [{ city: "Paris" }, { city: "Rome" }]);
});

test("models are listed", async () => {
  const ids = [];
  for await (const model of client.models.list()) ids.push(model.id);

  assert.ok(ids.includes("echo"));
  assert.equal((await client.models.retrieve("echo")).id, "echo");
});

test("errors are of their classes", async () => {
  const ask = (model, key = client.apiKey) =>
    client.withOptions({ apiKey: key, maxRetries: 0 }).chat.completions.create({
      model,
      messages: user("hello"),
    });

  await assert.rejects(ask("Echo", "sk-wrong"), OpenAI.AuthenticationError);
  await assert.rejects(ask("Nobody"), { status: 404, code: "model_not_found", param: "model" });
  await assert.rejects(ask("Fail-413"), { status: 400, code: "context_length_exceeded" });
  await assert.rejects(ask("Fail-502"), { status: 502, type: "server_error" });
});

test("a late failure is thrown behind the text", async () => {
  const steps = [
    { event: "text", data: { text: "It begins well, " } },
    { sleep: 0.5 },
    { event: "error", data: { text: "Internal server error" } },
  ];
  const stream = await client.chat.completions.create({
    model: "Script",
    messages: user(JSON.stringify(steps)),
    stream: true,
  });
  let told = "";
  await assert.rejects(async () => {
    for await (const { choices } of stream) told += choices[0].delta.content ?? "";
  }, OpenAI.APIError);
  assert.equal(told, "It begins well, ");
});
