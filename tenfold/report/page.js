"use strict";
// Everything that came from outside (names of classes and files) is put in with textContent, never as markup.
const data = JSON.parse(document.getElementById("payload").textContent);
const dialog = document.getElementById("viewer");
const percent = (share) => (100 * share).toFixed(1) + "%";

function make(tag, text, className) {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  if (className) element.className = className;
  return element;
}

function name(index) {
  return data.classes[index];
}

function picture(tile) {
  const image = data.images[tile];
  const item = make("li");
  const view = make("span", undefined, "t t-" + tile);
  view.setAttribute("role", "img");
  view.setAttribute("aria-label", name(image.label) + ", taken for " + name(image.classes[0]));
  item.append(view);
  const list = make("ul", undefined, "probabilities");
  image.classes.forEach((index, place) => {
    const row = make("li");
    const label = make("span");
    label.append(make(index === image.label ? "b" : "span", name(index)));
    const bar = make("progress");
    bar.max = 1;
    bar.value = image.probabilities[place];
    bar.setAttribute("aria-label", name(index));
    row.append(label, make("span", percent(image.probabilities[place]), "right"), bar);
    list.append(row);
  });
  item.append(list, make("span", "labelled " + name(image.label), "muted"), make("span", image.path, "path"));
  return item;
}

function open(title, note, tiles) {
  dialog.querySelector("h2").textContent = title;
  dialog.querySelector("p").textContent = note;
  dialog.querySelector("ul").replaceChildren(...tiles.map(picture));
  dialog.showModal();
  dialog.scrollTop = 0;
}

function openCell(row, column) {
  const count = data.matrix[row][column];
  const tiles = data.cells[row + "-" + column] || [];
  const images = count === 1 ? "1 image" : count.toLocaleString("en") + " images";
  const title = row === column ? name(row) + ", recognised: " + images : name(row) + " taken for " + name(column) + ": " + images;
  const missing = count - tiles.length;
  const note = !missing ? "" : tiles.length ? "The " + tiles.length + " most confident ones are shown."
    : "No pictures of this cell are in this page; predictions/test.parquet lists them.";
  open(title, note, tiles);
}

// Up to these depths of colour black (light scheme) or white (dark scheme) is the more legible ink, by WCAG's contrast.
const TURNS = { hit: [0.831, 0.598], miss: [0.812, 0.575] };

// The square root shows the rare confusions, which are what one looks for here.
function shade(box, kind, share) {
  const depth = 0.1 + 0.9 * Math.sqrt(share);
  box.style.setProperty("--depth", depth.toFixed(3));
  box.classList.add(kind);
  box.classList.toggle("over-light", depth > TURNS[kind][0]);
  box.classList.toggle("over-dark", depth > TURNS[kind][1]);
}

function key() {
  const line = make("p", undefined, "key");
  for (const [kind, text] of [["hits", "right"], ["misses", "wrong"]]) {
    const part = make("span", undefined, kind);
    part.append(text + " 0%", make("i"), "100% of the row");
    line.append(part);
  }
  return line;
}

function cell(row, column, total, dense) {
  const count = data.matrix[row][column];
  const box = make("td");
  if (count) {
    shade(box, row === column ? "hit" : "miss", count / total);
    const button = make("button", dense ? undefined : count);
    button.type = "button";
    button.dataset.cell = row + "-" + column;
    button.tabIndex = -1;
    button.setAttribute("aria-label", count + ": " + name(row) + (row === column ? " recognised" : " taken for " + name(column)));
    button.title = button.getAttribute("aria-label");
    box.append(button);
  }
  return box;
}

function buildMatrix(holder) {
  const dense = data.classes.length > 24;
  holder.classList.toggle("dense", dense);
  // Names that have room over a column are not turned.
  holder.classList.toggle("upright", !dense && data.short.every((text) => text.length <= 3));
  const table = make("table");
  const caption = make("caption", "Rows are the true classes, columns what the model said.");
  caption.append(make("span", " Arrow keys move, Enter opens the images.", "screen"));
  table.append(caption);
  const head = table.createTHead().insertRow();
  head.append(make("td"));
  data.short.forEach((text) => {
    const heading = make("th");
    heading.scope = "col";
    heading.append(make("span", text));
    head.append(heading);
  });
  const body = table.createTBody();
  data.matrix.forEach((counts, row) => {
    const line = body.insertRow();
    const heading = make("th", data.short[row]);
    heading.scope = "row";
    const total = counts.reduce((sum, count) => sum + count, 0);
    line.append(heading, ...counts.map((_, column) => cell(row, column, total, dense)));
  });
  holder.append(table, key());
  const first = table.querySelector("button");
  if (first) first.tabIndex = 0;
  table.addEventListener("keydown", (event) => walk(event, table));
  table.addEventListener("focusin", (event) => keepStop(event.target, table));
}

// The tab key stops at one cell only: the last that was focused.
function keepStop(button, table) {
  if (!button.dataset.cell) return;
  table.querySelector('button[tabindex="0"]').tabIndex = -1;
  button.tabIndex = 0;
}

const STEPS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

function walk(event, table) {
  const step = STEPS[event.key];
  if (!step || !event.target.dataset.cell) return;
  event.preventDefault();
  let [row, column] = event.target.dataset.cell.split("-").map(Number);
  for (;;) {
    row += step[0];
    column += step[1];
    if (!data.matrix[row] || data.matrix[row][column] === undefined) return;
    if (data.matrix[row][column]) break;
  }
  const next = table.querySelector('[data-cell="' + row + "-" + column + '"]');
  next.focus();
}

document.querySelectorAll(".matrix").forEach(buildMatrix);
document.addEventListener("click", (event) => {
  const target = event.target.closest("[data-cell], [data-tiles], .close");
  if (event.target === dialog || (target && target.matches(".close"))) dialog.close();
  else if (!target) return;
  else if (target.dataset.cell) openCell(...target.dataset.cell.split("-").map(Number));
  else open(target.dataset.title, "", target.dataset.tiles.split(" ").map(Number));
});
