// Keeps the screen *now* up to date. The page is changed in place, node by node, so that what is
// focused, selected, opened or scrolled to stays so.
"use strict";

(() => {
  const EVERY = 3000;
  const live = document.getElementById("live");
  const stale = document.getElementById("stale");
  const pause = document.getElementById("pause");
  // Whoever wants no motion begins with a page that stands still.
  let paused = matchMedia("(prefers-reduced-motion: reduce)").matches;
  let timer = 0;
  let isAsking = false;

  const keyOf = (node) => node.nodeType === Node.ELEMENT_NODE && (node.dataset?.key || node.id);

  const isLike = (a, b) => a.nodeType === b.nodeType && a.nodeName === b.nodeName && keyOf(a) === keyOf(b);

  const setAttributes = (old, fresh) => {
    for (const { name, value } of fresh.attributes) {
      if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    }
    for (const { name } of [...old.attributes]) {
      // Whether a reader has opened something is the reader's.
      if (name !== "open" && !fresh.hasAttribute(name)) old.removeAttribute(name);
    }
  };

  const update = (old, fresh) => {
    if (old.nodeType !== Node.ELEMENT_NODE) {
      if (old.nodeValue !== fresh.nodeValue) old.nodeValue = fresh.nodeValue;
      return;
    }
    setAttributes(old, fresh);
    updateChildren(old, fresh);
  };

  const updateChildren = (old, fresh) => {
    const wanted = new Set([...fresh.children].map(keyOf).filter(Boolean));
    const known = new Map();
    for (const child of [...old.children].filter(keyOf)) {
      if (wanted.has(keyOf(child))) known.set(keyOf(child), child);
      else child.remove();
    }
    let next = old.firstChild;
    const skip = () => {
      const gone = next;
      next = next.nextSibling;
      gone.remove();
    };
    const likeFrom = (node, child) => {
      while (node && !keyOf(node) && !isLike(node, child)) node = node.nextSibling;
      return node && !keyOf(node) ? node : null;
    };
    for (const child of [...fresh.childNodes]) {
      const key = keyOf(child);
      const same = key ? known.get(key) : likeFrom(next, child);
      if (!same || !isLike(same, child)) {
        old.insertBefore(child, next);
        continue;
      }
      // A node that is moved loses what is selected in it, so rather what is before it goes.
      while (next && next !== same && !keyOf(next)) skip();
      if (same === next) next = next.nextSibling;
      else old.insertBefore(same, next);
      update(same, child);
    }
    while (next) skip();
  };

  const refresh = async () => {
    try {
      const answer = await fetch(live.dataset.source, { signal: AbortSignal.timeout(10000) });
      if (answer.status === 401) location.reload();
      if (!answer.ok) throw new Error(answer.statusText);
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").body;
      stale.hidden = true;
      updateChildren(live, fresh);
    } catch {
      stale.hidden = false;
    }
  };

  const tick = async () => {
    if (isAsking || paused || document.hidden) return;
    clearTimeout(timer);
    isAsking = true;
    await refresh();
    isAsking = false;
    timer = setTimeout(tick, EVERY);
  };

  const show = () => {
    pause.hidden = false;
    pause.setAttribute("aria-pressed", String(paused));
    pause.textContent = paused ? pause.dataset.resume : pause.dataset.pause;
  };

  pause.addEventListener("click", () => {
    paused = !paused;
    show();
    tick();
  });
  document.addEventListener("visibilitychange", tick);
  show();
  timer = setTimeout(tick, EVERY);
})();
