"use strict";
// Tables whose headings hold a button with data-sort: a click sorts by that column, another turns it round.
function sortBy(heading) {
  const table = heading.closest("table");
  const column = heading.cellIndex;
  const direction = heading.getAttribute("aria-sort") === "ascending" ? -1 : 1;
  const value = (row) => {
    const text = row.cells[column].dataset.value;
    return text === "" ? Infinity * direction : isNaN(text) ? text : Number(text);
  };
  const rows = [...table.tBodies[0].rows];
  rows.sort((a, b) => (value(a) < value(b) ? -direction : value(a) > value(b) ? direction : 0));
  table.tBodies[0].append(...rows);
  table.querySelectorAll("th[aria-sort]").forEach((other) => other.setAttribute("aria-sort", "none"));
  heading.setAttribute("aria-sort", direction === 1 ? "ascending" : "descending");
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-sort]");
  if (button) sortBy(button.closest("th"));
});
