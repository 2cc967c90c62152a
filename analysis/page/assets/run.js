// One run.

function heading(id, run) {
  const [sweep, label] = run.places[0];
  const seed = run.seed === null ? "" : `, seed ${run.seed}`;
  const others = run.places.slice(1).map(([name, row]) => `${data().sweeps[name]}: ${row}`);
  const word = run.standing.replace(":", " ").split(" ")[0];
  return [
    make("h1", { id: "run-title", tabindex: "-1" }, `${label}${seed}`),
    make(
      "p",
      {},
      make("span", { class: `badge state ${/^\w+$/.test(word) ? word : ""}` }, run.standing),
      ` Run ${id}, in ${data().sweeps[sweep]}.`,
    ),
    others.length ? make("p", {}, `It also stands for ${others.join("; ")}.`) : null,
  ];
}
function neighbours(id) {
  const ids = [...byId("all-runs").tBodies[0].rows]
    .filter((row) => !row.hidden)
    .map((row) => row.dataset.run);
  const at = ids.indexOf(id);
  const link = (to, text) => (to ? make("a", { href: `#run/${to}` }, text) : null);
  return make(
    "nav",
    { class: "crumbs", "aria-label": "Runs" },
    make("a", { href: "#runs" }, "All runs"),
    link(ids[at - 1], "Previous run"),
    at >= 0 ? link(ids[at + 1], "Next run") : null,
  );
}
function failure(run) {
  const error = run.state?.error;
  const parts = [];
  if (error) {
    parts.push(
      make("h2", {}, "Why it failed"),
      make("pre", { class: "cause", tabindex: "0" }, `${error.type}: ${error.message}`),
    );
    if (error.log) parts.push(make("p", {}, `The whole story is in the run's folder: ${error.log}`));
  }
  for (const text of [run.damage, ...run.unread].filter(Boolean)) {
    parts.push(make("h2", {}, "What cannot be read"), make("pre", { class: "cause", tabindex: "0" }, text));
  }
  return parts;
}
function command(run) {
  if (!run.command) return [];
  const code = make("pre", { class: "command", tabindex: "0" }, make("code", {}, run.command));
  const said = make("span", { role: "status" });
  const copy = make("button", { type: "button", class: "action" }, "Copy");
  copy.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(run.command);
      said.textContent = " Copied.";
    } catch {
      getSelection().selectAllChildren(code);
      said.textContent = " Selected: copy it with the keyboard.";
    }
  });
  return [
    make("h2", {}, "Run it again"),
    code,
    make("p", {}, copy, said),
    make(
      "p",
      {},
      "What is done is not done again; a failed or lost run goes on from its last checkpoint. With another store=FOLDER the run is made anew there, under the same id.",
    ),
  ];
}
function scores(run) {
  if (!run.scores.length) return [];
  const shown = (metric, value) =>
    value === null ? "" : /@|share/.test(metric) ? percent(value) : number(value);
  const rows = run.scores.map(([split, protocol, metric, value, error, low, high]) => [
    NAMES[metric] ?? metric,
    split,
    protocol,
    shown(metric, value),
    shown(metric, error),
    low === null ? "" : `${shown(metric, low)} to ${shown(metric, high)}`,
  ]);
  return [
    make("h2", {}, "Scores"),
    table(
      "Scores in percent, lengths in tokens; the interval is over questions.",
      ["Score", "Split", "Protocol", "Value", "SE", "95% interval"],
      rows,
    ),
  ];
}

function settingRows(names, settings) {
  return names.map((name) => {
    const [value, place] = settings[name];
    const [kind, fallback, meaning] = data().meanings[place];
    return [name, value, kind, fallback, meaning];
  });
}
function settingsParts(run) {
  const settings = settingsOf(run);
  const names = Object.keys(settings);
  if (!names.length) return [];
  const groups = new Map([
    ["varied", []],
    ["own", []],
    ["default", []],
    ["uncounted", []],
  ]);
  const uncounted = new Set(data().uncounted);
  for (const name of names) {
    const [value, place] = settings[name];
    const group = run.varied.includes(name)
      ? "varied"
      : uncounted.has(name)
        ? "uncounted"
        : value === data().meanings[place][1]
          ? "default"
          : "own";
    groups.get(group).push(name);
  }
  const titles = ["Setting", "Value", "Type", "Default", "Meaning"];
  const shown = (caption, group, open) => {
    const rows = settingRows(groups.get(group), settings);
    if (!rows.length) return null;
    return make(
      "details",
      { open },
      make("summary", {}, `${caption} (${rows.length})`),
      table(caption, titles, rows, "settings"),
    );
  };
  return [
    make("h2", {}, "Settings"),
    shown("What differs between the runs of its sweep", "varied", true),
    shown("Shared with the sweep, and not the default", "own", false),
    shown("As by default", "default", false),
    shown("What cannot change the numbers", "uncounted", false),
  ];
}

function provenance(run) {
  const from = run.provenance;
  const parts = [make("h2", {}, "Where it comes from")];
  if (!from.command) parts.push(make("p", {}, "The run has not recorded where it came from."));
  else {
    const source = from.source ?? {},
      cpu = from.cpu ?? {};
    const code = source.commit
      ? `${source.commit}${source.dirty ? ", with uncommitted changes" : ""}`
      : `unknown commit (${source.reason})`;
    const versions = Object.entries(from.packages ?? {})
      .filter(([, version]) => version)
      .map(([name, version]) => `${name} ${version}`);
    parts.push(
      pairs([
        ["Commit", code],
        ["Command", from.command],
        ["Began", from.time],
        [
          "Machine",
          `${cpu.model ?? "unknown processor"}, ${cpu.usable} of ${cpu.count} cores; ${from.platform}; ${from.host}`,
        ],
        ["Python", from.python],
        ["Packages", versions.join(", ")],
        ["Lock file", from.lock?.sha256 ?? from.lock?.reason],
        [
          "Earlier attempts",
          from.earlier.map(([time, commit]) => `${time} at ${commit ?? "an unknown commit"}`).join("; "),
        ],
      ]),
    );
  }
  const state = run.state ?? {};
  parts.push(
    make("h2", {}, "What happened"),
    pairs([
      ["Stage", state.stage],
      ["Attempts", state.attempt],
      ["Work", run.seconds ? `${number(run.seconds)} s` : ""],
    ]),
  );
  if (run.events.length)
    parts.push(
      make(
        "details",
        {},
        make("summary", {}, `History (the last ${counted(run.events.length, "event")})`),
        table("History", ["Time", "Event", "Details"], run.events),
      ),
    );
  return parts;
}

function show(id) {
  const run = Object.hasOwn(data().runs, id) ? data().runs[id] : null;
  const place = byId("run");
  if (!run) {
    place.replaceChildren(
      neighbours(id),
      make("h1", { id: "run-title", tabindex: "-1" }, `There is no run ${id} on this page.`),
    );
  } else {
    place.replaceChildren(
      ...[
        neighbours(id),
        ...heading(id, run),
        ...failure(run),
        ...command(run),
        ...scores(run),
        ...curveParts(run, id),
        ...settingsParts(run),
        ...responses(run),
        ...provenance(run),
      ].filter(Boolean),
    );
  }
}
