// The Responses API by OpenAI's own client for Node, and its helpers.

import assert from "node:assert/strict";
import { test } from "node:test";

import OpenAI from "openai";
import { zodResponsesFunction, zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";

const client = new OpenAI({ baseURL: process.env.BASE_URL, apiKey: process.env.API_KEY });
const Place = z.object({ city: z.string(), days: z.number() });

test("a response comes whole", async () => {
  const response = await client.responses.create({ model: "Echo", input: "hello 世界" });

  assert.equal(response.output_text, "hello 世界");
  assert.equal(response.status, "completed");
  assert.ok(response._request_id);
});

test("a response is streamed, and put together again", async () => {
  const stream = client.responses.stream({ model: "Count", input: "count to 30" });
  const numbers = [];
  let told = "";
  stream.on("event", (event) => numbers.push(event.sequence_number));
  stream.on("response.output_text.delta", (event) => (told += event.delta));
  const final = await stream.finalResponse();

  assert.equal(final.output_text, told);
  assert.equal(told.split(" ").length, 30);
  assert.deepEqual(numbers, [...numbers.keys()]);
});

test("thoughts are a summary", async () => {
  const response = await client.responses.create({ model: "Reason", input: "why?" });

  assert.deepEqual(response.output.map((item) => item.type), ["reasoning", "message"]);
  assert.match(response.output[0].summary[0].text, /why\?/);
});

test("a response is parsed, whole and streamed", async () => {
  const asked = {
    model: "Json",
    input: "Where?",
    text: { format: zodTextFormat(Place, "place") },
  };
  const whole = await client.responses.parse(asked);
  const streamed = await client.responses.stream(asked).finalResponse();

  assert.ok(Place.parse(whole.output_parsed));
  assert.deepEqual(streamed.output_parsed, whole.output_parsed);
});

test("tools are called over several rounds", async () => {
  const asked = {
    model: "Tool",
    tools: [zodResponsesFunction({ name: "weather", parameters: z.object({ city: z.string() }) })],
  };
  const input = [
    { role: "user", content: 'call weather {"city": "Paris"}\ncall weather {"city": "Rome"}' },
  ];

  const first = await client.responses.stream({ ...asked, input }).finalResponse();
  const calls = first.output.filter((item) => item.type === "function_call");
  assert.deepEqual(calls.map((call) => call.parsed_arguments), [{ city: "Paris" }, { city: "Rome" }]);
  input.push(...first.output.map(({ parsed_arguments, ...item }) => item));
  for (const { call_id } of calls)
    input.push({ type: "function_call_output", call_id, output: "sun" });

  const second = await client.responses.create({ ...asked, input });
  assert.equal(second.output_text, "weather says: sun\nweather says: sun");
});

test("an error has its class, its field and its code", async () => {
  const asking = client.responses.create({ model: "Echo", input: "x", temperature: 9 });

  await assert.rejects(asking, (error) => {
    assert.ok(error instanceof OpenAI.BadRequestError);
    assert.equal(error.param, "temperature");
    return true;
  });
});

test("a stream that fails ends in a failed response", async () => {
  const stream = await client.responses.create({
    model: "Fail-late-insufficient_fund",
    input: "x",
    stream: true,
  });
  const events = [];
  for await (const event of stream) events.push(event.type);

  assert.equal(events.at(-1), "response.failed");
});
