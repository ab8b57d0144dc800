"use strict";
// One page, one server. Names of classes and of files are text, never markup; pictures stay in this tab's memory.
const byId = (id) => document.getElementById(id);
const SHOWN = 6; // bars at first
const KEPT = 60; // pictures of the session
const SMALL = 96; // pixels: smaller pictures are shown with sharp pixels
let model = null;
let past = []; // {file, address, name, answer, explanation, corrected}, newest first
let current = null;
let map = null; // the explanation that lies over the picture
let everyBar = false;

function make(tag, text, className) {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  if (className) element.className = className;
  return element;
}

const percent = (share) => (share >= 0.9995 ? "> 99.9 %" : share < 0.0005 ? "< 0.1 %" : `${(100 * share).toFixed(1)} %`);

// What the server answers; a busy server says when to ask again.
async function ask(path, makeOptions = () => ({})) {
  for (let attempt = 0; ; attempt++) {
    const response = await fetch(path, makeOptions()).catch(() => null);
    if (!response) throw new Error("The server does not answer. Is `tenfold serve` still running?");
    if (response.status === 503 && attempt < 3) {
      const seconds = Number(response.headers.get("Retry-After")) || 1;
      await new Promise((resolve) => setTimeout(resolve, 1000 * Math.min(seconds, 10)));
      continue;
    }
    const body = await response.json().catch(() => ({ error: `The server answered with status ${response.status}.` }));
    if (!response.ok) throw new Error(body.error);
    return body;
  }
}

function formOf(item, label) {
  const form = new FormData();
  if (label !== undefined) form.append("label", label);
  form.append("image", item.file, item.name);
  return { method: "POST", body: form };
}

function fail(message) {
  byId("error").textContent = message;
  byId("error").hidden = false;
}

function say(message) {
  byId("status").textContent = message;
}

// Pictures in --------------------------------------------------------------------------------------------------

async function take(files) {
  byId("error").hidden = true;
  const pictures = [...files];
  if (!pictures.length) return fail("There was no picture in that. Drop or paste an image file.");
  for (const file of pictures.slice(0, KEPT)) await classify(file);
}

async function classify(file) {
  const name = file.name || "pasted picture";
  if (model && file.size > model.largest_bytes) {
    return fail(`${name} is larger than ${Math.floor(model.largest_bytes / 2 ** 20)} MiB. Choose a smaller picture.`);
  }
  const item = { file, name, address: URL.createObjectURL(file), answer: null, explanation: null, corrected: null };
  say(`Looking at ${name}`);
  byId("answer").setAttribute("aria-busy", "true");
  try {
    item.answer = await ask("/predict", () => formOf(item));
    past.unshift(item);
    for (const old of past.splice(KEPT)) URL.revokeObjectURL(old.address);
    open(item);
    byId("answer").scrollIntoView({ block: "nearest" });
    say(`${name}: ${item.answer.predicted}, ${percent(item.answer.probability)}`);
  } catch (error) {
    URL.revokeObjectURL(item.address);
    fail(`${name}: ${error.message}`);
    say("");
  } finally {
    byId("answer").removeAttribute("aria-busy");
  }
}

// What a browser cannot show (TIFF), the server has as the picture that the model was given.
async function showInstead(image, item) {
  image.onerror = null;
  try {
    const { picture } = await explanationOf(item);
    if (image !== byId("shown") || item === current) image.src = picture;
  } catch {
    image.alt = "this browser cannot show the picture";
  }
}

// An answer ----------------------------------------------------------------------------------------------------

function open(item) {
  current = item;
  everyBar = false;
  byId("answer").hidden = false;
  const shown = byId("shown");
  shown.onerror = () => showInstead(shown, item);
  shown.src = item.address;
  shown.alt = item.name;
  byId("caption").textContent = item.name;
  hideHeat();
  drawWords();
  drawPast();
}

function drawWords() {
  const { answer } = current;
  const verdict = byId("verdict");
  verdict.replaceChildren(make("span", answer.predicted), " ", make("span", percent(answer.probability), "share"));
  const remarks = [];
  if (answer.unsure) remarks.push("Unsure: such an answer is wrong more often than it should be. Look yourself.");
  if (answer.unlike) remarks.push("Unlike the training images: the model never learned from such pictures, so do not rely on it.");
  byId("remarks").replaceChildren(...remarks.map((text) => make("li", text)));
  drawBars();
  byId("label").value = current.corrected ?? "";
  byId("corrected").textContent = current.corrected ? savedAs(current.corrected) : "";
}

function drawBars() {
  const ranked = Object.entries(current.answer.probabilities).sort((one, two) => two[1] - one[1]);
  const rows = everyBar ? ranked : ranked.slice(0, SHOWN);
  byId("bars").replaceChildren(
    ...rows.map(([name, share]) => {
      const row = make("li");
      const bar = make("progress");
      bar.max = 1;
      bar.value = share;
      bar.setAttribute("aria-label", name);
      row.append(make("span", name), make("span", percent(share), "share"), bar);
      return row;
    }),
  );
  const more = byId("more");
  more.hidden = ranked.length <= SHOWN;
  more.textContent = everyBar ? "Show fewer classes" : `Show all ${ranked.length} classes`;
}

// What the model looked at -------------------------------------------------------------------------------------

function explanationOf(item) {
  item.explanation ??= ask("/explain", () => formOf(item)).catch((error) => {
    item.explanation = null;
    throw error;
  });
  return item.explanation;
}

async function look() {
  const button = byId("look");
  if (button.getAttribute("aria-pressed") === "true") {
    hideHeat();
    byId("shown").src = current.address;
    return;
  }
  const item = current;
  button.disabled = true;
  button.textContent = "Looking";
  try {
    const found = await explanationOf(item);
    if (item === current) showHeat(found);
  } catch (error) {
    fail(error.message);
    hideHeat();
  } finally {
    button.disabled = false;
    if (item !== current) hideHeat();
  }
}

function hideHeat() {
  map = null;
  byId("heat").hidden = true;
  byId("look-note").hidden = true;
  byId("look").setAttribute("aria-pressed", "false");
  byId("look").textContent = "Show what the model looked at";
}

function showHeat(found) {
  map = found;
  byId("shown").src = found.picture; // the part that the model was given, at its size
  byId("look").setAttribute("aria-pressed", "true");
  byId("look").textContent = "Show the picture";
  const note = byId("look-note");
  note.hidden = false;
  note.textContent = found.decisive
    ? `The picture as the model gets it. Where it is bright, covering it costs “${found.predicted}” most: up to ${percent(found.drop)} of probability.`
    : `The picture as the model gets it. No single part decides: covering any of them changes the answer by less than ${percent(Math.max(found.drop, 0.001))}.`;
}

// Whenever a picture has loaded: sharp pixels for a small one, and the map over the one that it belongs to.
function dress() {
  const image = byId("shown");
  const canvas = byId("heat");
  canvas.parentElement.classList.toggle("small", Math.max(image.naturalWidth, image.naturalHeight) <= SMALL);
  const belongs = map !== null && map.decisive && image.src === map.picture;
  if (belongs) drawHeat(canvas, image, map.heat);
  canvas.hidden = !belongs;
}

// Bright where it matters, darkened elsewhere.
function drawHeat(canvas, image, heat) {
  const rows = heat.length;
  const columns = heat[0].length;
  const small = document.createElement("canvas");
  small.width = columns;
  small.height = rows;
  const pixels = new ImageData(columns, rows);
  heat.flat().forEach((value, place) => pixels.data.set([8, 12, 16, Math.round(205 * (1 - value))], 4 * place));
  small.getContext("2d").putImageData(pixels, 0, 0);
  canvas.width = Math.max(image.naturalWidth, 256);
  canvas.height = Math.max(1, Math.round((canvas.width * image.naturalHeight) / image.naturalWidth));
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = true;
  context.imageSmoothingQuality = "high";
  context.drawImage(small, 0, 0, canvas.width, canvas.height);
}

// Corrections --------------------------------------------------------------------------------------------------

const savedAs = (label) => `Saved as “${label}”. Learn from it: tenfold train --data ${model.corrections}`;

async function correct(event) {
  event.preventDefault();
  const item = current;
  const label = byId("label").value;
  if (!label) return;
  byId("error").hidden = true;
  try {
    const kept = await ask("/corrections", () => formOf(item, label));
    item.corrected = kept.label;
    if (item === current) byId("corrected").textContent = savedAs(kept.label);
    drawPast();
  } catch (error) {
    fail(error.message);
  }
}

// The session --------------------------------------------------------------------------------------------------

function drawPast() {
  byId("past").hidden = past.length === 0;
  byId("history").replaceChildren(
    ...past.map((item) => {
      const entry = make("li");
      const button = make("button");
      button.type = "button";
      if (item === current) button.setAttribute("aria-current", "true");
      const picture = make("img");
      picture.alt = "";
      picture.onload = () => picture.classList.toggle("small", picture.naturalWidth <= SMALL);
      picture.onerror = () => showInstead(picture, item);
      picture.src = item.address;
      const doubts = [item.answer.unsure && "unsure", item.answer.unlike && "unlike the training images"];
      const notes = [percent(item.answer.probability), ...doubts.filter(Boolean)];
      button.append(picture, make("span", item.answer.predicted, "name"), make("span", notes.join(", "), "note"));
      if (item.corrected) button.append(make("span", `corrected: ${item.corrected}`, "note"));
      button.append(make("span", item.name, "note"));
      button.addEventListener("click", () => {
        open(item);
        byId("answer").focus();
      });
      entry.append(button);
      return entry;
    }),
  );
}

function clear() {
  for (const item of past) URL.revokeObjectURL(item.address);
  past = [];
  current = null;
  byId("answer").hidden = true;
  drawPast();
  byId("choose").focus();
}

// The camera: a phone's own app, or this browser's picture of whoever sits before it -----------------------------

async function photograph() {
  const phone = matchMedia("(pointer: coarse)").matches;
  if (phone || !navigator.mediaDevices) return byId("camera").click();
  byId("error").hidden = true;
  try {
    const stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
    byId("live").srcObject = stream;
    byId("studio").showModal();
  } catch {
    fail("There is no camera that this page may use. Choose a file instead.");
  }
}

function endPhotograph() {
  for (const track of byId("live").srcObject?.getTracks() ?? []) track.stop();
  byId("live").srcObject = null;
}

function shoot() {
  const video = byId("live");
  const canvas = document.createElement("canvas");
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  if (!canvas.width) return; // the camera is not ready yet
  canvas.getContext("2d").drawImage(video, 0, 0);
  const name = `photo ${new Date().toLocaleTimeString()}.png`;
  canvas.toBlob((blob) => take([new File([blob], name, { type: "image/png" })]), "image/png");
  byId("studio").close();
}

// The page -----------------------------------------------------------------------------------------------------

function listen() {
  byId("choose").addEventListener("click", () => byId("file").click());
  byId("photograph").addEventListener("click", photograph);
  byId("shoot").addEventListener("click", shoot);
  byId("leave").addEventListener("click", () => byId("studio").close());
  byId("studio").addEventListener("close", endPhotograph);
  for (const input of ["file", "camera"]) {
    byId(input).addEventListener("change", async (event) => {
      await take(event.target.files);
      event.target.value = ""; // so that the same file can be chosen again
    });
  }
  document.addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    event.preventDefault();
    take(files);
  });
  let depth = 0;
  const holdsFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  document.addEventListener("dragenter", (event) => {
    if (holdsFiles(event)) byId("veil").hidden = ++depth === 0;
  });
  document.addEventListener("dragleave", (event) => {
    if (holdsFiles(event)) byId("veil").hidden = --depth <= 0;
  });
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    depth = 0;
    byId("veil").hidden = true;
    take(event.dataTransfer?.files ?? []);
  });
  byId("shown").addEventListener("load", dress);
  byId("look").addEventListener("click", look);
  byId("more").addEventListener("click", () => {
    everyBar = !everyBar;
    drawBars();
  });
  byId("correct").addEventListener("submit", correct);
  byId("clear").addEventListener("click", clear);
}

async function begin() {
  listen();
  try {
    model = await ask("/model");
  } catch (error) {
    return fail(error.message);
  }
  document.title = `${model.name}: tenfold`;
  byId("name").textContent = model.name;
  const classes = model.class_names;
  const some = classes.length > 12 ? `${classes.slice(0, 12).join(", ")} and ${classes.length - 12} more` : classes.join(", ");
  const accuracy = model.accuracy == null ? "" : ` On its ${model.test_images.toLocaleString("en")} test images it was right in ${percent(model.accuracy)}.`;
  byId("about").textContent = `It tells ${classes.length} classes apart: ${some}.${accuracy}`;
  const empty = make("option", "choose a class");
  empty.value = "";
  byId("label").replaceChildren(empty, ...classes.map((name) => {
    const option = make("option", name);
    option.value = name;
    return option;
  }));
  byId("correct").hidden = model.corrections === null;
}

begin();
