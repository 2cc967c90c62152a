// Curves.

/** Most thin lines behind a curve. */
const SIBLINGS = 6;
const WIDTH = 280,
  HEIGHT = 96,
  LEFT = 38,
  BOTTOM = 12;
function scaleOf(all) {
  const steps = all.flatMap(([, xs]) => xs),
    values = all.flatMap(([, , ys]) => ys);
  const [first, last] = [Math.min(...steps), Math.max(...steps)];
  let [low, high] = [Math.min(...values), Math.max(...values)];
  if (low > 0 && low < high / 2) low = 0;
  if (low === high) [low, high] = low ? [low - Math.abs(low), low + Math.abs(low)] : [0, 1];
  return {
    low,
    high,
    first,
    last,
    x: (step) => LEFT + ((step - first) / (last - first || 1)) * (WIDTH - LEFT - 4),
    y: (value) => 5 + (1 - (value - low) / (high - low)) * (HEIGHT - BOTTOM - 5),
  };
}
/** At most six characters. */
const tick = (value) =>
  Math.abs(value) < 0.01 && value !== 0
    ? value.toExponential(0)
    : number(value, 2 + (Math.abs(value) >= 100));
function line([, steps, values], scale, className) {
  const points = steps.map((step, i) => `${scale.x(step).toFixed(1)},${scale.y(values[i]).toFixed(1)}`);
  return make("path", {
    class: className,
    d: points.length > 1 ? `M${points.join("L")}` : `M${points[0]}h3`,
  });
}
function chart(curve, siblings) {
  const [place, steps, values] = curve;
  const [title, unit] = data().metrics[place];
  const scale = scaleOf([curve, ...siblings]);
  const sign = unit === "percent" ? "%" : unit ? ` ${unit}` : "";
  const say = (i) => `step ${steps[i]}: ${number(values[i])}${sign}`;
  const last = steps.length - 1;
  const summary = `${title}: ${say(0)}, ${say(last)}; least ${number(Math.min(...values))}${sign}, greatest ${number(Math.max(...values))}${sign}`;
  const cursor = make("line", { class: "cursor", y1: 2, y2: HEIGHT - BOTTOM, visibility: "hidden" });
  const spot = make("circle", { class: "spot", r: 3.5, cx: scale.x(steps[last]), cy: scale.y(values[last]) });
  const label = (x, y, anchor, text) => make("text", { class: "axis", x, y, "text-anchor": anchor }, text);
  const drawing = make(
    "svg",
    {
      viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
      role: "slider",
      tabindex: "0",
      "aria-label": summary,
      "aria-valuemin": steps[0],
      "aria-valuemax": steps[last],
      "aria-valuenow": steps[last],
      "aria-valuetext": say(last),
    },
    ...[scale.low, scale.high].map((value) =>
      make("line", { class: "grid", x1: LEFT, x2: WIDTH, y1: scale.y(value), y2: scale.y(value) }),
    ),
    label(LEFT - 4, scale.y(scale.high) + 6, "end", tick(scale.high)),
    label(LEFT - 4, scale.y(scale.low), "end", tick(scale.low)),
    label(LEFT, HEIGHT - 2, "start", String(scale.first)),
    label(WIDTH - 2, HEIGHT - 2, "end", `step ${scale.last}`),
    siblings.map((other) => line(other, scale, "curve sibling")),
    line(curve, scale, "curve"),
    cursor,
    spot,
  );
  const output = make("output", { "aria-hidden": "true" }, say(last));
  const move = (i) => {
    drawing.at = i;
    for (const [node, names] of [
      [cursor, ["x1", "x2"]],
      [spot, ["cx"]],
    ])
      names.forEach((name) => node.setAttribute(name, scale.x(steps[i])));
    spot.setAttribute("cy", scale.y(values[i]));
    cursor.setAttribute("visibility", "visible");
    drawing.setAttribute("aria-valuenow", steps[i]);
    drawing.setAttribute("aria-valuetext", say(i));
    output.textContent = say(i);
  };
  drawing.addEventListener("pointermove", (event) => {
    const box = drawing.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * WIDTH;
    move(
      steps.reduce(
        (best, step, i) => (Math.abs(scale.x(step) - x) < Math.abs(scale.x(steps[best]) - x) ? i : best),
        0,
      ),
    );
  });
  drawing.addEventListener("keydown", (event) => {
    const at = drawing.at ?? last;
    const to = {
      ArrowLeft: at - 1,
      ArrowDown: at - 1,
      ArrowRight: at + 1,
      ArrowUp: at + 1,
      Home: 0,
      End: last,
      PageDown: at - 10,
      PageUp: at + 10,
    }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    move(Math.max(0, Math.min(last, to)));
  });
  return make("figure", {}, make("figcaption", {}, title, output), drawing);
}
function curveParts(run, id) {
  if (!run.curves.length) return [];
  const [sweep, row] = run.places[0];
  const siblings = Object.entries(data().runs)
    .filter(
      ([other, { places }]) =>
        other !== id && places.some(([name, label]) => name === sweep && label === row),
    )
    .slice(0, SIBLINGS);
  const drawn = run.curves.map((curve) =>
    chart(
      curve,
      siblings.flatMap(([, other]) => other.curves.filter(([place]) => place === curve[0])),
    ),
  );
  const known = run.curves.map(([, xs, ys]) => new Map(xs.map((step, i) => [step, ys[i]])));
  const steps = [...new Set(run.curves.flatMap(([, xs]) => xs))].sort((a, b) => a - b);
  const rows = () =>
    steps.map((step) => [
      String(step),
      ...known.map((values) => (values.has(step) ? number(values.get(step)) : "")),
    ]);
  const values = make("details", {}, make("summary", {}, "The same as a table"));
  values.addEventListener("toggle", () => {
    if (values.open && values.children.length === 1)
      values.append(
        table(
          "Values by step; shares in percent",
          ["Step", ...run.curves.map(([place]) => data().metrics[place][0])],
          rows(),
        ),
      );
  });
  const others = siblings.length ? ` Thin lines: other seeds of the row, ${SIBLINGS} at most.` : "";
  return [
    make("h2", {}, "Curves"),
    make(
      "p",
      {},
      `Point at a curve, or step along it with the arrow keys.${others} Long curves are thinned to 120 points.`,
    ),
    make("div", { class: "charts" }, drawn),
    values,
  ];
}
