// What scripts add to pages that work without them: filters apply at once, keys, zoom, pictures dropped or pasted.
"use strict";
document.documentElement.classList.add("scripted");

const find = (selector) => document.querySelector(selector);
const typing = (element) => element.matches("input:not([type=checkbox]):not([type=radio]), textarea, select");

// Filters and switches belong to the search form wherever they stand.
document.addEventListener("change", (event) => {
  const form = event.target.form;
  if (form && form.id === "search" && event.target.id !== "q") form.requestSubmit();
  if (event.target.id === "image" && event.target.files.length) form.submit();
});

// Addresses hold what was asked and nothing empty.
document.addEventListener("htmx:config:request", (event) => {
  const body = event.detail.ctx.request.body;
  if (!(body instanceof FormData)) return;
  for (const [name, value] of [...body.entries()]) {
    if (value === "") body.delete(name);
  }
});

// A link to a single result set needs no script; these make it quick to walk through them.
function step(direction) {
  const links = [...document.querySelectorAll(".card .open")];
  if (!links.length) return;
  const here = links.indexOf(document.activeElement);
  if (Math.abs(direction) === 1 || here < 0) {
    const next = here < 0 ? (direction > 0 ? 0 : links.length - 1) : here + direction;
    if (links[next]) links[next].focus();
    return;
  }
  const from = links[here].closest(".card").getBoundingClientRect();
  const rows = links
    .map((link) => ({ link, box: link.closest(".card").getBoundingClientRect() }))
    .filter(({ box }) => (direction > 0 ? box.top > from.top + 5 : box.top < from.top - 5));
  if (!rows.length) return;
  const tops = rows.map(({ box }) => box.top);
  const row = direction > 0 ? Math.min(...tops) : Math.max(...tops);
  const near = rows.filter(({ box }) => Math.abs(box.top - row) < 5);
  near.sort((a, b) => Math.abs(a.box.left - from.left) - Math.abs(b.box.left - from.left));
  near[0].link.focus();
}

// Keys turn the outlines of panels and the marks of entities on and off.
const SWITCHES = { b: ".boxes-on", e: ".marks-on" };

// The panel that a part of the caption is about stands out in the picture.
for (const [come, go] of [["pointerover", "pointerout"], ["focusin", "focusout"]]) {
  for (const name of [come, go]) {
    document.addEventListener(name, (event) => {
      const crop = event.target.closest?.("[data-panel]") ?? event.target.closest?.(".panel")?.querySelector("[data-panel]");
      if (!crop) return;
      for (const box of document.querySelectorAll("[data-box]")) {
        box.classList.toggle("on", name === come && box.dataset.box === crop.dataset.panel);
      }
    });
  }
}

const STEPS = { j: 1, k: -1, ArrowRight: 1, ArrowLeft: -1, ArrowDown: 2, ArrowUp: -2 };

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (event.key === "Escape" && typing(event.target)) return event.target.blur();
  if (typing(event.target) || document.querySelector("dialog[open]")) return;
  if (event.key === "/") {
    event.preventDefault();
    find("#q").focus();
    find("#q").select();
  } else if (event.key in SWITCHES) {
    const boxes = [...document.querySelectorAll(SWITCHES[event.key])];
    const on = !boxes.some((box) => box.checked);
    for (const box of boxes) box.checked = on;
  } else if (event.key in STEPS) {
    const arrow = event.key.startsWith("Arrow");
    // Arrows scroll the page until a result has been chosen, and switch what has its own use for them.
    if (arrow && !event.target.matches(".open")) {
      const page = { ArrowLeft: ".steps [rel=prev]", ArrowRight: ".steps [rel=next]" }[event.key];
      if (page && find(page) && event.target === document.body) find(page).click();
      return;
    }
    event.preventDefault();
    step(STEPS[event.key]);
  }
});

// Zoom: fitted to the window first, then pixel by pixel.
document.addEventListener("click", (event) => {
  const link = event.target.closest("a.zoom");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  const box = document.createElement("dialog");
  box.className = "big fits";
  const picture = new Image();
  picture.src = link.dataset.zoom;
  picture.alt = link.querySelector("img")?.alt ?? "";
  const close = document.createElement("button");
  close.textContent = "Close";
  box.append(picture, close);
  picture.addEventListener("click", () => box.classList.toggle("fits"));
  close.addEventListener("click", () => box.close());
  box.addEventListener("click", (inside) => inside.target === box && box.close());
  box.addEventListener("close", () => { box.remove(); link.focus(); });
  document.body.append(box);
  box.showModal();
});

// Pictures as questions: dropped anywhere, or pasted.
function ask(files) {
  const input = find("#image");
  const picture = [...(files ?? [])].find((file) => file.type.startsWith("image/"));
  if (!input || !picture) return false;
  const chosen = new DataTransfer();
  chosen.items.add(picture);
  input.files = chosen.files;
  input.form.submit();
  return true;
}
if (find("#image")) {
  document.addEventListener("dragover", (event) => {
    if (![...event.dataTransfer.types].includes("Files")) return;
    event.preventDefault();
    document.body.classList.add("dropping");
  });
  document.addEventListener("dragleave", (event) => event.relatedTarget || document.body.classList.remove("dropping"));
  document.addEventListener("drop", (event) => {
    document.body.classList.remove("dropping");
    if (ask(event.dataTransfer.files)) event.preventDefault();
  });
  document.addEventListener("paste", (event) => ask(event.clipboardData.files));
}

// Copying needs a script, so its button shows only here.
for (const button of document.querySelectorAll("[data-copy]")) {
  button.hidden = !navigator.clipboard;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).value);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
}

// A picture that cannot be loaded leaves its description.
document.addEventListener("error", (event) => {
  if (event.target instanceof HTMLImageElement) event.target.removeAttribute("srcset");
}, true);
