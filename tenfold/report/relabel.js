"use strict";
const items = [...document.querySelectorAll(".suspects li")];
const known = new Set([...document.querySelectorAll("#classes option")].map((option) => option.value));
const field = (item) => item.querySelector("input");

function count() {
  const changed = items.filter((item) => field(item).value !== item.dataset.label);
  for (const item of items) {
    item.classList.toggle("changed", changed.includes(item));
    field(item).setCustomValidity(known.has(field(item).value) ? "" : "This is none of the classes.");
  }
  document.getElementById("count").textContent = `${changed.length} changed`;
  return changed;
}

function quoted(text) {
  return `"${text.replaceAll('"', '""')}"`;
}

function save() {
  const changed = count();
  const wrong = items.find((item) => !field(item).reportValidity());
  if (wrong) return;
  const rows = changed.map((item) => `${quoted(item.dataset.path)},${quoted(field(item).value)}\n`);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob(["path,label\n", ...rows], { type: "text/csv" }));
  link.download = "changes.csv";
  link.click();
}

function go(item, step) {
  const next = items[items.indexOf(item) + step];
  if (next) next.focus();
}

function decide(item, label) {
  field(item).value = label;
  count();
  go(item, 1);
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === "BUTTON") return;
  const typing = event.target.tagName === "INPUT";
  const item = event.target.closest(".suspects li");
  const actions = {
    Enter: () => (typing ? (count(), item.focus(), go(item, 1)) : decide(item, item.dataset.suggested)),
    Backspace: () => decide(item, item.dataset.label),
    ArrowDown: () => go(item, 1),
    ArrowUp: () => go(item, -1),
  };
  if (item && event.key in actions && (!typing || event.key === "Enter")) {
    event.preventDefault();
    actions[event.key]();
  } else if (event.key === "s" && !typing) {
    event.preventDefault();
    save();
  }
});
document.addEventListener("input", count);
document.getElementById("save").addEventListener("click", save);
if (items.length) items[0].focus();
