"use strict";
// Text of runs is only ever put into the page as text nodes and attribute values, never as markup.

const byId = (id) => document.getElementById(id);
let parsed = null;
/** The data of all runs; read when it is first needed. */
const data = () => (parsed ??= JSON.parse(byId("data").textContent));

const SVG = "http://www.w3.org/2000/svg";
/** An element with attributes and children; strings become text. */
function make(tag, attributes = {}, ...children) {
  const svg = ["svg", "path", "line", "circle", "text"].includes(tag);
  const node = svg ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}
const number = (value, digits = 4) => Number(value.toPrecision(digits)).toString();
const NAMES = {
  mean_tokens: "Mean length (tokens)",
  truncated_share: "Truncated",
  no_answer_share: "Without an answer",
};
const percent = (share) => (100 * share).toFixed(1);
const counted = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;

function settingsOf(run) {
  const settings = { ...data().common };
  for (const name of run.absent) delete settings[name];
  return Object.assign(settings, run.settings);
}
function table(caption, titles, rows, className = "") {
  const head = make(
    "tr",
    {},
    titles.map((title) => make("th", { scope: "col" }, title)),
  );
  const body = rows.map((cells) =>
    make(
      "tr",
      {},
      cells.map((cell, i) =>
        make(
          i ? "td" : "th",
          i ? { class: className !== "settings" && /^-?[\d.]+$/.test(cell) && "number" } : { scope: "row" },
          i ? cell : breakable(cell),
        ),
      ),
    ),
  );
  const made = make(
    "table",
    { class: className },
    make("caption", {}, caption),
    make("thead", {}, head),
    make("tbody", {}, body),
  );
  return make("div", { class: "scroll", role: "region", "aria-label": caption, tabindex: "0" }, made);
}
/** A dotted name that may be broken after its dots and underscores. */
function breakable(name) {
  return name.split(/(?<=[._])/).flatMap((part, i) => (i ? [make("wbr"), part] : [part]));
}
function pairs(entries) {
  return make(
    "dl",
    { class: "pairs" },
    entries
      .filter(([, value]) => value)
      .flatMap(([term, value]) => [make("dt", {}, term), make("dd", {}, String(value))]),
  );
}
