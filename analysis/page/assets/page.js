// Colours.

function remember(theme) {
  try {
    localStorage.setItem("theme", theme);
  } catch {
    /* Not kept where the browser keeps nothing for files. */
  }
}
function remembered() {
  try {
    return localStorage.getItem("theme") ?? "auto";
  } catch {
    return "auto";
  }
}
function paint(theme) {
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}
function setUpTheme() {
  const group = document.querySelector(".theme");
  group.hidden = false;
  for (const input of group.querySelectorAll("input")) {
    input.checked = input.value === remembered();
    input.addEventListener("change", () => {
      paint(input.value);
      remember(input.value);
    });
  }
  paint(remembered());
}

// Places: #run/<id> shows a run, every other one the report.

const title = document.title;
/** The link that led to a run: the reader comes back to it. */
let from = null;
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
function route() {
  const found = /^#run\/(.*)$/.exec(location.hash);
  byId("report").hidden = found !== null;
  byId("run").hidden = found === null;
  if (found) {
    show(decoded(found[1]));
    document.title = `${byId("run-title").textContent} - ${title}`;
    scrollTo({ top: 0, behavior: "instant" });
    byId("run-title").focus({ preventScroll: true });
    return;
  }
  document.title = title;
  byId("run").replaceChildren();
  const target = location.hash.length > 1 ? byId(decoded(location.hash.slice(1))) : null;
  target?.scrollIntoView({ behavior: "instant" });
  if (from && (target === null || target.contains(from))) from.focus();
  from = null;
}
document.addEventListener("click", (event) => {
  const link = event.target.closest?.("#report a[data-run]");
  if (link) from = link;
});

setUpTheme();
document.querySelectorAll("table.sortable").forEach(makeSortable);
setUpSearch();
if (matchMedia("(max-width: 62rem)").matches) document.querySelector("nav details").open = false;
addEventListener("hashchange", route);
if (location.hash.startsWith("#run/")) route();
document.documentElement.dataset.ready = "";
