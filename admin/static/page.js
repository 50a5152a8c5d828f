// What pages can do better with JavaScript; everything works without it.
"use strict";

for (const button of document.querySelectorAll("[data-copy]")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const source = document.getElementById(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(source.textContent);
      button.textContent = button.dataset.done;
    } catch {
      // Over plain HTTP there is no clipboard: select it, to be copied by hand.
      getSelection().selectAllChildren(source);
    }
  });
}
