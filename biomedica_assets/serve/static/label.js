// Keys of the labelling pages. Everything they do can be done with links and forms as well.
"use strict";
const form = document.querySelector("#vote");
const axes = [...document.querySelectorAll(".axis")];
const seen = (axis) => [...axis.querySelectorAll(".pick")].filter((pick) => !pick.hidden);

function pick(choice) {
  const input = choice.querySelector("input");
  if (input.type === "checkbox") input.checked = !input.checked;
  else input.checked = true;
}

// What was typed narrows the labels of one question; whole beginnings of words come first.
function narrow(axis, text) {
  const words = text.trim().toLowerCase();
  const picks = [...axis.querySelectorAll(".pick")];
  for (const one of picks) {
    const all = one.dataset.words;
    one.hidden = Boolean(words) && !all.includes(words);
    one.classList.toggle("starts", Boolean(words) && (" " + all).includes(" " + words));
  }
  number(axis);
}

// As they stand on the page: chosen ones first, then those that begin with what was typed.
function ordered(axis) {
  const rank = (one) => (one.querySelector("input:checked:not([value=''])") ? 0 : one.classList.contains("starts") ? 1 : 2);
  return seen(axis).sort((one, other) => rank(one) - rank(other));
}

// Digits stand beside the first nine labels of the question at hand.
function number(axis) {
  for (const old of document.querySelectorAll("[data-digit]")) delete old.dataset.digit;
  if (axis) ordered(axis).slice(0, 9).forEach((one, index) => { one.querySelector("span").dataset.digit = index + 1; });
}

for (const axis of axes) {
  const box = axis.querySelector(".narrow");
  box.hidden = false;
  box.addEventListener("input", () => narrow(axis, box.value));
  box.addEventListener("focus", () => number(axis));
  box.addEventListener("blur", () => { box.value = ""; narrow(axis, ""); number(null); });
  box.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const digit = /^[1-9]$/.test(event.key) ? Number(event.key) : 0;
    if (event.key === "Enter" && !box.value.trim()) { event.preventDefault(); form.requestSubmit(); return; }
    if (event.key !== "Enter" && !digit) return;
    event.preventDefault();
    const choice = ordered(axis)[digit ? digit - 1 : 0];
    if (!choice) return;
    pick(choice);
    box.value = "";
    narrow(axis, "");
    box.blur();
  });
}

let sending = false;
form.addEventListener("submit", (event) => { if (sending) event.preventDefault(); sending = true; });
addEventListener("pageshow", () => { sending = false; });  // also when the browser goes back to it

const press = (selector) => document.querySelector(selector)?.click();
const flag = (selector) => { document.activeElement.blur(); press(selector); };  // Enter saves then, whatever had the focus
const KEYS = {
  u: () => flag("#unsure"), m: () => flag("#mixed"), z: () => press("#undo"), c: captions,
  j: () => press(".steps [rel=next]"), k: () => press(".steps [rel=prev]"), Enter: () => form.requestSubmit(),
};
document.addEventListener("keydown", (event) => {
  // page.js takes j and k as well, for cards, which these pages have not.
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (event.target.matches("input:not([type=checkbox]):not([type=radio]), textarea, select")) {
    if (event.key === "Enter" && event.target.id === "comment" && !event.shiftKey) { event.preventDefault(); form.requestSubmit(); }
    return;
  }
  const box = axes[Number(event.key) - 1]?.querySelector(".narrow");
  if (box) {
    event.preventDefault();
    box.focus();
  } else if (event.key in KEYS && !(event.key === "Enter" && event.target.matches("a, button, summary"))) {
    event.preventDefault();
    KEYS[event.key]();
  }
});

// Captions below all pictures, asked for once; a click on one shows that one.
async function caption(member) {
  if (member.querySelector(".told")) return;
  const told = document.createElement("p");
  told.className = "told";
  told.textContent = "…";
  member.append(told);
  try {
    const root = document.querySelector(".brand").getAttribute("href");
    const answer = await fetch(`${root}v1/figures/${member.dataset.figure}`);
    const figure = await answer.json();
    told.textContent = figure.caption || figure.group_caption || (answer.ok ? "no caption" : figure.detail);
  } catch { told.textContent = "The caption could not be loaded."; }
}
function captions() {
  const members = [...document.querySelectorAll(".member")];
  const told = members.flatMap((one) => [...one.querySelectorAll(".told")]);
  if (told.length) told.forEach((one) => one.remove());
  else members.forEach(caption);
}
document.addEventListener("click", (event) => {
  const link = event.target.closest(".member figcaption a");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  const member = link.closest(".member");
  const told = member.querySelector(".told");
  if (told) told.remove(); else caption(member);
});
