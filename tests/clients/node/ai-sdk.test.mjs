// Vercel's AI SDK, by each of its ways to a server like this one. Its default is the Responses API.

import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateObject, generateText, stepCountIs, streamObject, streamText, tool } from "ai";
import { z } from "zod";

const at = { baseURL: process.env.BASE_URL, apiKey: process.env.API_KEY };
const openai = createOpenAI(at);
const ways = {
  "openai (responses)": openai,
  openai: openai.chat,
  "openai-compatible": createOpenAICompatible({
    ...at,
    name: "poe2gpt",
    includeUsage: true,
    supportsStructuredOutputs: true,
  }),
};

for (const [way, model] of Object.entries(ways)) {
  test(`${way}: text is generated`, async () => {
    const { text, finishReason, usage } = await generateText({
      model: model("Echo"),
      prompt: "hello 世界",
    });

    assert.equal(text, "hello 世界");
    assert.equal(finishReason, "stop");
    assert.equal(usage.outputTokens, 2);
  });

  test(`${way}: text is streamed`, async () => {
    const answer = streamText({ model: model("Count"), prompt: "count to 30" });
    let told = "";
    for await (const delta of answer.textStream) told += delta;

    assert.equal(told.split(" ").length, 30);
    assert.equal(await answer.finishReason, "stop");
    assert.equal((await answer.usage).outputTokens, 30);
  });

  test(`${way}: an object is generated`, async () => {
    const schema = z.object({ city: z.string(), days: z.number() });
    const { object } = await generateObject({ model: model("Json"), schema, prompt: "Where?" });
    const streamed = streamObject({ model: model("Json"), schema, prompt: "Where?" });

    let last;
    for await (const partial of streamed.partialObjectStream) last = partial;

    assert.ok(schema.parse(object));
    assert.deepEqual(last, object);
  });

  for (const generate of [generateText, streamText])
    test(`${way}: a coding agent mends a file by ${generate.name}`, async () => {
      const directory = await mkdtemp(join(tmpdir(), "agent-"));
      await writeFile(join(directory, "sum.js"), "a - b");
      const answer = generate({
        model: model("Agent"),
        system: "You are a coding agent.",
        prompt: `Mend sum.js.
          call read {"path": "sum.js"}
          call write {"path": "sum.js", "content": "a + b"}
          call read {"path": "sum.js"}`,
        tools: {
          read_file: tool({
            description: "Reads a file.",
            inputSchema: z.object({ filePath: z.string() }),
            execute: ({ filePath }) => readFile(join(directory, filePath), "utf8"),
          }),
          write_file: tool({
            description: "Writes a file.",
            inputSchema: z.object({ filePath: z.string(), content: z.string() }),
            execute: async ({ filePath, content }) => {
              await writeFile(join(directory, filePath), content);
              return "written";
            },
          }),
        },
        stopWhen: stepCountIs(10),
      });
      const { text, steps } = await answer;

      assert.equal(await text, "All steps are done: 3. The last one gave: a + b");
      assert.equal((await steps).length, 4);
      assert.equal(await readFile(join(directory, "sum.js"), "utf8"), "a + b");
      await rm(directory, { recursive: true });
    });

  test(`${way}: several tools are called at once`, async () => {
    const { text } = await generateText({
      model: model("Tool"),
      prompt: 'call look {"at": "A"}\ncall look {"at": "B"}',
      tools: {
        look: tool({
          inputSchema: z.object({ at: z.string() }),
          execute: ({ at: place }) => `${place} is fine`,
        }),
      },
      stopWhen: stepCountIs(3),
    });

    assert.match(text, /A is fine/);
    assert.match(text, /B is fine/);
  });

  test(`${way}: thoughts come apart from the answer`, async () => {
    const { text, reasoningText } = await generateText({ model: model("Reason"), prompt: "why?" });

    assert.equal(text, "The answer to: why?");
    // The provider for OpenAI itself looks for no thoughts in chat completions.
    if (way !== "openai") assert.match(reasoningText, /why\?/);
  });

  test(`${way}: an image is seen`, async () => {
    const image = new Uint8Array([137, 80, 78, 71, 13, 10, 26, 10]);
    const content = [
      { type: "text", text: "Look:" },
      { type: "image", image, mediaType: "image/png" },
    ];
    const { text } = await generateText({
      model: model("See"),
      messages: [{ role: "user", content }],
    });

    assert.match(text, /image\/png/);
  });

  test(`${way}: an error has its status and message`, async () => {
    await assert.rejects(
      generateText({ model: model("Nobody"), prompt: "hello", maxRetries: 0 }),
      { statusCode: 404, isRetryable: false, message: /does not exist/ },
    );
  });

  test(`${way}: a late failure does not pass for an end`, async () => {
    const steps = [
      { event: "text", data: { text: "It begins well, " } },
      { sleep: 0.5 },
      { event: "error", data: { text: "Internal server error" } },
    ];
    const errors = [];
    const answer = streamText({
      model: model("Script"),
      prompt: JSON.stringify(steps),
      onError: ({ error }) => errors.push(error),
    });
    let told = "";
    for await (const delta of answer.textStream) told += delta;

    assert.equal(told, "It begins well, ");
    assert.equal(errors.length, 1);
  });
}

test("the default model of createOpenAI, which speaks the Responses API, answers", async () => {
  const whole = await generateText({ model: openai("Echo"), prompt: "hello", maxRetries: 0 });
  assert.equal(whole.text, "hello");

  const answer = streamText({ model: openai("Echo"), prompt: "hello" });
  let told = "";
  for await (const delta of answer.textStream) told += delta;
  assert.equal(told, "hello");
});
