// Asks a model, and shows the answer as it comes. The service of this page asks the gateway and sends
// lines of JSON. The access token stays in its field: nothing stores it.
"use strict";

(() => {
  const at = (id) => document.getElementById(id);
  const form = at("question");
  const answer = at("answer");
  const say = (name, values = {}) =>
    answer.dataset[name].replace(/\{(\w+)\}/g, (whole, key) => values[key] ?? whole);
  const seconds = (since) => say("seconds", { n: ((performance.now() - since) / 1000).toFixed(1) });
  let running = null;

  const status = (name, kind, values) => {
    at("status").hidden = false;
    at("status").className = `state ${kind}`;
    at("status").textContent = say(name, values);
  };

  const begin = () => {
    for (const id of ["error", "thoughts", "nothing"]) at(id).hidden = true;
    at("words").textContent = "";
    at("thoughts").querySelector(".words").textContent = "";
    at("facts").hidden = false;
    for (const fact of at("facts").querySelectorAll("dd")) fact.textContent = "–";
    at("stop").hidden = false;
    at("ask").disabled = true;
    answer.setAttribute("aria-busy", "true");
    status("asking", "idle asking");
    return { began: performance.now(), ended: "", hasWords: false };
  };

  const end = (run, name, kind) => {
    if (!run.ended) at("time").textContent = seconds(run.began);
    run.ended = name;
    status(name, kind);
  };

  const add = (run, into, text) => {
    if (!run.hasWords) at("first").textContent = seconds(run.began);
    run.hasWords = true;
    into.append(text);
  };

  const hear = (run, told) => {
    switch (told.kind) {
      case "queued":
        if (!run.hasWords && told.position) status("queued", "idle asking", told);
        break;
      case "thought":
        at("thoughts").hidden = false;
        add(run, at("thoughts").querySelector(".words"), told.text);
        status("thinking", "idle asking");
        break;
      case "text":
        add(run, at("words"), told.text);
        status("answering", "good asking");
        break;
      case "estimate":
        at("estimated").textContent = told.points.toLocaleString();
        break;
      case "tokens":
        at("tokens").textContent = say("tokens", told);
        break;
      case "end":
        run.reason = told.reason;
        end(run, "settling", "good asking");
        break;
      case "cost":
        at("estimated").textContent = told.estimated.toLocaleString();
        at("settled").textContent = told.settled.toLocaleString();
        if (told.account) at("account").textContent = told.account;
        break;
      case "error":
        at("error").hidden = false;
        at("error").textContent = [told.status || "", told.code, told.message].filter(Boolean).join(" · ");
        end(run, "failed", "bad");
        break;
    }
  };

  const read = async (run, body) => {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const lines = (rest + value).split("\n");
      rest = lines.pop();
      for (const line of lines) if (line) hear(run, JSON.parse(line));
    }
  };

  const ask = async () => {
    const run = begin();
    running = new AbortController();
    try {
      const response = await fetch(form.action, {
        method: "POST",
        headers: {
          "Content-Type": "application/json",
          "X-CSRF": document.querySelector("meta[name=csrf]").content,
        },
        body: JSON.stringify({
          model: at("model").value.trim(),
          system: at("system").value,
          prompt: at("prompt").value,
          own: form.elements.key.value === "own",
          secret: form.elements.key.value === "own" ? "" : at("secret").value.trim(),
        }),
        signal: running.signal,
      });
      if (response.status === 401) return location.reload();
      if (response.ok) await read(run, response.body);
      else hear(run, { kind: "error", status: response.status, message: response.statusText });
      if (!run.ended) end(run, "lost", "bad");
      else if (run.ended === "settling") end(run, run.reason === "length" ? "cut" : "done", "good");
    } catch (fault) {
      if (fault.name === "AbortError") end(run, "stopped", "idle");
      else if (run.ended !== "failed") end(run, "lost", "bad");
    } finally {
      at("stop").hidden = true;
      at("ask").disabled = false;
      answer.removeAttribute("aria-busy");
    }
  };

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (!at("ask").disabled) ask();
  });
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
  at("secret").addEventListener("input", () => {
    form.querySelector("input[value=given]").checked = true;
  });
  at("ask").disabled = false;
  at("stop").addEventListener("click", () => {
    running?.abort();
    at("prompt").focus();
  });
})();
