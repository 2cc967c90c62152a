// Responses.

const FATES = {
  i0: ["i0", "imitated, without weight"],
  "i+": ["ik", "imitated, kept"],
  "i-": ["ik", "imitated, kept, pushed down"],
  e0: ["e0", "explored, without weight"],
  "e+": ["ep", "explored, made likelier"],
  "e-": ["em", "explored, made less likely"],
};
function legend() {
  const one = (className, text) =>
    make("span", {}, make("span", { class: className, "aria-hidden": "true" }, "abc"), `${text}. `);
  return make(
    "p",
    { class: "legend" },
    one("ik", "imitated from the demonstration, keeps its weight"),
    one("i0", "imitated, no weight in this update"),
    one("ep", "written by the policy, made likelier"),
    one("em", "written by the policy, made less likely"),
    one("e0", "written by the policy, no weight"),
  );
}
function verdict(correct, text) {
  return make("span", { class: correct === null ? "" : correct ? "right" : "wrong" }, text);
}
/** For those who hear the page. */
const said = (text) => make("p", { class: "unseen" }, text);
function rollout(sample) {
  const reward =
    sample.reward === null
      ? "not graded"
      : sample.reward === 1
        ? "graded right"
        : sample.reward === 0
          ? "graded wrong"
          : `reward ${number(sample.reward)}`;
  const facts = [counted(sample.tokens, "token")];
  if (sample.imitated) {
    facts.push(`${sample.imitated} imitated`);
    if (sample.seen)
      facts.push(
        `${sample.kept} of the ${sample.seen} shown keep a weight${sample.kept ? ` (first: ${number(sample.prefix_advantage, 3)})` : ""}`,
      );
  }
  if (sample.imitated < sample.tokens)
    facts.push(
      sample.advantage
        ? `weight of what it wrote: ${number(sample.advantage, 3)}`
        : "what it wrote has no weight",
    );
  if (!sample.finished) facts.push("cut at the longest response");
  if (sample.shown < sample.tokens)
    facts.push(`tokens ${sample.start + 1} to ${sample.start + sample.shown} are shown`);
  const kind = !sample.imitated
    ? "Ordinary rollout"
    : sample.imitated >= sample.tokens
      ? "Demonstration"
      : "Hybrid rollout";
  const tokens = sample.stretches.map(([text, fate]) =>
    make("span", { class: FATES[fate][0], title: FATES[fate][1] }, text),
  );
  const edge = sample.stretches.findIndex(([, fate]) => fate.startsWith("e"));
  if (edge > 0) tokens.splice(edge, 0, make("span", { class: "unseen" }, " [the policy goes on:] "));
  return make(
    "article",
    { class: "response" },
    make(
      "h3",
      {},
      `${kind}, step ${sample.step}, `,
      verdict(sample.reward === null ? null : sample.reward > 0, reward),
    ),
    make("p", {}, `Question ${sample.question}, rollout ${sample.rollout}: ${facts.join("; ")}.`),
    said("Prompt:"),
    make("pre", { class: "prompt" }, sample.prompt),
    said("Response:"),
    make("pre", { class: "tokens" }, tokens),
  );
}
function evaluatedSample(sample) {
  const facts = [
    counted(sample.tokens, "token"),
    `verdict ${sample.status}`,
    sample.answer === null ? "no answer found" : `answer found: ${sample.answer}`,
  ];
  if (!sample.finished) facts.push("cut at the longest response");
  return make(
    "article",
    { class: "response" },
    make(
      "h3",
      {},
      `Question ${sample.question}, `,
      verdict(sample.correct, sample.correct ? "right" : "wrong"),
    ),
    make("p", {}, `${facts.join("; ")}.`),
    said("Response:"),
    make("pre", {}, sample.response),
  );
}
function responses(run) {
  const parts = [];
  if (run.rollouts.length)
    parts.push(
      make("h2", {}, "Rollouts of training"),
      legend(),
      make("div", { class: "responses" }, run.rollouts.map(rollout)),
    );
  for (const { split, protocol, samples } of run.evaluated) {
    parts.push(
      make("h2", {}, `Evaluated samples, ${split}, ${protocol}`),
      make("p", {}, "The first sample of the first questions, the same questions for every run."),
      make("div", { class: "responses" }, samples.map(evaluatedSample)),
    );
  }
  return parts.flat();
}
