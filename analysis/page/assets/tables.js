// Sorting: numbers by their exact value, texts as people sort them; what is missing stays last; a third click restores.

const words = new Intl.Collator("en", { numeric: true, sensitivity: "base" });
function compare(a, b, column, numeric, sign) {
  const [x, y] = [a, b].map((row) => {
    const cell = row.cells[column];
    return numeric ? (cell.dataset.order ?? "") : cell.textContent.trim();
  });
  if (x === "" || y === "") return (x === "") - (y === "");
  return sign * (numeric ? Number(x) - Number(y) : words.compare(x, y));
}
function sortBy(table, header, column) {
  const body = table.tBodies[0];
  table.original ??= [...body.rows];
  const next = { none: "ascending", ascending: "descending", descending: "none" }[
    header.getAttribute("aria-sort") ?? "none"
  ];
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  const rows = [...table.original];
  if (next !== "none") {
    header.setAttribute("aria-sort", next);
    const numeric = header.classList.contains("number");
    rows.sort((a, b) => compare(a, b, column, numeric, next === "ascending" ? 1 : -1));
  }
  body.append(...rows);
}
function makeSortable(table) {
  [...table.tHead.rows[0].cells].forEach((header, column) => {
    const button = make("button", { type: "button" }, header.textContent);
    button.addEventListener("click", () => sortBy(table, header, column));
    header.replaceChildren(button);
  });
}

// Search: every word must fit. key=value is a whole setting, by its full name or the end of it; any other word is a
// part of the id, the rows, the method, the state, or a setting that counts.

const known = new Map();
function wordsOf(id) {
  if (!known.has(id)) {
    const run = data().runs[id];
    const settings = settingsOf(run),
      uncounted = new Set(data().uncounted);
    const counted = Object.entries(settings).filter(([name]) => !uncounted.has(name));
    const places = run.places.flatMap(([sweep, label]) => [sweep, data().sweeps[sweep], label]);
    const text = [
      id,
      run.method,
      run.standing,
      ...places,
      ...counted.map(([name, [value]]) => `${name}=${value}`),
    ];
    const pairs = Object.entries(settings).map(([name, [value]]) => `${name}=${value}`.toLowerCase());
    known.set(id, { text: text.join("\n").toLowerCase(), pairs });
  }
  return known.get(id);
}
function fits(id, word) {
  const { text, pairs } = wordsOf(id);
  if (!word.includes("=")) return text.includes(word);
  const whole = word.slice(0, word.indexOf("=")) in data().common;
  return pairs.some((pair) => pair === word || (!whole && pair.endsWith(`.${word}`)));
}
function search(query) {
  const wanted = query.toLowerCase().split(/\s+/).filter(Boolean);
  const rows = [...byId("all-runs").tBodies[0].rows];
  let found = 0;
  for (const row of rows) {
    row.hidden = !wanted.every((word) => fits(row.dataset.run, word));
    found += !row.hidden;
  }
  byId("found").textContent = wanted.length ? `${found} of ${counted(rows.length, "run")}` : "";
}
function setUpSearch() {
  const form = document.querySelector(".search");
  form.hidden = false;
  form.addEventListener("submit", (event) => event.preventDefault());
  for (const row of byId("all-runs").tBodies[0].rows) row.dataset.run = row.querySelector("a").dataset.run;
  byId("query").addEventListener("input", (event) => search(event.target.value));
}
